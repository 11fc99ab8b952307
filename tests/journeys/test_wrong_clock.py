"""A node that boots in 1970: its alerts arrive, say that the clock was never set, and are answered all the same."""

import sys
from pathlib import Path

from command_center.demonstration.dispatcher import Dispatcher
from command_center.demonstration.household import USERNAME, Household, Wishes
from relay import EmitRequest, Emitter
from tests.journeys.test_kills import wait_until_answered, wait_until_shown

BOOTS_IN_1970 = """
import time
now, began = time.time_ns, time.time_ns()
time.time_ns = lambda: now() - began
from camera_node.cli import main
main()
"""


def test_alerts_of_a_node_that_boots_in_1970_are_heard_like_any_others(tmp_path: Path) -> None:
    with (
        Household.running(Wishes(state_dir=tmp_path, is_watching=False)) as household,
        Dispatcher(household.url, USERNAME, household.password) as dispatcher,
    ):
        emitter = Emitter(household.node_dir)
        before = [emitter.emit(EmitRequest(label="before", camera="mic-1")).id for _ in range(5)]
        assert not wait_until_shown(dispatcher, set(before))
        household.stop("node")
        household._orders["node"] = [sys.executable, "-c", BOOTS_IN_1970, *household._orders["node"][1:]]
        household.start("node")
        household._wait_for_door("node", household.node_dir)
        after = [emitter.emit(EmitRequest(label="after", camera="mic-1")).id for _ in range(5)]
        assert not wait_until_shown(dispatcher, set(after))
        wait_until_answered(household.node_dir, {*before, *after})
        shown = {alert["id"]: alert for alert in dispatcher.alerts()}
        assert all(shown[alert]["header_wall_ms"] < 600_000 for alert in after), "the fault did not happen"
        assert {shown[alert]["clock_quality"] for alert in after} == {"UNSET"}
        order = sorted(shown, key=lambda one: int(shown[one]["entry"]))
        assert (set(order[:5]), set(order[5:])) == (set(before), set(after)), (
            "each once, those of the earlier boot first"
        )
