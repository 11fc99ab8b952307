"""The operator's gateway and our end of it: DirectIP, who may speak there, and what is refused."""

import asyncio
import contextlib
import functools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from relay.counters import Counters
from relay.errors import Malformed
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.paths import direct_ip
from relay.paths.short_burst import DOWN_MTU
from relay.paths.short_burst_gateway import ShortBurstListen
from relay.paths.tiny_seal import TinySeal
from tests.properties.drafting import signed
from tests.relay.house import House, until
from tests.relay.satellite import Gateway, SatelliteModem
from tests.relay.tiny_end import TinyEnd

IMEI = "300234010753370"
ALERT = signed(0, 1, 1, 1).wire


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


@contextlib.asynccontextmanager
async def listener(house: House, gateway: Gateway, counters: Counters, *, is_confirmed: bool = False) -> AsyncIterator[tuple[ShortBurstListen, TinyEnd]]:  # fmt: skip
    end = TinyEnd()
    listen = ShortBurstListen(
        facts=PathFacts(name="bursts", mtu_bytes=DOWN_MTU, is_metered=True, is_tiny=True), endpoint="tcp://127.0.0.1:0",
        gateway=f"tcp://127.0.0.1:{gateway.port}", modems={"gate-camera": IMEI}, is_confirmed=is_confirmed,
        identity=house.identities["center"], peer_named=lambda name: house.passports[name].passport, counters=counters,
    )  # fmt: skip
    async with end.of(listen, expect_session=False):
        await listen.listening()
        gateway.deliver_to = ("127.0.0.1", int(listen.endpoint.rpartition(":")[2]))
        yield listen, end


def from_camera(house: House, parcel: bytes, imei: str = IMEI) -> direct_ip.FromModem:
    seal = TinySeal(house.identities["gate-camera"], house.passports["center"].passport)
    return direct_ip.FromModem(
        imei=imei, status=0, momsn=1, mtmsn=0, sent_at_s=1, call_record=1, payload=seal.seal(parcel)
    )


async def test_the_gateway_waits_for_a_confirmation_where_it_was_asked_to(house: House) -> None:
    counters = Counters()
    async with Gateway().running() as gateway, listener(house, gateway, counters, is_confirmed=True) as (_, end):
        gateway.is_waiting_for_confirmation = True
        gateway.took(from_camera(house, ALERT))
        await until(lambda: end.parcels == [ALERT] and len(gateway.delivered) == 1, "the alert")


async def test_strangers_and_nonsense_at_the_gateway_s_door_are_refused_and_counted(house: House) -> None:
    counters = Counters()
    async with Gateway().running() as gateway, listener(house, gateway, counters) as (listen, end):

        def refused(reason: str, times: int) -> bool:
            return counters[f"refused_{reason}"] == times

        host, port = "127.0.0.1", int(listen.endpoint.rpartition(":")[2])
        good = from_camera(house, ALERT).encode()
        for data, reason in ((b"GET / HTTP/1.1\r\n\r\n", "malformed"), (b"\x01\xff\xff", "malformed"), (good[:20], "cut_off"),
                             (good[:-1] + b"\x00", "bad_signature"), (from_camera(house, ALERT, "9" * 15).encode(), "unknown_address"),
                             (b"\x01\x00\x03\x01\x00\x00", "malformed"), (b"", "cut_off")):  # fmt: skip
            before = counters[f"refused_{reason}"]
            _, writer = await asyncio.open_connection(host, port)
            writer.write(data)
            writer.write_eof()
            await until(functools.partial(refused, reason, before + 1), f"{reason} of {data[:12]!r}")
            writer.close()
        assert not end.parcels
        assert not end.sessions
        gateway.took(from_camera(house, ALERT))
        await until(lambda: end.parcels == [ALERT], "the alert all the same")


async def test_strangers_at_the_gateway_s_door_fill_no_log(house: House) -> None:
    counters = Counters()
    async with Gateway().running() as gateway, listener(house, gateway, counters) as (listen, _):
        port = int(listen.endpoint.rpartition(":")[2])
        with structlog.testing.capture_logs() as lines:
            for data, reason in ((b"GET / HTTP/1.1\r\n\r\n", "malformed"), (from_camera(house, ALERT, "9" * 15).encode(), "unknown_address"),
                                 (from_camera(house, ALERT).encode()[:-1] + b"\x00", "bad_signature")):  # fmt: skip
                for times in range(1, 21):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(data)
                    writer.write_eof()
                    await until(lambda: counters[f"refused_{reason}"] == times, reason)  # noqa: B023
                    writer.close()
        assert Counter(line["event"] for line in lines) == {"refused": 3 * 5}, "at 1, 2, 4, 8 and 16"


async def test_what_the_gateway_refuses_for_now_is_tried_again_and_what_it_refuses_for_good_is_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.paths.short_burst_gateway.Backoff", _NoPause)
    counters = Counters()
    async with Gateway().running() as gateway, listener(house, gateway, counters) as (_, end):
        SatelliteModem(gateway, IMEI)
        gateway.took(from_camera(house, ALERT))
        await until(lambda: bool(end.sessions), "the session")
        gateway.refuse_next, gateway.hang_up_next = [-5, -6, -9], 1
        assert end.session.send(ALERT, Lane.URGENT)
        await until(lambda: len(gateway.queues.get(IMEI, ())) == 1, "the message")
        assert [counters[f"refused_gateway_{n}"] for n in (5, 6, 9)] == [1, 1, 1]
        gateway.refuse_next = [-10]
        assert end.session.send(signed(0, 1, 2, 1).wire, Lane.URGENT)
        await until(lambda: counters["refused_gateway_10"] == 1, "the refusal")
        assert end.session.peek() is None


class _NoPause:
    def __init__(self, **options: float) -> None: ...

    def next_delay_s(self) -> float:
        return 0.01

    def succeeded_for(self, seconds: float) -> None: ...


def test_direct_ip_says_again_what_was_said() -> None:
    mo = direct_ip.FromModem(
        imei=IMEI, status=2, momsn=65535, mtmsn=3, sent_at_s=1_790_000_000, call_record=7, payload=b"words"
    )
    assert direct_ip.parse_from_modem(mo.encode()) == mo
    mt = direct_ip.ForModem(imei=IMEI, reference=b"abcd", payload=bytes(270))
    assert direct_ip.parse_for_modem(mt.encode()) == mt
    told = direct_ip.Confirmation(imei=IMEI, reference=b"abcd", status=-9)
    assert direct_ip.parse_confirmation(told.encode()) == told
    for wrong in (mo.encode()[:-1], mo.encode() + b"x", b"", mt.encode(), b"\x02" + mo.encode()[1:]):
        with pytest.raises(Malformed):
            direct_ip.parse_from_modem(wrong)
