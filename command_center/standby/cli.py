"""``command-center follow`` and ``command-center promote``."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from command_center import check, logs
from command_center.errors import BadRequest
from command_center.performing import DEFAULT_STATE, State
from command_center.standby.follower import Follower
from command_center.standby.line import Doorkeeper
from command_center.standby.meeting import require_lead
from command_center.standby.promoting import promote
from command_center.state_dir import StateDir
from command_center.web_server import require_address
from relay import open_files
from relay.clock import SystemClock
from relay.errors import ConfigError
from relay.identity import Identity
from relay.service_manager import ServiceManager, told_to_stop

app = typer.Typer(no_args_is_help=True)


@app.command(name="follow")
def follow_command(
    state: State = DEFAULT_STATE,
    listen: Annotated[str, typer.Option(help="host:port for the leader; the configuration's if not given.")] = "",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="This folder holds a center: what it has, and the leader does not, is lost."),
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="The least that is logged, as JSON on stderr.")
    ] = "info",
) -> None:
    """Keep a copy of another machine's center, commit by commit, until Ctrl-C."""
    logs.as_json(log_level)
    open_files.raise_limit()
    own = StateDir(state)
    own.require_keys()
    address = listen or own.load_config().standby.listen
    if not address:
        raise ConfigError(
            f"expected host:port to listen on for the leader, found none: set listen under [standby] in {own.config_file}, or give --listen"
        )
    host, port = require_address(address)
    if own.promoting_file.exists():
        raise BadRequest(f"{state} was about to be promoted: run command-center promote --state {state}")
    if not own.redo_file.exists():
        if not overwrite:
            raise BadRequest(
                f"{state} holds a center of its own, and following replaces what it has: give --overwrite if that is meant"
            )
        own.open_database().close()  # what is in its write-ahead log goes into the file
    asyncio.run(_follow(own, host, port))


async def _follow(state: StateDir, host: str, port: int) -> None:
    stop = told_to_stop()
    follower = Follower(state)
    try:
        door = Doorkeeper(host, port, Identity.load(state.identity_key_file), follower.called)
        print(f"Following; the leader reaches this machine at {host}:{door.port}  (Ctrl-C stops)", flush=True)
        serving = asyncio.create_task(asyncio.to_thread(follower.serve))
        serving.add_done_callback(lambda _: stop.set())
        await ServiceManager().keep_told_until(stop, _nothing_is_wrong)
        door.close()
        follower.stop()
        await serving
    finally:
        follower.close()


async def _nothing_is_wrong() -> str:
    """A thread that ends, ends all of it."""
    return ""


@app.command(name="promote")
def promote_command(
    state: State = DEFAULT_STATE,
    although_it_leads: Annotated[
        bool, typer.Option("--although-it-leads", help="Even if the other machine answers that it leads.")
    ] = False,
) -> None:
    """Make a center of a standby: the other machine is lost, or off, and stays so."""
    own = StateDir(state)
    own.require_keys()
    if not although_it_leads:
        require_lead(own, own.load_config().standby.address, alone=True)
    made = promote(own, SystemClock())
    report = check.run(own)
    for problem in report.problems:
        print(f"WRONG: {problem}")
    at = datetime.fromtimestamp(made.newest_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    print(
        f"{state} leads now, term {made.term}: {made.entries} entries, the newest of {at}; {len(report.problems)} problems"
    )
    if report.receipted_ahead:
        print(f"{report.receipted_ahead} receipted alerts are in intake.log: the center journals them when it starts")
    print("Everybody is signed out. See that the other machine stays off, then: command-center run")
    if report.problems:
        sys.exit(1)
