"""What only SMS has: PDUs, parts, a SIM with its PIN and few slots, a network that loses and repeats, and money."""

import contextlib
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.counters import Counters
from relay.errors import ConfigError, Malformed
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.paths import sms, sms_pdu
from relay.paths.sms import MTU, SmsDial, SmsListen
from relay.paths.sms_modem import listed
from relay.paths.sms_pdu import Part
from relay.paths.tiny_seal import TinySeal
from relay.station import Answer, AnswerLevel
from tests.properties.drafting import signed
from tests.relay.carriers import carrier
from tests.relay.cellular import CellularModem, Network
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert
from tests.relay.tiny_end import TinyEnd

CAMERA, CENTER = "+15551230001", "+15551230000"
ALERT = signed(0, 1, 1, 1).wire


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


@dataclass(kw_only=True)
class Cell:
    """The camera's path, and the center's modem in hand."""

    network: Network
    modem: CellularModem
    at_center: CellularModem
    end: TinyEnd
    counters: Counters
    seal: TinySeal

    def words(self) -> list[bytes]:
        """What the center's SIM got, put together."""
        parts = [sms_pdu.parse_deliver(pdu) for _, pdu in sorted(self.at_center.slots.items())]
        groups: dict[int, dict[int, Part]] = {}
        for part in parts:
            groups.setdefault(part.reference, {})[part.number] = part
        whole = [b"".join(group[at].data for at in sorted(group)) for group in groups.values()
                 if len(group) == next(iter(group.values())).total]  # fmt: skip
        return [parcel for data in whole for parcel in self.seal.open(data)]


@contextlib.asynccontextmanager
async def cell(house: House, *, pin: str = "", pin_file: Path | None = None, expect_session: bool = True, registered: int = 1) -> AsyncIterator[Cell]:  # fmt: skip
    counters, end, network = Counters(), TinyEnd(), Network()
    async with (
        CellularModem(network, CAMERA, pin=pin).plugged_in() as modem,
        CellularModem(network, CENTER).plugged_in() as center,
    ):
        assert isinstance(modem, CellularModem)
        assert isinstance(center, CellularModem)
        modem.registered = registered
        dial = SmsDial(facts=PathFacts(name="cell", mtu_bytes=MTU, is_metered=True, is_tiny=True), endpoint=f"serial://{modem.device}",
                       number=CENTER, baud=115200, pin_file=pin_file, identity=house.identities["gate-camera"],
                       peer=house.passports["center"].passport, counters=counters, wait=end.wait)  # fmt: skip
        seal = TinySeal(house.identities["center"], house.passports["gate-camera"].passport)
        async with end.of(dial, expect_session=expect_session):
            yield Cell(network=network, modem=modem, at_center=center, end=end, counters=counters, seal=seal)


async def test_an_alert_takes_two_messages_and_its_receipt_one(house: House, tmp_path: Path) -> None:
    inbox, answers = Kept(), list[Answer]()
    async with (
        carrier("sms", tmp_path) as way,
        house.station("center", listen=way.listening, inbox=inbox) as center,
        house.station("gate-camera", to=[way.path_to("center", center.listening_on[0])]) as node,
    ):
        network: Network = way.modem.network  # type: ignore[attr-defined]
        node.on_answer(answers.append)
        await node.put(an_alert(node))
        await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the receipt")
        assert [(sender, part.total) for sender, _, part in network.carried] == [(CAMERA, 2), (CAMERA, 2), (CENTER, 1)]


async def test_parts_arrive_in_any_order_twice_and_under_a_national_number(house: House) -> None:
    async with cell(house) as up:
        word = signed(1, 1, 1, 1).wire
        up.network.hold, up.network.repeat, up.network.shows_national = [], True, True
        for submit in sms_pdu.submits(CAMERA, up.seal.seal(word), 7):
            up.network.carry(CENTER, CAMERA, sms_pdu.parse_submit(submit.pdu)[1])
        for hand_over in reversed(up.network.hold):
            hand_over()
        await until(lambda: bool(up.end.parcels), "the word")
        await until(lambda: not up.modem.slots, "the SIM to be emptied")
        assert set(up.end.parcels) == {word}


