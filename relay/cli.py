"""``alert-relay``: run, enroll, status, check, emit. With ``command_line`` the only place of this package that prints and exits."""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from relay import (
    command_line,
    courier,
    door,
    enrollment,
    garbage,
    log,
    metrics_server,
    open_files,
    pulses,
    status_view,
    tracing,
)
from relay.command_line import one_clear_line
from relay.config import RelayConfig, StationConfig, load
from relay.crew import crew
from relay.emitter import MAX_SNAPSHOT_BYTES, EmitRequest, Emitter, RetractRequest
from relay.errors import Malformed, NetworkError, SpoolFull
from relay.identity import Identity
from relay.service import beat, is_well, station_verbs
from relay.service_manager import ServiceManager, told_to_stop
from relay.station import Station, StationStatus
from relay.survey import SurveyOrder
from relay.survey_report import Budgets, SurveyReport

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Carry signed alerts, whatever happens, until the command center has stored them.")  # fmt: skip
StateOption = Annotated[
    Path, typer.Option("--state", help="The folder with this machine's keys and spool.", envvar="HEARD_STATE")
]


@app.command()
def enroll(
    code: Annotated[str, typer.Argument(help="The one-time code from `command-center node invite`.")],
    state: StateOption,
    wait: Annotated[float, typer.Option(help="Seconds to wait for an administrator's approval.")] = 600.0,
) -> None:
    """Make this machine's keys and join a command center."""
    with one_clear_line():
        enrolled = enrollment.enroll(code, state, wait_s=wait)
        passport = enrolled.own_passport().passport
        print(
            f"enrolled as {passport.name} ({passport.role.name.lower()} at {passport.site}), id {passport.node_id.hex()}"
        )
        print(f"authority fingerprint {enrolled.authority.published_fingerprint}")


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="The relay's TOML file.", envvar="HEARD_RELAY_CONFIG")],
    log_json: Annotated[bool, typer.Option(help="Log one JSON object a line; --no-log-json is for people.")] = False,
) -> None:
    """Carry envelopes until told to stop."""
    log.configure(is_json=log_json)
    open_files.raise_limit()
    with one_clear_line():
        asyncio.run(_run(load(config, RelayConfig)))


async def _run(config: RelayConfig) -> None:
    stop = told_to_stop()
    async with (
        Station.open(config) as station,
        door.open_door(config.state_dir, station_verbs(station)),
        metrics_server.serving(station, config.metrics.listen) as metrics_url,
        crew() as members,
    ):
        members.start(beat(station, interval_s=config.heartbeat_interval_s), "heartbeat")
        members.start(pulses.send_pulses(station), "pulses")
        members.start(tracing.tell(station), "traces")
        garbage.spare_alerts_the_search()
        told = f"; metrics at {metrics_url}" if metrics_url else ""
        print(f"{station.passport.name} listens on {', '.join(station.listening_on) or 'nothing'}{told}", flush=True)
        await ServiceManager().keep_told_until(stop, lambda: is_well(station))


@app.command()
def status(
    state: StateOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; with --watch, one a line.")] = False,
    watch: Annotated[bool, typer.Option(help="Keep showing, until Ctrl-C.")] = False,
    every_s: Annotated[float, typer.Option("--every", help="With --watch: seconds between two looks.", min=0.2)] = 1.0,
) -> None:
    """Show paths, neighbors, what waits, and what was refused."""
    with one_clear_line():
        if watch:
            _watch(state, as_json=as_json, every_s=every_s)
        answer = door.ask(state, "status")
        if as_json:
            print(answer.decode())
            return
        show_status(msgspec.json.decode(answer, type=StationStatus))


def show_status(known: StationStatus) -> None:
    """Print a station's status for a person."""
    Console(highlight=False).print(status_view.status_view(known))


