"""How the command line has a command performed: by the running center, or on its database while nothing runs."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from command_center import admin_door
from command_center.administration import Administration
from command_center.commands import Command, Outcome
from command_center.membership import Membership
from command_center.state_dir import StateDir
from relay.clock import SystemClock
from relay.kinds.roster import Roster

State = Annotated[
    Path, typer.Option("--state", envvar="HEARD_STATE", help="Folder that holds this center.", show_default="./state")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
DEFAULT_STATE: Final = Path("state")


def perform(state_dir: Path, command: Command) -> Outcome:
    """Through the running center's door, or on the database while nothing runs."""
    state = StateDir(state_dir)
    state.require_initialized()
    return asyncio.run(_ask_or_do(state, command))


async def _ask_or_do(state: StateDir, command: Command) -> Outcome:
    answered = await admin_door.ask(state.admin_socket_file, command)
    if answered is not None:
        return answered

    async def nothing(_: Roster | None = None) -> None:
        """Nothing runs that could be told; the center publishes the newest roster at its start."""

    async def no_figures() -> dict[str, object]:
        return {"running": False}

    config = state.load_config()
    database = state.open_database()
    try:
        issuer, clock, url = state.load_issuer(), SystemClock(), config.url or f"http://{config.http}"
        membership = Membership(
            database=database, issuer=issuer, clock=clock, url=url, publish_roster=nothing, after_commit=lambda: None
        )
        office = Administration(database=database, issuer=issuer, clock=clock, url=url, membership=membership,
                                after_commit=lambda: None, running=no_figures, after_accounts=nothing)  # fmt: skip
        return await office.perform(command)
    finally:
        database.close()


def show(outcome: Outcome, *, as_json: bool = False) -> None:
    """Lines for people, or one JSON object."""
    typer.echo(bytes(outcome.data).decode() if as_json else "\n".join(outcome.lines))