async def test_a_lost_part_costs_its_parcel_only_and_the_next_copy_arrives(house: House) -> None:
    async with cell(house) as up:
        up.network.lose_next = 1
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: len(up.network.carried) == 2, "two parts")
        assert up.network.lost == 1
        assert up.words() == []
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: up.words() == [ALERT], "the alert")


@pytest.mark.parametrize("cause", [38, 41, 42, 47, 331, 332, 500, 512])
async def test_what_the_network_has_no_time_for_is_sent_later(house: House, cause: int) -> None:
    async with cell(house) as up:
        up.modem.errors = [cause]
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: up.words() == [ALERT], "the alert")
        assert up.counters[f"sms_failed_{cause}"] == 1
        assert len(up.end.waited_s) == 1


@pytest.mark.parametrize("cause", [1, 28, 30, 50])
async def test_a_number_that_does_not_exist_is_said_once_and_not_tried_for_ever(house: House, cause: int) -> None:
    async with cell(house) as up:
        up.modem.errors = [cause]
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: up.counters["refused_number"] == 1, "the refusal")
        assert up.end.session.peek() is None
        assert up.end.session.send(ALERT, Lane.URGENT), "the scheduler tries again in its own time"
        await until(lambda: up.words() == [ALERT], "the alert")


async def test_a_sim_that_is_pulled_out_takes_the_path_down(house: House) -> None:
    async with cell(house) as up:
        up.modem.errors = [310]
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: bool(up.end.closed), "the session's end")
        assert "SIM" in up.end.closed[0]
        await until(lambda: len(up.end.sessions) == 2, "the next session")


async def test_without_a_network_the_path_is_down_and_comes_up_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.paths.sms_modem.LOOK_EVERY_S", 0.05)
    async with cell(house, expect_session=False, registered=2) as up:
        await until(lambda: len(up.end.waited_s) >= 2, "two looks")
        assert not up.end.sessions
        up.modem.registered = 5
        await until(lambda: bool(up.end.sessions), "a session")
        up.modem.registered = 0
        await until(lambda: bool(up.end.closed), "its end")
        assert "no network" in up.end.closed[0]


async def test_the_pin_is_said_once_and_never_again_if_it_is_wrong(house: House, tmp_path: Path) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("1234\n")
    async with cell(house, pin="1234", pin_file=pin_file) as up:
        assert up.modem.wrong_pins == 0
    async with cell(house, pin="9999", pin_file=pin_file, expect_session=False) as up:
        await until(lambda: len(up.end.waited_s) >= 4, "several tries")
        assert up.modem.wrong_pins == 1


async def test_a_full_sim_is_emptied_and_what_is_not_ours_is_counted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.paths.sms_modem.LOOK_EVERY_S", 0.05)
    async with cell(house) as up:
        up.modem.is_mute = True
        good = up.seal.seal(signed(1, 1, 1, 1).wire[:60] + b"ok")
        for _ in range(CellularModem.SLOTS - 1):
            up.modem.came(sms_pdu.deliver("+4900112233", Part(sender="", data=b"Dear customer")))
        up.modem.came(b"07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07")  # a text, 7-bit
        up.modem.came(sms_pdu.deliver(CENTER, Part(sender="", data=good)))  # waits until there is a slot
        up.modem.came(b"0011zz")
        await until(lambda: len(up.end.parcels) == 1, "our own word")
        await until(lambda: not up.modem.slots, "the SIM to be emptied")
        assert up.counters["refused_unknown_address"] == CellularModem.SLOTS - 1
        assert up.counters["refused_malformed"] == 2


