"""A survey's manners: only for introduced neighbors, within bounds, one at a time, and honest words."""

import asyncio
import itertools
from collections import deque
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from relay import cli, hop, limits
from relay.config import PathConfig
from relay.door import open_door
from relay.errors import Malformed, OperatorError
from relay.passport import Role
from relay.path import Lane
from relay.service import station_verbs
from relay.status_view import survey_view
from relay.survey import LEAST_SPAN_S, SurveyOrder, goodput_of, loss_of
from relay.survey_report import Budgets, PathFinding, report_of
from relay.tcp_info import TcpInfo
from tests.relay.house import House, until
from tests.relay.neighbor import neighbor
from tests.relay.test_status_view import shown

ANYWHERE = "tcp://127.0.0.1:0"
FAST = PathFinding(path="fiber", carrier="zeromq", provider="A", peer="center", is_metered=False, rtt_ms=20, rtt_p95_ms=30,
                   loss=0.0, goodput_up_kbit=20_000)  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA})


async def test_a_neighbor_s_probes_are_echoed_up_to_its_allowance_and_then_refused_by_name(house: House) -> None:
    async with (
        house.station("center", listen=ANYWHERE) as center,
        neighbor(house, "gate-camera", center.listening_on[0]) as camera,
    ):
        camera.say(hop.Probe(1, 5_000, False, b"padding"))
        await until(lambda: hop.Echo(1, bytes(5_000)) in camera.notes, "the echo")
        most = limits.SURVEY_BURST_BYTES // limits.MAX_PROBE_BYTES
        for number in range(2, most + 40):
            probe = hop.encode(hop.Probe(number, limits.MAX_PROBE_BYTES, True, b""))
            await until(lambda probe=probe: camera.session.send(probe, Lane.BULK), "room in the lane")  # type: ignore[misc, union-attr]
        await until(lambda: center.counters["refused_survey_over_allowance"] > 0, "the refusal", timeout_s=40)
        assert "survey_over_allowance" in shown(await center.status())


async def test_probes_of_who_is_not_introduced_are_refused_and_oversized_ones_malformed(house: House) -> None:
    async with house.station("center", listen=ANYWHERE) as center:
        stranger = House(house.state_dir / "elsewhere")
        stranger.enroll("gate-camera", Role.CAMERA)
        stranger.identities["center"] = house.identities["center"]
        async with neighbor(stranger, "gate-camera", center.listening_on[0], expect_welcome=False) as unknown:
            unknown.say(hop.Probe(1, 5_000, False, b""))
            await until(lambda: center.counters["refused_not_introduced"] > 0, "the refusal")
            assert not any(isinstance(note, hop.Echo) for note in unknown.notes)
    with pytest.raises(Malformed):
        hop.decode(hop.encode(hop.Probe(1, limits.MAX_PROBE_BYTES + 1, False, b"")))


async def test_an_echo_that_nobody_asked_for_is_refused(house: House) -> None:
    async with (
        house.station("center", listen=ANYWHERE) as center,
        neighbor(house, "gate-camera", center.listening_on[0]) as camera,
    ):
        camera.say(hop.Echo(77, b""))
        await until(lambda: center.counters["refused_unexpected_note"] == 1, "the refusal")


async def test_one_survey_at_a_time_and_only_of_paths_that_are_there(house: House) -> None:
    async with house.station("center", listen=ANYWHERE) as center:
        to = [PathConfig(name="lan", endpoint=center.listening_on[0], peer="center", metered=True),
              PathConfig(name="nowhere", endpoint="tcp://127.0.0.1:1", peer="center")]  # fmt: skip
        async with house.station("gate-camera", to=to) as node:
            await until(lambda: node.path_health()[0].is_up, "the path")
            with pytest.raises(OperatorError, match="lan, nowhere, found lte"):
                await node.survey(SurveyOrder(paths=("lte",)))
            running = asyncio.ensure_future(node.survey(SurveyOrder(interrupts=False)))
            await asyncio.sleep(0.05)
            with pytest.raises(OperatorError, match="another survey"):
                await node.survey(SurveyOrder())
            lan, nowhere = (await running).paths
            assert lan.rtt_ms is not None
            assert lan.used_bytes < 1_000_000, "a metered path is measured with little"
            assert "down" in nowhere.why_not


