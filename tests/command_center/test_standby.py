"""A leader and its standby, over a real connection, in one process."""

import asyncio
import contextlib
import hashlib
import shutil
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from command_center import check, journal
from command_center.config import CenterConfig, StandbyConfig
from command_center.custody import retention
from command_center.demonstration.household import free_port
from command_center.errors import BadRequest, NotInitialized
from command_center.standby import leader as leaders
from command_center.standby import messages
from command_center.standby.channel import Channel
from command_center.standby.follower import Follower
from command_center.standby.leader import Leader
from command_center.standby.line import Called, Doorkeeper, Line, LineLost
from command_center.standby.meeting import Outranked, require_lead, say_who_leads
from command_center.standby.messages import Answer, Asked, Beat, Changed, Digests, Hello, Log
from command_center.standby.promoting import promote
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.errors import DiskFull, SpoolBusy
from relay.header import Kind
from relay.identity import Identity
from relay.kinds.chunk import cut
from relay.path import Lane
from relay.paths import tls_proof
from tests.command_center.house import PICTURE, House, running_center
from tests.command_center.standby_pair import follower_here
from tests.command_center.test_ingest import exhibit, until

KEYS = ("authority.key", "identity.key", "enrollment.msgpack", "center.toml")


def make(root_dir: Path, clock: SimulatedClock) -> tuple[Path, Path, Identity]:
    """A center's folder, and one with the same keys for its standby."""
    state = StateDir(root_dir / "a")
    identity = state.init(clock, name="center", site="hq", agency="agency", http="127.0.0.1:0", url="")
    other_dir = root_dir / "b"
    (other_dir / "blobs").mkdir(parents=True)
    for name in KEYS:
        (other_dir / name).write_bytes((state.root_dir / name).read_bytes())
        (other_dir / name).chmod(0o600)
    return state.root_dir, other_dir, identity


@contextlib.asynccontextmanager
async def leading(state_dir: Path, port: int, clock: SimulatedClock, *, wait_s: float = 5.0) -> AsyncIterator[House]:
    config = CenterConfig(
        http="127.0.0.1:0", listen=(), standby=StandbyConfig(address=f"127.0.0.1:{port}", wait_s=wait_s)
    )
    async with running_center(state_dir, clock=clock, config=config) as house:
        yield house


async def until_it_says(house: House, kind: str, times: int = 1) -> None:
    async def is_said() -> bool:
        return await house.query("SELECT COUNT(*) FROM entry WHERE kind = ?", kind) == [(times,)]

    await until(is_said)


def rows_of(state_dir: Path) -> list[tuple[int, bytes]]:
    """The journal in a standby's folder."""
    connection = sqlite3.connect(f"{(state_dir / 'center.sqlite').as_uri()}?immutable=1", uri=True)
    with contextlib.closing(connection):
        return connection.execute("SELECT id, leaf FROM entry ORDER BY id").fetchall()


async def until_they_are_the_same(house: House, b_dir: Path) -> None:
    """Page by page; the first has counters of its own."""

    async def are_the_same() -> bool:
        copy_file = b_dir.parent / "now.sqlite"
        copy_file.unlink(missing_ok=True)
        with (
            contextlib.closing(house.database.reader()) as source,
            contextlib.closing(sqlite3.connect(copy_file)) as target,
        ):
            source.backup(target)
        return copy_file.read_bytes()[4096:] == (b_dir / "center.sqlite").read_bytes()[4096:]

    await until(are_the_same)


@contextlib.contextmanager
def asked_of(
    follower: Follower, monkeypatch: pytest.MonkeyPatch, before: Callable[[Asked], None] | None = None
) -> Iterator[list[Asked]]:
    """What the standby is asked; ``before`` is called on its thread."""
    asked, does = list[Asked](), follower._do

    def do(message: Asked) -> Answer:
        asked.append(message)
        if before is not None:
            before(message)
        return does(message)

    with monkeypatch.context() as patch:
        patch.setattr(follower, "_do", do)
        yield asked


