"""What is over a bound is refused by name on every carrier that can tell, and costs its sender its connection."""

from pathlib import Path

import aiohttp
import pytest

from relay.config import ListenConfig, SpoolConfig
from relay.errors import SpoolFull
from relay.header import Kind
from relay.kinds.heartbeat import Room
from relay.passport import Role
from relay.paths.parcels import MAX_BATCH_BYTES
from relay.precedence import Precedence
from relay.service import compose_heartbeat, put_heartbeat
from tests.relay.house import House, Kept, until
from tests.relay.test_full_disk import heartbeats
from tests.relay.test_path_conformance import an_alert
from tests.relay.test_status_view import shown


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


async def test_a_request_over_the_bound_is_refused_by_name(house: House) -> None:
    async with (
        house.station("center", listen=ListenConfig(kind="https", endpoint="http://127.0.0.1:0")) as center,
        aiohttp.ClientSession() as client,
    ):
        base = f"{center.listening_on[0]}/v1/hop"
        async with client.post(base) as opened:
            name = await opened.text()
        async with client.post(f"{base}/{name}/0", data=bytes(MAX_BATCH_BYTES + 1)) as reply:
            assert reply.status == 413
        assert "oversized 1" in shown(await center.status())


async def test_a_heartbeat_from_a_full_spool_finds_room_and_tells_the_center_so(house: House) -> None:
    small = SpoolConfig(capacity_bytes=1_000_000, reserve_bytes=200_000, node_share=1.0)
    inbox = Kept()
    async with house.station("gate-camera", spool=small) as node:
        snapshot = node.draft_up(Kind.CHUNK, Precedence.PRIORITY, bytes(19_000))
        for _ in range(41):
            await node.put(snapshot)
        with pytest.raises(SpoolFull):
            await node.put(node.draft_up(Kind.TRACE, Precedence.ROUTINE, bytes(19_000)))
        for _ in range(3):
            await put_heartbeat(node, await compose_heartbeat(node, interval_s=600, started_monotonic_ms=0))
        assert node.counters["refused_heartbeat_spool_full"] == 0
        assert (await node.status()).backlog[Precedence.ROUTINE] == 3
        assert "spool_full 1" in shown(await node.status())
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center,
        house.station("gate-camera", to=[("center", center.listening_on[0])], spool=small),
    ):
        await until(lambda: len(heartbeats(house, inbox, "gate-camera")) == 3, "the heartbeats", timeout_s=40)
    told = heartbeats(house, inbox, "gate-camera")[-1]
    assert told.room is Room.ALERTS_ONLY
    assert dict(told.refusals) == {"spool_full": 1}


async def test_heartbeats_alone_never_use_up_the_reserve(house: House) -> None:
    small = SpoolConfig(capacity_bytes=1_000_000, reserve_bytes=40_000, node_share=1.0)
    async with house.station("gate-camera", spool=small) as node:
        for _ in range(50):
            await node.put(node.draft_up(Kind.CHUNK, Precedence.PRIORITY, bytes(18_800)))
        refused = 0
        for _ in range(200):
            await put_heartbeat(node, await compose_heartbeat(node, interval_s=600, started_monotonic_ms=0))
            refused = node.counters["refused_heartbeat_spool_full"]
            if refused:
                break
        assert refused, "ten thousand bytes are soon used up"
        for _ in range(100):
            await node.put(an_alert(node))


async def test_a_full_spool_says_so_by_name_and_the_reserve_still_takes_alerts(house: House) -> None:
    small = SpoolConfig(capacity_bytes=1_000_000, reserve_bytes=200_000, node_share=1.0)
    async with house.station("gate-camera", spool=small) as node:
        snapshot = node.draft_up(Kind.CHUNK, Precedence.PRIORITY, bytes(19_000))
        for _ in range(41):
            await node.put(snapshot)
        with pytest.raises(SpoolFull):
            await node.put_all([snapshot] * 2)
        for _ in range(100):
            await node.put(an_alert(node))
        status = await node.status()
        assert status.backlog[Precedence.FLASH] == 100
        assert status.room == "alerts_only"
        assert "only alerts find room" in shown(status)
        assert "spool_full 1" in shown(status)
