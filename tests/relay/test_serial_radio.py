"""What only the radio has: time on the air and its hour, frames and their pieces, and a channel that everybody shares."""

import contextlib
import copy
import functools
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import ListenConfig, PathConfig
from relay.counters import Counters
from relay.errors import ConfigError, Malformed
from relay.header import Kind
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.path_options import RadioOptions
from relay.paths import radio_frames
from relay.paths.assembly import Assembly
from relay.paths.radio_air import DutyCycle, Modulation
from relay.paths.radio_frames import FRAME_BYTES, MTU, LineDecoder, crc16, frames_of, parse, to_line
from relay.paths.serial_radio import RadioDial, RadioListen
from relay.paths.tiny_seal import TinySeal
from relay.precedence import Precedence
from relay.spool import Draft
from tests.properties.drafting import signed
from tests.relay.carriers import FAST_RADIO
from tests.relay.house import House, Kept, until
from tests.relay.radio_medium import FAST, Medium, RadioModem
from tests.relay.test_path_conformance import an_alert
from tests.relay.tiny_end import TinyEnd

CAMERAS = [f"camera-{number}" for number in range(1, 6)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, **dict.fromkeys(CAMERAS, Role.CAMERA)})


# ------------------------------------------------------------------------------------------------ the air


@pytest.mark.parametrize(
    ("factor", "bandwidth_hz", "size_bytes", "milliseconds"),
    # Published by LoRaWAN's operators for 10 bytes and 13 of overhead; the last with the low data rate optimization.
    [(7, 125_000, 23, 61.7), (9, 125_000, 23, 205.8), (12, 125_000, 23, 1482.8), (7, 500_000, 23, 61.7 / 4)],
)
def test_airtime_is_what_the_datasheet_says(
    factor: int, bandwidth_hz: int, size_bytes: int, milliseconds: float
) -> None:
    modulation = Modulation(spreading_factor=factor, bandwidth_hz=bandwidth_hz)
    assert 1000 * modulation.airtime_s(size_bytes) == pytest.approx(milliseconds, rel=0.002)


@given(st.integers(7, 12), st.sampled_from([125_000, 250_000, 500_000]), st.integers(1, 254))
def test_more_bytes_or_a_slower_setting_never_take_less_time(factor: int, bandwidth_hz: int, size: int) -> None:
    here = Modulation(spreading_factor=factor, bandwidth_hz=bandwidth_hz)
    assert here.airtime_s(size) <= here.airtime_s(size + 1)
    if factor < 12:
        assert here.airtime_s(size) < Modulation(spreading_factor=factor + 1, bandwidth_hz=bandwidth_hz).airtime_s(size)
    assert here.slot_s < here.airtime_s(size)


@given(
    st.lists(st.tuples(st.floats(0, 600), st.floats(0.01, 3), st.booleans()), max_size=200),
    st.sampled_from([0.1, 1.0, 10.0]),
)
def test_no_hour_holds_more_than_the_law_allows_and_alerts_keep_their_half(
    wanted: list[tuple[float, float, bool]], percent: float
) -> None:
    duty, now_s, sent = DutyCycle(percent=percent, now_s=0.0), 0.0, list[tuple[float, float, bool]]()
    allowed_s = 36 * percent
    for later_s, airtime_s, is_urgent in wanted:
        now_s += later_s
        pause_s = duty.pause_s(airtime_s, now_s, is_urgent=is_urgent)
        if pause_s == 0:
            duty.sent(airtime_s, now_s)
            sent.append((now_s, airtime_s, is_urgent))
        else:
            assert (
                copy.deepcopy(duty).pause_s(airtime_s, now_s + pause_s + 1e-3, is_urgent=is_urgent) == 0
                or airtime_s > allowed_s / 4
            )
    for end_s, _, _ in sent:
        inside = [item for item in sent if end_s - 3600 < item[0] <= end_s]
        assert sum(airtime for _, airtime, _ in inside) <= allowed_s + 1e-6
    first_hour = [airtime for at, airtime, _ in sent if at < 3600]
    assert sum(first_hour) <= allowed_s / 2 + 1e-6, "a restart made a new hour"


