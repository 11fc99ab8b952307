"""A chunk: a piece of an exhibit's bytes, found by the exhibit's SHA-256 and its place."""

from typing import Annotated

import msgspec

from relay import limits
from relay.kinds.body import Salt, Sha256, new_salt


class Chunk(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a chunk."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    object_sha256: Sha256
    """SHA-256 of the whole object."""
    offset_bytes: Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_OBJECT_BYTES)]
    content: Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.MAX_CHUNK_BYTES)]


def cut(content: bytes, sha256: bytes, chunk_bytes: int = limits.DEFAULT_CHUNK_BYTES) -> list[Chunk]:
    """Cut an object into chunks, in order."""
    return [Chunk(object_sha256=sha256, offset_bytes=at, content=content[at : at + chunk_bytes])
            for at in range(0, len(content), chunk_bytes)]  # fmt: skip
