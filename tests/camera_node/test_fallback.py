"""When nobody hears: deadlines by the right clock, a program that hangs, fails or is missing."""

from pathlib import Path

import msgspec
import pytest

from camera_node.answered import AlertAnswers, AnswerBook
from camera_node.config import FallbackConfig
from camera_node.fallback import Fallback, unheard_for_ms
from relay.clock import SimulatedClock
from relay.database import Database


def alert(
    *, boot_id: str = "a", header_monotonic_ms: int = 1000, header_wall_ms: int = 1_790_000_000_000
) -> AlertAnswers:
    fields: dict[str, object] = dict.fromkeys(AlertAnswers.__struct_fields__)
    fields |= {"alert_id": "00", "sequence": 1, "boot_id": boot_id, "label": "gun", "camera": "c", "zone": "", "rule": 1,
               "track": 1, "confidence": 0.9, "precedence": 0, "clip_time_ms": 0, "sighted_monotonic_ms": 0,
               "sighted_wall_ms": 0, "header_monotonic_ms": header_monotonic_ms, "header_wall_ms": header_wall_ms,
               "fallback": "", "fallback_detail": ""}  # fmt: skip
    return msgspec.convert(fields, AlertAnswers)


def test_age_is_monotonic_within_a_boot_and_wall_only_across_boots() -> None:
    same = {"boot_id": "a", "monotonic_ms": 3000}
    assert unheard_for_ms(alert(), **same, wall_ms=5) == 2000, "the wall clock may say what it likes"  # type: ignore[arg-type]
    later = {"boot_id": "b", "monotonic_ms": 10}
    assert unheard_for_ms(alert(), **later, wall_ms=1_790_000_060_000) == 60_000  # type: ignore[arg-type]
    assert unheard_for_ms(alert(), **later, wall_ms=5) is None, "a clock that was never set says nothing"  # type: ignore[arg-type]


@pytest.mark.parametrize(("command", "outcome", "words"), [
    ((), "recorded", "no command"),
    (("/no/such/siren",), "failed", "can't be started"),
    (("/bin/sh", "-c", "exit 3"), "failed", "exit code 3"),
    (("/bin/sh", "-c", "sleep 30"), "failed", "was killed"),
    (("/bin/sh", "-c", 'test "$HEARD_LABEL" = "gun; rm -rf /"'), "done", "exit code 0"),
])  # fmt: skip
async def test_what_became_of_the_command_is_told(
    tmp_path: Path, command: tuple[str, ...], outcome: str, words: str
) -> None:
    clock = SimulatedClock()
    database = Database.open(tmp_path / "x.sqlite", parts={})
    try:
        fallback = Fallback(FallbackConfig(command=command, time_limit_s=0.5), database=database, book=AnswerBook(clock),
                            clock=clock)  # fmt: skip
        became, detail = await fallback.act_now({"HEARD_LABEL": "gun; rm -rf /"})
    finally:
        database.close()
    assert became == outcome
    assert words in detail
