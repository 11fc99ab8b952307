"""The kinds of receivers, told apart by the scheme of their address, and what each needs to know.

======================================  ==========================================================
``https://…``, ``http://…``             a signed webhook (Standard Webhooks)
``tak+tls://``, ``tak+tcp://``,         a TAK server or listener: Cursor on Target events
``tak+udp://host:port``
``smtp://``, ``smtps://host:port``      a mail server: one message an event
``cap:``                                a feed that others fetch: CAP 1.2 under an address that only they know
======================================  ==========================================================
"""

import enum
import re
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from command_center.callbacks import guard
from command_center.errors import BadRequest

_MAILBOX: Final = re.compile(r"^[^@\s<>,;:\"\\]{1,64}@[A-Za-z0-9.-]{1,190}$")
_File = Annotated[str, msgspec.Meta(max_length=400)]


class ReceiverKind(enum.Enum):
    """How a receiver is told."""

    WEBHOOK = "webhook"
    TAK = "tak"
    SMTP = "smtp"
    CAP = "cap"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What some kinds need beside the address."""

    ca_file: _File = ""
    """TLS: trust this authority instead of the system's."""
    certificate_file: _File = ""
    """TLS: our own certificate, where the other side asks for one (TAK servers do)."""
    key_file: _File = ""
    server_name: Annotated[str, msgspec.Meta(max_length=253)] = ""
    """TLS: the name in its certificate, if it is not the address's."""
    sender: Annotated[str, msgspec.Meta(max_length=254)] = ""
    """Mail: From. CAP: the sender that alerts name."""
    recipients: Annotated[tuple[str, ...], msgspec.Meta(max_length=50)] = ()
    """Mail: To."""
    user: Annotated[str, msgspec.Meta(max_length=254)] = ""
    """Mail: signs in as, with the receiver's secret."""
    is_plain: bool = False
    """Mail: an administrator says that this server can't encrypt."""
    token_sha256: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """CAP: hash of the secret part of the feed's address."""


def kind_of(url: str) -> ReceiverKind:
    """By the scheme.

    Raises:
        BadRequest: it is none that can be told.
    """
    scheme = url.partition(":")[0].lower()
    if scheme in {"http", "https"}:
        return ReceiverKind.WEBHOOK
    if scheme in {"tak+tls", "tak+tcp", "tak+udp"}:
        return ReceiverKind.TAK
    if scheme in {"smtp", "smtps"}:
        return ReceiverKind.SMTP
    if scheme == "cap":
        return ReceiverKind.CAP
    raise BadRequest(f"expected a URL that begins with https:, tak+tls:, smtp: or cap:, found {url[:80]!r}")


def require_usable(url: str, options: Options) -> ReceiverKind:
    """Refuse an address that can't be one, or that lacks what its kind needs.

    Raises:
        BadRequest: what was expected, and what was found.
    """
    kind = kind_of(url)
    if kind is ReceiverKind.WEBHOOK:
        guard.require_url(url)
    elif kind is not ReceiverKind.CAP:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadRequest(
                f"expected a URL such as tak+tls://tak.example:8089, found {url[:80]!r}: {error}"
            ) from error
        if not parts.hostname or parts.username or parts.password or parts.path not in {"", "/"} or parts.query:
            raise BadRequest(f"expected a URL such as tak+tls://tak.example:8089, found {url[:80]!r}")
        if port == 0 or (port is None and kind is ReceiverKind.TAK):
            raise BadRequest(f"expected a port, as in tak+tls://tak.example:8089, found {url[:80]!r}")
    if kind is ReceiverKind.SMTP:
        for mailbox in (options.sender, *options.recipients):
            if not _MAILBOX.match(mailbox):
                raise BadRequest(
                    f"expected a mailbox such as desk@units.example, found {mailbox[:80]!r}: see --from and --to"
                )
        if not options.recipients:
            raise BadRequest("expected somebody to write to, found nobody: see --to")
    if kind is ReceiverKind.CAP and not re.fullmatch(r"[A-Za-z0-9.@_-]{1,254}", options.sender):
        raise BadRequest(
            f"expected a CAP sender such as alerts@city.example, found {options.sender[:80]!r}: see --from"
        )
    return kind