async def test_a_standby_has_each_commit_when_somebody_hears_of_it(tmp_path: Path) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (_, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            node = house.node()
            for _ in range(20):
                await house.deliver(node, node.alert())
                entries = await house.query("SELECT id, leaf FROM entry ORDER BY id")
                assert rows_of(b_dir) == entries
            assert len(entries) > 20
            assert house.center.services.station_gauges()["standby_in_step"] == 1
            assert "heard_hop_ms" in house.services.metrics.text({})


async def test_nobody_hears_of_a_commit_before_the_standby_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    goes_on, holds = threading.Event(), threading.Event()

    def hold(message: Asked) -> None:
        if isinstance(message, Changed) and holds.is_set():
            goes_on.wait(20)

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, hold):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            node = house.node()
            holds.set()
            delivering = asyncio.create_task(house.deliver(node, node.alert()))
            await asyncio.sleep(0.5)
            assert not delivering.done()
            goes_on.set()
            await delivering


async def test_a_standby_that_does_not_answer_is_let_go_and_brought_up_to_date_without_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(message: Asked) -> None:
        if isinstance(message, Changed) and hangs.is_set():
            goes_on.wait(20)

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, hang) as asked:
        async with leading(a_dir, port, clock, wait_s=0.5) as house:
            await until_it_says(house, leaders.IN_STEP)
            assert any(isinstance(message, Digests) for message in asked), "the first time it is compared"
            asked.clear()
            node = house.node()
            hangs.set()
            await house.deliver(node, node.alert())  # goes on alone, after half a second
            assert not house.center.services.station_gauges()["standby_in_step"]
            await house.deliver(node, node.alert())
            hangs.clear()
            goes_on.set()
            await until_it_says(house, leaders.IN_STEP, 2)
            await until_it_says(house, leaders.LOST, 1)
            assert not any(isinstance(message, Digests) for message in asked), "what changed was remembered"
            await until_they_are_the_same(house, b_dir)


async def test_a_standby_that_takes_nothing_does_not_hold_a_big_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: Asked) -> None:
        if hangs.is_set():
            goes_on.wait(60)

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, hang):
        try:
            async with leading(a_dir, port, clock, wait_s=0.5) as house:
                await until_it_says(house, leaders.IN_STEP)
                await house.database.run(lambda c: c.execute("CREATE TABLE big (content BLOB)"))
                hangs.set()
                async with asyncio.timeout(30):  # more than a socket holds: this waits for somebody who reads
                    await house.database.run(lambda c: c.execute("INSERT INTO big VALUES (zeroblob(32000000))"))
                assert not house.center.services.station_gauges()["standby_in_step"]
        finally:
            goes_on.set()


async def test_a_change_that_can_not_be_journalled_is_said_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    port, refused = free_port(), list[str]()
    does = journal.append

    def full(*args: object, **fields: object) -> object:
        if fields.get("kind") == leaders.LOST and len(refused) < 3:
            refused.append("once")
            raise DiskFull("the disk is full")
        return does(*args, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(journal, "append", full)
    async with leading(a_dir, port, clock) as house:
        await until_it_says(house, leaders.LOST)
        assert len(refused) == 3
        with follower_here(b_dir, identity, port):
            await until_it_says(house, leaders.IN_STEP)


async def test_what_a_standby_could_not_keep_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    fails = threading.Event()

    def fail(message: Asked) -> None:
        if isinstance(message, Changed) and fails.is_set():
            raise OSError("No space left on device")

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, fail) as asked:
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            asked.clear()
            fails.set()
            node = house.node()
            await house.deliver(node, node.alert())
            await until_it_says(house, leaders.LOST)
            said = await house.query("SELECT hex(payload) FROM entry WHERE kind = ?", leaders.LOST)
            assert b"No space left on device".hex().upper() in str(said)
            fails.clear()
            await until_it_says(house, leaders.IN_STEP, 2)
            assert not any(isinstance(message, Digests) for message in asked)
            await until_they_are_the_same(house, b_dir)


async def test_a_comparison_that_was_broken_off_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    fails = threading.Event()

    def fail_at_the_end(message: Asked) -> None:
        if isinstance(message, Changed) and fails.is_set() and not message.more:
            raise OSError("No space left on device")

    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch, fail_at_the_end) as asked:
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            fails.set()
            monkeypatch.setattr(leaders, "MOST_PAGES", 0)
            node = house.node()
            for _ in range(5):
                await house.deliver(node, node.alert())  # more than is remembered
            monkeypatch.setattr(leaders, "MOST_PAGES", 1000)
            asked.clear()

            async def was_compared_twice() -> bool:
                return sum(isinstance(message, Digests) and message.first == 1 for message in asked) >= 2

            await until(was_compared_twice)
            fails.clear()
            await until_it_says(house, leaders.IN_STEP, 2)
            await until_they_are_the_same(house, b_dir)


