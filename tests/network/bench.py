"""A bench: namespaces, emulator and stations of one scenario, up for a block, changed by events, gone afterwards."""

import asyncio
import contextlib
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec

from relay.enrollment import Enrollment
from relay.header import Kind
from relay.passport import Role
from relay.survey_report import SurveyReport
from tests.network import emulator, namespaces, station_process, topology
from tests.network.emulator import Ask, Change, Divert, Forget, Standing
from tests.network.faults import Fault, Faults, Seen
from tests.network.outcome import Journal
from tests.network.scenario import RELAYS, Event, Scenario
from tests.network.station_process import PathSpec, ProcessSpec, StationSpec
from tests.network.ways import Ways
from tests.relay.house import House, until

READY_WITHIN_S = 60.0
READY_WITHIN_S_A_NODE = 0.3
HELD_AT_MOST_S = 40.0
"""How long a mend waits for somebody to meet the fault that it ends."""
FORGOTTEN_EVERY_S = 3.0
_JOURNALLED_WITHIN_S = 30.0
_YIELDING = ("nice", "-n", "19")
"""Who floods has a machine of its own in the field: here it must not take the processor from those that are measured beside it."""
_told = msgspec.json.Decoder(station_process.Told)


def node_names(scenario: Scenario) -> list[str]:
    """The nodes' names; one node is just ``node``."""
    return ["node"] if scenario.nodes == 1 else [f"node-{n}" for n in range(1, scenario.nodes + 1)]


def specs(scenario: Scenario, house: House, only: Mapping[str, str]) -> dict[str, ProcessSpec]:
    """What each place's process holds. ``only`` names the stations that take one link and no other."""

    def station(place: str, name: str) -> StationSpec:
        paths = tuple(PathSpec(name=link.name, kind=link.carrier, endpoint=topology.endpoint_of(link.far, link.carrier), peer=link.far,
                               interface=topology.device_of(link)) for link in scenario.link if link.near == place and only.get(name, link.name) == link.name)  # fmt: skip
        return StationSpec(
            name=name, state_dir=str(house.dir_of(name)), listen=topology.listening(scenario, place), paths=paths
        )

    names = {place: [place] for place in scenario.places() if place in topology.SERVICE} | {
        "node": node_names(scenario)
    }
    if "flooder" in scenario.places():
        names["flooder"] = ["flooder"]
    return {place: ProcessSpec(stations=tuple(station(place, name) for name in names[place])) for place in names}


def enroll(scenario: Scenario, state_dir: Path) -> House:
    """Keys and passports for all. Nodes are not shown to each other: they introduce themselves where they call."""
    house = House(state_dir)
    roles = {"center": Role.CENTER} | {place: Role.RELAY for place in RELAYS if place in scenario.places()}
    cameras = [*node_names(scenario), *(["flooder"] if "flooder" in scenario.places() else [])]
    for name, role in (roles | dict.fromkeys(cameras, Role.CAMERA)).items():
        house.dir_of(name).mkdir(parents=True)
        house.enroll(name, role)

    def settle(name: str) -> None:
        Enrollment(
            authority_signing_key=house.authority.signing_key, authority_sealing_key=house.authority.sealing_key,
            passport=house.passports[name].wire, peers=tuple(house.passports[other].wire for other in roles if other != name),
        ).save(house.dir_of(name))  # fmt: skip

    with ThreadPoolExecutor(16) as pool:  # a thousand files with an fsync each
        list(pool.map(settle, house.passports))
    return house


class EndedByItself(Exception):
    """A process of the bench went without being told to: no run proves anything after that."""


