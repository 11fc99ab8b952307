"""The ZeroMQ path over real TCP: two lanes, one interface, and a dead link noticed within seconds."""

import asyncio
import contextlib
import ipaddress
import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from relay.backoff import Backoff
from relay.counters import Counters
from relay.crew import Crew, crew
from relay.errors import ConfigError, EndpointInUse
from relay.identity import Identity
from relay.path import Lane, PathFacts, Session
from relay.paths.zeromq import ZeroMqDial, ZeroMqListen
from tests.relay.house import until

FACTS = PathFacts(name="test", mtu_bytes=65536)
LISTENER = Identity.from_seed(b"L" * 32)
DIALER = Identity.from_seed(b"D" * 32)


class Heard:
    """Remembers what a path told."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.parcels: list[bytes] = []
        self.closed: list[str] = []

    def session_opened(self, session: Session) -> None:
        self.sessions.append(session)

    def session_received(self, session: Session, parcel: bytes) -> None:
        self.parcels.append(parcel)

    def session_closed(self, session: Session, reason: str) -> None:
        self.sessions.remove(session)
        self.closed.append(reason)


@contextlib.asynccontextmanager
async def listening(endpoint: str = "tcp://127.0.0.1:0") -> AsyncIterator[tuple[ZeroMqListen, Heard, Crew]]:
    listener = ZeroMqListen(facts=FACTS, endpoint=endpoint, identity=LISTENER, counters=Counters())
    heard = Heard()
    async with crew() as members:
        members.start(listener.run(heard), "listen")
        await asyncio.wait_for(listener.is_listening.wait(), 5)
        yield listener, heard, members


def dial_to(
    endpoint: str, *, server: Identity = LISTENER, identity: Identity = DIALER, interface: str = ""
) -> ZeroMqDial:
    return ZeroMqDial(
        facts=FACTS, endpoint=endpoint, server_key=server.transport_key, identity=identity, interface=interface
    )


def connections_to(port: int) -> set[str]:
    """Our own ends of the established TCP connections to a port of this machine."""
    found: set[str] = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            local, remote, state = line.split()[1:4]
            if state == "01" and int(remote.rsplit(":", 1)[1], 16) == port:
                found.add(local)
    return found


async def test_two_lanes_are_two_tcp_connections_of_one_session() -> None:
    async with listening() as (listener, accepted, members):
        dialed = Heard()
        members.start(dial_to(listener.endpoint).run(dialed), "dial")
        await until(lambda: bool(dialed.sessions), "the session")
        for lane in Lane:
            assert dialed.sessions[0].send(lane.name.encode(), lane)
        await until(lambda: len(accepted.parcels) == 2, "both lanes")
        assert len(accepted.sessions) == 1
        assert len(connections_to(int(listener.endpoint.rsplit(":", 1)[1]))) == 2
        assert accepted.sessions[0].transport_key == DIALER.transport_key
        assert dialed.sessions[0].transport_key == LISTENER.transport_key
        for lane in Lane:
            assert accepted.sessions[0].send(lane.name.encode(), lane)
        await until(lambda: len(dialed.parcels) == 2, "both ways")


async def test_full_bulk_lane_does_not_stop_the_urgent_one() -> None:
    async with listening() as (listener, accepted, members):
        dialed = Heard()
        members.start(dial_to(listener.endpoint).run(dialed), "dial")
        await until(lambda: bool(dialed.sessions), "the session")
        session = dialed.sessions[0]
        sent = 0
        while session.send(bytes(60_000), Lane.BULK):
            sent += 1
            assert sent < 10_000, "the bulk lane must say that it is full"
        assert session.send(b"alert", Lane.URGENT)
        await until(lambda: b"alert" in accepted.parcels, "the alert", timeout_s=5)
        await until(lambda: len(accepted.parcels) == sent + 1, "the bulk")


async def test_session_comes_back_after_the_listener_was_away() -> None:
    dialed = Heard()
    async with crew() as outer:
        async with listening() as (listener, _, _):
            endpoint = listener.endpoint
            outer.start(dial_to(endpoint).run(dialed), "dial")
            await until(lambda: bool(dialed.sessions), "the first session")
            first = dialed.sessions[0]
        await until(lambda: bool(dialed.closed), "its end")
        assert not first.send(b"late", Lane.URGENT), "a closed session takes nothing"
        async with listening(endpoint) as (_, accepted, _):
            await until(lambda: bool(dialed.sessions), "the next session")
            assert dialed.sessions[0].send(b"again", Lane.URGENT)
            await until(lambda: accepted.parcels == [b"again"], "the parcel")


async def test_listener_with_another_key_is_not_spoken_to() -> None:
    async with listening() as (listener, accepted, members):
        dialed = Heard()
        members.start(dial_to(listener.endpoint, server=Identity.generate()).run(dialed), "dial")
        with pytest.raises(AssertionError, match="in vain"):
            await until(lambda: bool(dialed.sessions), "a session", timeout_s=1)
        assert not accepted.sessions


async def test_banned_key_is_cut_off_and_kept_out_and_others_stay() -> None:
    other = Identity.generate()
    async with listening() as (listener, accepted, members):
        banned, welcome = Heard(), Heard()
        members.start(dial_to(listener.endpoint).run(banned), "banned")
        members.start(dial_to(listener.endpoint, identity=other).run(welcome), "welcome")
        await until(lambda: bool(banned.sessions and welcome.sessions), "both")
        for heard in (banned, welcome):
            for lane in Lane:
                heard.sessions[0].send(b"hello", lane)
        await until(lambda: len(accepted.parcels) == 4, "both are heard")
        listener.ban({DIALER.transport_key})
        assert [session.transport_key for session in accepted.sessions] == [other.transport_key]
        await until(lambda: bool(banned.closed), "the connection to be closed", timeout_s=5)
        with pytest.raises(AssertionError, match="in vain"):
            await until(lambda: bool(banned.sessions), "the banned one to come back", timeout_s=1.5)
        assert not welcome.closed
        assert welcome.sessions[0].send(b"still here", Lane.URGENT)
        await until(lambda: b"still here" in accepted.parcels, "the other one")


async def test_port_in_use_is_told_in_one_line() -> None:
    async with listening() as (listener, _, _):
        with pytest.raises(
            EndpointInUse, match=r"is in use by another program: stop it .*or listen elsewhere"
        ) as failure:
            await ZeroMqListen(facts=FACTS, endpoint=listener.endpoint, identity=LISTENER, counters=Counters()).run(
                Heard()
            )
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize("endpoint", ["", "tcp://", "tcp://host", "udp://host:1", "host:5701"])
def test_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="expected an endpoint like tcp://host:5701"):
        dial_to(endpoint)


def test_backoff_differs_between_machines_grows_and_is_capped() -> None:
    machines = [Backoff(least_s=0.2, most_s=10, stable_s=10) for _ in range(20)]
    delays = [[machine.next_delay_s() for _ in range(40)] for machine in machines]
    assert len({tuple(row) for row in delays}) == len(machines), "no two come back in step"
    assert len({round(row[0], 4) for row in delays}) > 10, "not even the first time"
    assert all(0.2 <= delay <= 10 for row in delays for delay in row)
    assert max(delay for row in delays for delay in row[5:]) > 5


def test_backoff_starts_anew_only_after_a_stable_while() -> None:
    backoff = Backoff(least_s=0.2, most_s=10, stable_s=10, source=random.Random(7))
    for _ in range(30):
        backoff.next_delay_s()
    backoff.succeeded_for(9.9)
    assert max(backoff.next_delay_s() for _ in range(10)) > 2
    backoff.succeeded_for(10)
    assert backoff.next_delay_s() <= 0.6


# ------------------------------------------------------------------------------------------------ in namespaces

SERVICE = "10.231.9.9"
_TAG = f"{os.getpid() % 10_000}"
NODE, CENTER = f"hn{_TAG}", f"hc{_TAG}"


def ip(*words: str, inside: str = "") -> None:
    subprocess.run(["ip", *(("-n", inside) if inside else ()), *words], check=True, capture_output=True, timeout=10)


@pytest.fixture
def two_uplinks() -> Iterator[None]:
    """A node with two uplinks to one service address; what the main table says is the first one."""
    if os.geteuid() != 0 or shutil.which("ip") is None or subprocess.run(["ip", "netns", "add", NODE]).returncode:
        pytest.skip("needs root and network namespaces")
    try:
        ip("netns", "add", CENTER)
        ip("address", "add", f"{SERVICE}/32", "dev", "lo", inside=CENTER)
        for name in (NODE, CENTER):
            ip("link", "set", "lo", "up", inside=name)
            subprocess.run(["ip", "netns", "exec", name, "sh", "-c",
                            "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done"], check=True)  # fmt: skip
        for n in (1, 2):
            ip("link", "add", f"up{n}", "netns", NODE, "type", "veth", "peer", "name", f"down{n}", "netns", CENTER)
            for name, device, host in ((NODE, f"up{n}", 1), (CENTER, f"down{n}", 2)):
                ip("address", "add", f"10.231.{n}.{host}/24", "dev", device, inside=name)
                ip("link", "set", device, "up", inside=name)
            ip("route", "add", SERVICE, "via", f"10.231.{n}.2", "dev", f"up{n}", "table", f"10{n}", inside=NODE)
            ip("rule", "add", "pref", f"110{n}", "oif", f"up{n}", "lookup", f"10{n}", inside=NODE)
        ip("route", "add", SERVICE, "via", "10.231.1.2", inside=NODE)
        yield
    finally:
        for name in (NODE, CENTER):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


class End:
    """A ``zeromq_end`` in a namespace."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until_it_says(self, what: str, timeout_s: float) -> tuple[float, str]:
        """The time and text of the next line with ``what`` in it."""
        assert self._process.stdout is not None
        passed: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    line = (await self._process.stdout.readline()).decode()
                    assert line, f"it ended: {passed}"
                    at, text = line.strip().split(" ", 1)
                    if text.startswith(what):
                        return float(at), text
                    passed.append(text)
        except TimeoutError:
            raise AssertionError(f"waited {timeout_s} s in vain for {what!r}, heard {passed}") from None