async def test_a_path_whose_session_is_replaced_while_it_is_measured_is_measured_anew(house: House) -> None:
    async with house.station("center", listen=ANYWHERE) as center:
        lan = PathConfig(name="lan", endpoint=center.listening_on[0], peer="center", metered=True)
        async with house.station("gate-camera", to=[lan]) as node:
            await until(lambda: node.path_health()[0].is_up, "the path")
            running = asyncio.ensure_future(node.survey(SurveyOrder()))
            first = next(iter(node._links))
            await until(lambda: first.meter.bytes_up > 600, "the first probes")
            first.session.drop("a spare one answered sooner")
            [found] = (await running).paths
            assert node.counters["survey_begun_anew"] >= 1, "it was over already: the fault did not happen"
        assert not found.why_not
        assert found.goodput_up_kbit
        assert found.goodput_down_kbit
        assert found.redial_ms


async def test_after_a_survey_the_carrier_is_told_again_at_what_pace_a_clip_goes(house: House) -> None:
    async with house.station("center", listen=ANYWHERE) as center:
        lan = PathConfig(name="lan", endpoint=center.listening_on[0], peer="center", metered=True)
        async with house.station("gate-camera", to=[lan]) as node:
            await until(lambda: node.path_health()[0].is_up, "the path")
            [link] = node._links
            link.spread_bytes_s = 90_000  # as an earlier clip went
            await node.survey(SurveyOrder(interrupts=False))
            assert link.spread_bytes_s == 0, "nothing was held back while it was measured"


async def test_the_command_says_it_in_words_and_as_json(house: House) -> None:
    state_dir = house.dir_of("gate-camera")
    async with house.station("center", listen=ANYWHERE) as center:
        lan = PathConfig(name="lan", endpoint=center.listening_on[0], peer="center", metered=True)
        async with house.station("gate-camera", to=[lan]) as node, open_door(state_dir, station_verbs(node)):
            await until(lambda: node.path_health()[0].is_up, "the path")
            words = await asyncio.to_thread(
                CliRunner().invoke, cli.app, ["survey", "--state", str(state_dir), "--no-interrupt"]
            )
            assert "lan: meets the alert budget" in words.output
            told = await asyncio.to_thread(
                CliRunner().invoke, cli.app,
                ["survey", "--state", str(state_dir), "--no-interrupt", "--json", "--alert-ms", "1", "--path", "lan"],
            )  # fmt: skip
            assert told.exit_code == 1, "a budget is missed"
            assert '"alert_met":false' in told.output


def test_words_name_what_is_missed_by_how_much() -> None:
    slow = PathFinding(path="sat", carrier="zeromq", provider="A", peer="center", is_metered=True, rtt_ms=620,
                       rtt_p95_ms=980, loss=0.08, goodput_up_kbit=220)  # fmt: skip
    report = report_of("gate", Budgets(), (FAST, slow))
    text = "\n".join(report.words)
    assert "sat: MISSES the alert budget: an alert is heard within about 1030 ms, 1,000 ms are allowed" in text
    assert "220 kbit/s upwards, 1,000 are needed" in text
    assert "a round trip of 620 ms, 400 ms are borne" in text
    assert "8.0% loss, 5% is borne" in text
    assert "all paths are of one provider, A" in text
    assert (report.alert_met, report.video_met) == (True, True)


def test_one_path_alone_is_said_to_be_one_too_few() -> None:
    assert "add a second" in report_of("gate", Budgets(), (FAST,)).words[-1]


@given(pieces=st.integers(10, 500), kbit=st.floats(50, 1_000_000), piece_bytes=st.integers(500, 8_192))
def test_goodput_is_what_came_in_the_steady_part_and_beyond_what_can_be_told_a_floor_that_says_so(
    pieces: int, kbit: float, piece_bytes: int
) -> None:
    gap_s = piece_bytes * 8 / 1000 / kbit
    found = goodput_of([5.0 + n * gap_s for n in range(pieces)], piece_bytes)
    assert found is not None
    steady_s = (pieces - int(pieces * 0.3) - 1) * gap_s
    if steady_s > LEAST_SPAN_S * 1.001:
        assert not found.is_faster
        assert found.kbit == pytest.approx(kbit, rel=0.001)
    elif steady_s < LEAST_SPAN_S * 0.999:
        assert found.is_faster
        assert found.kbit <= kbit
        assert found.kbit <= pieces * piece_bytes * 8 / 1000 / LEAST_SPAN_S


