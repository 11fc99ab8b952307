"""What only short bursts have: a modem with a buffer, a sky that is not always there, a gateway that says no, and money."""

import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.config import ListenConfig, PathConfig, RelayConfig, load
from relay.counters import Counters
from relay.errors import ConfigError, Malformed
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.path_options import ShortBurstListenOptions
from relay.paths import short_burst
from relay.paths.short_burst import UP_MTU, ShortBurstDial
from relay.paths.short_burst_answers import burst_of, unframed
from relay.paths.tiny_seal import TinySeal
from relay.station import Answer, AnswerLevel, Station
from tests.properties.drafting import signed
from tests.relay.carriers import carrier
from tests.relay.house import House, Kept, until
from tests.relay.satellite import Gateway, SatelliteModem
from tests.relay.test_path_conformance import an_alert
from tests.relay.tiny_end import TinyEnd

IMEI = "300234010753370"
ALERT = signed(0, 1, 1, 1).wire


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


@dataclass(kw_only=True)
class Sky:
    """A modem with its path, and the gateway with the center's keys in hand."""

    house: House
    gateway: Gateway
    modem: SatelliteModem
    end: TinyEnd
    counters: Counters
    at_center: TinySeal

    def down(self, parcel: bytes) -> None:
        """The center says something."""
        self.gateway.queues.setdefault(IMEI, deque()).append(self.at_center.seal(parcel))
        self.modem.ring()


@contextlib.asynccontextmanager
async def sky(house: House, *, expect_session: bool = True, bars: int = 5) -> AsyncIterator[Sky]:
    counters, end = Counters(), TinyEnd()
    async with Gateway().running() as gateway, SatelliteModem(gateway, IMEI).plugged_in() as modem:
        assert isinstance(modem, SatelliteModem)
        modem.bars = bars
        facts = PathFacts(name="sat", mtu_bytes=UP_MTU, is_metered=True, is_tiny=True)
        dial = ShortBurstDial(facts=facts, endpoint=f"serial://{modem.device}", baud=19200, identity=house.identities["gate-camera"],
                              peer=house.passports["center"].passport, counters=counters, wait=end.wait)  # fmt: skip
        async with end.of(dial, expect_session=expect_session):
            yield Sky(house=house, gateway=gateway, modem=modem, end=end, counters=counters,
                      at_center=TinySeal(house.identities["center"], house.passports["gate-camera"].passport))  # fmt: skip


async def test_one_alert_is_one_burst_and_its_receipt_one_message(house: House, tmp_path: Path) -> None:
    inbox, answers = Kept(), list[Answer]()
    async with (
        carrier("short_burst", tmp_path) as way,
        house.station("center", listen=way.listening, inbox=inbox) as center,
        house.station("gate-camera", to=[way.path_to("center", center.listening_on[0])]) as node,
    ):
        modem: SatelliteModem = way.modem  # type: ignore[attr-defined]
        node.on_answer(answers.append)
        await until(lambda: node.path_health()[0].is_up, "the modem")
        assert not modem.bursts, "nothing to say, nothing said"
        await node.put(an_alert(node))
        await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the receipt")
        assert len(modem.bursts) == 1
        assert len(modem.bursts[0]) <= 340
        assert center.counters["short_bursts_queued"] == 1


@pytest.mark.parametrize(
    ("status", "pauses"),
    [(32, None), (10, None), (18, None), (35, [5.0]), (36, [180.0]), (37, [3600.0]), (38, [60.0])],
)
async def test_a_failed_burst_is_tried_again_when_its_status_allows(
    house: House, status: int, pauses: list[float] | None
) -> None:
    async with sky(house) as up:
        up.modem.statuses = [status]
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: len(up.modem.bursts) == 1, "the burst")
        assert up.counters[f"short_burst_failed_{status}"] == 1
        assert len(up.end.waited_s) == 1
        assert up.end.waited_s == pauses if pauses else up.end.waited_s[0] <= 5.0
        assert up.modem.sessions == 2


async def test_the_pauses_after_failures_in_a_row_grow_and_the_path_says_that_it_is_down(house: House) -> None:
    async with sky(house) as up:
        up.modem.statuses = [32] * 6
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: bool(up.end.closed), "the path to be down")
        assert "6 bursts failed" in up.end.closed[0]
        pauses = up.end.waited_s[:5]
        assert pauses[0] <= 5
        assert pauses[3] <= 30
        assert pauses[4] == 300
        await until(lambda: len(up.end.sessions) == 2, "the next session")


