"""``command-center witness join | list | note``: who keeps our checkpoints, whose we keep, and how another agency becomes one of them."""

import re
from typing import Annotated, Final, Literal

import msgspec
import typer

from command_center.custody.commands import WitnessedNote, WitnessList
from command_center.errors import BadRequest
from command_center.performing import DEFAULT_STATE, Json, State, perform, show
from command_center.state_dir import StateDir
from command_center.witness.outstation import CONFIG_FILE, OutstationConfig
from command_center.witness.outstations import FOLDER
from relay import config as configs
from relay import passport as passports
from relay.enrollment import Enrollment, enroll
from relay.errors import OperatorError
from relay.passport import Passport, Role

app = typer.Typer(no_args_is_help=True, help="Checkpoints with others: who keeps ours, whose we keep.")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@app.command(name="join")
def join(
    name: Annotated[str, typer.Argument(help="What we call that agency: small letters, digits, hyphens.")],
    code: Annotated[str, typer.Argument(help="From their `command-center node invite NAME --role agency`.")],
    path: Annotated[
        str,
        typer.Option(
            help="Where their center, or a relay of theirs, listens: tcp://host:port, or as the carrier has it."
        ),
    ],
    state: State = DEFAULT_STATE,
    kind: Annotated[
        Literal["zeromq", "tls", "https", "mqtt"], typer.Option(help="The carrier; others are written into relay.toml.")
    ] = "zeromq",
    peer: Annotated[str, typer.Option(help="Who listens there, by name; their center, unless said.")] = "",
    wait: Annotated[float, typer.Option(help="Seconds to wait for their administrator's approval.")] = 600.0,
) -> None:
    """Have another agency's center witness this one's journal, over the relay: checkpoints go there, cosignatures come back."""
    own = StateDir(state)
    own.require_initialized()
    if not _NAME.fullmatch(name):
        raise BadRequest(f"expected a name of small letters, digits and hyphens, at most 40, found {name!r}")
    folder_dir = own.root_dir / FOLDER / name
    config_file = folder_dir / CONFIG_FILE
    if config_file.exists():
        raise OperatorError(f"{config_file} is there already: choose another name, or move that folder away")
    folder_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    enrolled = enroll(code, folder_dir, wait_s=wait)
    listens = peer or _center_of(enrolled).name
    text = (
        f'# This center as a correspondent of {name}: more paths may be added, as in any relay.toml.\nstate_dir = "."\n\n'
        f'[[path]]\nname = "{kind}"\nkind = "{kind}"\nendpoint = {msgspec.json.encode(path).decode()}\n'
        f"peer = {msgspec.json.encode(listens).decode()}\n"
    )
    partial_file = config_file.with_suffix(".partial")
    partial_file.write_text(text, encoding="utf-8")
    configs.load(partial_file, OutstationConfig)  # a running center takes up what has this name: it must be right first
    partial_file.rename(config_file)
    passport = enrolled.own_passport().passport
    print(
        f"joined {_center_of(enrolled).agency} as {passport.name}; authority fingerprint {enrolled.authority.published_fingerprint}"
    )
    print("A running center sends its first checkpoint within some seconds: command-center witness list")


@app.command(name="list")
def list_command(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show who has our checkpoints and what they made of them, and whose we keep."""
    show(perform(state, WitnessList()), as_json=as_json)


@app.command(name="note")
def note(
    origin: Annotated[str, typer.Argument(help="The other journal's name, as `witness list` shows it.")],
    state: State = DEFAULT_STATE,
) -> None:
    """Print the newest checkpoint of another agency that this center keeps: for `--against` when their bag is checked."""
    show(perform(state, WitnessedNote(origin=origin)))


def _center_of(enrolled: Enrollment) -> Passport:
    for wire in enrolled.peers:
        passport = passports.verify(wire, enrolled.authority_signing_key).passport
        if passport.role is Role.CENTER:
            return passport
    raise OperatorError("expected the passport of their center in the answer, found none: ask for a new code")