async def test_a_standby_whose_disk_is_older_than_it_said_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    port = free_port()
    async with leading(a_dir, port, clock) as house:
        node = house.node()
        with follower_here(b_dir, identity, port):
            await until_it_says(house, leaders.IN_STEP)
        await house.deliver(node, node.alert())
        shutil.copytree(b_dir, tmp_path / "older")
        with follower_here(b_dir, identity, port):
            await until_it_says(house, leaders.IN_STEP, 2)
            await house.deliver(node, node.alert(), node.alert())
            rows = rows_of(b_dir)
        shutil.rmtree(b_dir)
        shutil.copytree(tmp_path / "older", b_dir)
        assert len(rows_of(b_dir)) < len(rows)
        with follower_here(b_dir, identity, port) as (follower, _), asked_of(follower, monkeypatch) as asked:
            await until_it_says(house, leaders.IN_STEP, 3)
            assert any(isinstance(message, Digests) for message in asked)
            await until_they_are_the_same(house, b_dir)


async def test_what_a_lost_leader_did_not_get_to_the_end_of_counts_never(tmp_path: Path) -> None:
    _, b_dir, identity = make(tmp_path, SimulatedClock())
    all_of_it = {"pages_in_all": 2, "run": b"r" * 16, "sequence": 1}
    with follower_here(b_dir, identity) as (_, port):
        for more, number in ((True, 1), (False, 2)):
            line = Line.dial("127.0.0.1", port, identity, wait_s=2)
            line.answered(line.ask(Hello, format=messages.FORMAT, term=0), 5)
            line.answered(line.ask(Changed, pages=[(number, b"x" * 4096)], more=more, **all_of_it), 5)
            line.close()
        assert (b_dir / "center.sqlite").read_bytes() == bytes(4096) + b"x" * 4096


async def test_the_late_end_of_an_earlier_line_does_not_end_the_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, start = list[Leader](), Leader.start

    def noted(leader: Leader) -> None:
        made.append(leader)
        start(leader)

    monkeypatch.setattr(Leader, "start", noted)
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (_, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            called = list[Called]()
            door = Doorkeeper("127.0.0.1", 0, identity, called.append)
            earlier = Line.dial("127.0.0.1", door.port, identity, wait_s=2)

            async def is_taken() -> bool:
                return bool(called)

            await until(is_taken)
            made[0]._lost(earlier, LineLost("late"))
            door.close()
            called[0].close()
            await asyncio.sleep(0.1)
            assert earlier.is_lost
            assert made[0].is_in_step
            assert house.center.station.intake_log is not None
            assert not house.center.station.intake_log.is_quick, "records still go there, too"


async def test_after_a_start_and_after_too_much_only_pages_that_differ_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (follower, port), asked_of(follower, monkeypatch) as asked:
        async with leading(a_dir, port, clock) as house:
            node = house.node()
            for _ in range(40):
                await house.deliver(node, node.alert())
            await until_it_says(house, leaders.IN_STEP)
        asked.clear()
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP, 2)
            assert any(isinstance(message, Digests) for message in asked)
            sent = {number for message in asked if isinstance(message, Changed) for number, _ in message.pages}
            assert len(sent) < (a_dir / "center.sqlite").stat().st_size / 4096 / 2
            monkeypatch.setattr(leaders, "MOST_PAGES", 3)
            asked.clear()
            await house.deliver(house.node("other"), house.node("third").alert())
            monkeypatch.setattr(leaders, "MOST_PAGES", 1000)
            await until_it_says(house, leaders.IN_STEP, 3)
            assert any(isinstance(message, Digests) for message in asked)
            await until_they_are_the_same(house, b_dir)


