"""``command-center unit``, ``place`` and ``plan``: who can be sent, where things stand, and what is to be done."""

from pathlib import Path
from typing import Annotated

import typer

from command_center.performing import DEFAULT_STATE, Json, State, perform, show
from command_center.responses import plan_file
from command_center.responses.plan_file import Trigger
from command_center.units.commands import PlaceSet, PlaceShow, UnitAdd, UnitLink, UnitRetire, UnitShow
from relay.errors import OperatorError

unit = typer.Typer(no_args_is_help=True, help="Field units: the status board.")
place = typer.Typer(no_args_is_help=True, help="Where sites, nodes and cameras stand.")
plan = typer.Typer(no_args_is_help=True, help="Response plans (run cards).")


@unit.command(name="add")
def unit_add(
    name: Annotated[str, typer.Argument(help="As on the radio, e.g. M21.")],
    state: State = DEFAULT_STATE,
    agency: Annotated[str, typer.Option(help="Whose it is.")] = "",
    capability: Annotated[list[str] | None, typer.Option(help="What it can do, e.g. medic; may be repeated.")] = None,
) -> None:
    """Put a unit on the board, or change what it can do."""
    show(perform(state, UnitAdd(name=name, agency=agency, capabilities=tuple(capability or ()))))


@unit.command(name="list")
def unit_list(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show the board."""
    show(perform(state, UnitShow()), as_json=as_json)


UnitName = Annotated[str, typer.Argument(help="As `unit list` shows it.")]


@unit.command(name="retire")
def unit_retire(name: UnitName, state: State = DEFAULT_STATE) -> None:
    """Take a unit off the board; its history stays."""
    show(perform(state, UnitRetire(name=name)))


@unit.command(name="link")
def unit_link(
    name: UnitName,
    state: State = DEFAULT_STATE,
    hours: Annotated[float, typer.Option(help="Hours for which it is good.")] = 12.0,
    as_json: Json = False,
) -> None:
    """Make a link for a unit's phone; the one before it ends."""
    show(perform(state, UnitLink(name=name, hours=hours)), as_json=as_json)


@place.command(name="set", context_settings={"ignore_unknown_options": True})
def place_set(
    name: Annotated[str, typer.Argument(help="A site, a node, or node/camera.")],
    latitude: Annotated[float, typer.Argument(help="Degrees, WGS 84.")],
    longitude: Annotated[float, typer.Argument(help="Degrees, WGS 84.")],
    state: State = DEFAULT_STATE,
) -> None:
    """Say where something stands: for maps, and for who is nearest."""
    show(perform(state, PlaceSet(name=name, lat=latitude, lon=longitude)))


@place.command(name="forget")
def place_forget(
    name: Annotated[str, typer.Argument(help="As `place list` shows it.")], state: State = DEFAULT_STATE
) -> None:
    """Forget where something stands."""
    show(perform(state, PlaceSet(name=name)))


@place.command(name="list")
def place_list(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show what has coordinates."""
    show(perform(state, PlaceShow()), as_json=as_json)


@plan.command(name="check")
def plan_check(file: Annotated[Path, typer.Argument(help="A file of response plans.")]) -> None:
    """Say what is wrong with a file of plans, or what it says."""
    if not file.exists():
        raise OperatorError(f"there is no file {file}")
    found = plan_file.load(file)
    for item in found.plans:
        does = [f"tells {', '.join(tell.receiver for tell in item.tell)}"] if item.tell else []
        does += [f"asks the node: {', '.join(_words(trigger) for trigger in item.trigger)}"] if item.trigger else []
        does += (
            [f"recommends {item.send.units} units {' '.join(item.send.capabilities)}".strip()]
            if item.send.units
            else []
        )
        by_itself = [step.receiver for step in item.tell if step.automatic]
        by_itself += [_words(step) for step in item.trigger if step.automatic]
        typer.echo(f"{item.name}: {'; '.join(does) or 'instructions only'}")
        typer.echo(f"  by itself: {', '.join(by_itself) or 'nothing, a person decides'}")
    typer.echo(
        f"{len(found.plans)} plans, all as they should be; they apply when they lie in the state folder as plans.toml"
    )


def _words(trigger: Trigger) -> str:
    lasts = f"for {trigger.for_s} s" if trigger.for_s else ""
    return " ".join(word for word in (trigger.action, trigger.name, lasts) if word)
