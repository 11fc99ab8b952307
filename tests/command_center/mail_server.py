"""A mail server: aiosmtpd on a free port, which keeps what it takes and refuses what a test says."""

import asyncio
import contextlib
import email
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import Message
from email.policy import default
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from command_center.callbacks.kinds import Options


@dataclass
class Mailbox:
    """What aiosmtpd's handler took, and how it answers."""

    answers: list[str] = field(default_factory=list)
    """For DATA, one after the other; then taken."""
    messages: list[Message] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    were_encrypted: list[bool] = field(default_factory=list)
    users: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        del server
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        self.messages.append(email.message_from_bytes(envelope.content, policy=default))
        self.recipients.append(envelope.rcpt_tos)
        self.were_encrypted.append(session.ssl is not None)
        return "250 taken"


@contextlib.asynccontextmanager
async def mail_server(box: Mailbox, context: ssl.SSLContext | None = None, password: bytes = b"") -> AsyncIterator[int]:
    def check(_server: object, _session: object, _envelope: object, _how: object, data: object) -> AuthResult:
        box.users.append(getattr(data, "login", b""))
        return AuthResult(success=getattr(data, "password", b"") == password)

    def protocol() -> SMTP:
        return SMTP(box, tls_context=context, require_starttls=context is not None, auth_required=bool(password),
                    authenticator=check if password else None)  # fmt: skip

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def mailing(ca_file: Path | None = None, user: str = "", *, is_plain: bool = False) -> Options:
    return Options(sender="heard@city.example", recipients=("desk@units.example", "night@units.example"),
                   ca_file=str(ca_file or ""), user=user, is_plain=is_plain)  # fmt: skip
