"""Several parcels in one piece of bytes, for carriers that move requests or messages: each behind its 4-byte length."""

import struct
from collections.abc import Iterable
from typing import Final

from relay import limits
from relay.errors import Malformed, Oversized

_LENGTH: Final = struct.Struct(">I")
MAX_BATCH_BYTES: Final = 4 * limits.MAX_PARCEL_BYTES


def join(parcels: Iterable[bytes]) -> bytes:
    """One piece of bytes."""
    return b"".join(_LENGTH.pack(len(parcel)) + parcel for parcel in parcels)


def split(data: bytes) -> list[bytes]:
    """The parcels again.

    Raises:
        Oversized: the batch is over its bound.
        Malformed: cut off, or a parcel says that it is.
    """
    if len(data) > MAX_BATCH_BYTES:
        raise Oversized(f"expected at most {MAX_BATCH_BYTES} bytes of parcels, found {len(data)}")
    parcels: list[bytes] = []
    at = 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise Malformed(f"expected a length of {_LENGTH.size} bytes at {at}, found the end after {len(data)}")
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if size > limits.MAX_PARCEL_BYTES:
            raise Malformed(f"expected a parcel of at most {limits.MAX_PARCEL_BYTES} bytes, found {size}")
        if at + size > len(data):
            raise Malformed(f"expected a parcel of {size} bytes at {at}, found the end after {len(data)}")
        parcels.append(data[at : at + size])
        at += size
    return parcels
