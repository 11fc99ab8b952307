"""What a satellite modem's answers mean: the statuses of a burst, and the framing of a message in the modem's buffer.

Source: "Iridium ISU AT Command Reference", +SBDIX and +SBDRB.
"""

from dataclasses import dataclass
from typing import Final

from relay.errors import Malformed

_SENT: Final = frozenset(range(5))
"""0 all well; 1 the message for us is too large; 2 the location was not taken; 3 and 4 reserved, and successes."""
_LEAST_PAUSE_S: Final = {35: 5.0, 36: 180.0, 37: 3600.0}
"""35 the modem is busy; 36 registered less than 3 minutes ago; 37 the service is disabled for now."""
_ASKED_TO_WAIT: Final = 38
_UNKNOWN: Final = -1
_FIELDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """How one session with the satellite went."""

    status: int
    """Of what we sent. 10–19 the gateway or the link gave up, 32 no network, 33 the antenna, 34 the radio is off, 35–38 too soon,
    64 and 65 the hardware; -1: the modem's answer was not understood."""
    momsn: int = 0
    has_message: bool = False
    """Something for us is in the modem's buffer."""
    is_mail_unknown: bool = False
    """The question whether something waits failed."""
    length: int = 0
    queued: int = 0
    """Messages for us that still wait at the gateway."""

    @classmethod
    def unknown(cls) -> "Burst":
        """Nobody can tell how it went."""
        return cls(status=_UNKNOWN)

    @property
    def is_sent(self) -> bool:
        """Whether what we sent is at the gateway."""
        return self.status in _SENT

    @property
    def least_pause_s(self) -> float:
        """For how long a next attempt is sure to fail; 0: not said by this status."""
        return _LEAST_PAUSE_S.get(self.status, 0.0)

    @property
    def is_asked_to_wait(self) -> bool:
        """Whether the network asks for silence; the modem knows for how long (+SBDLOE)."""
        return self.status == _ASKED_TO_WAIT


def burst_of(line: str) -> Burst:
    """Read ``<MO status>,<MOMSN>,<MT status>,<MTMSN>,<MT length>,<MT queued>``.

    Raises:
        Malformed: not these six numbers.
    """
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != _FIELDS or not all(part.isascii() and part.isdecimal() and len(part) <= 6 for part in parts):
        raise Malformed(f"expected six numbers after +SBDIX:, found {line[:60]!r}")
    status, momsn, mt_status, _, length, queued = (int(part) for part in parts)
    return Burst(
        status=status,
        momsn=momsn,
        has_message=mt_status == 1,
        is_mail_unknown=mt_status == 2,
        length=length,
        queued=queued,
    )


def unframed(raw: bytes) -> bytes:
    """A message without the checksum behind it: the least significant 16 bits of the sum of its bytes.

    Raises:
        Malformed: it does not fit.
    """
    data, checksum = raw[:-2], raw[-2:]
    if len(raw) < 2 or (sum(data) & 0xFFFF).to_bytes(2, "big") != checksum:
        raise Malformed("the checksum of a message in the satellite modem does not fit: is the cable sound?")
    return data
