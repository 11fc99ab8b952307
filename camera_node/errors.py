"""Everything that can go wrong in seeing, on top of the relay's tree.

relay.errors.HeardError
├── StreamError            a camera gives no usable picture: we try again for ever, the code says why
├── ModelRefused           (OperatorError) the weights are missing, not verified, or not what they must be
├── RulesDontFit           (OperatorError) the model knows none of the classes that a camera's rules act on
├── DetectorGone           the shared detector does not answer: the eye ends and is started anew
├── EyeLost                a camera's child process died or hangs: supervision starts it anew
├── CannotRecord           a camera's stream can't be kept as it is: no clip, and the node says why
└── relay.errors.ConfigError …

Messages never hold a camera's password: sources are named through ``redacted``.
"""

import enum
import re

from relay.errors import HeardError, NetworkError, OperatorError


class StreamFault(enum.StrEnum):
    """Why a camera gives no usable picture. A closed choice, because people act on it."""

    CONNECTION_FAILED = "connection_failed"
    """Nothing answers at this address."""
    AUTH_FAILED = "auth_failed"
    """User or password are wrong."""
    TLS_FAILED = "tls_failed"
    """The encrypted connection could not be made."""
    TIMEOUT = "timeout"
    """It is there, and says nothing in time."""
    NOT_FOUND = "not_found"
    """No such file, device or stream."""
    CODEC_UNSUPPORTED = "codec_unsupported"
    """There is no picture in it that we can decode."""
    BUSY = "busy"
    """Another program has the device open."""
    DENIED = "denied"
    """This user may not read it."""
    GONE = "gone"
    """It was there, and the stream ended."""
    ENDED = "ended"
    """The clip is over, and was not to be looped."""
    BLACK = "black"
    """Frames come, and there is nothing on them."""
    FROZEN = "frozen"
    """Frames come, and they are all the same one."""


class StreamError(NetworkError):
    """A camera gives no usable picture now; reading goes on being tried."""

    def __init__(self, fault: StreamFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class ModelRefused(OperatorError):
    """The weights are missing, not verified, or not what they must be."""


class RulesDontFit(OperatorError):
    """The model knows none of the classes that a camera's rules act on: it would look for ever and never tell."""


class DetectorGone(HeardError):
    """The shared detector does not answer."""


class EyeLost(HeardError):
    """A camera's child process died or hangs."""


class CannotRecord(HeardError):
    """A camera's stream can't be kept as it is."""


# Up to the last @, over slashes too: somebody's password may have any sign, written as it is.
_USERINFO = re.compile(r"(?<=://)[^\s'\"]*@")
_QUERY_SECRET = re.compile(r"(?i)\b(pass(?:word|wd)?|pwd|token|auth|key|user(?:name)?)=[^&\s'\"]*")


def redacted(text: str) -> str:
    """The text without user names, passwords and tokens of any address in it."""
    return _QUERY_SECRET.sub(r"\1=•••", _USERINFO.sub("•••@", text))
