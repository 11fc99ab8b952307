"""Real stations as a process of their own: ``python -m tests.network.station_process SPEC_FILE``.

Obeys one-line orders on stdin, tells on stdout what happens, one JSON object a line, and ends when stdin does. Times are
the machine's monotonic clock, the same in every process and namespace. Most processes hold one station; a fleet of nodes
shares one, because each process costs some 40 MB and half a second of start.
"""

import asyncio
import contextlib
import itertools
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from camera_node.clip_sender import in_flight
from relay import budget, garbage, ledger, limits, log, open_files, spool, timeline, trust
from relay.arrival import Arrival
from relay.config import ListenConfig, PathConfig, StationConfig
from relay.crew import Crew, crew
from relay.database import Database
from relay.header import Kind
from relay.kinds import body
from relay.kinds.alert import Alert, Rule
from relay.kinds.chunk import Chunk
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Answer, AnswerLevel, Station
from relay.survey import SurveyOrder
from relay.survey_report import SurveyReport
from tests.network.scenario import Carrier

_FLEET_FILES: Final = 100_000
"""A thousand nodes in one process that all dial at once; each alone would have a limit of its own."""
SHOWN_SCHEMA: Final = ("CREATE TABLE shown (id BLOB NOT NULL, at_s REAL NOT NULL) STRICT;",)
"""No key on purpose: what is shown twice stands there twice."""


class PathSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A way to a neighbor, pinned to an interface."""

    name: str
    kind: Carrier
    endpoint: str
    peer: str
    interface: str


class StationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One station."""

    name: str
    state_dir: str
    listen: dict[Carrier, str] = {}
    """Endpoints."""
    paths: tuple[PathSpec, ...] = ()


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a process holds."""

    stations: tuple[StationSpec, ...]


class Raise(msgspec.Struct, frozen=True, kw_only=True, tag="raise"):
    """Put alerts until told to halt, ``together`` of them in one commit."""

    alerts_per_s: float
    together: int = 1
    precedence: str = "FLASH"


class Feed(msgspec.Struct, frozen=True, kw_only=True, tag="feed"):
    """Keep as many chunks of a clip in the spool as a node would, beside the alerts, until told to halt."""

    chunk_bytes: int = limits.DEFAULT_CHUNK_BYTES


class Flood(msgspec.Struct, frozen=True, kw_only=True, tag="flood"):
    """Put alerts until told to halt, and tell of none: somebody's broken or stolen camera."""

    alerts_per_s: float
    together: int = 100


class Halt(msgspec.Struct, frozen=True, kw_only=True, tag="halt"):
    """Put no more, and tell the counters."""


class Up(msgspec.Struct, frozen=True, kw_only=True, tag="up"):
    """Every station of the process is open and listens; its paths may still be down."""

    at_s: float


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Every path of the station is up."""

    station: str
    at_s: float


class Raised(msgspec.Struct, frozen=True, kw_only=True, tag="raised"):
    """An alert is durable in its node's spool: it was promised."""

    station: str
    id: str
    at_s: float
    """When the put began."""
    durable_s: float


class Heard(msgspec.Struct, frozen=True, kw_only=True, tag="heard"):
    """The center's receipt for an alert is at its node."""

    station: str
    id: str
    at_s: float


class Carried(msgspec.Struct, frozen=True, kw_only=True, tag="carried"):
    """The center's receipts cover so many bytes of a clip by now."""

    station: str
    content_bytes: int
    at_s: float


class Counted(msgspec.Struct, frozen=True, kw_only=True, tag="counted"):
    """A station's counters when it was halted."""

    station: str
    counters: dict[str, int]


class Survey(msgspec.Struct, frozen=True, kw_only=True, tag="survey"):
    """Measure every path, and tell."""

    interrupts: bool = True


class Surveyed(msgspec.Struct, frozen=True, kw_only=True, tag="surveyed"):
    """What a station's survey found."""

    station: str
    report: SurveyReport


Order = Raise | Feed | Flood | Halt | Survey
Told = Up | Ready | Raised | Heard | Carried | Counted | Surveyed


