"""Everything that can go wrong in the relay, grouped by who must act.

HeardError
├── SenderError            bad bytes: the sender must change what it sends
│   ├── Malformed          not what the format says, or over a bound
│   │   └── Oversized      more bytes at once than a transport takes
│   ├── UnsupportedVersion a format version that this release does not speak
│   ├── BadSignature       the signature does not match the bytes
│   ├── UnknownSender      no passport for this sender
│   ├── Revoked            the sender's passport was withdrawn, or is out of its dates
│   ├── NotForUs           addressed to, or sealed for, somebody else
│   ├── CannotOpen         the sealed body does not open, or is not what was signed
│   └── Flooding           more at once than one node may have waiting here
├── NetworkError           try again later
│   └── PathDown           this path carries nothing now
├── OperatorError          disk, key, configuration: a person must act
│   ├── ConfigError        a configuration file says something we don't understand
│   ├── KeyFileError       a key file is missing, damaged or readable by others
│   ├── SpoolFull          no room, and nothing of lower precedence left to evict
│   │   ├── OverQuota      no more room for this one node
│   │   └── DiskFull       the disk under the spool is full, or failing
│   ├── SpoolDamaged       the spool file is not intact
│   ├── SpoolBusy          another process has this spool open
│   ├── EndpointInUse      the address to listen on is taken
│   └── EnrollmentRefused  the code is wrong, used up or expired
└── Bug                    ours: please report it

Messages say what was expected, what was found and what to do.
"""


class HeardError(Exception):
    """Base of every error this product raises on purpose."""

    exit_code = 1


class SenderError(HeardError):
    """Bad bytes: the sender must change what it sends."""

    reason = "refused"
    node_id: bytes = b""
    """Whose mistake it is, where that is not the neighbor that handed the bytes over."""


class Malformed(SenderError):
    """Not what the format says, or over a bound."""

    reason = "malformed"


class Oversized(Malformed):
    """More bytes at once than a transport takes; whoever sends them loses the connection."""

    reason = "oversized"


class UnsupportedVersion(SenderError):
    """A format version that this release does not speak."""

    reason = "unsupported_version"


class BadSignature(SenderError):
    """The signature does not match the bytes."""

    reason = "bad_signature"


class UnknownSender(SenderError):
    """No passport for this sender."""

    reason = "unknown_sender"


class Revoked(SenderError):
    """The sender's passport was withdrawn, or is out of its dates."""

    reason = "revoked"


class NotForUs(SenderError):
    """Addressed to, or sealed for, somebody else."""

    reason = "not_for_us"


class CannotOpen(SenderError):
    """The sealed body does not open, or is not what was signed."""

    reason = "cannot_open"


class Flooding(SenderError):
    """More at once than one node may have waiting here; what is turned away stays with its sender."""

    reason = "flooding"

    def __init__(self, message: str, *, node_id: bytes) -> None:
        super().__init__(message)
        self.node_id = node_id


class NetworkError(HeardError):
    """Try again later."""


class PathDown(NetworkError):
    """This path carries nothing now."""


class OperatorError(HeardError):
    """Disk, key, configuration: a person must act."""

    exit_code = 2


class ConfigError(OperatorError):
    """A configuration file says something we don't understand."""


class KeyFileError(OperatorError):
    """A key file is missing, damaged or readable by others."""


class SpoolFull(OperatorError):
    """No room, and nothing of lower precedence left to evict."""

    reason = "spool_full"


class OverQuota(SpoolFull):
    """No more room for this one node: the rest of the spool is for the others."""

    reason = "over_quota"


class DiskFull(SpoolFull):
    """The disk under the spool is full, or failing: what is left of it is for alerts."""

    reason = "disk_full"


class SpoolDamaged(OperatorError):
    """The spool file is not intact."""


class SpoolBusy(OperatorError):
    """Another process has this spool open."""


class EndpointInUse(OperatorError):
    """The address to listen on is taken."""


class EnrollmentRefused(OperatorError):
    """The enrollment code is wrong, used up or expired."""


class Bug(HeardError):
    """Ours: please report it."""

    exit_code = 70
