"""A path that dies silently: noticed by the first alert that is sent on it, replaced by a second session, never cut off for being slow."""

import asyncio
import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.header import Kind
from relay.links import Link
from relay.passport import Role
from relay.paths.zeromq_sockets import ZeroMqTuning
from relay.precedence import Precedence
from relay.redial import SPARES_S, SPREAD_S, Redial
from relay.silence import LEAST_PROBE_MS, LEAST_SUSPECT_MS, Silence
from relay.station import Station
from tests.relay.forgetful import Translator
from tests.relay.hasty_loop import run_hasty
from tests.relay.house import House, Kept, until
from tests.relay.test_back_off import worn_out

NEVER_S = 3_600


def test_an_alert_that_nothing_answers_is_probed_then_suspected() -> None:
    silence, p95_ms = Silence(), 120.0
    silence.asked(1_000)
    assert not silence.wants_probe(p95_ms, 1_000 + 119 + LEAST_PROBE_MS)
    assert silence.wants_probe(p95_ms, 1_120 + LEAST_PROBE_MS)
    silence.asked(1_400, is_ping=True)
    assert not silence.becomes_suspect(p95_ms, 1_519 + LEAST_SUSPECT_MS)
    assert silence.becomes_suspect(p95_ms, 1_520 + LEAST_SUSPECT_MS)
    assert not silence.becomes_suspect(p95_ms, 9_000), "once"
    silence.heard(9_000, 80)
    assert not silence.is_suspect


def test_what_was_on_its_way_when_we_asked_is_no_answer() -> None:
    silence = Silence()
    silence.asked(1_000)
    silence.heard(1_040, 80)
    assert silence.wants_probe(100, 2_000), "it came in half a round trip"
    silence.heard(1_081, 80)
    assert not silence.wants_probe(100, 60_000)


def suspected_at(asked: list[int], answer_ms: list[float], p95_ms: float, rtt_ms: float, dies_ms: float) -> float:
    """Live through questions that are answered after these times, each ping after the last one's, until the link dies.

    Returns when it was suspected.
    """
    silence, words, turn, now_ms = Silence(), list[float](), 0, 0
    questions = list(asked)

    def ask(*, is_ping: bool) -> None:
        nonlocal turn
        silence.asked(now_ms, is_ping=is_ping)
        if now_ms < dies_ms:
            words.append(now_ms + answer_ms[turn % len(answer_ms)])
            turn += 1

    while questions or words or silence.look_again_ms(p95_ms) < float("inf"):
        soonest = min([*questions[:1], *words, silence.look_again_ms(p95_ms)])
        now_ms = max(now_ms, math.ceil(soonest))
        for word in [word for word in words if word <= now_ms]:
            words.remove(word)
            silence.heard(now_ms, rtt_ms)
        if silence.wants_probe(p95_ms, now_ms):
            ask(is_ping=True)
        elif silence.becomes_suspect(p95_ms, now_ms):
            return now_ms
        if questions and questions[0] <= now_ms:
            questions.pop(0)
            ask(is_ping=False)
    return float("inf")


gaps = st.lists(st.integers(0, 3_000), min_size=1, max_size=30)
answers = st.lists(st.floats(1.0, 1.5), min_size=1, max_size=8)
rtts = st.floats(1, 1_500)


@given(gaps, answers, rtts)
def test_who_answers_in_the_usual_time_is_never_suspected(
    gaps_ms: list[int], factors: list[float], rtt_ms: float
) -> None:
    asked = list(itertools.accumulate(gaps_ms))
    answer_ms = [rtt_ms * factor for factor in factors]
    assert suspected_at(asked, answer_ms, rtt_ms * 1.5, rtt_ms, float("inf")) == float("inf")


@given(gaps, answers, rtts, st.integers(0, 20_000))
def test_who_dies_is_suspected_soon_after_the_first_question_that_it_owes(
    gaps_ms: list[int], factors: list[float], rtt_ms: float, dies_ms: int
) -> None:
    answer_ms, p95_ms = [rtt_ms * factor for factor in factors], rtt_ms * 1.5
    last_word_ms = (
        math.ceil(dies_ms + max(answer_ms)) + 1
    )  # a late answer may be taken for that of a question asked since
    asked = [*itertools.accumulate(gaps_ms), last_word_ms + sum(gaps_ms)]
    late = suspected_at(asked, answer_ms, p95_ms, rtt_ms, dies_ms)
    owed = next(at for at in asked if at >= last_word_ms)
    assert late <= owed + 2 * p95_ms + LEAST_PROBE_MS + LEAST_SUSPECT_MS + 5