def tell(what: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


class Screen:
    """The center's inbox: writes down each alert in the transaction that stores it, as a console would."""

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        now_s = time.monotonic()
        connection.executemany("INSERT INTO shown (id, at_s) VALUES (?, ?)",
                               [(item.envelope.id, now_s) for item in arrivals if item.envelope.header.kind == Kind.ALERT])  # fmt: skip

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        """Nobody is told: what counts is the table, read at the end."""


class Raiser:
    """Puts alerts at a steady pace, one after the other; ``phase`` (0 … 1) is how much of a gap passes before the first."""

    def __init__(self, station: Station, order: Raise, phase: float) -> None:
        self._station = station
        self._phase = phase
        self._order = order
        self._numbers = itertools.count(1)
        self._is_halted = False
        self._putting = asyncio.Lock()

    async def run(self) -> None:
        gap_s = self._order.together / self._order.alerts_per_s
        started_s = time.monotonic() + self._phase * gap_s
        for turn in itertools.count():
            await asyncio.sleep(max(0.0, started_s + turn * gap_s - time.monotonic()))
            async with self._putting:
                if self._is_halted:
                    return
                await self._put()

    async def halt(self) -> None:
        """Put no more; what is being put is told before this returns."""
        self._is_halted = True
        async with self._putting:
            pass

    async def _put(self) -> None:
        drafts = [self._draft() for _ in range(self._order.together)]
        began_s = time.monotonic()
        spooled = await self._station.put_all(drafts)
        durable_s = time.monotonic()
        for item in spooled:
            tell(
                Raised(
                    station=self._station.passport.name, id=item.envelope.id.hex(), at_s=began_s, durable_s=durable_s
                )
            )

    def _draft(self) -> Draft:
        said = Alert(label=f"n{next(self._numbers)}", camera="gate", confidence=0.9, rule=Rule.CLASS_OF_INTEREST)
        return self._station.draft_up(Kind.ALERT, Precedence[self._order.precedence], said.encode())


class Feeder:
    """A clip that never ends: as chunks are heard, the next are put, as ``camera_node.clip_sender`` does."""

    def __init__(self, station: Station, order: Feed) -> None:
        self._station = station
        self._order = order
        self._waiting = 0
        self._heard_bytes = 0
        self._has_room = asyncio.Event()
        station.on_answer(self._answered)

    def _answered(self, answer: Answer) -> None:
        if answer.level == AnswerLevel.HEARD and answer.kind == Kind.CHUNK:
            self._waiting -= 1
            self._heard_bytes += self._order.chunk_bytes
            self._has_room.set()
            tell(Carried(station=self._station.passport.name, content_bytes=self._heard_bytes, at_s=time.monotonic()))

    async def run(self) -> None:
        while True:
            self._has_room.clear()
            room = min(16, in_flight(self._station.bulk_travels_bytes) - self._waiting)
            if room > 0:
                self._waiting += room
                await self._station.put_all([self._draft() for _ in range(room)])
            else:
                await self._has_room.wait()

    def _draft(self) -> Draft:
        said = Chunk(object_sha256=bytes(32), offset_bytes=0, content=os.urandom(self._order.chunk_bytes))
        return self._station.draft_up(Kind.CHUNK, Precedence.BULK, body.encode(said))


async def flood(station: Station, order: Flood) -> None:
    """What can't be put in time is not made up for."""
    _flooding.add(station.passport.name)
    said = Alert(label="flood", camera="gate", confidence=0.9, rule=Rule.CLASS_OF_INTEREST)
    draft = station.draft_up(Kind.ALERT, Precedence.FLASH, said.encode())
    while True:
        next_s = time.monotonic() + order.together / order.alerts_per_s
        await station.put_all([draft] * order.together)
        await asyncio.sleep(max(0.0, next_s - time.monotonic()))


_flooding: set[str] = set()


def tell_heard(name: str, answer: Answer) -> None:
    if name in _flooding:
        return
    if answer.level == AnswerLevel.HEARD and answer.kind == Kind.ALERT:
        tell(Heard(station=name, id=answer.envelope_id.hex(), at_s=time.monotonic()))


async def tell_ready(station: Station) -> None:
    while not all(health.is_up for health in station.path_health()):  # noqa: ASYNC110  links have no event to wait for
        await asyncio.sleep(0.02)
    tell(Ready(station=station.passport.name, at_s=time.monotonic()))


def config_of(spec: StationSpec) -> StationConfig:
    return StationConfig(
        state_dir=Path(spec.state_dir),
        listen=tuple(ListenConfig(kind=kind, endpoint=endpoint) for kind, endpoint in spec.listen.items()),
        path=tuple(PathConfig(name=path.name, kind=path.kind, endpoint=path.endpoint, peer=path.peer, interface=path.interface)
                   for path in spec.paths),
    )  # fmt: skip


async def obey(stations: Sequence[Station], members: Crew) -> None:
    """Follow the orders on stdin until it ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    raisers: list[Raiser] = []
    feeding: list[asyncio.Task[None]] = []
    while line := await reader.readline():
        order = msgspec.json.decode(line, type=Order)
        if not isinstance(order, Feed | Flood):
            for raiser in raisers:
                await raiser.halt()
            raisers = []
        match order:
            case Raise():
                raisers = [Raiser(station, order, n / len(stations)) for n, station in enumerate(stations)]
                for raiser in raisers:
                    members.start(raiser.run(), "raise")
            case Feed():
                feeding += [members.start(Feeder(station, order).run(), "feed") for station in stations]
            case Flood():
                feeding += [members.start(flood(station, order), "flood") for station in stations]
            case Survey(interrupts=interrupts):
                for station in stations:
                    report = await station.survey(SurveyOrder(interrupts=interrupts))
                    tell(Surveyed(station=station.passport.name, report=report))
            case Halt():
                for task in feeding:
                    task.cancel()
                for station in stations:
                    tell(Counted(station=station.passport.name, counters=dict(station.counters.snapshot())))


def prepare(specs: Sequence[StationSpec]) -> None:
    """Make a fleet's databases side by side: one after the other they wait a dozen fsyncs each, a thousand times."""
    parts = {
        "spool": spool.SCHEMA,
        "ledger": ledger.SCHEMA,
        "trust": trust.SCHEMA,
        "budget": budget.SCHEMA,
        "timeline": timeline.SCHEMA,
    }
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda spec: Database.open(Path(spec.state_dir) / "spool.sqlite", parts=parts).close(), specs))


