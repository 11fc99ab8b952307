"""A checkpoint: another agency's center submits the signed tree head of its journal, to be witnessed. Carried like an alert.

The note is a C2SP signed note, and what goes with it is what C2SP tlog-witness puts into ``add-checkpoint``, so that one rule
(``command_center/witness/desk``) judges both ways of submitting. The envelope is signed by the station that carries it; the note by
the journal that it speaks of.
"""

from typing import Annotated, Final

import msgspec

from relay.kinds.body import Count, Salt, Sha256, new_salt

MAX_NOTE_CHARACTERS: Final = 2000
MAX_KEY_CHARACTERS: Final = 300
MAX_PROOF: Final = 63
"""Hashes: enough for 2^63 entries."""


class SubmittedCheckpoint(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a checkpoint."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    note: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NOTE_CHARACTERS)]
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_CHARACTERS)]
    """``name+id+key`` of the journal, as note tools write it."""
    old_size: Count
    """Entries in the last checkpoint that this witness is believed to have; 0: none."""
    proof: Annotated[tuple[Sha256, ...], msgspec.Meta(max_length=MAX_PROOF)] = ()
    """RFC 9162 consistency proof from ``old_size`` to the note's size."""
