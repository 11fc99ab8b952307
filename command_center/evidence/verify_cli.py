"""``command-center verify``: by itself, because it needs nothing of a center and must start as fast as it checks."""

from pathlib import Path
from typing import Annotated

import typer

from command_center.evidence.signatures import is_signature
from command_center.evidence.verifier import main as verifying

app = typer.Typer(add_completion=False)


@app.command(name="verify")
def verify_command(
    place: Annotated[Path, typer.Argument(help="The ZIP as exported, or the unpacked bag.", show_default=False)],
    authority: Annotated[str, typer.Option(help="Fingerprint of the authority that it must be of.")] = "",
    against: Annotated[
        Path | None, typer.Option(help="An earlier checkpoint that you kept: history must begin with it.")
    ] = None,
) -> None:
    """Check an exported bag offline: one line for each claim; names the first file that is wrong."""
    if verifying.report(place, authority, typer.echo, is_signature, against):
        raise typer.Exit(1)
