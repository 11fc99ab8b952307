"""A node that is heard by radio alone is not dead: its pulse makes it live at its own slow interval, until heartbeats come again."""

import pytest

from command_center import fleet
from relay.header import Kind
from relay.kinds.heartbeat import CameraState, Room
from relay.kinds.pulse import Pulse
from tests.command_center.house import House, Node


def pulse(*, is_narrow: bool, cameras: bytes = bytes((CameraState.LOST,)), room: Room = Room.FREE) -> Pulse:
    return Pulse(
        interval_s=1800,
        is_narrow=is_narrow,
        alerts_waiting=2,
        oldest_waiting_s=9,
        room=room,
        cameras=cameras,
        paths_up=0,
    )


async def shown(house: House, node: Node) -> fleet.Node:
    return await house.database.run(lambda connection: next(fleet.nodes(connection, house.clock, node.id)))


async def journalled(house: House) -> list[str]:
    return [
        str(row[0])
        for row in await house.query("SELECT kind FROM entry WHERE kind IN ('heartbeat', 'pulse') ORDER BY id")
    ]


async def test_a_node_without_heartbeats_lives_by_its_pulses(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.heartbeat())
    house.clock.advance(60_000)
    assert (await shown(house, node)).state == "silent"
    await house.deliver(node, node.body(Kind.PULSE, pulse(is_narrow=True, room=Room.DISK_FULL)))
    told = await shown(house, node)
    assert (told.state, told.interval_s) == ("live", 1800)
    assert told.heartbeat is not None
    assert told.heartbeat.cameras[0].state is CameraState.LOST
    assert (told.heartbeat.room, told.heartbeat.backlog[0]) == (Room.DISK_FULL, 2)
    house.clock.advance(3_600_000)
    assert (await shown(house, node)).state == "live"
    house.clock.advance(1)
    assert (await shown(house, node)).state == "late"
    await house.deliver(node, node.body(Kind.PULSE, pulse(is_narrow=True, room=Room.DISK_FULL)))
    assert (await shown(house, node)).state == "live"
    assert await journalled(house) == ["heartbeat", "pulse"], "what is as before is not journalled again"
    await house.deliver(node, node.heartbeat())
    told = await shown(house, node)
    assert (told.state, told.interval_s) == ("live", 10)
    house.clock.advance(51_000)
    assert (await shown(house, node)).state == "silent", "it is held to its word again"


async def test_while_heartbeats_come_a_pulse_loosens_nothing(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.heartbeat())
    house.clock.advance(5_000)
    await house.deliver(node, node.body(Kind.PULSE, pulse(is_narrow=False)))
    told = await shown(house, node)
    assert told.interval_s == 10
    assert told.heartbeat is not None
    assert told.heartbeat.cameras[0].state is CameraState.SEEING
    house.clock.advance(51_000)
    assert (await shown(house, node)).state == "silent"
    await house.deliver(node, node.body(Kind.PULSE, pulse(is_narrow=False)))
    assert (await shown(house, node)).state == "live", "a relay passed it on over its radio"


@pytest.mark.parametrize("cameras", [b"", b"\x01\x01", b"\x63"])
async def test_a_pulse_that_does_not_fit_the_last_heartbeat_changes_no_camera(house: House, cameras: bytes) -> None:
    node = house.node()
    await house.deliver(node, node.heartbeat())
    await house.deliver(node, node.body(Kind.PULSE, pulse(is_narrow=True, cameras=cameras)))
    told = await shown(house, node)
    assert told.heartbeat is not None
    assert [c.state for c in told.heartbeat.cameras] == [CameraState.SEEING]


async def test_a_node_that_was_never_heard_can_begin_with_a_pulse(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.body(Kind.PULSE, pulse(is_narrow=True)))
    assert (await shown(house, node)).state == "live"
