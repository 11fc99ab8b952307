"""``command-center user`` and ``command-center token``: who may sign in, and programs in their name."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from command_center.accounts import Passwords, require_good_password
from command_center.accounts.passwords import generated
from command_center.commands import (
    TokenAdd,
    TokenList,
    TokenRevoke,
    UserAdd,
    UserDisable,
    UserEnable,
    UserList,
    UserResetSecondFactor,
    UserSetPassword,
    UserSetRole,
    UserSignOut,
)
from command_center.config import RoleName
from command_center.performing import DEFAULT_STATE, Json, State, perform, show
from command_center.state_dir import StateDir
from relay.errors import OperatorError

user = typer.Typer(no_args_is_help=True, help="People who may sign in.")
token = typer.Typer(no_args_is_help=True, help="API tokens: for programs, in the name of an account.")

Name = Annotated[str, typer.Argument(help="What they sign in as.")]
Role = Annotated[RoleName, typer.Option(help="What they may do; docs/installer.md has the table.")]
PasswordFile = Annotated[Path | None, typer.Option(help="Read the password from this file.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it once.")]
Unit = Annotated[str, typer.Option(help="The field unit that this account speaks for.")]
MustChange = Annotated[bool, typer.Option("--must-change", help="It must be changed at the next sign-in.")]


def _password(password_file: Path | None, *, generate: bool) -> str:
    if generate:
        password = generated()
        print(f"Password (shown only now): {password}")
        return password
    if password_file is not None:
        try:
            return password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise OperatorError(
                f"can't read the password from {password_file}: {getattr(error, 'strerror', None) or 'expected text in UTF-8'}"
            ) from error
    if not sys.stdin.isatty():
        raise OperatorError("expected a terminal to ask for the password: use --password-file or --generate")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise OperatorError("the two passwords differ: nothing was changed")
    return password


def _encoded(password: str, name: str) -> str:
    require_good_password(password, name)
    passwords = Passwords()
    try:
        return passwords.hash(password)
    finally:
        passwords.close()


@user.command(name="add")
def user_add(
    name: Name, role: Role, state: State = DEFAULT_STATE, password_file: PasswordFile = None,
    generate: Generate = False, unit: Unit = "", must_change: MustChange = False,
) -> None:  # fmt: skip
    """Let somebody sign in."""
    StateDir(state).require_initialized()
    encoded = _encoded(_password(password_file, generate=generate), name)
    show(perform(state, UserAdd(name=name, role=role, password_hash=encoded, unit=unit, must_change=must_change)))


@user.command(name="list")
def user_list(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show the accounts."""
    show(perform(state, UserList()), as_json=as_json)


@user.command(name="disable")
def user_disable(name: Name, state: State = DEFAULT_STATE) -> None:
    """End an account, its sessions and its tokens."""
    show(perform(state, UserDisable(name=name)))


@user.command(name="enable")
def user_enable(name: Name, state: State = DEFAULT_STATE) -> None:
    """Let a disabled account in again."""
    show(perform(state, UserEnable(name=name)))


@user.command(name="role")
def user_role(name: Name, role: Role, state: State = DEFAULT_STATE, unit: Unit = "") -> None:
    """Change what somebody may do."""
    show(perform(state, UserSetRole(name=name, role=role, unit=unit)))


@user.command(name="password")
def user_password(
    name: Name, state: State = DEFAULT_STATE, password_file: PasswordFile = None, generate: Generate = False,
    must_change: MustChange = False,
) -> None:  # fmt: skip
    """Give somebody a new password; they are signed out everywhere."""
    StateDir(state).require_initialized()
    encoded = _encoded(_password(password_file, generate=generate), name)
    show(perform(state, UserSetPassword(name=name, password_hash=encoded, must_change=must_change)))


@user.command(name="reset-second-factor")
def user_reset_second_factor(name: Name, state: State = DEFAULT_STATE) -> None:
    """Take a second factor away, for a lost phone; they are signed out everywhere."""
    show(perform(state, UserResetSecondFactor(name=name)))


@user.command(name="sign-out")
def user_sign_out(name: Name, state: State = DEFAULT_STATE) -> None:
    """End every session of somebody's, and what it has open, at once."""
    show(perform(state, UserSignOut(name=name)))


@token.command(name="add")
def token_add(
    account: Annotated[str, typer.Argument(help="In whose name it acts.")],
    name: Annotated[str, typer.Argument(help="What will use it.")],
    scope: Annotated[list[str], typer.Option(help="What it may do, such as incidents.read; may be repeated.")],
    state: State = DEFAULT_STATE, days: Annotated[float, typer.Option(help="Days for which it is good.")] = 90.0, as_json: Json = False,
) -> None:  # fmt: skip
    """Make a token and print it once."""
    show(perform(state, TokenAdd(account=account, name=name, scopes=tuple(scope), days=days)), as_json=as_json)


@token.command(name="list")
def token_list(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show the tokens; what they are good for, not themselves."""
    show(perform(state, TokenList()), as_json=as_json)


@token.command(name="revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    state: State = DEFAULT_STATE,
) -> None:
    """End a token at once."""
    show(perform(state, TokenRevoke(id=token_id)))