def test_what_is_not_urgent_leaves_room_for_what_is() -> None:
    duty = DutyCycle(percent=1.0, now_s=0.0)
    now_s = 3600.0
    while duty.pause_s(1.0, now_s, is_urgent=False) == 0:
        duty.sent(1.0, now_s)
    assert 9 <= duty.used_s(now_s) <= 27.01
    assert duty.pause_s(1.0, now_s, is_urgent=True) == 0
    assert DutyCycle(percent=100, now_s=0).pause_s(1e9, 0.0, is_urgent=False) == 0


# ------------------------------------------------------------------------------------------------ frames


def test_the_checksum_is_the_documented_one() -> None:
    assert crc16(b"123456789") == 0xBB3D  # CRC-16/ARC's check value


@given(st.lists(st.binary(min_size=1, max_size=FRAME_BYTES), max_size=5), st.integers(1, 7))
def test_frames_come_off_the_line_as_they_went_on_it_in_whatever_pieces(frames: list[bytes], step: int) -> None:
    line = b"".join(to_line(frame) for frame in frames)
    decoder = LineDecoder()
    found = [frame for at in range(0, len(line), step) for frame in decoder.feed(line[at : at + step])]
    assert found == [(0, frame) for frame in frames]
    assert decoder.damaged == 0


@given(st.binary(min_size=3, max_size=FRAME_BYTES), st.data())
def test_a_damaged_frame_is_counted_and_the_next_one_heard(frame: bytes, data: st.DataObject) -> None:
    line = bytearray(to_line(frame))
    at = data.draw(st.integers(2, len(line) - 2))
    line[at] ^= data.draw(st.integers(1, 255))
    decoder = LineDecoder()
    heard = decoder.feed(bytes(line) + to_line(b"the next one"))
    assert heard[-1] == (0, b"the next one")
    # A flip may make an end in the middle, or hide one: whatever is heard beside it was never said as data with this checksum.
    assert all(command != 0 or content in {frame, b"the next one"} for command, content in heard)


def test_a_line_without_an_end_costs_a_bounded_buffer() -> None:
    decoder = LineDecoder()
    assert decoder.feed(b"x" * 1_000_000) == []
    assert len(decoder._raw) < 1000
    assert decoder.feed(b"\xc0" + to_line(b"here")) == [(0, b"here")]
    assert decoder.damaged == 1


@given(st.binary(min_size=10, max_size=MTU + 9), st.binary(min_size=2, max_size=2), st.integers(0, 255), st.randoms())
def test_pieces_come_together_in_any_order(sealed: bytes, tag: bytes, transfer: int, chance: object) -> None:
    sealed = b"\x10" + sealed[1:]
    frames = frames_of(tag, sealed, transfer)
    assert all(len(frame) <= FRAME_BYTES for frame in frames)
    assert len(frames) == 1 if len(sealed) <= FRAME_BYTES - 2 else len(frames) > 1
    assembly, whole = Assembly(most_groups=4, most_age_s=60), None
    chance.shuffle(frames)  # type: ignore[attr-defined]
    for frame in [*frames[:-1], frames[0], frames[-1]]:
        piece = parse(frame)
        assert piece.tag == tag
        if piece.total == 1:
            whole = piece.data
        else:
            whole = (
                assembly.add(
                    (piece.tag, piece.transfer), number=piece.number, total=piece.total, piece=piece.data, now_s=0
                )
                or whole
            )
    assert whole == sealed
    with pytest.raises(Malformed):
        frames_of(tag, bytes(MTU + 10 + FRAME_BYTES), 1)


def test_pieces_that_never_become_a_whole_are_given_up() -> None:
    assembly = Assembly(most_groups=3, most_age_s=60)
    for key in range(10):
        assert assembly.add(key, number=1, total=2, piece=b"x", now_s=key) is None
    assert (len(assembly), assembly.given_up) == (3, 7)
    assert assembly.add(99, number=1, total=3, piece=b"x", now_s=500) is None
    assert (len(assembly), assembly.given_up) == (1, 10)
    assert assembly.add(99, number=1, total=2, piece=b"a", now_s=500) is None, "used again for something else"
    assert assembly.add(99, number=2, total=2, piece=b"b", now_s=501) == b"ab"
    for number, total in ((0, 1), (2, 1), (1, 9)):
        with pytest.raises(Malformed):
            assembly.add(1, number=number, total=total, piece=b"", now_s=0)


