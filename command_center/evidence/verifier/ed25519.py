"""Ed25519 verification in plain Python, for machines that have nothing else. Slow (about 3 ms) and right.

Verifies only: no secret ever comes here, so nothing needs to take constant time. Judges as libsodium does: a scalar that
is not reduced, a point that is not encoded canonically and a key or R of small order are refused.
Source: RFC 8032, section 5.1.
"""

import hashlib
from typing import Final

_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT: Final = pow(2, (_P - 1) // 4, _P)

Point = tuple[int, int, int, int]
"""Extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z."""

_IDENTITY: Final[Point] = (0, 1, 1, 0)


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of ``key`` signed ``message``."""
    if len(key) != 32 or len(signature) != 64:
        return False
    public, r = _decode(key), _decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or r is None or scalar >= _L or _is_small(public) or _is_small(r):
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % _L
    x, y, z, t = public
    found = _sum_of_products(scalar, _BASE, challenge, (_P - x, y, z, _P - t))
    return _encode(found) == signature[:32]


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double(point: Point) -> Point:
    x, y, z, _ = point
    a, b = x * x % _P, y * y % _P
    h, e, g = a + b, a + b - (x + y) * (x + y), a - b
    f = 2 * z * z + g
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _sum_of_products(a: int, one: Point, b: int, other: Point) -> Point:
    """a·one + b·other, bit by bit together (Shamir's trick)."""
    steps = {(1, 0): one, (0, 1): other, (1, 1): _add(one, other)}
    total = _IDENTITY
    for at in range(max(a.bit_length(), b.bit_length()) - 1, -1, -1):
        total = _double(total)
        bits = (a >> at & 1, b >> at & 1)
        if bits != (0, 0):
            total = _add(total, steps[bits])
    return total


def _is_small(point: Point) -> bool:
    """Whether its order divides 8."""
    x, y, z, _ = _double(_double(_double(point)))
    return x % _P == 0 and (y - z) % _P == 0


def _decode(data: bytes) -> Point | None:
    """The point that 32 bytes name; None if they name none, or not in the one canonical way."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(point: Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _base() -> Point:
    found = _decode((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert found is not None
    return found


_BASE: Final = _base()
