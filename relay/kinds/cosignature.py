"""A cosignature: what a witness makes of a checkpoint that came to it by relay."""

from typing import Annotated, Final

import msgspec

from relay.kinds.body import Count, Salt, Sha256, Text, new_salt

MAX_LINE_CHARACTERS: Final = 400


class Cosignature(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a cosignature."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    submission_id: Sha256
    """The envelope id of the checkpoint."""
    size: Count
    """Entries in the newest checkpoint that the witness has of this journal; the next one must be shown to grow from it."""
    line: Annotated[str, msgspec.Meta(max_length=MAX_LINE_CHARACTERS)] = ""
    """C2SP cosignature v1, the line that goes below the note; empty: it was not signed."""
    problem: Text = ""
    """Why not, in words."""
