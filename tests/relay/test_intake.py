"""The queue before the disk: nodes take turns, a flood waits behind itself, and all of it is bounded."""

from relay.ids import NodeId
from relay.intake import (
    FLOOD_EVERY_MS,
    FLOW,
    FLOW_LASTS_MS,
    GATHERED,
    GROUP,
    LATELY_MS,
    MOST,
    MOST_OF_ONE,
    TURN,
    TURN_BESIDE_OTHERS,
    Intake,
    Turn,
)


def flooded() -> Intake[tuple[str, int]]:
    intake: Intake[tuple[str, int]] = Intake()
    for number in range(MOST_OF_ONE):
        assert intake.has_room("flood")
        intake.put("flood", ("flood", number))
    assert not intake.has_room("flood")
    return intake


def test_beside_a_flood_others_have_a_commit_of_their_own_at_once_and_the_flood_a_short_turn_now_and_then() -> None:
    intake = flooded()
    for name in ("gate", "yard"):
        intake.put(name, (name, 1))
    assert intake.due_in_ms(0) == 0
    assert intake.take(paced_ms=0) == [("gate", 1), ("yard", 1)], "not one of the flood"
    intake.put("gate", ("gate", 2))
    second = intake.take(paced_ms=1)
    assert second[0] == ("flood", 0), "it is not starved by who always has something"
    assert len(second) == TURN_BESIDE_OTHERS + 1
    assert intake.due_in_ms(2) == FLOOD_EVERY_MS - 1
    assert intake.take(paced_ms=2) == [], "it has had its turn"
    intake.put("gate", ("gate", 3))
    assert intake.due_in_ms(3) == 0, "but nobody else waits for that"
    assert intake.take(paced_ms=3) == [("gate", 3)]
    assert len(intake.take(paced_ms=1 + FLOOD_EVERY_MS)) == TURN_BESIDE_OTHERS
    assert intake.has_room("flood")


def test_a_flood_alone_has_long_turns_one_after_the_other_and_all_of_it_is_taken_in_order() -> None:
    intake = flooded()
    taken: list[tuple[str, int]] = []
    while group := intake.take(paced_ms=5):
        assert len(group) == min(TURN, MOST_OF_ONE - len(taken))
        taken += group
        assert intake.due_in_ms(5) == 0
    assert taken == [("flood", number) for number in range(MOST_OF_ONE)]
    assert len(intake) == 0


def test_when_the_others_have_been_silent_for_a_while_a_flood_has_long_turns_again() -> None:
    intake = flooded()
    intake.put("gate", ("gate", 1))
    assert intake.take(paced_ms=0) == [("gate", 1)]
    assert len(intake.take(paced_ms=LATELY_MS - 1)) == TURN_BESIDE_OTHERS
    assert len(intake.take(paced_ms=LATELY_MS)) == TURN
    assert len(intake.take(paced_ms=LATELY_MS)) == TURN


def test_who_floods_in_bursts_is_held_to_short_turns_between_them_and_is_forgiven_after_a_while() -> None:
    intake = flooded()
    intake.put("gate", ("gate", 1))
    now_ms = 0
    while len(intake):
        intake.take(paced_ms=now_ms)
        now_ms += FLOOD_EVERY_MS

    def burst() -> None:
        for number in range(TURN):
            intake.put("flood", ("flood", number))
        intake.put("gate", ("gate", 2))

    burst()
    assert intake.take(paced_ms=now_ms) == [("gate", 2)]
    assert len(intake.take(paced_ms=now_ms + FLOOD_EVERY_MS)) == TURN_BESIDE_OTHERS
    while len(intake):
        now_ms += FLOOD_EVERY_MS
        intake.take(paced_ms=now_ms)
    now_ms += LATELY_MS
    assert intake.take(paced_ms=now_ms) == []
    burst()
    assert len(intake.take(paced_ms=now_ms)) == TURN + 1