@pytest.mark.parametrize(
    "garbage",
    [b"\xff\xfe\r\n", b'\r\n+CMTI: "SM",99\r\n', b"\r\n+CMS ERROR: 500\r\n", b">" * 2000, b"\r\nRING\r\n", b"OK"],
)
async def test_a_modem_that_answers_nonsense_costs_time_and_no_alert(
    house: House, garbage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.paths.at_modem.ANSWER_S", 0.4)
    monkeypatch.setattr("relay.paths.sms_modem._SEND_S", 0.4)
    monkeypatch.setattr("relay.paths.sms_modem._LIST_S", 0.4)
    async with cell(house) as up:
        up.at_center.SLOTS = 200
        for at in range(4):
            alert = signed(0, 1, at + 1, 1).wire
            up.modem.garbage_before = [b""] * at + [garbage]

            def arrived(alert: bytes) -> bool:
                if alert not in up.words() and not up.end.session.lost.done():
                    up.end.session.send(alert, Lane.URGENT)  # as the sender does, again and again
                return alert in up.words()

            await until(functools.partial(arrived, alert), f"the alert with garbage before answer {at}", timeout_s=20)
            assert not up.modem.garbage_before, "it was never said"


async def test_a_listener_refuses_strangers_and_who_has_no_passport(house: House) -> None:
    counters, end, network = Counters(), TinyEnd(), Network()
    async with CellularModem(network, CENTER).plugged_in() as modem:
        listen = SmsListen(facts=PathFacts(name="cell", mtu_bytes=MTU, is_tiny=True), endpoint=f"serial://{modem.device}",
                           numbers={"gate-camera": CAMERA, "nobody": "+15559990000"}, baud=115200, pin_file=None,
                           identity=house.identities["center"], counters=counters, wait=end.wait,
                           peer_named=lambda name: house.passports[name].passport if name in house.passports else None)  # fmt: skip
        seal = TinySeal(house.identities["gate-camera"], house.passports["center"].passport)
        async with end.of(listen, expect_session=False):
            await until(lambda: "AT+CMGL=4" in modem.heard, "the listener")
            for sender, data in (
                ("+15559990000", seal.seal(b"\x94 x")),
                ("+4411", seal.seal(b"\x94 x")),
                (CAMERA, b"Hello there, mate"),
            ):
                network.carry(sender, CENTER, Part(sender="", data=data))
            network.carry(CAMERA, CENTER, Part(sender="", data=seal.seal(b"\x94 words")))
            await until(lambda: end.parcels == [b"\x94 words"], "the words")
            assert [counters[f"refused_{why}"] for why in ("unknown_sender", "unknown_address", "bad_signature")] == [
                1,
                1,
                1,
            ]


# ------------------------------------------------------------------------------------------------ PDUs


def test_the_documented_deliver_is_read() -> None:
    """An 8-bit message in two parts as TS 23.040 lays it out: sender +46708251358, reference 0x1234, part 2 of 2."""
    head = "07911326040000F0" + "44" + "0B" + "91" + "6407281553F8" + "00" + "04" + "62115291020080"
    part = sms_pdu.parse_deliver((head + "0A" + "06" + "0804" + "12340202" + "CAFEEE").encode())
    assert part == Part(sender="+46708251358", data=b"\xca\xfe\xee", reference=0x1234, number=2, total=2)
    short = sms_pdu.parse_deliver((head + "09" + "05" + "0003" + "420201" + "CAFEEE").encode())
    assert (short.reference, short.number, short.total) == (0x42, 1, 2)


def test_the_submit_is_laid_out_as_documented() -> None:
    [one] = sms_pdu.submits("+46708251358", b"\x01\x02", 0)
    assert one.pdu == b"00" + b"11" + b"00" + b"0B91" + b"6407281553F8" + b"00" + b"04" + b"A7" + b"02" + b"0102"
    assert one.length == 16
    first, second = sms_pdu.submits("5551", bytes(200), 0xABCD)
    assert first.pdu.startswith(b"0051000481" + b"5515" + b"0004A7" + b"8C" + b"060804ABCD0201")
    assert len(first.pdu) == 2 * (1 + first.length)
    assert sms_pdu.parse_submit(second.pdu) == (
        "5551",
        Part(sender="", data=bytes(200 - 133), reference=0xABCD, number=2, total=2),
    )


@pytest.mark.parametrize(("size", "parts"), [(1, 1), (140, 1), (141, 2), (231, 2), (266, 2), (267, 3), (532, 4)])
def test_the_number_of_parts(size: int, parts: int) -> None:
    submits = sms_pdu.submits(CENTER, bytes(size), 1)
    assert len(submits) == parts
    found = [sms_pdu.parse_deliver(sms_pdu.deliver(CAMERA, sms_pdu.parse_submit(submit.pdu)[1])) for submit in submits]
    assert b"".join(part.data for part in found) == bytes(size)


@pytest.mark.parametrize(
    ("pdu", "words"),
    [
        (b"0", "hexadecimal"), (b"zz", "hexadecimal"), (b"00", "the end"), (b"0006", "type 2"), (b"FF00", "the end"),
        (b"00040BD0" + b"64072815" * 3, "with a name"), (b"0004FF91" + b"00" * 128, "phone number"), (b"41" * 400, "characters"),
        (b"0044" + b"0B916407281553F8" + b"0004" + b"00" * 7 + b"07" + b"060804AAAA0900", "part numbered"),
        (b"0044" + b"0B916407281553F8" + b"0004" + b"00" * 7 + b"02" + b"FF00", "the end"),
        (b"0004" + b"0B916407281553F8" + b"0000" + b"00" * 7 + b"0141", "8-bit"),
        (b"0004" + b"0B916407281553F8" + b"0004" + b"00" * 7 + b"01" + b"4142", "1 bytes more"),
    ],
)  # fmt: skip
def test_what_is_no_message_for_us_is_refused_with_words(pdu: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        sms_pdu.parse_deliver(pdu)


def test_more_than_four_parts_are_never_made() -> None:
    with pytest.raises(Malformed):
        sms_pdu.submits(CENTER, bytes(533), 1)
    with pytest.raises(Malformed):
        sms_pdu.submits("+" + "1" * 21, b"x", 1)


def test_a_list_is_read_and_what_is_torn_in_it_left_out() -> None:
    lines = (
        "+CMGL: 3,0,,24",
        "0011",
        "+CMGL: x,0,,24",
        "0022",
        '+CMGL: 7,1,"name",24',
        "00é3",
        "+CMGL: 8,0,,2",
        "0044",
        "+CMGL: 9,0,,1",
    )
    assert listed(lines) == [(3, b"0011"), (8, b"0044")]


def test_options_that_cannot_work_are_refused_with_words(house: House, tmp_path: Path) -> None:
    facts = PathFacts(name="cell", mtu_bytes=MTU)
    common = {
        "facts": facts,
        "endpoint": "serial:///dev/ttyUSB2",
        "baud": 115200,
        "identity": house.identities["gate-camera"],
        "counters": Counters(),
    }
    peer = house.passports["center"].passport
    with pytest.raises(ConfigError, match=r"sms\.number"):
        SmsDial(**common, number="", pin_file=None, peer=peer)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="pin_file"):
        SmsDial(**common, number=CENTER, pin_file=tmp_path / "nowhere", peer=peer)  # type: ignore[arg-type]
    (tmp_path / "pin").write_text("12\n")
    with pytest.raises(ConfigError, match="4 to 8 digits"):
        SmsDial(**common, number=CENTER, pin_file=tmp_path / "pin", peer=peer)  # type: ignore[arg-type]
    for numbers in ({}, {"a": "+15551230001", "b": "05551230001"}):
        with pytest.raises(ConfigError, match="a number of its own"):
            SmsListen(**common, numbers=numbers, pin_file=None, peer_named=lambda name: None)  # type: ignore[arg-type]
    assert sms.MTU > 240
