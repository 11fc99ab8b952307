"""How every command ends: with 0, or with one line on stderr and the exit code of whoever must act.

Called by the console scripts, whose commands raise and print nothing about it. The same help stands below each of them.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import typer

from relay.errors import HeardError

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 not well, or not now: try again; 2 somebody must act (a word of the command, a file, a key, a disk) and the "
    "line on stderr says what to do; 130 interrupted."
)


@contextlib.contextmanager
def one_clear_line() -> Iterator[None]:
    """An error of ours ends the command with one line on stderr and its exit code; anything else is a bug and shows itself."""
    try:
        yield
    except HeardError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def run(app: typer.Typer, arguments: Sequence[str] | None = None, *, name: str | None = None) -> NoReturn:
    """Run a command line to its end; ``arguments`` and ``name`` are those of this process unless given."""
    command = typer.main.get_command(app)
    _tell_exit_codes(command)
    with one_clear_line():
        try:
            result = command.main(args=arguments, prog_name=name, standalone_mode=False)
        except typer.Abort:
            raise SystemExit(130) from None
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            _refuse(error, name or Path(sys.argv[0]).name)
    raise SystemExit(result if isinstance(result, int) else 0)


def _refuse(error: Any, name: str) -> NoReturn:
    """What the parser has to say of the words, in one line. Without any words it has shown the help and has nothing to add."""
    if words := " ".join(error.format_message().split()).rstrip("."):
        context = getattr(error, "ctx", None)
        asked = context.command_path if context is not None else name
        print(f"error: {words}; `{asked} --help` says what there is", file=sys.stderr)
    raise SystemExit(error.exit_code)


def _tell_exit_codes(command: Any) -> None:
    command.epilog = command.epilog or EXIT_CODES
    for part in getattr(command, "commands", {}).values():
        _tell_exit_codes(part)
