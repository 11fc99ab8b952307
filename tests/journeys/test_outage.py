"""The relay is away for a while, then everything arrives, the newest first, once; and the node acts locally meanwhile."""

import time
from pathlib import Path

from command_center.demonstration.dispatcher import Dispatcher
from command_center.demonstration.household import USERNAME, Household, Wishes
from command_center.demonstration.report import duplicates
from relay import EmitRequest, Emitter
from tests.journeys.test_kills import wait_until_answered, wait_until_shown


def test_everything_arrives_after_the_relay_was_away_the_newest_first(tmp_path: Path) -> None:
    with (
        Household.running(Wishes(state_dir=tmp_path, is_watching=False)) as household,
        Dispatcher(household.url, USERNAME, household.password) as dispatcher,
    ):
        emitter = Emitter(household.node_dir)
        household.stop("relay")
        ids = [emitter.emit(EmitRequest(label="gunshot", camera=f"mic-{number % 3}")).id for number in range(30)]
        time.sleep(1.5)
        assert not dispatcher.alerts(), "the relay is away: nothing can have arrived"
        household.start("relay")
        assert not wait_until_shown(dispatcher, set(ids))
        shown = dispatcher.alerts()
        assert duplicates(shown) == 0
        by_entry = [alert["id"] for alert in sorted(shown, key=lambda alert: int(alert["entry"]))]
        assert ids[-1] in by_entry[:3], "what happens now waited for the past"
        assert ids[0] in by_entry[:4], "and the past is told from its beginning"
        wait_until_answered(household.node_dir, set(ids))
        household._command(
            "alert-relay", "retract", ids[3], "--state", str(household.node_dir), "--note", "a car backfired"
        )
        deadline = time.monotonic() + 20
        while not (taken_back := [alert for alert in dispatcher.alerts() if alert["retracted_at_ms"]]):
            assert time.monotonic() < deadline, "the retraction did not arrive"
            time.sleep(0.1)
        assert [(alert["id"], alert["retraction"]) for alert in taken_back] == [(ids[3], "operator: a car backfired")]


def test_a_node_that_nobody_hears_acts_locally_and_is_heard_later(tmp_path: Path) -> None:
    with Household.running(Wishes(state_dir=tmp_path, is_watching=False, fallback_deadline_s=2)) as household:
        household.stop("relay")
        alert = Emitter(household.node_dir).emit(EmitRequest(label="gunshot", camera="mic-1"))
        acted = household.node_dir / "fallback.log"
        deadline = time.monotonic() + 20
        while not acted.exists():
            assert time.monotonic() < deadline, "the fallback command did not run"
            time.sleep(0.1)
        assert acted.read_text() == "nobody heard: gunshot at mic-1\n"
        household.start("relay")
        with Dispatcher(household.url, USERNAME, household.password) as dispatcher:
            assert not wait_until_shown(dispatcher, {alert.id})
            wait_until_answered(household.node_dir, {alert.id})
        assert acted.read_text().count("\n") == 1, "the fallback runs once an alert"
