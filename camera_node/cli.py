"""``camera-node``: enroll, run, check, status. The only place of this package that prints and exits."""

import asyncio
import contextlib
import logging
import sqlite3
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from camera_node.answered import AlertAnswers, read, state_name
from camera_node.board_care import BoardReport
from camera_node.clip_report import ClipsReport, describe, lines
from camera_node.config import NodeConfig, load
from camera_node.live_window import lines as live_lines
from camera_node.node import REPORTED_ALERTS, EyeReport, NodeReport, open_node
from camera_node.preflight import check as try_everything
from relay import command_line, door, enrollment, garbage, log, open_files
from relay.cli import StateOption, show_status
from relay.command_line import one_clear_line
from relay.crew import crew
from relay.errors import NetworkError, OperatorError
from relay.service import is_well
from relay.service_manager import ServiceManager, told_to_stop
from relay.sqlite_errors import explain

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="See a threat, say so, and know that it was heard.")  # fmt: skip
ConfigOption = Annotated[Path, typer.Option("--config", help="The node's TOML file.", envvar="HEARD_NODE_CONFIG")]


@app.command()
def enroll(
    code: Annotated[str, typer.Argument(help="The one-time code from `command-center node invite`.")],
    state: StateOption,
    wait: Annotated[float, typer.Option(help="Seconds to wait for an administrator's approval.")] = 600.0,
) -> None:
    """Make this node's keys and join a command center."""
    with one_clear_line():
        enrolled = enrollment.enroll(code, state, wait_s=wait)
        own = enrolled.own_passport().passport
        print(f"enrolled as {own.name} ({own.role.name.lower()} at {own.site}), id {own.node_id.hex()}")
        print(f"authority fingerprint {enrolled.authority.published_fingerprint}")


@app.command()
def run(
    config: ConfigOption,
    log_json: Annotated[bool, typer.Option(help="Log one JSON object a line; --no-log-json is for people.")] = True,
) -> None:
    """Watch the cameras until told to stop."""
    log.configure(is_json=log_json)
    open_files.raise_limit()
    with one_clear_line():
        asyncio.run(_run(load(config)))


async def _run(config: NodeConfig) -> None:
    stop = told_to_stop()
    async with open_node(config) as node, crew() as members:
        garbage.spare_alerts_the_search()
        members.start(node.run(), "node")
        cameras = ", ".join(camera.name for camera in config.camera) or "none"
        print(f"{node.station.passport.name} watches with {node.weights.name}: {cameras}", flush=True)
        await ServiceManager().keep_told_until(stop, lambda: is_well(node.station))


@app.command()
def check(config: ConfigOption) -> None:
    """Try keys, clock, spool, paths, model and cameras. Exit code 1 if anything is wrong."""
    log.configure(is_json=True, level=logging.CRITICAL)
    with one_clear_line():
        sys.exit(asyncio.run(_check(load(config))))


async def _check(config: NodeConfig) -> int:
    wrong = 0
    async for finding in try_everything(config):
        print(f"{'ok   ' if finding.is_well else 'WRONG'} {finding.what}: {finding.detail}", flush=True)
        wrong += not finding.is_well
    print("ready" if not wrong else f"{wrong} of these need somebody", flush=True)
    return 1 if wrong else 0


@app.command()
def status(
    state: StateOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    last: Annotated[int, typer.Option(help="With --json: how many alerts, the newest first.", min=1)] = REPORTED_ALERTS,
) -> None:
    """Show cameras, paths, clips, and how far the last alerts have got. Works on a stopped node, too: from its spool."""
    with one_clear_line():
        try:
            report = msgspec.json.decode(door.ask(state, "node"), type=NodeReport)
        except NetworkError as error:
            alerts, clips = _stored(state, last)
            if as_json:
                told = {"running": False, "alerts": [_flat(alert) for alert in alerts], "clips": clips}
                print(msgspec.json.encode(told).decode())
            else:
                print(f"the node is not running ({error}); its spool says:")
                _show_alerts(alerts)
                _show_clips(clips)
            return
        if as_json:
            described = {
                "running": True,
                **msgspec.to_builtins(report),
                "alerts": [
                    _flat(alert) for alert in (report.alerts if last == REPORTED_ALERTS else _stored(state, last)[0])
                ],
            }
            # Camera and path health are arrays on the wire; names are kinder here.
            described["cameras"] = [
                {name: getattr(camera, name) for name in camera.__struct_fields__} for camera in report.cameras
            ]
            described["station"]["paths"] = [
                {name: getattr(path, name) for name in path.__struct_fields__} for path in report.station.paths
            ]
            print(msgspec.json.encode(described).decode())
            return
        _show(report)


