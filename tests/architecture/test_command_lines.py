"""The command lines speak alike: help on everything, units with every number, one line for every mistake, and exit codes that are said."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import camera_node.cli
import command_center.cli
import models.cli
import relay.cli
from command_center.demonstration import command as demonstration
from command_center.evidence import verify_cli
from relay import command_line
from relay.errors import Bug, ConfigError, NetworkError

APPS = {
    "alert-relay": relay.cli.app, "camera-node": camera_node.cli.app, "model-bundle": models.cli.app,
    "command-center": command_center.cli.app, "command-center demo": demonstration._app, "command-center verify": verify_cli.app,
}  # fmt: skip
_MEASURES = re.compile(r"(?i)second|minute|hour|days|ms\b|kbit/s|pixels|degrees|how many|0 to 1")


def commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    parts = getattr(command, "commands", {})
    for name, part in parts.items():
        yield from commands(part, (*words, name))
    if not parts:
        yield words, command


EVERY = [
    pytest.param(app, words, command, id=" ".join((name, *words)))
    for name, app in APPS.items()
    for words, command in commands(typer.main.get_command(app), ())
    if words != ("demo",)
]


def ended(
    app: typer.Typer, words: tuple[str, ...], capsys: pytest.CaptureFixture[str], name: str | None = None
) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        command_line.run(app, list(words), name=name)
    said = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, said.out, said.err


@pytest.mark.parametrize(("app", "words", "command"), EVERY)
def test_every_word_of_a_command_is_explained(app: typer.Typer, words: tuple[str, ...], command: Any) -> None:
    assert (command.help or "").rstrip().endswith("."), command.help
    for parameter in command.params:
        told = parameter.help or ""
        if parameter.name == "help":
            continue
        assert told.endswith("."), f"{parameter.name}: {told!r}"
        assert told[0].isupper() or told.startswith(("host:port", "https://", "left,", "agency:", "none:")), told
        if isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool):
            assert _MEASURES.search(f"{parameter.name} {told}"), f"{parameter.name} has no unit: {told!r}"


@pytest.mark.parametrize(("app", "words", "command"), EVERY)
def test_a_word_that_no_command_knows_is_one_line_and_exit_code_2(
    app: typer.Typer, words: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    if words == ("place", "set"):
        return  # its numbers may begin with a minus
    code, said, error = ended(app, (*words, "--no-such-option"), capsys)
    assert (code, said) == (2, "")
    assert re.fullmatch(r"error: [^\n]*--no-such-option[^\n]* --help` says what there is\n", error), error


@pytest.mark.parametrize(("app", "words", "command"), EVERY)
def test_the_help_of_every_command_says_what_its_exit_codes_mean(
    app: typer.Typer, words: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, error = ended(app, (*words, "--help"), capsys)
    assert (code, error) == (0, "")
    assert "Exit codes: 0 done;" in said


@pytest.mark.parametrize(("name", "words", "says"), [
    ("alert-relay", ("cary",), "No such command 'cary'"),
    ("alert-relay", ("trace",), "Missing argument"),
    ("camera-node", ("status", "--state", "x", "--last", "none"), "Invalid value for '--last'"),
    ("camera-node", ("run", "--config"), "--config"),
    ("model-bundle", ("list", "one", "--registry", "x"), "unexpected extra argument"),
    ("command-center", ("node", "invite", "gate", "--role", "siren", "--site", "x"), "camera, relay, agency"),
    ("command-center demo", ("--for", "1"), "--for"),
])  # fmt: skip
def test_a_slip_is_one_line_that_names_it(
    name: str, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, error = ended(APPS[name], words, capsys, name)
    assert (code, said) == (2, "")
    assert says.replace("'", "").replace(", ", "") in error.replace("'", "").replace(", ", "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert f"`{name}" in error


@pytest.mark.parametrize("name", ["alert-relay", "camera-node", "model-bundle", "command-center"])
def test_without_any_word_the_commands_are_listed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, error = ended(APPS[name], (), capsys)
    assert code == 2
    assert "Commands" in said + error
    assert "error:" not in said + error


@pytest.mark.parametrize(("raised", "code"), [
    (ConfigError("no such key"), 2), (NetworkError("no such key"), 1), (Bug("no such key"), 70), (KeyboardInterrupt(), 130),
    (typer.Exit(3), 3),
])  # fmt: skip
def test_who_must_act_is_the_exit_code(raised: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise raised

    ended_with, said, error = ended(app, (), capsys)
    assert ended_with == code
    assert said == ""
    assert error == ("error: no such key\n" if code in {1, 2, 70} else "")


def test_a_fault_of_ours_shows_itself() -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command_line.run(app, [], name=sys.argv[0])
