"""Reads DER, as much of it as a timestamp needs, and checks RSA and ECDSA signatures with plain arithmetic. Nothing secret is handled.

Source: X.690; RFC 8017 §8.2 (PKCS #1 v1.5); FIPS 186-5 §6.4 and SEC 2 (P-256, P-384).
"""

import hashlib
from dataclasses import dataclass
from typing import Final

SEQUENCE, SET, INTEGER, OCTETS, OID, BITS, TIME = 0x30, 0x31, 0x02, 0x04, 0x06, 0x03, 0x18
_HASHES: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_CURVES: Final = {
    "1.2.840.10045.3.1.7": (
        0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
         0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5),
    ),
    "1.3.132.0.34": (
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        (0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
         0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F),
    ),
}  # fmt: skip
"""OID → p, b, order, base point; a is -3 in both."""
_DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_MOST_OID_BYTES: Final = 64
_MOST_RSA_BITS: Final = 16_384
"""Beyond these, and an exponent of 32 bits, a hostile token could make a verification last for days."""
Point = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Node:
    """One value."""

    tag: int
    content: bytes
    raw: bytes


def parse(data: bytes) -> Node:
    """One value that fills the data.

    Raises:
        ValueError: it is not one.
    """
    node = _read(data, 0)
    if len(node.raw) != len(data):
        raise ValueError("bytes behind the value")
    return node


def inside(node: Node) -> list[Node]:
    """The values in a constructed one.

    Raises:
        ValueError: they don't fill it.
    """
    found, at = list[Node](), 0
    while at < len(node.content):
        found.append(_read(node.content, at))
        at += len(found[-1].raw)
    return found


def number(node: Node) -> int:
    """An INTEGER."""
    return int.from_bytes(node.content, "big", signed=True)


def oid(node: Node) -> str:
    """An OBJECT IDENTIFIER with dots.

    Raises:
        ValueError: longer than any that is known.
    """
    if len(node.content) > _MOST_OID_BYTES:
        raise ValueError(f"expected an object identifier of at most {_MOST_OID_BYTES} bytes")
    parts, value = list[int](), 0
    for byte in node.content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            parts.append(value)
            value = 0
    first = min(parts[0] // 40, 2) if parts else 0
    return ".".join(map(str, [first, parts[0] - 40 * first, *parts[1:]])) if parts else ""


def hash_name(algorithm: str) -> str:
    """The name of a digest; empty where it is not known here."""
    return _HASHES.get(algorithm, "")


def is_signed(key: Node, digest: str, message: bytes, signature: bytes) -> bool | None:
    """Whether a SubjectPublicKeyInfo signed a message; None where its kind of key is not known here.

    Raises:
        ValueError: the key or the signature is not DER.
    """
    algorithm, bits = inside(key)
    names = inside(algorithm)
    if oid(names[0]) == "1.2.840.113549.1.1.1":
        modulus, exponent = (number(item) for item in inside(parse(bits.content[1:])))
        return _rsa(modulus, exponent, digest, message, signature)
    curve = _CURVES.get(oid(names[1])) if oid(names[0]) == "1.2.840.10045.2.1" and len(names) > 1 else None
    if curve is None:
        return None
    size = (curve[0].bit_length() + 7) // 8
    point = bits.content[1:]
    if len(point) != 1 + 2 * size or point[0] != 4:
        raise ValueError("expected an uncompressed point")
    x, y = int.from_bytes(point[1 : 1 + size], "big"), int.from_bytes(point[1 + size :], "big")
    if (y * y - x * x * x + 3 * x - curve[1]) % curve[0]:
        raise ValueError("the point is not on the curve")
    r, s = (number(item) for item in inside(parse(signature)))
    hashed = hashlib.new(digest, message).digest()[:size]
    return _ecdsa(curve, (x, y), int.from_bytes(hashed, "big"), r, s)


def _rsa(modulus: int, exponent: int, digest: str, message: bytes, signature: bytes) -> bool:
    size = (modulus.bit_length() + 7) // 8
    if len(signature) != size or not 2048 <= modulus.bit_length() <= _MOST_RSA_BITS or not 2 < exponent < 1 << 32:
        return False
    said = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big")
    tail = _DIGEST_INFO[digest] + hashlib.new(digest, message).digest()
    return said == b"\x00\x01" + b"\xff" * (size - len(tail) - 3) + b"\x00" + tail


def _ecdsa(curve: tuple[int, int, int, tuple[int, int]], key: tuple[int, int], hashed: int, r: int, s: int) -> bool:
    p, _, order, base = curve
    if not (0 < r < order and 0 < s < order):
        return False
    inverse = pow(s, -1, order)
    found = _add(p, _times(p, base, hashed * inverse % order), _times(p, key, r * inverse % order))
    return found is not None and found[0] % order == r


def _times(p: int, point: Point, scalar: int) -> Point:
    found: Point = None
    while scalar:
        if scalar & 1:
            found = _add(p, found, point)
        point, scalar = _add(p, point, point), scalar >> 1
    return found


def _add(p: int, one: Point, other: Point) -> Point:
    if one is None or other is None:
        return other if one is None else one
    if one[0] == other[0] and (one[1] + other[1]) % p == 0:
        return None
    if one == other:
        slope = (3 * one[0] * one[0] - 3) * pow(2 * one[1], -1, p)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, p)
    x = (slope * slope - one[0] - other[0]) % p
    return x, (slope * (one[0] - x) - one[1]) % p


def _read(data: bytes, at: int) -> Node:
    if at + 2 > len(data) or data[at] & 0x1F == 0x1F:
        raise ValueError("a value is cut off, or has a long tag")
    length, begin = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, begin = int.from_bytes(data[begin : begin + count], "big"), begin + count
        if not 1 <= count <= 4:
            raise ValueError("expected a definite length")
    if begin + length > len(data):
        raise ValueError("a value is cut off")
    return Node(data[at], data[begin : begin + length], data[at : begin + length])