def _flat(alert: AlertAnswers) -> dict[str, object]:
    """An alert with what follows from its fields."""
    return {
        **msgspec.structs.asdict(alert),
        "level": alert.level,
        "sighting_to_spooled_ms": alert.sighting_to_spooled_ms,
    }


def _stored(state_dir: Path, last: int) -> tuple[list[AlertAnswers], ClipsReport]:
    spool_file = state_dir / "spool.sqlite"
    if not spool_file.exists():
        raise OperatorError(f"expected a node's spool in {spool_file}, found none: enroll and run the node first")
    try:
        with contextlib.closing(sqlite3.connect(f"{spool_file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return read(connection, at_most=last), describe(connection, {})
    except sqlite3.Error as error:
        raise explain(error, spool_file) from error


def _show(report: NodeReport) -> None:
    console = Console()
    show_status(report.station)
    vouched = "" if report.is_model_verified else " [yellow](unsigned)[/yellow]"
    console.print(f"model {report.model}{vouched}")
    _show_board(report.board)
    table = Table(
        "camera", "state", "frames/s", "last frame", "reconnects", "connection", "a frame takes", "why", title="cameras",
        title_justify="left", box=None, pad_edge=False,
    )  # fmt: skip
    seeing = {eye.camera: eye for eye in report.seeing}
    for camera in report.cameras:
        eye = seeing.get(camera.camera, EyeReport(camera=camera.camera))
        table.add_row(camera.camera, camera.state.name.lower(), f"{camera.frames_per_s:.1f}",
                      f"{camera.last_frame_age_ms / 1000:.1f} s ago", str(camera.reconnects), eye.grade,
                      f"{eye.inference_ms:.0f} ms {eye.provider}", camera.detail)  # fmt: skip
    console.print(table)
    for eye in report.seeing:
        stopped = [f"{count} {stage.replace('_', ' ')}" for stage, count in eye.stopped.items() if count]
        if stopped:
            console.print(f"{eye.camera}: not told: {', '.join(stopped)}", highlight=False)
    _show_alerts(list(report.alerts)[:20])
    _show_clips(report.clips)
    for line in live_lines(report.live):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _show_board(board: BoardReport) -> None:
    if not board.model:
        return
    said = [board.model, *(f"{name} {celsius:.0f} °C" for name, celsius in list(board.temperatures_c.items())[:4])]
    said += [f"slowed down: {reason}" for reason in board.throttled_because]
    if board.is_on_mains is False:
        said.append(f"on its battery, {board.battery_percent or 0} %")
    if board.power_w is not None:
        said.append(f"{board.power_w:.1f} W")
    said.append(f"processor {board.cpu_percent:.0f} %, {board.memory_free_bytes // 1_000_000} MB free")
    if board.pace_why:
        said.append(f"looking at {board.pace_share:.0%} of the frames: {board.pace_why}")
    Console().print("board " + ", ".join(said), soft_wrap=True, highlight=False, markup=False)


def _show_clips(report: ClipsReport) -> None:
    console = Console()
    for line in lines(report):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _show_alerts(alerts: list[AlertAnswers]) -> None:
    console = Console()
    if not alerts:
        console.print("no alerts yet")
        return
    console.print("alerts", style="italic")
    for alert in alerts:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(alert.sighted_wall_ms / 1000))
        known = [f"spooled after {alert.sighting_to_spooled_ms} ms" if alert.spooled_wall_ms else "spooled"]
        known += [f"{word} {by}" for word, by in (("relayed by", alert.relayed_by), ("heard by", alert.heard_by)) if by]
        known += [f"seen by {alert.seen_by} ({state_name(alert.seen_state)})"] if alert.seen_by else []
        known += [f"fallback {alert.fallback} {alert.fallback_detail}".strip()] if alert.fallback else []
        what = f"{alert.label} {alert.confidence:.2f} at {alert.camera} {alert.zone}".strip()
        console.print(f"  {alert.alert_id[:8]} {at} UTC {what}: {', '.join(known)}", soft_wrap=True, highlight=False)


def main() -> None:
    """The console script."""
    command_line.run(app)