@contextlib.asynccontextmanager
async def end(namespace: str, *words: str) -> AsyncIterator[End]:
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, sys.executable, "-m", "tests.relay.zeromq_end", *words,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield End(process)
    finally:
        process.kill()
        await process.wait()


def plain(address: str) -> str:
    """An IPv4 address, also where it was mapped into IPv6."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


@pytest.mark.usefixtures("two_uplinks")
@pytest.mark.parametrize(("interface", "source"), [("", "10.231.1.1"), ("up1", "10.231.1.1"), ("up2", "10.231.2.1")])
async def test_path_leaves_by_the_interface_that_it_is_pinned_to(interface: str, source: str) -> None:
    async with end(CENTER, "listen", "tcp://0.0.0.0:5701") as listener:
        await listener.until_it_says("listening", 10)
        async with end(NODE, "dial", f"tcp://{SERVICE}:5701", *([interface] if interface else [])) as dialer:
            for _ in Lane:
                _, text = await listener.until_it_says("received", 10)
                assert plain(text.split()[2]) == source, text
            await dialer.until_it_says("answered", 5)


@pytest.mark.usefixtures("two_uplinks")
async def test_path_pinned_to_an_interface_that_is_not_there_stays_down() -> None:
    async with end(CENTER, "listen", "tcp://0.0.0.0:5701") as listener:
        await listener.until_it_says("listening", 10)
        async with end(NODE, "dial", f"tcp://{SERVICE}:5701", "wwan7") as dialer:
            with pytest.raises(AssertionError, match="in vain"):
                await dialer.until_it_says("opened", 2)


@pytest.mark.usefixtures("two_uplinks")
async def test_silent_cut_is_noticed_and_mended_while_the_other_uplink_goes_on() -> None:
    async with end(CENTER, "listen", "tcp://0.0.0.0:5701") as listener:
        await listener.until_it_says("listening", 10)
        async with (
            end(NODE, "dial", f"tcp://{SERVICE}:5701", "up1") as first,
            end(NODE, "dial", f"tcp://{SERVICE}:5701", "up2") as second,
        ):
            await first.until_it_says("answered", 10)
            await second.until_it_says("answered", 10)
            # Nothing comes back any more, and nobody says so: no reset, no ICMP, the link stays up.
            ip("route", "add", "blackhole", "10.231.1.1/32", inside=CENTER)
            cut = await asyncio.to_thread(subprocess.run, [
                "ip", "netns", "exec", NODE, "ping", "-c", "1", "-W", "1", "-I", "up1", "10.231.1.2"], capture_output=True) \
                if shutil.which("ping") else None  # fmt: skip
            assert cut is None or cut.returncode != 0, "the cut happened"
            await first.until_it_says("closed", 9)
            ip("route", "delete", "blackhole", "10.231.1.1/32", inside=CENTER)
            await first.until_it_says("opened", 20)
            await first.until_it_says("answered", 5)
            with pytest.raises(AssertionError, match="in vain"):
                await second.until_it_says("closed", 0.2)