@pytest.mark.parametrize(
    "frame", [b"", b"ab", b"ab\x20", b"ab\x20\x01\x00", b"ab\x20\x01\x21x", b"ab\x20\x01\x15x", bytes(234)]
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(Malformed):
        parse(frame)


# ------------------------------------------------------------------------------------------------ the channel


@pytest.mark.slow
async def test_five_cameras_speak_at_once_on_one_bad_channel_and_every_alert_is_heard_once(house: House) -> None:
    """Two of them do not hear each other, and a sixth of all frames is lost besides."""
    medium, inbox = Medium(seed=7, loss=0.15), Kept()
    async with contextlib.AsyncExitStack() as stack:
        center_radio = await stack.enter_async_context(RadioModem(medium).plugged_in())
        radios = [await stack.enter_async_context(RadioModem(medium).plugged_in()) for _ in CAMERAS]
        medium.deaf = {(radios[0], radios[1]), (radios[1], radios[0]), (radios[2], radios[3]), (radios[3], radios[2])}
        options = msgspec.structs.replace(FAST_RADIO, peers=tuple(CAMERAS))
        listening = ListenConfig(kind="serial_radio", endpoint=f"serial://{center_radio.device}", serial_radio=options)
        center = await stack.enter_async_context(house.station("center", listen=listening, inbox=inbox))
        nodes = [
            await stack.enter_async_context(house.station(name, to=[
                PathConfig(name="radio", kind="serial_radio", endpoint=f"serial://{radio.device}", peer="center", serial_radio=FAST_RADIO)
            ]))
            for name, radio in zip(CAMERAS, radios, strict=True)
        ]  # fmt: skip
        for node in nodes:
            await node.put_all([an_alert(node), an_alert(node)])
        await until(lambda: len(inbox.arrivals) == 10, "every alert", timeout_s=90)
        await until(
            lambda: sum(node.counters["envelopes_receipted"] for node in nodes) == 10, "every receipt", timeout_s=90
        )
        assert len({a.envelope.id for a in inbox.arrivals}) == 10
        assert medium.lost > 0
        assert medium.collisions > 0
        assert center.counters.refused_total == 0


async def test_what_is_longer_than_a_frame_comes_down_in_pieces(house: House) -> None:
    medium, inbox, node_inbox = Medium(), Kept(), Kept()
    async with RadioModem(medium).plugged_in() as one, RadioModem(medium).plugged_in() as other:
        options = msgspec.structs.replace(FAST_RADIO, peers=("camera-1",))
        async with (
            house.station("center", listen=ListenConfig(kind="serial_radio", endpoint=f"serial://{one.device}", serial_radio=options), inbox=inbox) as center,
            house.station("camera-1", to=[PathConfig(name="radio", kind="serial_radio", endpoint=f"serial://{other.device}", peer="center",
                                                     serial_radio=FAST_RADIO)], inbox=node_inbox) as node,
        ):  # fmt: skip
            spooled = await node.put(an_alert(node))
            await until(lambda: bool(inbox.arrivals), "the alert")
            seen = Acknowledgement(alert_ids=(spooled.envelope.id,), state=AnswerState.SEEN, role="dispatcher on the night shift",
                                   acted_at_wall_ms=1)  # fmt: skip
            await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                                   destination=node.identity.node_id, peer_sealing_key=node.identity.sealing_key))  # fmt: skip
            await until(lambda: bool(node_inbox.arrivals), "the acknowledgement")
            assert sum(frame[2] == 0x20 for sender, frame in medium.frames if sender is one) >= 2, (
                "it went in one piece"
            )
            assert all(len(frame) <= FRAME_BYTES for _, frame in medium.frames)


@contextlib.asynccontextmanager
async def camera_alone(
    house: House, medium: Medium, *, percent: float = 100
) -> AsyncIterator[tuple[TinyEnd, RadioModem, Counters]]:
    end, counters = TinyEnd(), Counters()
    async with RadioModem(medium).plugged_in() as radio:
        dial = RadioDial(facts=PathFacts(name="radio", mtu_bytes=MTU, is_tiny=True), endpoint=f"serial://{radio.device}", baud=57600,
                         modulation=FAST, duty_cycle_percent=percent, identity=house.identities["camera-1"],
                         peer=house.passports["center"].passport, counters=counters)  # fmt: skip
        async with end.of(dial):
            yield end, radio, counters


