"""``command-center backup`` and ``command-center restore``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from command_center import backup, check, restoring
from command_center.performing import DEFAULT_STATE, State
from command_center.state_dir import StateDir
from relay.clock import SystemClock
from relay.errors import OperatorError

PassphraseFile = Annotated[
    Path | None, typer.Option(help="Its first line is the passphrase that the keys are sealed with.")
]


app = typer.Typer(no_args_is_help=True)


@app.command(name="backup")
def backup_command(
    to: Annotated[Path, typer.Option("--to", help="New folder; nothing is ever overwritten.")],
    state: State = DEFAULT_STATE, passphrase_file: PassphraseFile = None,
) -> None:  # fmt: skip
    """Copy the whole center while it runs. Private keys only with a passphrase, and sealed with it."""
    made = backup.back_up(StateDir(state), to, SystemClock(), passphrase=_passphrase(passphrase_file))
    size = sum(line.size_bytes for line in made.files)
    print(f"{to}: {made.journal_size} entries, {len(made.files)} files, {size} bytes, root {made.journal_root[:16]}…")
    for name in made.missing_objects:
        print(f"missing: picture {name} is not on the disk")
    if not passphrase_file:
        print("The private keys are not in it: keep authority.key and identity.key apart, or give --passphrase-file.")
    print("It is confidential: it holds what cameras saw.")


@app.command(name="restore")
def restore_command(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="The folder that command-center backup made.")],
    state: State = DEFAULT_STATE, passphrase_file: PassphraseFile = None,
    keys_from: Annotated[Path | None, typer.Option(help="Folder with authority.key and identity.key.")] = None,
) -> None:  # fmt: skip
    """Make a center from a backup, in a new folder, and check it."""
    made = restoring.restore(source, state, SystemClock(), passphrase=_passphrase(passphrase_file), keys_dir=keys_from)
    at = datetime.fromtimestamp(made.made_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    report = check.run(StateDir(state))
    for problem in report.problems:
        print(f"WRONG: {problem}")
    print(
        f"{state}: as of {at}, entry {made.journal_size}; {report.entries} entries checked, {len(report.problems)} problems"
    )
    print(
        "Everybody is signed out, units need new links, and shares have ended. Look through: command-center token list (tokens revoked since then are good again),"
    )
    print("command-center user list, command-center node list (withdraw again what was withdrawn since then).")
    if report.problems:
        raise typer.Exit(1)


def _passphrase(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(
            f"can't read the passphrase from {file}: {getattr(error, 'strerror', None) or 'expected text in UTF-8'}"
        ) from error
    if not lines or not lines[0]:
        raise OperatorError(f"expected a passphrase in the first line of {file}, found none")
    return lines[0]
