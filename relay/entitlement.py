"""What a role lets a machine say."""

from typing import Final

from relay.errors import NotForUs
from relay.header import Kind
from relay.passport import Passport, Role

_OF_AN_AGENCY: Final = frozenset({Kind.CHECKPOINT, Kind.HEARTBEAT, Kind.TRACE})


def require_may_send(passport: Passport, kind: Kind) -> None:
    """Refuse what is none of the sender's business: words from above by anybody but a center, alerts by another agency."""
    if kind.goes_down and passport.role != Role.CENTER:
        raise NotForUs(f"only a command center may send {kind.name}, and {passport.name} is a {passport.role.name}")
    is_agency = passport.role is Role.AGENCY
    if (is_agency and kind not in _OF_AN_AGENCY) or (kind is Kind.CHECKPOINT and not is_agency):
        raise NotForUs(f"expected checkpoints from an agency and from nobody else, found {kind.name} of {passport.name}, "
                       f"a {passport.role.name}")  # fmt: skip
