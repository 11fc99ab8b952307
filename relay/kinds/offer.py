"""The bounds of a WebRTC offer, checked by the center that takes it from a viewer and by the node that acts on it.

Not a parser of SDP (RFC 8866): it refuses what no viewer of one camera has a reason to say, before anything larger reads it.
Both ends run it, because neither trusts the other's copy.
"""

import ipaddress
import re
from typing import Final

from relay.errors import Malformed
from relay.kinds.instruction import MAX_SDP_CHARACTERS

MOST_LINES: Final = 500
MOST_CANDIDATES: Final = 40
_LINE: Final = re.compile(r"^[a-z]=[\x20-\x7e]{0,1000}$")
_CANDIDATE: Final = re.compile(
    r"^a=candidate:[\x21-\x7e]{1,64} [12] (udp|tcp|UDP|TCP) \d{1,10} (\S{1,100}) (\d{1,5}) typ (host|srflx|prflx|relay)( .{0,200})?$"
)
_MDNS: Final = re.compile(r"^[0-9a-f-]{1,64}\.local$")


def check(offer: str) -> None:
    """Refuse an offer that a viewer of one camera can't mean.

    Raises:
        Malformed: what was expected and what was found.
    """
    if len(offer) > MAX_SDP_CHARACTERS:
        raise Malformed(f"expected an offer of at most {MAX_SDP_CHARACTERS} characters, found {len(offer)}")
    lines = offer.replace("\r\n", "\n").rstrip("\n").split("\n")
    if lines[0] != "v=0":
        raise Malformed(f"expected an SDP offer that begins with v=0, found {lines[0][:20]!r}")
    if len(lines) > MOST_LINES:
        raise Malformed(f"expected an offer of at most {MOST_LINES} lines, found {len(lines)}")
    bad = next((line for line in lines if not _LINE.match(line)), None)
    if bad is not None:
        raise Malformed(f"expected lines like a=… of printable ASCII in the offer, found {bad[:60]!r}")
    _check_media(lines)
    candidates = [line for line in lines if line.startswith("a=candidate")]
    if len(candidates) > MOST_CANDIDATES:
        raise Malformed(f"expected at most {MOST_CANDIDATES} candidates in the offer, found {len(candidates)}")
    for line in candidates:
        _check_candidate(line)


def _check_media(lines: list[str]) -> None:
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")]
    kinds = [lines[number][2:].split(" ")[0] for number in starts]
    if kinds.count("video") != 1 or kinds.count("audio") > 1 or kinds.count("application") > 1 or len(kinds) > 3:
        raise Malformed(
            f"expected one video, at most one audio and one data channel in the offer, found {', '.join(kinds)[:100] or 'nothing'}"
        )
    for kind, first, last in zip(kinds, starts, [*starts[1:], len(lines)], strict=True):
        section = lines[first:last]
        if kind == "video":
            if "a=recvonly" not in section and "a=sendrecv" not in section:
                raise Malformed("expected video that the viewer receives (a=recvonly) in the offer")
            if not any(re.match(r"^a=rtpmap:\d{1,3} H264/90000$", line, re.IGNORECASE) for line in section):
                raise Malformed("expected H.264 among the offer's codecs: cameras send nothing else without loss")
    for needed in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:sha-256 "):
        if not any(line.startswith(needed) for line in lines):
            raise Malformed(f"expected {needed.rstrip(' :')} in the offer: WebRTC does without it nowhere")


def _check_candidate(line: str) -> None:
    parts = _CANDIDATE.match(line)
    if parts is None:
        raise Malformed(f"expected an ICE candidate, found {line[:80]!r}")
    host, port = parts.group(2), int(parts.group(3))
    if port > 65535:
        raise Malformed(f"expected a port in an ICE candidate, found {port}")
    if _MDNS.match(host):
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise Malformed(f"expected an address in an ICE candidate, found {host[:60]!r}") from None
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        raise Malformed(f"expected the address of one machine in an ICE candidate, found {host}")