class Bench:
    """Made by ``bench``; see the module's docstring."""

    def __init__(
        self, scenario: Scenario, seed: int, state_dir: Path, names: dict[str, str], only: Mapping[str, str]
    ) -> None:
        self.scenario = scenario
        self.journal = Journal()
        self.ready: set[str] = set()
        self._open: set[str] = set()
        """Places whose stations are open; their paths may be down."""
        self.killed: Counter[str] = Counter()
        self.portal_answers = 0
        self.faults = Faults()
        self.ways = Ways(scenario)
        self.surveys: dict[str, SurveyReport] = {}
        self.processes: dict[str, Process] = {}
        self._before = Standing()
        self._seed = seed
        self._state_dir = state_dir
        self._names = names
        self._socket_file = state_dir / "orders"
        self._house = enroll(scenario, state_dir)
        self._specs = specs(scenario, self._house, only)
        self._readers: list[asyncio.Task[None]] = []
        self._raising: station_process.Raise | None = None

    # ------------------------------------------------------------------ up and down

    async def start(self) -> None:
        """Links first, then whoever listens, then whoever calls."""
        topology.give_service_addresses(self._names)
        plan = emulator.Plan(socket=str(self._socket_file), seed=self._seed,
                             links=topology.link_plans(self.scenario, self._names))  # fmt: skip
        plan_file = self._state_dir / "plan.json"
        plan_file.write_bytes(msgspec.json.encode(plan))
        await self._run_until_ready("emulator", sys.executable, "-m", "tests.network.emulator", str(plan_file))
        topology.route(self.scenario, self._names)
        if "portal" in self._names:
            await self._run_until_ready("portal", "ip", "netns", "exec", self._names["portal"],
                                        sys.executable, "-m", "tests.network.portal")  # fmt: skip
        for place in ("center", *RELAYS, "flooder", "node"):
            if place in self._specs:
                await self.start_station(place)
                await self._wait_until_ready(place)
        self._before = self.tell(Ask())

    async def begin_anew(self, seed: int) -> None:
        """The next run on the same bench, once everybody's paths are up: chance, journal, faults and tallies begin again."""
        for place in self._specs:
            await self._wait_until_ready(place)
        self._before = self.tell(emulator.Reseed(seed=seed))
        self.journal, self.killed, self.faults, self.ways = Journal(), Counter(), Faults(), Ways(self.scenario)

    async def _wait_until_ready(self, place: str) -> None:
        await self.wait_for(lambda: self.is_ready(place), f"all paths of {place}", self._start_within_s)

    @property
    def _start_within_s(self) -> float:
        return READY_WITHIN_S + READY_WITHIN_S_A_NODE * self.scenario.nodes

    async def stop(self) -> None:
        """End what still runs."""
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _run_until_ready(self, name: str, *command: str) -> None:
        process = self.processes[name] = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        assert line == b"ready\n", f"{name} did not start: {line!r}"
        self._readers.append(asyncio.create_task(self._count_answers(process), name=name))

    async def _count_answers(self, process: Process) -> None:
        assert process.stdout is not None
        async for _ in process.stdout:
            self.portal_answers += 1

    # ------------------------------------------------------------------ stations

    async def start_station(self, place: str) -> None:
        """Start a place's process; it goes on raising alerts if it did before."""
        spec_file = self._state_dir / f"{place}.json"
        spec_file.write_bytes(msgspec.json.encode(self._specs[place]))
        log_file = (self._state_dir / f"{place}.log").open("ab")
        process = self.processes[place] = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self._names[place], *(_YIELDING if place == "flooder" else ()), sys.executable, "-m", "tests.network.station_process",
            str(spec_file), stdin=PIPE, stdout=PIPE, stderr=log_file, limit=1 << 20,
        )  # fmt: skip
        log_file.close()
        self._readers.append(asyncio.create_task(self._listen_to(process, place), name=place))
        if place == "node" and self._raising is not None:
            self.order("node", self._raising)

    def is_ready(self, place: str) -> bool:
        """Whether all paths of all its stations were up once since it was started."""
        return {item.name for item in self._specs[place].stations} <= self.ready

    async def _listen_to(self, process: Process, place: str) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            match _told.decode(line):
                case station_process.Up(at_s=at_s):
                    self.ways.station(place, at_s, is_up=True)
                    self._open.add(place)
                case station_process.Ready(station=name):
                    self.ready.add(name)
                case station_process.Raised(station=name, id=key, at_s=at_s):
                    self.journal.raised[key] = (name, at_s)
                case station_process.Heard(id=key, at_s=at_s):
                    self.journal.heard.setdefault(key, at_s)
                case station_process.Counted(station=name, counters=counters):
                    self.journal.counters[name] = counters
                case station_process.Carried(station=name, content_bytes=content_bytes, at_s=at_s):
                    self.journal.carried.setdefault(name, []).append((at_s, content_bytes))
                case station_process.Surveyed(station=name, report=report):
                    self.surveys[name] = report

    def order(self, place: str, order: station_process.Order) -> None:
        """Tell a place's process what to do."""
        if place == "node" and not isinstance(order, station_process.Feed):
            self._raising = order if isinstance(order, station_process.Raise) else None
        writer = self.processes[place].stdin
        assert writer is not None
        writer.write(msgspec.json.encode(order) + b"\n")

    async def kill(self, place: str) -> None:
        """-9."""
        process = self.processes[place]
        process.kill()
        self.ways.station(place, time.monotonic(), is_up=False)
        self.killed[place] += await process.wait() == -9
        self._open.discard(place)
        self.ready -= {item.name for item in self._specs[place].stations}

    async def wait_for_the_killed(self) -> None:
        """Return when whoever is to run again has its stations open."""
        running = {place for place in self._specs if self.processes[place].returncode is None}
        await self.wait_for(lambda: running <= self._open, f"{running - self._open} to be back", self._start_within_s)

    async def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Fail with the stations' last words if it never holds, or one of them ends by itself."""

        def holds() -> bool:
            for place, process in self.processes.items():
                if process.returncode not in {None, -9}:
                    raise EndedByItself(f"{place}: {self.last_words(place)}")
            for task in self._readers:
                assert not task.done() or task.exception() is None, f"{task.get_name()} told what nobody understands"
            return condition()

        await until(holds, what, timeout_s)

    def last_words(self, place: str) -> str:
        """The end of a place's log."""
        log_file = self._state_dir / f"{place}.log"
        return log_file.read_text(encoding="utf-8")[-1500:] if log_file.exists() else "nothing"

    # ------------------------------------------------------------------ what happens

    async def apply(self, event: Event) -> None:
        """Let one thing of the timetable happen; a mend only when what it ends was met, or nobody meets it."""
        await self.hold_until_met(self.faults.ended_by(event))
        fault = self.faults.begin(event, self.seen()) if event.link else None
        if event.set:
            self.tell(Change(link=event.link, direction=event.direction, to=event.set))
        if event.is_captive is not None:
            self.tell(Divert(link=event.link, is_diverted=event.is_captive))
        if event.link:
            self.ways.link(event, time.monotonic())
        if event.forgets_connections and fault is not None:
            await self._forget_until_met(fault)
        if event.kill:
            await self.kill(event.kill)
        if event.start:
            await self.start_station(event.start)

    async def hold_until_met(self, ended: list[Fault]) -> None:
        """Let these faults go on until somebody has met each of them, or nobody meets them."""
        deadline_s = time.monotonic() + HELD_AT_MOST_S
        while time.monotonic() < deadline_s:
            if not ended:
                return
            now = self.seen()
            ended = [fault for fault in ended if not fault.look(now)]
            await asyncio.sleep(0.1 if ended else 0)

    async def _forget_until_met(self, fault: Fault) -> None:
        """Where no connection stood (its station had just been killed), there was nothing to forget: once more."""
        deadline_s = time.monotonic() + HELD_AT_MOST_S
        while time.monotonic() < deadline_s:
            self.tell(Forget(link=fault.link))
            again_s = time.monotonic() + FORGOTTEN_EVERY_S
            while time.monotonic() < again_s:
                if fault.look(self.seen()):
                    return
                await asyncio.sleep(0.1)

    def seen(self) -> Seen:
        """What has happened by now."""
        return Seen.of(self.standing(), len(self.journal.raised), self.portal_answers)

    def tell(self, order: emulator.Order) -> Standing:
        """Change the links."""
        return emulator.tell(self._socket_file, order)

    def namespace_of(self, place: str) -> str:
        """Its network namespace's name."""
        return self._names[place]

    def standing(self) -> Standing:
        """How the links stand, since the run began."""
        return self.tell(Ask()).since(self._before)

    async def empty_spools(self, patience_s: float) -> None:
        """Return when no node keeps an alert, or patience ends.

        What a node spooled right before it was killed was never told to us; its receipt is waited for all the same.
        """
        dirs = [self._house.dir_of(name) for name in node_names(self.scenario)]
        ends_s = time.monotonic() + patience_s
        while time.monotonic() < ends_s:
            if not await asyncio.to_thread(lambda: any(ids_in(state_dir, "envelope") for state_dir in dirs)):
                return
            await asyncio.sleep(0.5)

    async def stop_stations(self) -> None:
        """Stop them in good order."""
        for place in ("node", "flooder", *reversed(RELAYS), "center"):
            process = self.processes.get(place)
            if process is None or process.returncode is not None:
                continue
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def read(self) -> None:
        """What the center shows, and what the nodes still keep. A receipt is a moment ahead of the journal, on a busy disk a second."""
        ends_s = time.monotonic() + _JOURNALLED_WITHIN_S
        while True:
            shown = await asyncio.to_thread(ids_in, self._house.dir_of("center"), "shown")
            if self.journal.raised.keys() <= set(shown) or time.monotonic() > ends_s:
                break
            await asyncio.sleep(0.2)
        self.journal.shown.update(shown)
        for name in node_names(self.scenario):
            self.journal.spooled.update(await asyncio.to_thread(ids_in, self._house.dir_of(name), "envelope"))


def ids_in(state_dir: Path, table: Literal["shown", "envelope"]) -> list[str]:
    """The ids of alerts in a table of a station's database, each as often as it stands there. Reads only."""
    file = state_dir / "spool.sqlite"
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        alerts = f"WHERE kind = {int(Kind.ALERT)}" if table == "envelope" else ""
        return [row[0].hex() for row in connection.execute(f"SELECT id FROM {table} {alerts}")]


@contextlib.asynccontextmanager
async def bench(
    scenario: Scenario, seed: int, state_dir: Path, *, only: Mapping[str, str] | None = None
) -> AsyncIterator[Bench]:
    """The bench of a scenario, with every path up. ``only`` gives a station one link and no other."""
    with namespaces.made(scenario.places()) as names:
        made = Bench(scenario, seed, state_dir, names, only or {})
        try:
            await made.start()
            yield made
        finally:
            await made.stop()