async def test_a_picture_goes_there_and_goes_when_it_is_erased(tmp_path: Path) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    sha256 = hashlib.sha256(PICTURE).digest()
    there = b_dir / "blobs" / sha256.hex()[:2] / sha256.hex()
    with follower_here(b_dir, identity) as (_, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            node = house.node()
            alert = node.alert()
            await house.deliver(node, alert, node.body(Kind.EXHIBIT, exhibit(alert.id)),
                                *[node.body(Kind.CHUNK, piece) for piece in cut(PICTURE, sha256)])  # fmt: skip

            async def is_there() -> bool:
                return there.exists()

            async def is_gone() -> bool:
                return not there.exists()

            await until(is_there)
            assert there.read_bytes() == PICTURE
            await house.database.run(
                lambda c: retention.erase(
                    c, retention.one(c, sha256), actor="test", reason="a court said so", at_ms=clock.wall_ms()
                )
            )
            await asyncio.to_thread(retention.unlink, house.database, house.services.blobs)
            await until(is_gone)


async def test_a_promoted_standby_is_the_center(tmp_path: Path) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (follower, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)
            node = house.node()
            alert = node.alert()
            await house.deliver(node, alert)
            async with house.signed_in() as client:
                assert (await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})).status_code == 200

            async def has_told_the_camera() -> bool:
                return bool(await house.query("SELECT series FROM stream"))

            await until(has_told_the_camera)
            with pytest.raises(SpoolBusy):
                promote(StateDir(b_dir), clock)
            with pytest.raises(NotInitialized, match="is a standby"):
                StateDir(b_dir).require_initialized()
        assert follower.pages.is_whole
    made = promote(StateDir(b_dir), clock)
    assert made.term == 1
    assert made.entries >= len(rows_of(a_dir)) - 2, "but for what the stopping leader wrote after it let go"
    assert check.run(StateDir(b_dir)).problems == ()
    async with running_center(b_dir, clock=clock) as house:
        assert await house.query("SELECT id FROM alert") == [(alert.id,)]
        assert await house.query("SELECT COUNT(*) FROM session") == [(0,)]
        assert await house.query("SELECT series FROM stream") == [], "the lost center's numbers are never used twice"
        assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'promoted'") == [(1,)]
    with pytest.raises(BadRequest, match="is no standby"):
        promote(StateDir(b_dir), clock)


async def test_a_standby_that_never_had_the_whole_is_not_promoted(tmp_path: Path) -> None:
    _, b_dir, identity = make(tmp_path, SimulatedClock())
    with follower_here(b_dir, identity):
        pass
    with pytest.raises(BadRequest, match="never had the whole"):
        promote(StateDir(b_dir), SimulatedClock())


