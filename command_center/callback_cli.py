"""``command-center callback``: who is told, in which way, and what could not be told."""

from pathlib import Path
from typing import Annotated

import typer

from command_center.callbacks import signing
from command_center.callbacks.kinds import Options, ReceiverKind, kind_of
from command_center.commands import CallbackAdd, CallbackDead, CallbackList, CallbackRemove
from command_center.performing import DEFAULT_STATE, Json, State, perform, show
from relay.errors import OperatorError

callback = typer.Typer(no_args_is_help=True, help="Field units and systems that are told.")


@callback.command(name="add")
def callback_add(
    name: Annotated[str, typer.Argument(help="The unit or system.")],
    url: Annotated[str, typer.Argument(help="https://… (signed webhooks), tak+tls://host:port, smtp://host, or cap: (a feed).")],
    *,
    state: State = DEFAULT_STATE,
    secret_file: Annotated[
        Path | None, typer.Option(help="Webhook: its whsec_… secret, to sign with HMAC, too. Mail: the password.")
    ] = None,
    only_flash: Annotated[bool, typer.Option("--only-flash", help="Leave out what is less urgent.")] = False,
    only_called: Annotated[
        bool, typer.Option("--only-called", help="Told only when a response plan or an assignment calls it.")
    ] = False,
    inside: Annotated[
        bool, typer.Option("--inside", help="The address is in our own network, and that is meant.")
    ] = False,
    sender: Annotated[str, typer.Option("--from", help="Mail: who writes. CAP: the sender, e.g. alerts@city.example.")] = "",
    to: Annotated[list[str] | None, typer.Option(help="Mail: who is written to; may be repeated.")] = None,
    user: Annotated[str, typer.Option(help="Mail: signs in as.")] = "",
    plain: Annotated[bool, typer.Option("--plain", help="Mail: this server can't encrypt, and that is accepted.")] = False,
    ca_file: Annotated[Path | None, typer.Option(help="TLS: trust this authority, PEM.")] = None,
    certificate_file: Annotated[Path | None, typer.Option(help="TLS: our own certificate, PEM (TAK servers ask for one).")] = None,
    key_file: Annotated[Path | None, typer.Option(help="TLS: its key, PEM.")] = None,
    server_name: Annotated[str, typer.Option(help="TLS: the name in its certificate, if it is another.")] = "",
) -> None:  # fmt: skip
    """Tell somebody about incidents from now on."""
    options = Options(
        ca_file=_there(ca_file), certificate_file=_there(certificate_file), key_file=_there(key_file),
        server_name=server_name, sender=sender, recipients=tuple(to or ()), user=user, is_plain=plain,
    )  # fmt: skip
    secret = None if secret_file is None else _secret(secret_file, kind_of(url))
    show(perform(state, CallbackAdd(name=name, url=url, secret=secret, only_flash=only_flash, may_be_inside=inside,
                                    only_called=only_called, options=options)))  # fmt: skip


def _there(file: Path | None) -> str:
    """The whole path of a file that must be there: a typing error shows now, not at the first alarm."""
    if file is None:
        return ""
    if not file.is_file():
        raise OperatorError(f"there is no file {file}")
    return str(file.resolve())


def _secret(file: Path, kind: ReceiverKind) -> bytes:
    try:
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
        return signing.secret_of(text) if kind is ReceiverKind.WEBHOOK else text.encode()
    except (OSError, ValueError) as error:
        raise OperatorError(f"can't use the secret in {file}: {error}") from error


@callback.command(name="list")
def callback_list(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Show who is told, and the key that they check with."""
    show(perform(state, CallbackList()), as_json=as_json)


@callback.command(name="remove")
def callback_remove(
    name: Annotated[str, typer.Argument(help="As `callback list` shows it.")], state: State = DEFAULT_STATE
) -> None:
    """Tell somebody no more."""
    show(perform(state, CallbackRemove(name=name)))


@callback.command(name="dead")
def callback_dead(
    state: State = DEFAULT_STATE, as_json: Json = False,
    resend: Annotated[bool, typer.Option("--resend", help="Try all of them again.")] = False,
) -> None:  # fmt: skip
    """Show what could not be told."""
    show(perform(state, CallbackDead(resend=resend)), as_json=as_json)
