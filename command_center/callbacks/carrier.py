"""What a carrier of deliveries is: one for each kind of receiver, behind one Protocol; ``postman`` decides what follows."""

import enum
import ssl
from dataclasses import dataclass
from typing import Protocol

from command_center.callbacks.kinds import Options
from command_center.callbacks.store import Delivery, Receiver


class Verdict(enum.Enum):
    """What became of an attempt."""

    TAKEN = "taken"
    AGAIN = "again"
    """Down the ladder."""
    NEVER = "never"
    """The other side says that this one can't be taken: it is a dead letter now."""
    GONE = "gone"
    """The other side wants nothing any more: the receiver is disabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """An attempt and its answer, in words."""

    verdict: Verdict
    words: str
    asked_s: float | None = None
    """When the other side asks to be tried again."""


class Carrier(Protocol):
    """Carries one delivery to one receiver, once. Bounded in time by its caller."""

    async def carry(self, receiver: Receiver, delivery: Delivery) -> Carried:
        """Raises OSError, TimeoutError, ``guard.Forbidden`` and ssl errors as they come: each is tried again."""
        ...


def tls_context(options: Options) -> ssl.SSLContext:
    """What these options say of trust.

    Raises:
        OSError: a file can't be read, or is none.
    """
    context = ssl.create_default_context(cafile=options.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.certificate_file:
        context.load_cert_chain(options.certificate_file, options.key_file or None)
    return context
