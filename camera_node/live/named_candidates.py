"""Candidates whose address is a name: browsers hide the viewer's address behind ``….local``, for multicast DNS to find.

Where the name can't be found, aiortc waits a second for it before it answers at all, and a viewer waits with it [M]. So the
answer goes without them, and they are looked up beside it: the browser calls first in nearly every network, and is known
then by the address that it calls from.
"""

from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp

_CANDIDATE = "a=candidate:"
_END = "a=end-of-candidates"


def taken_out(offer: str) -> tuple[str, list[RTCIceCandidate]]:
    """The offer without them, and open for more candidates where it had any; and they themselves."""
    kept: list[str] = []
    named: list[RTCIceCandidate] = []
    media = -1
    for line in offer.splitlines():
        if line.startswith("m="):
            media += 1
        if line.startswith(_CANDIDATE) and line.split()[4].endswith(".local"):
            candidate = candidate_from_sdp(line.removeprefix("a=candidate:"))
            candidate.sdpMLineIndex = media
            named.append(candidate)
        else:
            kept.append(line)
    if named:
        kept = [line for line in kept if line != _END]
    return "\r\n".join(kept) + "\r\n", named
