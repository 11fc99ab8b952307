"""Unmasked pictures of a camera with privacy masks, if policy says so: sealed as they come, for the authority alone.

This node can't open them again (an anonymous sealed box: X25519, XSalsa20-Poly1305, for the authority's key), nothing of them is ever
on its disk in the open, and they never travel by themselves: whoever has a right to one carries the file to the command center, where
``command-center unseal`` opens it and says so in the journal. Oldest go first when their bound is reached or their time is over.
"""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
from nacl.public import PublicKey, SealedBox

from relay.counters import Counters
from relay.ids import EnvelopeId

_log = structlog.get_logger("camera_node.sealed_originals")
_SUFFIX: Final = ".sealed"


class PrivacyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[privacy]``."""

    keeps_originals: bool = False
    """Whether the unmasked picture of each alert is kept here, sealed for the authority."""
    originals_days: Annotated[float, msgspec.Meta(gt=0, le=3650)] = 30.0
    originals_bytes: Annotated[int, msgspec.Meta(ge=1_000_000, le=1 << 40)] = 200_000_000
    """All of them together."""


class SealedOriginals:
    """Owns the folder ``originals`` in the state folder."""

    def __init__(
        self, state_dir: Path, settings: PrivacyConfig, *, authority_sealing_key: bytes, counters: Counters
    ) -> None:
        self._folder_dir = state_dir / "originals"
        self._settings = settings
        self._box = SealedBox(PublicKey(authority_sealing_key))
        self._counters = counters

    async def keep(self, alert_id: EnvelopeId, jpeg: bytes) -> None:
        """Seal a picture; a disk that has no room costs the picture, counted, and nothing else."""
        if not self._settings.keeps_originals or not jpeg:
            return
        try:
            await asyncio.to_thread(self._write, alert_id, jpeg)
        except OSError as error:
            self._counters.count("originals_not_kept")
            _log.error("original not kept", alert=alert_id.hex(), why=error.strerror)

    def _write(self, alert_id: EnvelopeId, jpeg: bytes) -> None:
        self._folder_dir.mkdir(mode=0o700, exist_ok=True)
        file = self._folder_dir / f"{alert_id.hex()}{_SUFFIX}"
        half = file.with_suffix(".half")
        half.write_bytes(self._box.encrypt(jpeg))
        half.rename(file)
        self._make_room()

    def _make_room(self) -> None:
        kept = sorted((entry.stat().st_mtime, entry.stat().st_size, entry)
                      for entry in self._folder_dir.glob(f"*{_SUFFIX}"))  # fmt: skip
        total_bytes = sum(size for _, size, _ in kept)
        too_old_s = time.time() - self._settings.originals_days * 86_400
        for changed_s, size, file in kept[:-1]:  # the newest stays, whatever the bounds
            if changed_s >= too_old_s and total_bytes <= self._settings.originals_bytes:
                return
            file.unlink(missing_ok=True)
            total_bytes -= size
            self._counters.count("originals_deleted")
