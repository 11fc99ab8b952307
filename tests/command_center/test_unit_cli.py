"""Units, places, plans and receivers on the command line, on a center that does not run."""

import contextlib
import sqlite3
from pathlib import Path

from tests.command_center.test_cli import command, made, one_line_of

__all__ = ["made"]


def test_units_and_places_are_set_up_by_hand(made: Path) -> None:
    assert (
        "is on the board"
        in command("unit", "add", "M21", "--agency", "city", "--capability", "medic", state=made).stdout
    )
    assert command("unit", "list", state=made).stdout.split() == ["M21", "out", "of", "service", "city", "medic"]
    link = command("unit", "link", "M21", "--hours", "2", state=made).stdout
    assert "/u/" in link
    assert "at most 24 hours" in one_line_of(command("unit", "link", "M21", "--hours", "25", state=made))
    assert "there is no unit 'M99'" in one_line_of(command("unit", "link", "M99", state=made))
    assert command("place", "set", "gate/cam1", "52.1", "-4.3", state=made).returncode == 0
    assert command("place", "list", state=made).stdout.split() == ["gate/cam1", "52.100000,", "-4.300000"]
    assert "latitude" in one_line_of(command("place", "set", "gate", "95", "4", state=made))
    assert command("unit", "retire", "M21", state=made).returncode == 0
    assert "all as written" in command("check", state=made).stdout
    with contextlib.closing(sqlite3.connect(made / "center.sqlite")) as connection, connection:
        connection.execute("UPDATE unit SET status = 'on_scene'")
    found = command("check", state=made)
    assert (found.returncode, "view unit, row M21: status do not follow" in found.stdout) == (1, True)
    assert "all as written" in command("check", "--rebuild", state=made).stdout, "made anew, it is as the journal says"


def test_plans_are_checked_before_they_count(tmp_path: Path) -> None:
    file = tmp_path / "plans.toml"
    file.write_text(
        "[[plan]]\nname = 'school'\nsend = { units = 2, capabilities = ['medic'] }\ntell = [{ receiver = 'desk' }]\n"
        "trigger = [{ action = 'act', name = 'siren', for_s = 30, automatic = true }, { action = 'send_clip' }]\n"
    )
    good = _plan(file)
    assert good.returncode == 0, good.stderr
    assert "school: tells desk; asks the node: act siren for 30 s, send_clip; recommends 2 units medic" in good.stdout
    assert "by itself: act siren for 30 s" in good.stdout
    file.write_text("[[plan]]\nname = 'school'\nsites = 'north'\ninstructions = 'x'\n")
    assert "Expected `array`, got `str` - at `$.plan[0].sites`" in one_line_of(_plan(file))
    assert "there is no file" in one_line_of(_plan(tmp_path / "none.toml"))


def _plan(file: Path):  # type: ignore[no-untyped-def]
    import subprocess
    import sys

    return subprocess.run([sys.executable, "-W", "error", "-c", "from command_center.cli import main; main()", "plan", "check",
                           str(file)], capture_output=True, text=True, timeout=60)  # fmt: skip


def test_receivers_of_each_kind_are_added_by_their_address(made: Path, tmp_path: Path) -> None:
    mail = ("--from", "heard@city.example", "--to", "desk@city.example")
    assert command("callback", "add", "desk", "smtp://mail.example", *mail, state=made).returncode == 0
    assert command("callback", "add", "tak", "tak+tls://tak.example:8089", "--only-called", state=made).returncode == 0
    feed = command("callback", "add", "county", "cap:", "--from", "alerts@city.example", state=made).stdout
    assert "(shown only now): http" in feed
    token = feed.rpartition("/cap/")[2].partition("/")[0]
    shown = command("callback", "list", state=made).stdout
    assert token not in shown
    assert "tak, when called" in shown
    for arguments, words in (
        (("x", "gopher://y"), "begins with https:"), (("x", "smtp://y"), "mailbox such as"),
        (("x", "tak+tls://y:1", "--ca-file", str(tmp_path / "none")), "there is no file"),
    ):  # fmt: skip
        assert words in one_line_of(command("callback", "add", *arguments, state=made))
