"""FFmpeg's and the system's errors as typed ones, in words for whoever stands before the camera."""

import errno
import socket
import urllib.parse

import av.error

from camera_node.errors import StreamError, StreamFault, redacted
from camera_node.source import Source, SourceKind

_BY_TYPE: tuple[tuple[type[BaseException], StreamFault, str], ...] = (
    (av.error.HTTPUnauthorizedError, StreamFault.AUTH_FAILED, "the camera refuses the user or password: check both"),
    (av.error.HTTPForbiddenError, StreamFault.AUTH_FAILED, "the camera forbids this user to watch: check its rights"),
    (av.error.HTTPNotFoundError, StreamFault.NOT_FOUND, "the camera has no such stream: check the path of the address"),
    (av.error.ExitError, StreamFault.TIMEOUT, "no answer in time: check the camera's power and network"),
    (TimeoutError, StreamFault.TIMEOUT, "no answer in time: check the camera's power and network"),
    (FileNotFoundError, StreamFault.NOT_FOUND, "no such file or device"),
    (PermissionError, StreamFault.DENIED, "this user may not read it: check its owner and the video group"),
    (ConnectionRefusedError, StreamFault.CONNECTION_FAILED, "nothing listens there: check address and port"),
    (av.error.DecoderNotFoundError, StreamFault.CODEC_UNSUPPORTED, "there is no decoder for its codec"),
    (av.error.InvalidDataError, StreamFault.CODEC_UNSUPPORTED, "expected video, found something that can't be read"),
)


def explain(error: BaseException, source: Source) -> StreamError:
    """FFmpeg's and the system's errors as a typed one. Never uses their text whole: it holds the address."""
    for kind, fault, words in _BY_TYPE:
        if isinstance(error, kind):
            return StreamError(fault, f"{source.name}: {words}")
    number = getattr(error, "errno", None)
    reason = redacted(str(getattr(error, "strerror", None) or type(error).__name__))
    if number == errno.EBUSY:
        return StreamError(StreamFault.BUSY, f"{source.name}: another program has it open")
    if isinstance(error, IsADirectoryError):
        return StreamError(StreamFault.NOT_FOUND, f"{source.name}: expected a file, found a folder")
    if host := _host_without_address(source):
        return StreamError(StreamFault.CONNECTION_FAILED, f"{source.name}: {host} has no address here: check its name")
    if source.address.lower().startswith("rtsps") and not isinstance(error, ConnectionError):
        return StreamError(StreamFault.TLS_FAILED, f"{source.name}: the encrypted connection failed ({reason})")
    return StreamError(StreamFault.CONNECTION_FAILED, f"{source.name}: can't be read ({reason})")


def _host_without_address(source: Source) -> str:
    """The camera's name, if nothing here knows it: FFmpeg says no more than that reading failed.

    Where a password takes the address apart, what stands in the host's place is a part of that password: then it is not said.
    """
    if source.kind not in {SourceKind.RTSP, SourceKind.HTTP}:
        return ""
    host = urllib.parse.urlsplit(source.address).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return host if host == urllib.parse.urlsplit(source.name).hostname else "its host"
    return ""
