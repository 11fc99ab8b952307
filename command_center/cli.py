"""``command-center``: the command line. The only place that prints and exits."""

import asyncio
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn

import typer

from command_center import backup_cli, check, logs, web_server
from command_center.callback_cli import callback
from command_center.center import open_center
from command_center.commands import (
    NodeApprove,
    NodeInvite,
    NodeList,
    NodeStanding,
    Status,
)
from command_center.evidence import cli as evidence_cli
from command_center.performing import DEFAULT_STATE, Json, State, perform, show
from command_center.standby import cli as standby_cli
from command_center.state_dir import StateDir
from command_center.unit_cli import place, plan, unit
from command_center.user_cli import token, user
from command_center.witness import cli as witness_cli
from relay import command_line, garbage, open_files
from relay.clock import SystemClock
from relay.enrollment import Enrollment
from relay.service import is_well
from relay.service_manager import ServiceManager, told_to_stop

_SWITCH_S: Final = 0.0005
"""Between the thread that verifies and the one that commits: at Python's own 5 ms each waits for the other, and alerts for both."""

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Hear, act, prove: the command center.")
node = typer.Typer(no_args_is_help=True, help="Cameras and relays.")
app.add_typer(evidence_cli.app)
app.add_typer(backup_cli.app)
app.add_typer(standby_cli.app)
app.add_typer(witness_cli.app, name="witness")
app.add_typer(user, name="user")
app.add_typer(token, name="token")
app.add_typer(node, name="node")
app.add_typer(callback, name="callback")
app.add_typer(unit, name="unit")
app.add_typer(place, name="place")
app.add_typer(plan, name="plan")


def main() -> None:
    """The console script."""
    command_line.run(app)


@app.command()
def init(
    state: State = DEFAULT_STATE,
    name: Annotated[str, typer.Option(help="This center's name.")] = "command-center",
    site: Annotated[str, typer.Option(help="Where it stands.")] = "headquarters",
    agency: Annotated[str, typer.Option(help="Who runs it.")] = "agency",
    http: Annotated[str, typer.Option(help="host:port for console and API.")] = "127.0.0.1:8480",
    url: Annotated[str, typer.Option(help="Where nodes reach it for enrollment, if not by --http.")] = "",
) -> None:
    """Make a new center: the authority's keys, its own, configuration and journal."""
    web_server.require_address(http)
    own = StateDir(state).init(SystemClock(), name=name, site=site, agency=agency, http=http, url=url)
    print(f"Command center {name} ({own.node_id.hex()}) made in {state}.")
    print(f"Keep a copy of {state / 'authority.key'} offline: whoever has it can admit nodes and read alerts.")
    published = Enrollment.load(state).authority.published_fingerprint
    print(f"Authority fingerprint {published}: publish it, for whoever checks this agency's evidence.")
    print("Next: command-center user add NAME --role dispatcher, then command-center run")


@app.command()
def run(
    state: State = DEFAULT_STATE,
    http: Annotated[
        str | None, typer.Option(help="host:port for console and API; the configuration's if not given.")
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            help="Endpoint for nodes and relays, such as tcp://0.0.0.0:5700; may be repeated; the configuration's if not given."
        ),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="The least that is logged, as JSON on stderr.")
    ] = "info",
) -> None:
    """Run the center until Ctrl-C."""
    logs.as_json(log_level)
    open_files.raise_limit()
    sys.setswitchinterval(_SWITCH_S)
    asyncio.run(_run(StateDir(state), http, tuple(listen) if listen else None))


async def _run(state: StateDir, http: str | None, listen: tuple[str, ...] | None) -> None:
    stop = told_to_stop()
    async with open_center(state, http=http, listen=listen) as center:
        garbage.spare_alerts_the_search()
        print(f"Console: {center.url}  Nodes: {', '.join(center.station.listening_on)}  (Ctrl-C stops)", flush=True)
        await ServiceManager().keep_told_until(stop, lambda: is_well(center.station))


