"""Exports that people ask for over the API: one after the other on a thread of its own, kept for a while, fetched in ranges.

It owns the folder ``exports/`` in the state folder. ``ID.zip`` with ``ID.json`` beside it is an export that may be fetched; anything
else there is what a kill left, and is deleted at the next start. Each step is journalled by ``export`` with the name of the person.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from command_center.errors import NotFound, NotPossible
from command_center.evidence import steps
from command_center.evidence.export import Exported, export, new_identifier
from command_center.evidence.progress import ExportStopped, Progress
from command_center.evidence.selection import Selection
from command_center.evidence.steps import EvidenceExport, Noted
from command_center.metrics import Metrics
from command_center.state_dir import StateDir
from relay.clock import Clock
from relay.database import Database
from relay.errors import HeardError

_log = structlog.get_logger("command_center.exports")

MOST_WAITING: Final = 8
MOST_KEPT: Final = 50
ExportState = Literal["waiting", "running", "done", "failed", "stopped"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a finished export; ``ID.json`` holds it."""

    id: str
    by: str
    selection: str
    created_at_ms: int
    finished_at_ms: int
    size_bytes: int = 0
    tag_manifest_sha256: str = ""
    authority: str = ""
    missing: tuple[str, ...] = ()
    timestamp: str = ""
    state: ExportState = "done"
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One export as people see it."""

    outcome: Outcome
    """``finished_at_ms`` is 0 and ``state`` is waiting or running until it has ended."""
    phase: str
    done_bytes: int
    total_bytes: int


@dataclass(slots=True)
class _Job:
    outcome: Outcome
    progress: Progress


Export = Callable[[Path, Progress, Callable[[EvidenceExport], Noted], str], Exported]
"""(target file, progress, how steps are journalled, identifier) → what was written."""


class ExportOffice:
    """Takes orders; closed before the database is."""

    def __init__(self, state: StateDir, *, database: Database, clock: Clock, metrics: Metrics, kept_h: float) -> None:
        self._state = state
        self._dir = self.folder_dir = state.root_dir / "exports"
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._kept_ms = round(kept_h * 3_600_000)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="export")
        self._jobs: dict[str, _Job] = {}
        self._load()

    # ------------------------------------------------------------------ orders

    def order(self, chosen: Selection, by: str, work: Export | None = None,
              prepare: Callable[[Progress], None] | None = None) -> str:  # fmt: skip
        """Begin an export as soon as those before it have ended; returns its identifier.

        ``prepare`` runs on the export's thread, after the journal knows of it and before anything is read.

        Raises:
            NotPossible: too many wait already.
        """
        waiting = sum(job.outcome.state in {"waiting", "running"} for job in list(self._jobs.values()))
        if waiting >= MOST_WAITING:
            raise NotPossible(f"{waiting} exports wait already, which is the most: fetch or stop one of them first")
        identifier = new_identifier()
        outcome = Outcome(id=identifier, by=by, selection=chosen.words, created_at_ms=self._clock.wall_ms(),
                          finished_at_ms=0, state="waiting")  # fmt: skip
        job = self._jobs[identifier] = _Job(outcome, Progress())

        def write(
            target_file: Path, progress: Progress, note: Callable[[EvidenceExport], Noted], name: str
        ) -> Exported:
            first = None if prepare is None else lambda: prepare(progress)
            return export(self._state, chosen, target_file, self._clock, identifier=name, by=by, note_step=note,
                          progress=progress, prepare=first)  # fmt: skip

        self._executor.submit(self._run, job, work or write)
        return identifier

    def stop(self, identifier: str, by: str) -> None:
        """End an export, or forget one that has ended together with its file.

        Raises:
            NotFound: there is none.
        """
        job = self._job(identifier)
        if job.outcome.state in {"waiting", "running"}:
            job.progress.stop(by)
        else:
            self._forget(identifier)

    def view(self, identifier: str) -> JobView:
        """One export.

        Raises:
            NotFound: there is none.
        """
        job = self._job(identifier)
        phase, done_bytes, total_bytes = job.progress.now
        if job.outcome.state not in {"waiting", "running"}:
            phase, done_bytes, total_bytes = job.outcome.state, job.outcome.size_bytes, job.outcome.size_bytes
        return JobView(outcome=job.outcome, phase=phase, done_bytes=done_bytes, total_bytes=total_bytes)

    def views(self) -> list[JobView]:
        """All of them, the newest first."""
        newest = sorted(self._jobs.values(), key=lambda job: (job.outcome.created_at_ms, job.outcome.id), reverse=True)
        return [self.view(job.outcome.id) for job in newest]

    def file_of(self, identifier: str) -> Path:
        """Its ZIP.

        Raises:
            NotFound: there is none, or it has not been written to its end.
        """
        if self._job(identifier).outcome.state != "done":
            raise NotFound(f"export {identifier} has no file: it is {self._job(identifier).outcome.state}")
        return self._file(identifier, "zip")

    # ------------------------------------------------------------------ house

    def keep_house(self) -> None:
        """Forget what is past its time, and the oldest where there are too many."""
        ended = sorted(
            (job.outcome for job in list(self._jobs.values()) if job.outcome.finished_at_ms),
            key=lambda o: o.finished_at_ms,
        )
        too_many = ended[: max(0, len(ended) - MOST_KEPT)]
        now = self._clock.wall_ms()
        for outcome in {o.id: o for o in ended if now - o.finished_at_ms > self._kept_ms or o in too_many}.values():
            self._forget(outcome.id)
            self._metrics.count("exports_forgotten")

    async def close(self) -> None:
        """Stop what runs; it is journalled as failed."""
        for job in list(self._jobs.values()):
            if job.outcome.state in {"waiting", "running"}:
                job.progress.stop("the center's end")
        await asyncio.to_thread(self._executor.shutdown)

    def _load(self) -> None:
        """Find the exports of earlier runs, and delete what a kill left."""
        self._dir.mkdir(mode=0o700, exist_ok=True)
        for record_file in sorted(self._dir.glob("*.json")):
            with contextlib.suppress(msgspec.DecodeError, OSError):
                outcome = msgspec.json.decode(record_file.read_bytes(), type=Outcome)
                if self._file(outcome.id, "zip").stat().st_size == outcome.size_bytes:
                    self._jobs[outcome.id] = _Job(outcome, Progress())
        known = {f"{identifier}.{ending}" for identifier in self._jobs for ending in ("zip", "json")}
        for file in sorted(self._dir.iterdir()):
            if file.name not in known and file.is_file():
                _log.warning("what an earlier run left half done is deleted", file=file.name)
                file.unlink()

    def _forget(self, identifier: str) -> None:
        for ending in ("json", "zip"):  # the record first: a file without one is deleted at the next start
            self._file(identifier, ending).unlink(missing_ok=True)
        self._jobs.pop(identifier, None)

    def _file(self, identifier: str, ending: str) -> Path:
        return self._dir / f"{identifier}.{ending}"

    def _job(self, identifier: str) -> _Job:
        found = self._jobs.get(identifier)
        if found is None:
            raise NotFound(f"there is no export {identifier[:40]!r}: it was deleted, or its time is over")
        return found

    # ------------------------------------------------------------------ the thread

    def _run(self, job: _Job, work: Export) -> None:
        outcome = job.outcome
        job.outcome = msgspec.structs.replace(outcome, state="running")

        def note(step: EvidenceExport) -> Noted:
            return self._database.run_blocking(
                lambda connection: steps.note(connection, step, self._clock.wall_ms(), actor=f"user:{outcome.by}")
            )

        try:
            made = work(self._file(outcome.id, "zip"), job.progress, note, outcome.id)
            ended = msgspec.structs.replace(
                outcome, state="done", size_bytes=made.size_bytes, authority=made.authority, missing=made.missing, timestamp=made.timestamp,
                tag_manifest_sha256=made.tag_manifest_sha256.hex(), finished_at_ms=self._clock.wall_ms(),
            )  # fmt: skip
            self._keep_record(ended)
        except ExportStopped as error:
            ended = self._without(outcome, "stopped", str(error))
        except (HeardError, OSError) as error:
            ended = self._without(outcome, "failed", str(error))
        except Exception as error:  # noqa: BLE001  the thread serves the next order, and this one says that it failed
            ended = self._without(outcome, "failed", "an error of the program; the center's log has it")
            _log.exception("export failed", export=outcome.id, error=type(error).__name__)
        job.outcome = ended
        self._metrics.count(f"exports_{ended.state}")

    def _without(self, outcome: Outcome, state: ExportState, problem: str) -> Outcome:
        _log.warning("nothing was exported", export=outcome.id, by=outcome.by, why=problem)
        return msgspec.structs.replace(outcome, state=state, problem=problem, finished_at_ms=self._clock.wall_ms())

    def _keep_record(self, outcome: Outcome) -> None:
        partial_file = self._file(outcome.id, "partial")
        with partial_file.open("wb") as stream:
            stream.write(msgspec.json.encode(outcome))
            stream.flush()
            os.fsync(stream.fileno())
        partial_file.rename(self._file(outcome.id, "json"))


__all__ = ["ExportOffice", "JobView", "Outcome"]
