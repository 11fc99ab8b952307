"""What the node keeps of people's words about its alerts, in a real database."""

import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from camera_node.answered import SCHEMA, AnswerBook, read, state_name
from relay.clock import SimulatedClock
from relay.ids import EnvelopeId
from relay.kinds.acknowledgement import Acknowledgement, AnswerState

ALERT = EnvelopeId(b"a" * 32)
IN_ORDER = (AnswerState.SEEN, AnswerState.DISPATCHED, AnswerState.EN_ROUTE, AnswerState.ON_SCENE, AnswerState.CLOSED)


def kept(tmp_path: Path, said: Sequence[AnswerState]) -> tuple[str, str | None]:
    """The state in words, and whose word is kept, after acknowledgements in this order."""
    connection = sqlite3.connect(tmp_path / "node.sqlite")
    try:
        for step in SCHEMA:
            connection.executescript(step)
        connection.execute(
            "INSERT INTO answer (alert_id, sequence, boot_id, label, camera, zone, rule, track, confidence, precedence, "
            "clip_time_ms, sighted_monotonic_ms, sighted_wall_ms, header_monotonic_ms, header_wall_ms) "
            "VALUES (?, 1, 'boot', 'handgun', 'gate', 'yard', 1, 1, 0.9, 0, 0, 1, 1, 1, 1)",
            (ALERT,),
        )
        book = AnswerBook(SimulatedClock())
        for at, state in enumerate(said):
            word = Acknowledgement(alert_ids=(ALERT,), state=state, role=f"role {at}", acted_at_wall_ms=at)
            book.seen(connection, word, monotonic_ms=at, wall_ms=at)
        found = read(connection, at_most=1)[0]
        return state_name(found.seen_state), found.seen_by
    finally:
        connection.close()


@pytest.mark.parametrize("upto", range(1, len(IN_ORDER) + 1))
def test_node_knows_each_step_of_the_people_by_its_name(tmp_path: Path, upto: int) -> None:
    words = ("seen", "dispatched", "en route", "on scene", "closed")
    assert kept(tmp_path, IN_ORDER[:upto]) == (words[upto - 1], "role 0")


@pytest.mark.parametrize("said", list(itertools.permutations(IN_ORDER[1:4])))
def test_furthest_step_stands_whichever_acknowledgement_comes_last(
    tmp_path: Path, said: tuple[AnswerState, ...]
) -> None:
    assert kept(tmp_path, said)[0] == "on scene"


def test_late_word_of_an_earlier_step_does_not_turn_a_unit_back(tmp_path: Path) -> None:
    assert kept(tmp_path, (AnswerState.EN_ROUTE, AnswerState.DISPATCHED, AnswerState.SEEN))[0] == "en route"
