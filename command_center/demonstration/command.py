"""``command-center demo``: run the house for a person at the console, or headless with the scripted dispatcher."""

import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from command_center.demonstration.dispatcher import Dispatcher
from command_center.demonstration.household import USERNAME, Household, Wishes
from command_center.demonstration.report import HopTime, Report, duplicates, recall_of
from command_center.errors import DemonstrationFailed
from models.demonstration import load_truth
from relay import command_line

SETTLE_WITHIN_S: Final = 60.0
DEFAULT_HTTP_PORT: Final = 8480
_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main(arguments: Sequence[str]) -> NoReturn:
    """The command."""
    command_line.run(_app, arguments, name="command-center demo")


@_app.command()
def demo(
    seconds: Annotated[
        float | None, typer.Option("--for", help="Run headless for so many seconds, with a scripted dispatcher.", min=5)
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
    state: Annotated[Path | None, typer.Option("--state", help="Keep everything that it makes in this folder.")] = None,
    camera: Annotated[str, typer.Option(help="A file, rtsp://… or /dev/videoN; else the rendered scene.")] = "",
    model: Annotated[
        str, typer.Option(help="ONNX weights or a .heardmodel bundle; else the demonstration detector.")
    ] = "",
    signers: Annotated[str, typer.Option(help="Whose bundles are trusted, for a bundle of your own.")] = "",
) -> int:
    """Run a command center, a site relay and a camera node on this machine, enrolled with one another."""
    _require_readable(camera, model)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_terminated_like_interrupted())
        state_dir = state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heard-")))
        wishes = Wishes(
            state_dir=state_dir,
            camera=camera,
            model=model,
            signers=signers,
            http_port=0 if seconds is not None else DEFAULT_HTTP_PORT,
        )
        if seconds is not None:
            return _headless(wishes, seconds, is_json=is_json)
        return _for_a_person(wishes)


def _require_readable(camera: str, model: str) -> None:
    is_file = camera and "://" not in camera and not camera.startswith("/dev/")
    for what, name in (("camera", camera if is_file else ""), ("model", model)):
        if name and not Path(name).is_file():
            raise DemonstrationFailed(f"expected a file for --{what}, found none at {name}: check the path")


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM stops everything cleanly, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


# ---------------------------------------------------------------------- with a person


def _for_a_person(wishes: Wishes) -> int:
    print("starting a command center, a site relay and a camera node, and enrolling them …", flush=True)
    try:
        with Household.running(wishes) as household:
            print(
                f"""
    console    {household.url}
    sign in    {USERNAME}
    password   {household.password}

Alerts come within seconds. Acknowledge them with the key A; the camera will know.
Logs and state: {wishes.state_dir.absolute()}
Ctrl-C stops everything.
""",
                flush=True,
            )
            _narrate(household)
    except KeyboardInterrupt:
        print("\nall stopped")
    return 0


def _narrate(household: Household) -> None:
    """One line for each answer that the camera gets, until interrupted."""
    told: dict[str, str] = {}
    while True:
        household.require_all_alive()
        for alert in reversed(_alerts_of(household)):
            level = alert["level"]
            if told.get(alert["alert_id"]) != level:
                told[alert["alert_id"]] = level
                at = time.strftime("%H:%M:%S", time.localtime(alert["sighted_wall_ms"] / 1000))
                words = {"heard": f"heard by {alert['heard_by']}", "seen": f"seen by a {alert['seen_by']}",
                         "relayed": f"held by {alert['relayed_by']}", "spooled": "spooled"}[level]  # fmt: skip
                print(f"{at}  {alert['camera']}: {alert['label']} {alert['confidence']:.2f}  {words}", flush=True)
        time.sleep(1.0)


# ---------------------------------------------------------------------- headless


def _headless(wishes: Wishes, seconds: float, *, is_json: bool) -> int:
    with Household.running(wishes) as household, Dispatcher(household.url, USERNAME, household.password) as dispatcher:
        began_s, began_wall_ms = time.monotonic(), time.time() * 1000
        while time.monotonic() - began_s < seconds:
            household.require_all_alive()
            _raise_failure(dispatcher)
            time.sleep(0.2)
        household.watch_nothing()
        alerts = _wait_for_answers(household, dispatcher)
        shown = dispatcher.alerts()
        report = _report(wishes, alerts, shown, dispatcher, seconds=seconds, began_wall_ms=began_wall_ms)
    _show(report)
    if is_json:
        print(msgspec.json.encode(report).decode(), flush=True)
    if not report.is_complete:
        print("error: not every alert that was spooled was heard, shown once and acknowledged", file=sys.stderr)
        return 1
    return 0


def _raise_failure(dispatcher: Dispatcher) -> None:
    if dispatcher.failure is not None:
        raise DemonstrationFailed(f"the dispatcher could not work: {dispatcher.failure}") from dispatcher.failure