async def main() -> None:
    log.configure(is_json=True)  # to stderr: stdout belongs to what is told
    spec = msgspec.json.decode(await asyncio.to_thread(Path(sys.argv[1]).read_bytes), type=ProcessSpec)
    open_files.raise_limit()
    if len(spec.stations) > 1:
        with contextlib.suppress(
            ValueError, OSError
        ):  # where nobody may raise it (CAP_SYS_RESOURCE) what is allowed must do
            resource.setrlimit(resource.RLIMIT_NOFILE, (_FLEET_FILES, _FLEET_FILES))
        await asyncio.to_thread(prepare, spec.stations)
    async with contextlib.AsyncExitStack() as stack, crew() as members:
        stations: list[Station] = []
        for item in spec.stations:
            is_center = item.name == "center"
            station = await stack.enter_async_context(Station.open(
                config_of(item), inbox=Screen() if is_center else None,
                extra_parts={"shown": SHOWN_SCHEMA} if is_center else None, has_intake_log=is_center,
            ))  # fmt: skip
            await station.receiver.recover()
            name = station.passport.name
            station.on_answer(lambda answer, name=name: tell_heard(name, answer))  # type: ignore[misc]
            members.start(tell_ready(station), "ready")
            stations.append(station)
        garbage.spare_alerts_the_search()  # as the programs do
        tell(Up(at_s=time.monotonic()))
        await obey(stations, members)


if __name__ == "__main__":
    asyncio.run(main())
