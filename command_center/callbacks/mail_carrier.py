"""Mail to a server, by aiosmtplib. Encrypted (STARTTLS, or TLS from the start with smtps) unless an administrator says that it can't be."""

import asyncio
import socket
from typing import Final
from urllib.parse import urlsplit

import aiosmtplib

from command_center.callbacks import guard
from command_center.callbacks.carrier import Carried, Verdict, tls_context
from command_center.callbacks.store import Delivery, Receiver

_PORTS: Final = {"smtp": 587, "smtps": 465}
_PERMANENT: Final = 500


class MailCarrier:
    """One session a message. What the server refuses for good (5xx) is a dead letter at once: people see it today, not tomorrow."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    async def carry(self, receiver: Receiver, delivery: Delivery) -> Carried:
        """Hand one message over."""
        parts = urlsplit(receiver.url)
        assert parts.hostname is not None
        options = receiver.options
        port = parts.port or _PORTS[parts.scheme]
        address = await guard.judged(parts.hostname, port, may_be_inside=receiver.may_be_inside)
        connected = await _connected(address, port)
        try:
            context = await asyncio.to_thread(tls_context, options)
            is_tls = parts.scheme == "smtps"
            client = aiosmtplib.SMTP(
                hostname=options.server_name or parts.hostname, sock=connected, use_tls=is_tls, tls_context=context,
                start_tls=not (is_tls or options.is_plain), timeout=self._timeout_s, local_hostname="heard",
            )  # fmt: skip
            async with client:
                if options.user:
                    await client.login(options.user, (receiver.secret or b"").decode("utf-8", "replace"))
                refused, said = await client.sendmail(options.sender, options.recipients, delivery.body)
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refusal.code for refusal in error.recipients]
            return _judged(min(codes, default=0), f"every recipient was refused: {error}")
        except aiosmtplib.SMTPResponseException as error:
            return _judged(error.code, f"{error.code} {error.message}")
        except aiosmtplib.SMTPException as error:
            return Carried(verdict=Verdict.AGAIN, words=f"{type(error).__name__}: {error}")
        finally:
            connected.close()
        if refused:
            return Carried(verdict=Verdict.TAKEN, words=f"taken, but refused for {', '.join(sorted(refused))}")
        return Carried(verdict=Verdict.TAKEN, words=f"250 {said}")


def _judged(code: int, words: str) -> Carried:
    return Carried(verdict=Verdict.NEVER if code >= _PERMANENT else Verdict.AGAIN, words=" ".join(words.split()))


async def _connected(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:  # cancelled as well: the socket is ours to close
        made.close()
        raise
    return made