def _alerts_of(household: Household) -> list[dict[str, Any]]:
    alerts = household.node_status()["alerts"]
    assert isinstance(alerts, list)
    return alerts


def _wait_for_answers(household: Household, dispatcher: Dispatcher) -> list[dict[str, Any]]:
    """The node's alerts, once all are answered; or as they are when the time is up."""
    deadline_s = time.monotonic() + SETTLE_WITHIN_S
    while True:
        household.require_all_alive()
        _raise_failure(dispatcher)
        alerts = _alerts_of(household)
        if all(alert["level"] == "seen" for alert in alerts) or time.monotonic() > deadline_s:
            return alerts
        time.sleep(0.3)


def _report(
    wishes: Wishes, alerts: list[dict[str, Any]], shown: list[dict[str, Any]], dispatcher: Dispatcher, *,
    seconds: float, began_wall_ms: float,
) -> Report:  # fmt: skip
    stored = {alert["id"]: alert for alert in shown}
    both = [(alert, stored[alert["alert_id"]]) for alert in alerts if alert["alert_id"] in stored]
    # Node and center run on one machine here, so their monotonic clocks are one and every hop can be measured exactly.
    return Report(
        alerts_spooled=len(alerts),
        alerts_heard=sum(alert["heard_monotonic_ms"] is not None for alert in alerts),
        alerts_acknowledged=sum(alert["seen_monotonic_ms"] is not None for alert in alerts),
        alerts_shown=len({alert["id"] for alert in shown} & {alert["alert_id"] for alert in alerts}),
        duplicates_shown=duplicates(shown) + sum(count - 1 for count in dispatcher.seen.announced.values()),
        incidents=len(dispatcher.seen.incidents),
        snapshots=sum(alert["snapshot_url"] is not None for alert in shown),
        sighting_to_spooled_ms=HopTime.of([a["sighting_to_spooled_ms"] for a in alerts if a["sighting_to_spooled_ms"] is not None]),
        spooled_to_stored_ms=HopTime.of([
            c["committed_monotonic_ms"] - n["spooled_monotonic_ms"] for n, c in both
            if c["committed_monotonic_ms"] is not None and n["spooled_monotonic_ms"] is not None
        ]),
        stored_to_receipt_ms=HopTime.of([
            n["heard_monotonic_ms"] - c["committed_monotonic_ms"] for n, c in both
            if c["committed_monotonic_ms"] is not None and n["heard_monotonic_ms"] is not None
        ]),
        acknowledged_to_node_ms=HopTime.of([
            n["seen_wall_ms"] - n["acted_wall_ms"] for n in alerts if n["seen_wall_ms"] is not None and n["acted_wall_ms"] is not None
        ]),
        first_alert_after_s=(
            (min(a["sighted_wall_ms"] for a in alerts) - began_wall_ms) / 1000 if alerts else None
        ),
        scene=None if wishes.camera or wishes.model else recall_of(alerts, load_truth(), watched_s=_watched_s(alerts, seconds)),
        seconds=seconds, state_dir=str(wishes.state_dir.absolute()),
    )  # fmt: skip


def _watched_s(alerts: list[dict[str, Any]], seconds: float) -> float:
    """How much of the clip was surely watched: from its start to the last alert; the time to load the model is not counted."""
    if not alerts:
        return seconds
    first = min(alerts, key=lambda alert: int(alert["sighted_monotonic_ms"]))
    began_ms = first["sighted_monotonic_ms"] - first["clip_time_ms"]
    last_ms = max(int(alert["sighted_monotonic_ms"]) for alert in alerts)
    return float((last_ms - began_ms) / 1000)


def _show(report: Report) -> None:
    console = Console()
    console.print(f"{report.alerts_spooled} alerts spooled, {report.alerts_heard} heard, {report.alerts_acknowledged} acknowledged, "
                  f"{report.duplicates_shown} shown twice; {report.incidents} incidents, {report.snapshots} with a snapshot")  # fmt: skip
    table = Table("hop", "median", "p95", "max", title="how long each hop took, ms", title_justify="left")
    for name in ("sighting_to_spooled_ms", "spooled_to_stored_ms", "stored_to_receipt_ms", "acknowledged_to_node_ms"):
        hop: HopTime = getattr(report, name)
        table.add_row(name.removesuffix("_ms").replace("_", " "),
                      *("–" if value is None else f"{value:.0f}" for value in (hop.p50, hop.p95, hop.max)))  # fmt: skip
    console.print(table)
    if report.scene is not None and report.scene.share is not None:
        console.print(f"recall against the scene's ground truth: {report.scene.alerted} of {report.scene.events} armed figures "
                      f"({report.scene.share:.0%}), {report.scene.false_alerts} false alerts")  # fmt: skip