def test_who_sends_as_fast_as_all_of_it_is_stored_floods_too() -> None:
    """Never more than a turn of it waits, and yet it would take the processor from the others."""
    intake: Intake[str] = Intake()
    now_ms, flood_groups = 0, list[int]()
    while now_ms < 2_000:
        for _ in range(TURN // 2):
            intake.put("flood", "flood")
        intake.put("gate", "gate")
        group = intake.take(paced_ms=now_ms)
        flood_groups.append(group.count("flood"))
        assert "gate" in group
        now_ms += FLOOD_EVERY_MS // 2
        if len(intake) > TURN:
            break
    assert intake.is_flooded(now_ms), "3,200 a second are four times a flood's pace"
    assert max(flood_groups[:3]) == TURN // 2, "at first it was a group like any other"
    assert flood_groups[-1] <= TURN_BESIDE_OTHERS


def test_who_keeps_below_a_flood_s_pace_never_floods() -> None:
    intake: Intake[str] = Intake()
    for now_ms in range(0, 4_000, FLOOD_EVERY_MS):
        for _ in range(TURN_BESIDE_OTHERS - 1):
            intake.put("busy", "busy")
        intake.put("gate", "gate")
        assert len(intake.take(paced_ms=now_ms)) == TURN_BESIDE_OTHERS, "with the others, at once"
    assert not intake.is_flooded(4_000)


def test_a_flood_that_goes_on_over_another_path_is_nobody_else_beside_itself() -> None:
    intake: Intake[int] = Intake()
    gate, yard = NodeId(b"gate0000"), NodeId(b"yard0000")
    first, second = Turn(1, gate, gate), Turn(2, gate, gate)
    for number in range(MOST_OF_ONE):
        intake.put(first, number)
    assert len(intake.take(paced_ms=0)) == TURN
    for number in range(TURN):
        intake.put(second, number)
    assert not intake.is_flooded(1)
    assert intake.due_in_ms(1) == 0
    assert len(intake.take(paced_ms=1)) == 2 * TURN, "a full turn of each"
    intake.put(Turn(3, yard, gate), 0)
    assert intake.take(paced_ms=2) == [0], "what a neighbor says in its name is somebody else's"
    assert intake.is_flooded(2)


def test_a_group_is_bounded_and_who_had_no_turn_is_first_in_the_next() -> None:
    intake: Intake[int] = Intake()
    nodes = GROUP // TURN + 5
    for node in range(nodes):
        for _ in range(TURN):
            intake.put(node, node)
    first = intake.take(paced_ms=0)
    assert len(first) == GROUP
    assert set(range(nodes)) - set(first) <= set(intake.take(paced_ms=0))


def test_what_comes_alone_waits_for_nobody_and_a_flow_gathers() -> None:
    intake: Intake[int] = Intake()
    for number in range(FLOW - 1):
        intake.put(number, number)
    assert not intake.is_worth_a_wait(0), "the first group never waits, however many there are"
    intake.take(paced_ms=0)
    intake.put(1, 1)
    assert not intake.is_worth_a_wait(0), "the last group was no flow"
    for number in range(FLOW):
        intake.put(number, number)
    assert len(intake.take(paced_ms=0)) > FLOW
    intake.put(1, 1)
    assert intake.is_worth_a_wait(FLOW_LASTS_MS - 1)
    assert not intake.is_worth_a_wait(FLOW_LASTS_MS), "it comes long after the flow"
    for number in range(GATHERED):
        intake.put(number, number)
    assert not intake.is_worth_a_wait(0), "that is a group worth its commit"
    while intake.take(paced_ms=0):
        pass
    intake.put(1, 1)
    assert not intake.is_worth_a_wait(0), "the flow is over"


def test_who_has_a_full_turn_does_not_wait_for_more_unless_somebody_else_has_less() -> None:
    intake: Intake[str] = Intake()
    for _ in range(2 * TURN):
        intake.put("gate", "gate")
    assert len(intake.take(paced_ms=0)) == TURN
    assert not intake.is_worth_a_wait(0), "the next turn is full, and no more would go along"
    intake.put("yard", "yard")
    assert intake.is_worth_a_wait(0), "the yard's may become more"


def test_in_all_no_more_than_the_bound_waits() -> None:
    intake: Intake[int] = Intake()
    node = 0
    while intake.has_room(node):
        for _ in range(MOST_OF_ONE):
            if intake.has_room(node):
                intake.put(node, node)
        node += 1
    assert len(intake) == MOST