@pytest.mark.parametrize("burst_at", range(8, 30))
def test_goodput_is_right_where_a_lost_segment_held_answers_up_wherever_they_came_at_once(burst_at: int) -> None:
    """60 pieces, one each 0.1 s; 8 of them wait for the last of these."""
    answered_s = [max(n, burst_at + 7) / 10 + n * 1e-4 if burst_at <= n < burst_at + 8 else n / 10 for n in range(60)]
    found = goodput_of(answered_s, 1_250)
    assert found is not None
    assert found.kbit == pytest.approx(100, rel=0.03)


def answers_over(loss: float, seed: int) -> list[float]:
    """Of pieces of six segments, sent for six seconds over 500 kbit/s and 300 ms by a TCP that sends what got lost again and hands up nothing before it."""
    random = Random(seed)
    segment_s, now_s, came_s = 1_400 * 8 / 500_000, 0.0, list[float]()
    again: deque[tuple[float, int]] = deque()
    while len(came_s) < 6 / segment_s or again:
        if not (again and again[0][0] <= now_s):
            came_s.append(0.0)
        number = again.popleft()[1] if again and again[0][0] <= now_s else len(came_s) - 1
        now_s += segment_s
        came_s[number] = now_s + 0.3
        if random.random() < loss:
            again.append((now_s + 0.3, number))
    handed_up_s = list(itertools.accumulate(came_s, max))
    return [at_s + random.uniform(0, 0.003) for at_s in handed_up_s[5::6]]


@pytest.mark.parametrize("loss", [0.01, 0.04, 0.1])
def test_no_more_is_told_than_a_link_carries_that_loses(loss: float) -> None:
    told = [goodput_of(answers_over(loss, seed), 6 * 1_400) for seed in range(200)]
    kbit = sorted(found.kbit for found in told if found is not None)
    assert len(kbit) == len(told)
    assert kbit[-1] <= 500 * 1.001, "which is the jitter of the answers"
    assert kbit[100] >= 0.94 * 500 * (1 - loss), "and hardly less"


def test_goodput_is_finite_where_nearly_all_answers_came_in_one_go() -> None:
    found = goodput_of([1.0] * 9 + [2.0] * 20, 1_250)
    assert found is not None
    assert (found.is_faster, found.kbit) == (False, 200)


def test_loss_is_the_kernel_s_also_where_the_bulk_connection_came_up_only_during_the_survey() -> None:
    def counted(sent: int, resent: int) -> TcpInfo:
        return TcpInfo(path_mtu_bytes=1500, sent_segments=sent, resent_segments=resent)

    assert loss_of(counted(300, 30), counted(500, 34), unanswered=0, answered=20) == (0.02, "segments")
    assert loss_of(None, counted(200, 4), unanswered=0, answered=20) == (0.02, "segments")
    assert loss_of(None, counted(99, 4), unanswered=5, answered=15) == (0.25, "probes"), "too few to tell"
    assert loss_of(counted(300, 30), None, unanswered=5, answered=15) == (0.25, "probes")
    assert loss_of(counted(1, 0), counted(1, 0), unanswered=0, answered=0) == (0.0, "probes")


def test_answers_that_came_all_at_once_are_no_infinite_goodput_and_too_few_are_none() -> None:
    found = goodput_of([7.0] * 500, 8_192)
    assert found is not None
    assert (found.is_faster, round(found.kbit)) == (True, 457_441)
    assert goodput_of([1.0, 2.0, 3.0], 8_192) is None


def test_what_is_faster_than_can_be_told_is_shown_as_more_than_that() -> None:
    lan = PathFinding(path="lan", carrier="zeromq", provider="", peer="center", is_metered=False, rtt_ms=1, rtt_p95_ms=2,
                      loss=0.0, goodput_up_kbit=457_441, is_up_faster=True, goodput_down_kbit=90_000)  # fmt: skip
    report = report_of("gate", Budgets(video_kbit=600_000), (lan,))
    assert "meets the video budget: more than 457,441 kbit/s upwards" in "\n".join(report.words)
    console = Console(width=200, record=True)
    console.print(survey_view(report))
    [row] = [line for line in console.export_text().splitlines() if line.startswith("lan ")]
    assert "> 457,441" in row
    assert " 90,000" in row
    assert "> 90,000" not in row
