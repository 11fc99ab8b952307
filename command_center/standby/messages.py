"""What a leader and its standby say to each other: a length, then msgpack, told apart by a name.

The leader asks, the standby answers each in turn under the same number.
"""

import struct
from typing import Final

import msgspec

from relay.errors import Malformed, Oversized

LENGTH: Final = struct.Struct(">I")
MOST_BYTES: Final = 4 << 20
"""Of one message: the intake log as a whole is the most that is sent."""
CHUNK_PAGES: Final = 64
"""In one message: a record of the intake log waits behind one at most."""
DIGEST_BYTES: Final = 16
DIGESTS_AT_ONCE: Final = 1 << 12
PIECE_BYTES: Final = 256 << 10


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The leader's first word."""

    number: int
    format: int
    term: int
    """How often a standby of this center was promoted: of two leaders the one with more is right."""


class Standing(msgspec.Struct, frozen=True, kw_only=True, tag="standing"):
    """Who answers."""

    number: int
    leads: bool
    term: int
    run: bytes
    """Of the leader whose state the standby has; empty if it has none as a whole."""
    sequence: int
    """Its commit."""


class Digests(msgspec.Struct, frozen=True, kw_only=True, tag="digests"):
    """Asks for the BLAKE2b-128 of pages from ``first`` on."""

    number: int
    first: int
    count: int


class Found(msgspec.Struct, frozen=True, kw_only=True, tag="found"):
    """As many as there are, side by side."""

    number: int
    digests: bytes


class Changed(msgspec.Struct, frozen=True, kw_only=True, tag="changed"):
    """Pages; they count with the first one that has no ``more`` behind it, all at once."""

    number: int
    pages: list[tuple[int, bytes]]
    more: bool
    pages_in_all: int
    run: bytes
    sequence: int


class Log(msgspec.Struct, frozen=True, kw_only=True, tag="log"):
    """Bytes of the intake log, from ``at`` on."""

    number: int
    at: int
    data: bytes


class Beat(msgspec.Struct, frozen=True, kw_only=True, tag="beat"):
    """Are you there, and what do you lack?"""

    number: int


class Wants(msgspec.Struct, frozen=True, kw_only=True, tag="wants"):
    """SHA-256 of pictures and clips that the database names and the standby lacks: some of them."""

    number: int
    blobs: list[bytes]


class Blob(msgspec.Struct, frozen=True, kw_only=True, tag="blob"):
    """A piece of one, in order."""

    number: int
    sha256: bytes
    is_first: bool
    is_last: bool
    data: bytes


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """It is durable."""

    number: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """It is not, and why."""

    number: int
    why: str


Asked = Hello | Digests | Changed | Log | Beat | Blob
Answer = Standing | Found | Wants | Done | Failed
FORMAT: Final = 1
_ASKED: Final["msgspec.msgpack.Decoder[Asked]"] = msgspec.msgpack.Decoder(Asked)
_ANSWER: Final["msgspec.msgpack.Decoder[Answer]"] = msgspec.msgpack.Decoder(Answer)


def encode(message: Asked | Answer) -> bytes:
    """Length and content."""
    content = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(content)) + content


def length_of(head: bytes) -> int:
    """How much follows.

    Raises:
        Oversized: more than a message may have.
    """
    (length,) = LENGTH.unpack(head)
    if length > MOST_BYTES:
        raise Oversized(f"expected a message of at most {MOST_BYTES} bytes, found {length}")
    return int(length)


def asked(content: bytes) -> Asked:
    """What a leader says.

    Raises:
        Malformed: it says nothing that is known here.
    """
    try:
        return _ASKED.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"not a leader's message: {error}") from error


def answer(content: bytes) -> Answer:
    """What a standby answers.

    Raises:
        Malformed: it says nothing that is known here.
    """
    try:
        return _ANSWER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"not a standby's answer: {error}") from error