async def test_what_got_its_answer_by_another_way_is_not_sent_and_costs_nothing(house: House) -> None:
    async with sky(house) as up:
        up.modem.statuses = [32]
        up.end.gate.clear()
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: bool(up.end.waited_s), "the first failure")
        up.end.session.withdraw(ALERT)
        up.end.gate.set()
        other = signed(0, 1, 2, 1).wire
        assert up.end.session.send(other, Lane.URGENT)
        await until(lambda: len(up.modem.bursts) == 1, "the other's burst")
        assert up.at_center.open(up.modem.bursts[0]) == (other,)
        assert up.counters["tiny_withdrawn"] == 1


async def test_without_sky_the_path_is_down_and_comes_up_with_it(house: House) -> None:
    async with sky(house, expect_session=False, bars=0) as up:
        await until(lambda: len(up.end.waited_s) >= 2, "two looks at the sky")
        assert not up.end.sessions
        up.modem.bars = 3
        await until(lambda: bool(up.end.sessions), "a session")


async def test_a_ring_fetches_what_waits_and_all_that_is_behind_it(house: House) -> None:
    async with sky(house) as up:
        words = [signed(1, 1, number, 1).wire for number in (1, 2, 3)]
        for word in words:
            up.down(word)
        await until(lambda: up.end.parcels == words, "the words")
        assert "AT+SBDIXA" in up.modem.heard
        assert not up.modem.bursts, "an empty burst went up with nothing in it"


async def test_a_message_that_an_earlier_run_left_in_the_modem_is_read(house: House) -> None:
    word = signed(1, 1, 1, 1).wire
    counters, end = Counters(), TinyEnd()
    async with Gateway().running() as gateway, SatelliteModem(gateway, IMEI).plugged_in() as modem:
        assert isinstance(modem, SatelliteModem)
        modem._mt = TinySeal(house.identities["center"], house.passports["gate-camera"].passport).seal(word)
        dial = ShortBurstDial(facts=PathFacts(name="sat", mtu_bytes=UP_MTU, is_tiny=True), endpoint=f"serial://{modem.device}", baud=9600,
                              identity=house.identities["gate-camera"], peer=house.passports["center"].passport, counters=counters,
                              wait=end.wait)  # fmt: skip
        async with end.of(dial):
            await until(lambda: end.parcels == [word], "the word")
        assert modem.sessions == 0, "no session was needed"


async def test_a_ring_in_front_of_a_message_s_bytes_is_a_ring_and_no_length(house: House) -> None:
    async with sky(house) as up:
        really_read_out, words = up.modem._read_out, [signed(1, 1, number, 1).wire for number in (1, 2)]

        def rings_first() -> None:
            up.modem.write(b"\r\nSBDRING\r\n")
            really_read_out()

        up.modem._read_out = rings_first  # type: ignore[method-assign]
        for word in words:
            up.down(word)
        await until(lambda: up.end.parcels == words, "the words")
        assert not up.end.closed
        assert up.counters["refused_modem_line"] == 0


async def test_a_wrong_checksum_is_read_again_and_a_lasting_one_restarts_the_path(house: House) -> None:
    async with sky(house) as up:
        word = signed(1, 1, 1, 1).wire
        up.modem.break_checksum = 1
        up.down(word)
        await until(lambda: up.end.parcels == [word], "the word")
        assert up.counters["refused_malformed"] == 1
        up.modem.break_checksum = 2
        up.down(word)
        await until(lambda: bool(up.end.closed), "the restart")
        assert "checksum" in up.end.closed[0]
        await until(lambda: len(up.end.parcels) == 2, "the word, which the modem kept")


