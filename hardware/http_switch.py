"""A switch on the local network that is worked by an HTTP request: an IP relay, a smart plug, a horn speaker, a door controller.

One request, a short deadline, no redirects to elsewhere, no proxies: it is a device beside the node. Standard library only.
Blocking: called on a thread.
"""

import http.client
import urllib.error
import urllib.request
from typing import IO, Final

from hardware.errors import DeviceFault

_WITHIN_S: Final = 5.0
_MOST_ANSWER_BYTES: Final = 64 * 1024


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: it is not followed."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Nowhere."""


def request(url: str, *, method: str = "POST", content: str = "", media_type: str = "application/json") -> int:
    """Make the request; the status that came back, 200 … 299.

    Raises:
        DeviceFault: no answer in time, refused, or a status that says no.
    """
    if not url.startswith(("http://", "https://")):
        raise DeviceFault(f"expected http:// or https:// for a switch, found {url[:60]!r}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)
    wanted = urllib.request.Request(url, method=method, data=content.encode() if content else None)  # noqa: S310  checked above
    if content:
        wanted.add_header("Content-Type", media_type)
    where = url.rsplit("@", maxsplit=1)[-1].split("?", maxsplit=1)[0]
    try:
        with opener.open(wanted, timeout=_WITHIN_S) as answer:
            answer.read(_MOST_ANSWER_BYTES)
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        raise DeviceFault(f"the switch at {where} answered {error.code}: check its address and password") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise DeviceFault(f"the switch at {where} can't be reached ({reason}): check its power and network") from error
