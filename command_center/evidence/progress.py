"""How far an export is: written by the thread that works, read by whoever asks, stopped by whoever may."""

import threading

from command_center.errors import ActionRefused


class ExportStopped(ActionRefused):
    """Somebody stopped the export; nothing was exported."""


class Progress:
    """One export's. All of it may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phase, self._done_bytes, self._total_bytes = "waiting", 0, 0
        self._stopped_by = ""

    def enter(self, phase: str, total_bytes: int = 0) -> None:
        """A new phase begins, with so many bytes to do as far as is known."""
        with self._lock:
            self._phase, self._done_bytes, self._total_bytes = phase, 0, total_bytes

    def advance(self, by_bytes: int) -> None:
        """So many bytes more.

        Raises:
            ExportStopped: it is not wanted any more.
        """
        with self._lock:
            self._done_bytes += by_bytes
            stopped_by = self._stopped_by
        if stopped_by:
            raise ExportStopped(f"stopped by {stopped_by}: nothing was exported")

    def stop(self, by: str) -> None:
        """Let the next ``advance`` end it."""
        with self._lock:
            self._stopped_by = by

    @property
    def now(self) -> tuple[str, int, int]:
        """Phase, bytes done, bytes in all (at least those done)."""
        with self._lock:
            return self._phase, self._done_bytes, max(self._total_bytes, self._done_bytes)