async def test_a_station_that_has_used_its_hour_is_silent_and_keeps_what_waits(house: House) -> None:
    medium = Medium()
    async with camera_alone(house, medium, percent=0.025) as (
        end,
        _,
        counters,
    ):  # 0.9 s an hour, half of it assumed used

        def is_taken(alert: bytes) -> bool:
            return end.session.send(alert, Lane.URGENT) or counters["radio_waited_for_its_hour"] > 0

        for number in range(1, 13):
            await until(functools.partial(is_taken, signed(0, 1, number, 1).wire), "room")
        await until(lambda: counters["radio_waited_for_its_hour"] > 0, "the hour to be used", timeout_s=30)
        assert 1 <= len(medium.frames) < 12
        assert medium.airtime_s <= 0.45
        assert end.session.peek() is not None


async def test_the_hour_s_last_seconds_are_for_alerts(house: House) -> None:
    medium = Medium()
    async with camera_alone(house, medium, percent=0.025) as (end, _, counters):
        number = 1

        def moved(count: int) -> bool:
            return counters["radio_frames_sent"] > count or counters["radio_waited_for_its_hour"] > 0

        while not counters["radio_waited_for_its_hour"]:
            number += 1
            end.session.send(signed(0, 1, number, 1, precedence=Precedence.ROUTINE, size_bytes=120).wire, Lane.BULK)
            count = counters["radio_frames_sent"]
            await until(functools.partial(moved, count), "the air")
        frames = len(medium.frames)
        assert end.session.send(signed(0, 1, 99, 1).wire, Lane.URGENT)
        await until(lambda: len(medium.frames) == frames + 1, "the alert, at once", timeout_s=10)


async def test_noise_on_the_line_is_counted_and_words_are_heard_through_it(house: House) -> None:
    medium = Medium()
    async with camera_alone(house, medium) as (end, radio, counters):
        seal = TinySeal(house.identities["center"], house.passports["camera-1"].passport)
        word = signed(1, 1, 1, 1).wire
        [frame] = frames_of(seal.tag, seal.seal(word), 0)
        damaged = bytearray(to_line(frame))
        damaged[40] ^= 0xFF
        for noise in (b"\x55" * 600 + b"\xc0", bytes(damaged), b"\xc0" + b"\x00ab\xc0", b"\xc0\x06\x01\xc0", b"\xdb\xdb\xc0",
                      to_line(seal.tag + b"\x10" + bytes(20)), to_line(b"zz" + seal.seal(word))):  # fmt: skip
            radio.write(noise)
        radio.write(to_line(frame))
        await until(lambda: end.parcels == [word], "the word")
        assert counters["refused_radio_frame_damaged"] >= 3
        assert counters["refused_radio_command"] == 1
        assert counters["refused_bad_signature"] == 1
        assert counters["radio_for_others"] >= 1


async def test_a_cable_that_is_pulled_ends_the_session(house: House) -> None:
    async with camera_alone(house, Medium()) as (end, radio, _):
        radio.unplug()
        await until(lambda: bool(end.closed), "the session's end")


async def test_the_modem_is_told_how_to_share_the_air(house: House) -> None:
    async with camera_alone(house, Medium()) as (_, radio, _):
        await until(lambda: radio.slot_s > 0, "the settings")
        assert radio.persistence == 0.25
        assert radio.slot_s == pytest.approx(max(0.01, round(FAST.slot_s, 2)))


async def test_options_that_cannot_work_are_refused_with_words(house: House) -> None:
    with pytest.raises(ConfigError, match=r"serial_radio\.peers"):
        RadioListen(facts=PathFacts(name="radio", mtu_bytes=MTU), endpoint="serial:///dev/x", peers=(), baud=57600, modulation=FAST,
                    duty_cycle_percent=1, identity=house.identities["center"], peer_named=lambda name: None, counters=Counters())  # fmt: skip
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"spreading_factor": 6}, RadioOptions)
    assert radio_frames.MTU > 600
