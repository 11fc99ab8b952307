"""Small numbers in as few bytes as they need: LEB128, seven bits a byte, the lowest first, each number in its shortest form only."""

from relay.errors import Malformed

_MOST_SHIFT = 28
"""Five bytes: 35 bits."""


def put(out: bytearray, number: int) -> None:
    """Append a number of at most 35 bits."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def take(data: bytes, offset: int) -> tuple[int, int]:
    """The number at ``offset``, and where the next thing begins.

    Raises:
        Malformed: cut off, longer than five bytes, or not in its shortest form.
    """
    number = shift = 0
    while True:
        if offset >= len(data) or shift > _MOST_SHIFT:
            raise Malformed(f"expected a number at {offset}, found one that is cut off or too long")
        byte = data[offset]
        number |= (byte & 0x7F) << shift
        offset += 1
        if byte < 0x80:
            if byte == 0 and shift:
                raise Malformed(f"the number that ends at {offset} is not in its shortest form")
            return number, offset
        shift += 7