@pytest.mark.parametrize("step", ["_finish_following", "_lead"])
async def test_a_promotion_that_is_interrupted_goes_on(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock()
    a_dir, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (_, port):
        async with leading(a_dir, port, clock) as house:
            await until_it_says(house, leaders.IN_STEP)

    class Interrupted(Exception):
        pass

    def interrupted(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(f"command_center.standby.promoting.{step}", interrupted)
        with pytest.raises(Interrupted):
            promote(StateDir(b_dir), clock)
    with pytest.raises(NotInitialized):
        StateDir(b_dir).require_initialized()
    assert promote(StateDir(b_dir), clock).term == 1
    StateDir(b_dir).require_initialized()
    assert check.run(StateDir(b_dir)).problems == ()


# ---------------------------------------------------------------------- who leads


async def test_a_leader_that_comes_back_finds_that_another_was_promoted(tmp_path: Path) -> None:
    clock = SimulatedClock()
    a_dir, _, identity = make(tmp_path, clock)
    door = say_who_leads("127.0.0.1:0", identity, 1)
    try:
        with pytest.raises(Outranked, match="was promoted and leads"):
            require_lead(StateDir(a_dir), f"127.0.0.1:{door.port}")
        with pytest.raises(Outranked):
            async with leading(a_dir, door.port, clock):
                pass
    finally:
        door.close()
    require_lead(StateDir(a_dir), f"127.0.0.1:{door.port}")  # nobody there: it starts


async def test_a_leader_that_meets_another_while_it_runs_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, _, identity = make(tmp_path, clock)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    doors = list[Doorkeeper]()

    async def lead_until_told_otherwise() -> None:
        async with leading(a_dir, port, clock):
            doors.append(say_who_leads(f"127.0.0.1:{port}", identity, 1))
            await asyncio.sleep(20)

    try:
        with pytest.raises((Outranked, BaseExceptionGroup)) as ended:
            await lead_until_told_otherwise()
        assert "was promoted and leads" in repr(ended.value)
    finally:
        for door in doors:
            door.close()


async def test_one_of_an_older_claim_is_told_and_not_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaders, "_AGAIN_S", (0.05, 0.2))
    clock = SimulatedClock()
    a_dir, _, identity = make(tmp_path, clock)
    door = say_who_leads("127.0.0.1:0", identity, 0)
    try:
        async with leading(a_dir, door.port, clock) as house:
            await until_it_says(house, leaders.LOST)
            said = await house.query("SELECT hex(payload) FROM entry WHERE kind = ?", leaders.LOST)
            assert b"another center leads there".hex().upper() in str(said)
        with pytest.raises(BadRequest, match="answers that it leads"):
            require_lead(StateDir(a_dir), f"127.0.0.1:{door.port}", alone=True)
    finally:
        door.close()


# ---------------------------------------------------------------------- strangers


def test_only_who_holds_the_centers_keys_is_let_in(tmp_path: Path) -> None:
    identity, stranger = Identity.generate(), Identity.generate()
    called = list[Called]()
    door = Doorkeeper("127.0.0.1", 0, identity, called.append)
    try:
        with pytest.raises(LineLost, match="somebody else answers"):  # it sees that it is not its own center
            Line.dial("127.0.0.1", door.port, stranger, wait_s=2)
        for first in (b"GET / HTTP/1.1\r\n\r\n", b"", bytes(200)):
            with socket.create_connection(("127.0.0.1", door.port), timeout=10) as plain:
                plain.sendall(first)
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(4096):
                    pass
        assert not called
        line = Line.dial("127.0.0.1", door.port, identity, wait_s=2)
        line.close()
    finally:
        door.close()
        for one in called:
            one.close()


def test_a_caller_with_another_key_is_refused_though_it_knows_whom_it_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, stranger = Identity.generate(), Identity.generate()
    called = list[Called]()
    door = Doorkeeper("127.0.0.1", 0, identity, called.append)

    class Forged:
        signing_key = identity.signing_key
        transport_key = identity.transport_key
        transport_secret = stranger.transport_secret

    try:
        line = Line.dial("127.0.0.1", door.port, Forged(), wait_s=2)  # type: ignore[arg-type]
        with pytest.raises(LineLost):
            line.answered(line.ask(Beat), 5)
        assert door.refused == 1
        assert not called
    finally:
        door.close()


def test_a_node_that_proves_its_own_key_is_not_the_center(tmp_path: Path) -> None:
    identity, node = Identity.generate(), Identity.generate()
    called = list[Called]()
    door = Doorkeeper("127.0.0.1", 0, identity, called.append)
    try:
        plain = socket.create_connection(("127.0.0.1", door.port), timeout=5)
        channel = Channel(plain, tls_proof.calling_context(), server_side=False)
        shown = tls_proof.require_issued_by(channel.certificate(), identity.signing_key)
        channel.send(tls_proof.opening(bytes(16), Lane.URGENT, identity=node, listener_transport_key=identity.transport_key,
                                       certificate_sha256=shown))  # fmt: skip
        with pytest.raises(OSError, match=r"hung up|reset"):
            channel.receive(1)
        channel.close()
        assert (door.refused, called) == (1, [])
    finally:
        door.close()


def test_strangers_who_say_nothing_keep_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command_center.standby.line.OPENED_WITHIN_S", 1.0)
    identity = Identity.generate()
    called = threading.Event()

    def note(line: Called) -> None:
        called.set()
        line.close()

    door = Doorkeeper("127.0.0.1", 0, identity, note)
    silent = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(40)]
    try:
        for _ in range(50):
            with contextlib.suppress(LineLost):
                Line.dial("127.0.0.1", door.port, identity, wait_s=2).close()
            if called.wait(0.2):
                break
        assert called.is_set()
        assert door.refused >= 24, "more strangers than may wait"
    finally:
        for one in silent:
            one.close()
        door.close()


async def test_what_a_leader_says_amiss_ends_its_line_and_harms_nothing(tmp_path: Path) -> None:
    clock = SimulatedClock()
    _, b_dir, identity = make(tmp_path, clock)
    with follower_here(b_dir, identity) as (follower, port):
        log = (b_dir / "intake.log").read_bytes()
        line = Line.dial("127.0.0.1", port, identity, wait_s=2)
        with pytest.raises(LineLost, match="past the intake log's end"):
            line.answered(line.ask(Log, at=1 << 40, data=b"x"), 5)
        line = Line.dial("127.0.0.1", port, identity, wait_s=2)
        with pytest.raises(LineLost, match="hung up"):  # numbers are not bytes
            line.answered(line.ask(Log, at="here", data=b"x"), 5)
        line = Line.dial("127.0.0.1", port, identity, wait_s=2)
        line._channel.send(b"\xff\xff\xff\xff")
        with pytest.raises(LineLost):
            line.answered(line.ask(Beat), 5)
        line = Line.dial("127.0.0.1", port, identity, wait_s=2)
        line.answered(line.ask(Beat), 5)
        line.close()
        assert (b_dir / "intake.log").read_bytes() == log
        assert not follower.pages.is_whole