def _watch(state_dir: Path, *, as_json: bool, every_s: float) -> NoReturn:
    """Look again and again; a station that is stopped meanwhile is waited for."""
    view: RenderableType
    with contextlib.nullcontext() if as_json else Live(console=Console(highlight=False), auto_refresh=False) as shown:
        while True:
            try:
                answer = door.ask(state_dir, "status")
            except NetworkError as error:
                answer, view = b"", Text(f"{error}; waiting for it", style="bold red")
            else:
                view = status_view.status_view(msgspec.json.decode(answer, type=StationStatus))
            if as_json and answer:
                print(answer.decode(), flush=True)
            if isinstance(shown, Live):
                shown.update(view, refresh=True)
            time.sleep(every_s)


@app.command()
def trace(
    alert_id: Annotated[str, typer.Argument(help="The alert's id, or its first 8 digits or more.")],
    state: StateOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Show how an alert went through this machine: from whom, over which path to whom, and how long each took."""
    with one_clear_line():
        answer = door.ask(state, "trace", tracing.TraceQuestion(alert=alert_id))
        if as_json:
            print(answer.decode())
            return
        ways = msgspec.json.decode(answer, type=list[tracing.AlertWay])
        for way in ways:
            print("\n".join(status_view.way_lines(way)))
        if not ways:
            print(f"no alert whose id begins with {alert_id} was here lately", file=sys.stderr)
            raise SystemExit(1)


@app.command()
def survey(
    state: StateOption,
    path: Annotated[list[str] | None, typer.Option(help="Only this path; may be given several times.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    interrupt: Annotated[
        bool, typer.Option(help="End each path's session once, to measure how long its end is felt.")
    ] = True,
    alert_ms: Annotated[int, typer.Option(help="The alert budget, ms: from put until heard.", min=1)] = 1_000,
    video_kbit: Annotated[int, typer.Option(help="The video budget, kbit/s upwards.", min=1)] = 1_000,
) -> None:
    """Measure each path and say whether it is enough for alerts and live video. Exit code 1 if no path is."""
    with one_clear_line():
        order = SurveyOrder(paths=tuple(path or ()), interrupts=interrupt,
                            budgets=Budgets(alert_ms=alert_ms, video_kbit=video_kbit))  # fmt: skip
        answer = door.ask(state, "survey", order, timeout_s=3600)
        report = msgspec.json.decode(answer, type=SurveyReport)
        if as_json:
            print(answer.decode())
        else:
            Console(highlight=False).print(status_view.survey_view(report))
        if not (report.alert_met and report.video_met):
            raise SystemExit(1)


@app.command()
def check(state: StateOption, repair: Annotated[bool, typer.Option(help="Mend what can be mended.")] = False) -> None:
    """Verify every invariant of the spool. The service must be stopped. Exit code 1 if anything is wrong."""
    with one_clear_line():
        sys.exit(check_spool(state / "spool.sqlite", Identity.load(state / "identity.key"), is_repairing=repair))


def check_spool(spool_file: Path, identity: Identity, *, is_repairing: bool) -> int:
    """Check, or repair and check again; prints one line a finding and returns the exit code."""
    from relay import spool_check

    act: Callable[..., spool_check.Report] = spool_check.repair if is_repairing else spool_check.check
    report = act(spool_file, identity=identity)
    for finding in report.findings:
        print(f"invariant {finding.invariant}: {finding.what} ({finding.where})")
    if is_repairing and report.findings:
        print(f"mended {len(report.findings)} findings; checking again")
        return check_spool(spool_file, identity, is_repairing=False)
    print(f"{spool_file}: {'sound' if not report.findings else f'{len(report.findings)} findings'}")
    return 1 if report.findings else 0


@app.command()
def emit(
    state: StateOption,
    label: Annotated[str, typer.Option(help="What was seen or heard, at most 12 bytes, e.g. gunshot.")],
    camera: Annotated[str, typer.Option(help="Which sensor says so, at most 12 bytes.")],
    zone: Annotated[str, typer.Option(help="Where, at most 12 bytes.")] = "",
    confidence: Annotated[float, typer.Option(help="How sure the sensor is, 0 to 1.")] = 1.0,
    precedence: Annotated[str, typer.Option(help="FLASH or IMMEDIATE.")] = "FLASH",
    snapshot: Annotated[Path | None, typer.Option(help="A JPEG to send after it.")] = None,
) -> None:
    """Raise an alert from any program; prints its id once it is durable."""
    with one_clear_line():
        request = EmitRequest(label=label, camera=camera, zone=zone, confidence=confidence, precedence=precedence,
                              snapshot=_read_snapshot(snapshot))  # fmt: skip
        print(msgspec.json.encode(Emitter(state).emit(request)).decode())


@app.command()
def retract(
    alert_id: Annotated[str, typer.Argument(help="The id that `emit` printed.")],
    state: StateOption,
    note: Annotated[str, typer.Option(help="Why, for the dispatchers, at most 200 letters.")] = "",
) -> None:
    """Take back an alert that this machine raised; prints the retraction's id once it is durable."""
    with one_clear_line():
        request = RetractRequest(alert_id=alert_id, note=note)
        print(msgspec.json.encode(Emitter(state).retract(request)).decode())


MediumArgument = Annotated[Path, typer.Argument(help="Where the stick is mounted; any folder will do.")]


@app.command()
def carry(medium: MediumArgument, state: StateOption) -> None:
    """Copy what waits for its receipt onto a stick, and take in the receipts that it brought back. Nothing is lost with the stick."""
    with one_clear_line():
        done = msgspec.json.decode(_ask_or_open("carry", medium, state), type=courier.CarryReport)
        print(f"{done.envelopes} envelopes copied ({done.bytes:,} bytes), {done.already_there} were there; "
              f"{done.receipts_taken} receipts and {done.taken_down} acknowledgements and orders taken in, "
              f"{done.freed_on_stick} envelopes removed from the stick")  # fmt: skip
        if done.left_behind:
            raise SpoolFull(f"{done.left_behind} envelopes did not fit onto {medium}: deliver it, then carry again")


@app.command()
def deliver(medium: MediumArgument, state: StateOption) -> None:
    """Hand what is on a stick to this station, and write the receipts for it onto the stick: carry it home again."""
    with one_clear_line():
        done = msgspec.json.decode(_ask_or_open("deliver", medium, state), type=courier.DeliverReport)
        print(
            f"{done.taken} of {done.offered} envelopes are stored here; {done.receipts_written} receipts and "
            f"{done.sent_down} acknowledgements and orders written to the stick"
        )
        for reason, count in sorted(done.refused.items()):
            print(f"refused, {reason.replace('_', ' ')}: {count}")
        if done.taken < done.offered:
            raise SystemExit(1)


def _ask_or_open(verb: str, medium: Path, state_dir: Path) -> bytes:
    """Ask the running station; where none runs, do it with a station of our own that has no paths."""
    try:
        return door.ask(state_dir, verb, {"medium_dir": str(medium.absolute())}, timeout_s=3600)
    except NetworkError:
        return asyncio.run(_with_own_station(verb, medium.absolute(), state_dir))


async def _with_own_station(verb: str, medium: Path, state_dir: Path) -> bytes:
    log.configure(is_json=False, level=logging.WARNING)
    async with Station.open(StationConfig(state_dir=state_dir)) as station:
        act = courier.carry if verb == "carry" else courier.deliver
        return msgspec.json.encode(await act(station, medium))


def _read_snapshot(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        picture = file.read_bytes()
    except OSError as error:
        raise Malformed(f"can't read the snapshot {file}: {error.strerror}") from error
    if len(picture) > MAX_SNAPSHOT_BYTES or not picture.startswith(b"\xff\xd8"):
        raise Malformed(f"expected a JPEG of at most {MAX_SNAPSHOT_BYTES} bytes in {file}, found {len(picture)} bytes")
    return picture


def main() -> None:
    """The console script."""
    command_line.run(app)
