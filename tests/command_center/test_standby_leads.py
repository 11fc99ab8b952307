"""A standby is promoted, and of two machines one leads."""

import asyncio
import socket
from pathlib import Path

import pytest

from command_center import check
from command_center.errors import BadRequest, NotInitialized
from command_center.standby import leader as leaders
from command_center.standby.line import Doorkeeper
from command_center.standby.meeting import Outranked, require_lead, say_who_leads
from command_center.standby.promoting import promote
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.errors import SpoolBusy
from tests.command_center.house import running_center
from tests.command_center.standby_here import (
    follower_here,
    leading,
    make,
    rows_of,
    until_it_says,
)
from tests.command_center.test_ingest import until


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
