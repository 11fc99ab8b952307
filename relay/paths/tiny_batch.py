"""Several parcels in what one parcel would take anyway, and whether the neighbor can read that: it is learned, never configured.

Where a burst costs money and a frame seconds, small parcels that wait at the same time go together under one proof
(``tiny_seal``, code 0x13): ``code (1 byte), length (LEB128), content`` of each, two at least, none within another.

A release that does not know the code refuses it without a word. So nothing goes together before the neighbor has shown that it reads it: by
saying several itself, or by its answer to a question that any release answers truthfully. The question is a ping that
nobody asks otherwise; who knows it answers with another number, who doesn't with the same. It is asked when as many parcels could have gone
along as question and answer cost, and then ever more rarely. What went together and is offered again goes alone, so that a neighbor that
was set back to an older release costs a repetition and no alert; after three such in a row it is asked anew.

Pure; owned by ``tiny_seal.TinySeal``, used by ``tiny_session``.
"""

from collections.abc import Sequence
from typing import Final

from relay import hop, varint
from relay.errors import Malformed

Part = tuple[int, bytes]
"""A code of ``tiny_seal`` and its content."""
_MOST_PARTS: Final = 16
_QUESTION: Final = hop.Ping(2)
_YES: Final = hop.Pong(3)
_NO: Final = hop.Pong(_QUESTION.sent_ms)
"""What a release says to any ping that does not know this one."""
QUESTION: Final = hop.encode(_QUESTION)
YES: Final = hop.encode(_YES)
_FIRST_QUESTION_AFTER: Final = 2
"""Question and answer cost two parcels."""
_ASKED_SOON: Final = 3
"""Times, before it takes ever more for the next question: one of them may be lost, or its answer."""
_AFTER_A_NO: Final = 16
_MOST_PATIENCE: Final = 1_024
_DOUBTS_ALLOWED: Final = 3


def pack(parts: Sequence[Part]) -> bytes:
    """The content of a sealed parcel that holds several."""
    out = bytearray()
    for code, content in parts:
        out.append(code)
        varint.put(out, len(content))
        out += content
    return bytes(out)


def unpack(content: bytes) -> list[Part]:
    """The parts again.

    Not checked: the codes, and what is in the contents.

    Raises:
        Malformed: cut off, or fewer than two or more than ``_MOST_PARTS``, or one of them empty.
    """
    parts: list[Part] = []
    at = 0
    while at < len(content):
        code = content[at]
        size, at = varint.take(content, at + 1)
        if not 0 < size <= len(content) - at:
            raise Malformed(f"expected a part of 1 to {len(content) - at} bytes at {at}, found one of {size}")
        parts.append((code, content[at : at + size]))
        at += size
        if len(parts) > _MOST_PARTS:
            raise Malformed(f"expected at most {_MOST_PARTS} parts, found more")
    if len(parts) < 2:
        raise Malformed(f"expected several parts, found {len(parts)}")
    return parts


class Reads:
    """Whether a neighbor reads several parcels in one."""

    def __init__(self) -> None:
        self._is_known: bool | None = None
        self._missed = self._asked = self._doubts = 0
        self._patience = _FIRST_QUESTION_AFTER

    @property
    def several(self) -> bool:
        """Whether parcels may go together."""
        return self._is_known is True

    def said_several(self) -> None:
        """It sent several in one, so it reads them, too."""
        self._is_known = True
        self._doubts = 0

    def missed(self) -> bool:
        """A parcel went alone that could have gone along: whether to ask now."""
        self._missed += 1
        if self._missed < self._patience:
            return False
        self._missed = 0
        self._asked += 1
        if self._asked >= _ASKED_SOON:
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
        return True

    def doubted(self) -> None:
        """What went together got no answer and is offered again."""
        self._doubts += 1
        if self._doubts >= _DOUBTS_ALLOWED:
            self._is_known = None
            self._doubts = self._missed = self._asked = 0
            self._patience = _FIRST_QUESTION_AFTER

    def heard(self, note: hop.Note) -> bytes | None:
        """What is to be answered if this is the question, ``b""`` if it is an answer to ours, None if it is none of this."""
        if note == _QUESTION:
            self.said_several()  # no older release asks
            return YES
        if note == _YES:
            self.said_several()
            return b""
        if note == _NO:
            self._is_known = False
            self._asked, self._patience = _ASKED_SOON, max(self._patience, _AFTER_A_NO)
            return b""
        return None
