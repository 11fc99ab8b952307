"""Who may do what: the one table. Each API route names the permission that it needs; nothing else decides.

A role is a set of permissions. An API token narrows its owner's set further; it never widens it.
"""

import enum
from typing import Final


class Permission(enum.Enum):
    """One thing that somebody may do."""

    OWN_ACCOUNT = "account.own"
    """See and change one's own account: password, second factor, sessions, tokens."""
    INCIDENTS_READ = "incidents.read"
    """The queue, one incident, and what happens, live."""
    INCIDENTS_ACT = "incidents.act"
    """Acknowledge, close, merge, annotate."""
    PICTURES_SEE = "pictures.see"
    """Snapshots and clips."""
    VIDEO_WATCH = "video.watch"
    """Live pictures of a camera."""
    SOURCES_SHELVE = "sources.shelve"
    """Keep a source silent for a while."""
    FLASH_SHELVE_AGREE = "sources.shelve-flash"
    """Be the second person without whom no FLASH falls silent."""
    ALARMS_SUPPRESS = "alarms.suppress"
    """Tell a node not to tell a false alarm again."""
    UNITS_READ = "units.read"
    UNITS_DISPATCH = "units.dispatch"
    """Assign units and change what they are shown as."""
    UNIT_OWN = "units.own"
    """Speak for one's own unit."""
    INCIDENTS_SHARE = "incidents.share"
    """Show an incident to another agency."""
    FLEET_READ = "fleet.read"
    FLEET_MANAGE = "fleet.manage"
    """Let machines in, keep their alerts apart, withdraw them."""
    QUALITY_READ = "quality.read"
    CALLBACKS_READ = "callbacks.read"
    CALLBACKS_RESEND = "callbacks.resend"
    METRICS_READ = "metrics.read"
    """Counts and latencies, for Prometheus: how much happens here, and how well."""
    JOURNAL_READ = "journal.read"
    """Entries and proofs."""
    EVIDENCE_EXPORT = "evidence.export"
    EVIDENCE_HOLD = "evidence.hold"
    """Keep evidence beyond its retention, and let it go."""
    ACCOUNTS_READ = "accounts.read"
    ACCOUNTS_MANAGE = "accounts.manage"
    """Make and end accounts, change roles, reset second factors, end other people's sessions and tokens."""


P = Permission
_LOOK: Final = frozenset({
    P.OWN_ACCOUNT, P.INCIDENTS_READ, P.PICTURES_SEE, P.UNITS_READ, P.FLEET_READ, P.QUALITY_READ,
})  # fmt: skip
_ACT: Final = _LOOK | {P.INCIDENTS_ACT, P.VIDEO_WATCH, P.SOURCES_SHELVE, P.UNITS_DISPATCH}
_LEAD: Final = _ACT | {
    P.FLASH_SHELVE_AGREE, P.ALARMS_SUPPRESS, P.INCIDENTS_SHARE, P.CALLBACKS_READ, P.CALLBACKS_RESEND, P.JOURNAL_READ, P.METRICS_READ,
    P.EVIDENCE_EXPORT, P.EVIDENCE_HOLD,
}  # fmt: skip


class UserRole(enum.Enum):
    """What a person is here for."""

    DISPATCHER = "dispatcher"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    FIELD_UNIT = "field_unit"

    @property
    def permissions(self) -> frozenset[Permission]:
        """Everything that this role may do."""
        return TABLE[self]

    @property
    def may_act(self) -> bool:
        """Whether incidents may be acknowledged and closed: an auditor only looks."""
        return Permission.INCIDENTS_ACT in TABLE[self]


TABLE: Final[dict[UserRole, frozenset[Permission]]] = {
    UserRole.DISPATCHER: _ACT,
    UserRole.SUPERVISOR: _LEAD,
    UserRole.ADMINISTRATOR: _LEAD | {P.ACCOUNTS_READ, P.ACCOUNTS_MANAGE, P.FLEET_MANAGE},
    UserRole.AUDITOR: _LOOK | {P.CALLBACKS_READ, P.JOURNAL_READ, P.METRICS_READ, P.EVIDENCE_EXPORT, P.ACCOUNTS_READ},
    UserRole.FIELD_UNIT: frozenset({P.OWN_ACCOUNT, P.UNIT_OWN}),
}

NEVER_BY_TOKEN: Final = frozenset({P.OWN_ACCOUNT, P.ACCOUNTS_MANAGE, P.FLEET_MANAGE})
"""A stolen token must not be able to make itself another, or let somebody in, or some machine."""