@pytest.mark.parametrize("result", [1, 2, 3])
async def test_a_message_that_the_modem_does_not_take_is_kept_for_the_next_session(house: House, result: int) -> None:
    async with sky(house) as up:
        up.modem.refuse_write = [result]
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: bool(up.end.closed), "the session's end")
        assert "does not take a message" in up.end.closed[0]
        await until(lambda: len(up.end.sessions) == 2, "the next session")
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(lambda: len(up.modem.bursts) == 1, "the burst")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe\x00\r\n",
        b"+SBDIX: 0, x\r\n",
        b"\r\nSBDRING\r\n",
        b"+" * 5000,
        b"\r\r\n\n",
        b"RE",
        b"\r\n+CME ERROR: 4\r\n",
    ],
    ids=["bytes", "half an answer", "ring", "a long line", "line ends", "a torn word", "an error out of nowhere"],
)
async def test_a_modem_that_answers_nonsense_costs_time_and_no_alert(
    house: House, garbage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before every one of the answers to one burst, one after the other: whatever comes of it, the alert goes up."""
    monkeypatch.setattr("relay.paths.at_modem.ANSWER_S", 0.5)
    monkeypatch.setattr(short_burst, "_BURST_S", 0.5)
    monkeypatch.setattr(short_burst, "_WRITE_S", 0.5)
    async with sky(house) as up:
        for at in range(4):
            number = at + 1
            alert = signed(0, 1, number, 1).wire
            up.modem.garbage_before = [b""] * at + [garbage]

            def arrived(alert: bytes = alert) -> bool:
                if (alert,) not in [
                    up.at_center.open(burst) for burst in up.modem.bursts
                ] and not up.end.session.lost.done():
                    up.end.session.send(alert, Lane.URGENT)  # as the sender does, again and again
                return (alert,) in [up.at_center.open(burst) for burst in up.modem.bursts]

            await until(arrived, f"the alert with garbage before answer {at}", timeout_s=20)
            assert not up.modem.garbage_before, "it was never said"


async def test_a_silent_modem_is_given_up_and_taken_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.paths.at_modem.ANSWER_S", 0.5)
    monkeypatch.setattr(short_burst, "_WRITE_S", 0.3)
    async with sky(house) as up:
        up.modem.is_silent = True
        assert up.end.session.send(ALERT, Lane.URGENT)
        await until(
            lambda: bool(up.end.closed),
            "the session's end",
        )
        assert "does not answer" in up.end.closed[0]
        up.modem.is_silent = False
        await until(lambda: len(up.end.sessions) == 2, "the next session")


async def test_a_cable_that_is_pulled_ends_the_session_in_words(house: House) -> None:
    async with sky(house) as up:
        up.modem.unplug()
        await until(lambda: bool(up.end.closed), "the session's end")
        assert up.end.closed[0]


async def test_two_programs_do_not_share_a_modem(house: House) -> None:
    async with sky(house) as up:
        second = TinyEnd()
        dial = ShortBurstDial(facts=PathFacts(name="other", mtu_bytes=UP_MTU, is_tiny=True), endpoint=f"serial://{up.modem.device}",
                              baud=19200, identity=house.identities["gate-camera"], peer=house.passports["center"].passport,
                              counters=Counters(), wait=second.wait)  # fmt: skip
        async with second.of(dial, expect_session=False):
            await until(lambda: len(second.waited_s) >= 2, "two tries")
            assert not second.sessions
        assert not up.end.closed


def test_the_modem_s_answers_are_read_as_the_reference_has_them() -> None:
    burst = burst_of("0, 23, 1, 237, 6, 2")
    assert (burst.is_sent, burst.has_message, burst.length, burst.queued) == (True, True, 6, 2)
    assert [burst_of(f"{status}, 1, 2, 1, 0, 0").is_sent for status in (0, 1, 2, 3, 4, 10, 32, 65)] == [True] * 5 + [
        False
    ] * 3
    for wrong in (
        "",
        "0",
        "0,1,2,3,4",
        "0,1,2,3,4,5,6",
        "a,1,2,3,4,5",
        "-1,1,2,3,4,5",
        "0,1,2,3,4,9999999",
        "٣,1,2,3,4,5",
    ):
        with pytest.raises(Malformed):
            burst_of(wrong)
    assert unframed(b"hello\x02\x14") == b"hello"
    with pytest.raises(Malformed):
        unframed(b"hello\x02\x15")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[path]]\nname="s"\nkind="short_burst"\npeer="center"\nendpoint="/dev/ttyUSB0"', "serial:///dev/ttyUSB0"),
        (
            '[[path]]\nname="s"\nkind="short_burst"\npeer="center"\nendpoint="serial:///dev/x"\ninterface="eth0"',
            "`interface`",
        ),
        ('[[listen]]\nkind="short_burst"\nendpoint="tcp://0.0.0.0:10800"', "short_burst.gateway"),
        (
            '[[listen]]\nkind="short_burst"\nendpoint="http://x"\n[listen.short_burst]\ngateway="tcp://a:1"',
            "tcp://host:10800",
        ),
        ('[[listen]]\nkind="short_burst"\nendpoint="tcp://0.0.0.0:1"\n[listen.short_burst.peers]\na="123"', "peers"),
    ],
)
async def test_options_that_cannot_work_are_refused_with_words(
    house: House, tmp_path: Path, text: str, words: str
) -> None:
    config_file = tmp_path / "relay.toml"
    config_file.write_text(f'state_dir = "{house.dir_of("gate-camera")}"\n{text}\n')
    with pytest.raises(ConfigError, match=words):
        async with Station.open(load(config_file, RelayConfig)):
            pass


def test_bursts_are_metered_unless_the_installer_says_otherwise() -> None:
    path = PathConfig(name="sat", kind="short_burst", endpoint="serial:///dev/x", peer="center")
    assert path.is_metered
    assert not PathConfig(
        name="sat", kind="short_burst", endpoint="serial:///dev/x", peer="center", metered=False
    ).is_metered
    assert not PathConfig(name="lan", endpoint="tcp://x:1", peer="center").is_metered
    assert ListenConfig(kind="short_burst", endpoint="tcp://x:1", short_burst=ShortBurstListenOptions()).is_metered