@app.command()
def status(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show how the center is."""
    show(perform(state, Status()), as_json=as_json)


@app.command(name="check")
def check_command(
    state: State = DEFAULT_STATE, as_json: Json = False,
    against: Annotated[Path | None, typer.Option(help="A checkpoint that was kept outside.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="First make the views anew from the journal; the center must not run.")] = False,
) -> None:  # fmt: skip
    """Verify journal, checkpoints, views and pictures; names the first wrong entry."""
    for line in check.rebuild(StateDir(state), SystemClock().wall_ms()) if rebuild else ():
        print(f"rebuilt: {line}", file=sys.stderr)
    held = evidence_cli.read_checkpoint(against).decode("utf-8", "replace")
    report = check.run(StateDir(state), held)
    if as_json:
        print(json.dumps({"entries": report.entries, "checkpoints": report.checkpoints, "objects": report.objects,
                          "receipted_ahead": report.receipted_ahead, "problems": list(report.problems)}))  # fmt: skip
    else:
        for problem in report.problems:
            print(f"WRONG: {problem}")
        print(
            f"{report.entries} entries, {report.checkpoints} checkpoints, {report.objects} pictures checked: "
            + (f"{len(report.problems)} problems" if report.problems else "all as written")
        )
        if report.receipted_ahead:
            print(
                f"{report.receipted_ahead} receipted alerts are in intake.log: the center journals them when it starts next"
            )
    if report.problems:
        raise typer.Exit(1)


# ---------------------------------------------------------------------- node


NodeName = Annotated[str, typer.Argument(help="As `node list` shows it.")]


@node.command(name="invite")
def node_invite(
    name: Annotated[str, typer.Argument(help="What the machine is to be called.")],
    role: Annotated[
        Literal["camera", "relay", "agency"], typer.Option(help="agency: another center, to witness its journal.")
    ],
    site: Annotated[str, typer.Option(help="Where it stands.")],
    *,
    state: State = DEFAULT_STATE,
    minutes: Annotated[float, typer.Option(help="Minutes for which the code is good.")] = 10.0,
    approved: Annotated[bool, typer.Option("--approved", help="No approval needed when it asks.")] = False,
    url: Annotated[str, typer.Option(help="Where the machine reaches this center.")] = "",
    again: Annotated[
        bool,
        typer.Option("--again", help="For the machine that has this name: it keeps its keys and gets a new passport."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a one-time enrollment code and print the command to run on the machine."""
    command = NodeInvite(
        name=name, role=role, site=site, minutes=minutes, is_preapproved=approved, url=url, is_again=again
    )
    show(perform(state, command), as_json=as_json)


@node.command(name="approve")
def node_approve(name: NodeName, state: State = DEFAULT_STATE) -> None:
    """Let a machine that asked come in."""
    show(perform(state, NodeApprove(name=name)))


@node.command(name="list")
def node_list(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show the fleet."""
    show(perform(state, NodeList()), as_json=as_json)


Reason = Annotated[str, typer.Option(help="Why; kept in the journal.")]


@node.command(name="revoke")
def node_revoke(name: NodeName, state: State = DEFAULT_STATE, reason: Reason = "") -> None:
    """Withdraw a node's passport for good."""
    show(perform(state, NodeStanding(name=name, standing="revoked", reason=reason)))


@node.command(name="quarantine")
def node_quarantine(name: NodeName, state: State = DEFAULT_STATE, reason: Reason = "") -> None:
    """Keep a node's alerts, and annunciate none."""
    show(perform(state, NodeStanding(name=name, standing="quarantined", reason=reason)))


@node.command(name="reinstate")
def node_reinstate(name: NodeName, state: State = DEFAULT_STATE, reason: Reason = "") -> None:
    """End a quarantine."""
    show(perform(state, NodeStanding(name=name, standing="approved", reason=reason)))


# ---------------------------------------------------------------------- demo


@app.command(
    name="demo",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def demo(context: typer.Context) -> None:
    """Run the whole way, from a camera to the console, on this machine."""
    demonstrate: Callable[[list[str]], NoReturn] = importlib.import_module("command_center.demonstration").main
    demonstrate(context.args)


if __name__ == "__main__":
    main()
