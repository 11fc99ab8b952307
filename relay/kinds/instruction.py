"""An instruction: the center asks a node for something. One struct for each thing that may be asked, told apart by a number.

A node follows what it knows and answers (``relay.kinds.answer``); what it does not know it keeps as unread and counts, so an
older node meets a newer center without harm. Numbers are never used twice. Nothing here steers a camera: a camera that
people can turn from afar can be turned away.

An instruction that is only worth following now (a stream to open) carries a time to live in its header.
"""

from typing import Annotated, Final

import msgspec

from relay.kinds.body import Count, Name, Salt, Sha256, Text, new_salt

MAX_SDP_CHARACTERS: Final = 14_000
"""An offer of Chromium for one picture and one data channel takes 6,000; a body holds 20,000 bytes."""
MAX_ICE_SERVERS: Final = 4
SESSION_BYTES: Final = 16

SessionId = Annotated[bytes, msgspec.Meta(min_length=SESSION_BYTES, max_length=SESSION_BYTES)]
Sdp = Annotated[str, msgspec.Meta(max_length=MAX_SDP_CHARACTERS)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class SendClip(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Send the clip of this alert now, whatever the node's configuration says of clips."""

    alert_id: Sha256
    reason: Text = ""


class HoldClip(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Keep the clip of this alert, whatever its age and the quota."""

    alert_id: Sha256
    reason: Text = ""
    until_wall_ms: Count = 0
    """0: until it is released."""


class ReleaseClip(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """The clip of this alert is like any other again."""

    alert_id: Sha256
    reason: Text = ""


class IceServer(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """A STUN or TURN server that one viewing may use. Its credential is good for that viewing's time only."""

    url: Url
    username: Text = ""
    credential: Text = ""

    def __repr__(self) -> str:  # the credential stays out of logs
        return f"IceServer({self.url})"


class OpenStream(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """Show one camera to one viewer, whom the center has authorized and journalled."""

    session: SessionId
    camera: Name
    offer: Sdp
    """The viewer's WebRTC offer; empty: stills through the relay."""
    ice_servers: Annotated[tuple[IceServer, ...], msgspec.Meta(max_length=MAX_ICE_SERVERS)] = ()
    """Empty: only the addresses of this node's own interfaces."""
    is_relay_only: bool = False
    """Only by way of a TURN server."""
    longest_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 3600
    """The node ends it by itself after this."""


class CloseStream(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Stop showing, at once. May arrive before its ``OpenStream``: that one is then never followed."""

    session: SessionId
    reason: Text = ""


class Act(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """Do what can be done at the site, by the name that the node's configuration gives it: sound the siren."""

    action: Name
    for_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 0
    """0: as long as the node's configuration says."""
    by: Name
    """Who ordered it."""
    reason: Text = ""


class Suppress(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=7):
    """Do not tell again what this alert of yours showed, at that place and with that look, for a while: it was a false alarm."""

    alert_id: Sha256
    for_s: Annotated[int, msgspec.Meta(ge=60, le=90 * 86_400)]
    by: Name
    reason: Text = ""


class Unsuppress(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, tag=8):
    """Tell it again."""

    alert_id: Sha256
    by: Name


Order = SendClip | HoldClip | ReleaseClip | OpenStream | CloseStream | Act | Suppress | Unsuppress


class Instruction(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of an instruction."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    order: Order