async def test_a_spare_attempt_leaves_the_first_alone_and_takes_its_place_when_that_ends() -> None:
    redial = Redial(worn_out(1))
    began: list[int] = []
    ends = [asyncio.Event() for _ in range(3)]

    async def attempt() -> None:
        number = len(began)
        began.append(number)
        await ends[number].wait()

    keeping = asyncio.create_task(redial.keep(attempt))
    try:
        await until(lambda: began == [0], "the first")
        redial.spare()
        await until(lambda: began == [0, 1], "the spare one")
        redial.spare()
        ends[0].set()
        await asyncio.sleep(0.5)  # longer than the spread: a third would have begun
        assert began == [0, 1], "one spare attempt at a time, and none right after another"
        assert not keeping.done(), "the spare one goes on alone"
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


@pytest.mark.parametrize("is_wanted_still", [True, False])
def test_a_spare_attempt_that_is_wanted_too_soon_is_made_when_its_time_has_come_if_it_is_wanted_still(
    is_wanted_still: bool,
) -> None:
    began_s: list[float] = []

    async def attempt() -> None:
        began_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.2 if len(began_s) == 2 else NEVER_S)

    async def live() -> None:
        redial = Redial(worn_out(1))
        keeping = asyncio.create_task(redial.keep(attempt))
        await asyncio.sleep(1)
        redial.spare()
        await asyncio.sleep(1)
        assert len(began_s) == 2, "the spare one, which has failed by now"
        redial.spare(lambda: is_wanted_still)
        redial.spare(lambda: is_wanted_still)
        await asyncio.sleep(0.5)
        assert len(began_s) == 2, "none so soon after another"
        await asyncio.sleep(2 * SPARES_S[0] * 3)
        keeping.cancel()
        await asyncio.wait({keeping})

    run_hasty(live())
    assert len(began_s) == (3 if is_wanted_still else 2)
    if is_wanted_still:
        assert began_s[2] - began_s[1] >= SPARES_S[0] - SPREAD_S


async def _house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("gate", Role.CAMERA)
    house.settle()
    return house


@pytest.fixture
def _nothing_else_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """No heartbeat of the carrier, no idle deadline: only the spare session can save an alert."""
    monkeypatch.setattr("relay.links.IDLE_DEADLINE_MS", NEVER_S * 1000)
    patient = ZeroMqTuning(heartbeat_interval_ms=(0, 0), heartbeat_timeout_ms=(0, 0), max_retransmit_ms=NEVER_S * 100)
    monkeypatch.setattr("relay.paths.zeromq.ZeroMqTuning", lambda: patient)


def _dialed(station: Station) -> list[Link]:
    return [link for link in station._links if link.session.is_outgoing and link.peer is not None]


async def _alert(gate: Station) -> None:
    await gate.put(gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun"))


@pytest.mark.usefixtures("_nothing_else_notices")
async def test_the_only_path_is_dialed_anew_when_its_connections_are_forgotten(tmp_path: Path) -> None:
    house, inbox = await _house(tmp_path), Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center:
        port = int(center.listening_on[0].rpartition(":")[2])
        async with (
            Translator(port).running() as translator,
            house.station("gate", to=[("center", f"tcp://127.0.0.1:{translator.port}")]) as gate,
        ):
            await _alert(gate)
            await until(lambda: gate.counters["envelopes_receipted"] == 1, "the first receipt")
            [before] = _dialed(gate)
            translator.forget()
            await _alert(gate)
            await until(lambda: gate.counters["envelopes_receipted"] == 2, "the second, by a new session", 30)
            assert translator.swallowed_bytes > 100, "the alert was swallowed"
            assert gate.counters["paths_suspected"] >= 1
            await until(lambda: before not in _dialed(gate), "the old session's end")
        assert len(inbox.arrivals) == 2


@pytest.mark.usefixtures("_nothing_else_notices")
async def test_a_slow_session_is_suspected_and_kept(tmp_path: Path) -> None:
    house, inbox = await _house(tmp_path), Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center:
        port = int(center.listening_on[0].rpartition(":")[2])
        async with (
            Translator(port).running() as translator,
            house.station("gate", to=[("center", f"tcp://127.0.0.1:{translator.port}")]) as gate,
        ):
            await until(lambda: len(_dialed(gate)) == 1, "the path")
            [link] = _dialed(gate)
            before = translator.connections
            translator.stall()
            await _alert(gate)
            await until(lambda: gate.counters["paths_suspected"] == 1, "the suspicion", 30)
            assert gate._links.is_cut_off(), "as far as can be told"
            await until(lambda: translator.connections > before, "the spare session's connections", 30)
            translator.move()
            await until(lambda: gate.counters["envelopes_receipted"] == 1, "the receipt", 30)
            assert translator.stalled_bytes > 0
            await until(
                lambda: [one.id for one in gate._links if one.session.is_outgoing] == [link.id],
                "the spare one to go",
                30,
            )
            assert not link.silence.is_suspect
        assert len(inbox.arrivals) == 1
