"""What comes in bad is named in ``status``, in the words of ``docs/developer.md``'s table."""

import asyncio
import os
import tty
from pathlib import Path

import pytest

from relay import courier
from relay.counters import Counters
from relay.errors import SpoolFull
from relay.passport import Role
from relay.paths.at_modem import AtModem
from tests.relay.carriers import carrier
from tests.relay.house import House, Kept, until
from tests.relay.neighbor import neighbor, said_by
from tests.relay.test_path_conformance import an_alert
from tests.relay.test_status_view import shown

ANYWHERE = "tcp://127.0.0.1:0"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "yard-relay": Role.RELAY, "gate-camera": Role.CAMERA})


@pytest.mark.parametrize("where", ["center", "yard-relay"])
async def test_a_replay_is_stored_once_and_seen(house: House, where: str) -> None:
    async with (
        house.station(where, listen=ANYWHERE) as station,
        neighbor(house, "gate-camera", station.listening_on[0], to=where) as camera,
    ):
        alert = said_by(house.identities["gate-camera"], 1).wire
        camera.say(alert)
        await until(lambda: station.counters["envelopes_stored"] + station.counters["envelopes_carried"] == 1, "it")
        for _ in range(3):
            camera.say(alert)
        await until(lambda: station.counters["duplicates_arrived"] == 3, "the replays")
        assert "duplicates_arrived 3" in shown(await station.status())
        assert station.counters["envelopes_stored"] + station.counters["envelopes_carried"] == 1


async def test_a_full_disk_is_named_and_gives_no_receipt(house: House) -> None:
    inbox = Kept()
    inbox.fail_with = SpoolFull("expected room on the disk, found none")
    async with (
        house.station("center", listen=ANYWHERE, inbox=inbox) as center,
        house.station("gate-camera", to=[("center", center.listening_on[0])]) as node,
    ):
        await node.put(an_alert(node))
        await until(lambda: center.counters["refused_disk_full"] > 0, "the refusal")
        assert "disk_full" in shown(await center.status())
        assert node.counters["envelopes_receipted"] == 0
        inbox.fail_with = None
        await until(lambda: node.counters["envelopes_receipted"] == 1, "the receipt once there is room", timeout_s=30)


async def test_half_a_stick_is_named_at_the_station_that_was_handed_it(house: House, tmp_path: Path) -> None:
    stick_dir = tmp_path / "stick"
    stick_dir.mkdir()
    async with house.station("gate-camera") as node:
        await node.put_all([an_alert(node) for _ in range(4)])
        await courier.carry(node, stick_dir)
    files = sorted((stick_dir / "heard-carry" / "envelopes").iterdir())
    files[0].write_bytes(
        files[0].read_bytes()[:60]
    )  # pulled out half-way, as a file system without a journal leaves it
    files[1].write_bytes(b"")
    inbox = Kept()
    async with house.station("center", listen=ANYWHERE, inbox=inbox) as center:
        done = await courier.deliver(center, stick_dir)
        assert done.refused == {"malformed": 2}
        assert "refused: malformed 2" in shown(await center.status())
    assert len(inbox.arrivals) == 2


async def test_a_modem_s_nonsense_is_counted_line_by_line() -> None:
    counters = Counters()
    far, near = os.openpty()
    tty.setraw(far)
    try:
        async with AtModem(counters, lambda line: line.startswith("+CMTI:")).on(os.ttyname(near), 9600) as modem:
            os.write(far, b"\r\nGARBLED 0x7f\r\n\xff\xfe\r\nNO SUCH THING\r\n+CMTI: 3\r\n")
            async with asyncio.timeout(10):
                while counters["refused_modem_line"] < 2:
                    await modem.stirred()
                    modem.collect()
    finally:
        os.close(near)
        os.close(far)


@pytest.mark.parametrize(
    ("kind", "garbage", "name"),
    [
        ("short_burst", b"\r\nWHO KNOWS\r\n", "modem_line"),
        ("sms", b"\r\nWHO KNOWS\r\n", "modem_line"),
        ("serial_radio", b"\xc0\x80nothing of ours\xc0", "radio_frame_damaged"),
    ],
)
async def test_what_a_modem_says_that_makes_no_sense_is_named_and_the_alert_goes_through(
    house: House, tmp_path: Path, kind: str, garbage: bytes, name: str
) -> None:
    inbox = Kept()
    async with (
        carrier(kind, tmp_path) as way,
        house.station("center", listen=way.listening, inbox=inbox) as center,
        house.station("gate-camera", to=[way.path_to("center", center.listening_on[0])]) as node,
    ):
        await until(lambda: node.path_health()[0].is_up, "the modem")
        modem = way.modem  # type: ignore[attr-defined]
        modem.garbage_before = [garbage]
        if kind == "serial_radio":
            modem.write(b"")  # it speaks when something comes over the air
        alert = await node.put(an_alert(node))
        await until(lambda: node.counters[f"refused_{name}"] > 0, "the refusal", timeout_s=30)
        await until(lambda: [a.envelope.id for a in inbox.arrivals] == [alert.envelope.id], "the alert", timeout_s=40)
        assert f"{name} {node.counters[f'refused_{name}']}" in shown(await node.status())
