"""The timestamp of a bag, if it has one: what a time-stamping authority said, and that the center vouches for these bytes.

The token is over the tag manifest, on which everything else hangs. ``signatures/timestamp-sha256.txt`` lists the files of the timestamp
and carries the center's signature, so that no byte of them can change unnoticed. Here are checked: the imprint, the authority's
signature with the certificate in the token, and the time. *Not checked*: whether that certificate leads to a root that you trust and
was valid: ``openssl ts -verify`` does that. Source: RFC 3161, RFC 5652 §5.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from . import der
from .bag import TAG_MANIFEST, CheckSignature
from .container import Source, lines, read
from .der import Node
from .errors import Wrong

TOKEN, CHAIN = "signatures/tagmanifest-sha256.txt.tsr", "signatures/tsa-chain.pem"
LIST, LIST_SIG = "signatures/timestamp-sha256.txt", "signatures/timestamp-sha256.txt.sig"
FILES: Final = frozenset({TOKEN, CHAIN, LIST, LIST_SIG})
_MAX: Final = 1 << 20
_SIGNED_DATA, _TST_INFO, _MESSAGE_DIGEST = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4", "1.2.840.113549.1.9.4"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a token says."""

    at: str
    """ISO 8601, UTC."""
    imprint: bytes
    nonce: int | None
    is_signed: bool | None
    """By the certificate in the token; None: a kind of key that is not known here."""


def check(source: Source, center: bytes, check_signature: CheckSignature) -> Stamp | None:
    """The timestamp; None where the bag has none."""
    here = FILES & source.names()
    if not here:
        return None
    if not check_signature(center, read(source, LIST, _MAX), read(source, LIST_SIG, 64)):
        raise Wrong(LIST, f"the signature in {LIST_SIG} is not by the center over this file")
    listed = {line.partition("  ")[2]: line.partition("  ")[0] for line in lines(source, LIST, 4096)}
    if listed.keys() != here - {LIST, LIST_SIG} or TOKEN not in listed:
        raise Wrong(
            LIST,
            f"expected it to list the files of the timestamp that are here, found {', '.join(sorted(listed))[:200]}",
        )
    for name, sha256 in listed.items():
        if hashlib.sha256(read(source, name, _MAX)).hexdigest() != sha256:
            raise Wrong(name, f"expected SHA-256 {sha256[:16]}…")
    try:
        stamp = parse(read(source, TOKEN, _MAX))
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise Wrong(TOKEN, f"expected a timestamp token: {error}") from error
    if stamp.imprint != hashlib.sha256(read(source, TAG_MANIFEST, _MAX)).digest():
        raise Wrong(TOKEN, f"it is not about {TAG_MANIFEST}")
    if stamp.is_signed is False:
        raise Wrong(TOKEN, "the certificate in it has not signed it")
    return stamp


def parse(response: bytes) -> Stamp:
    """A time-stamp response.

    Raises:
        ValueError: not one, or not granted.
    """
    status, *rest = der.inside(der.parse(response))
    granted = der.number(der.inside(status)[0])
    if granted not in {0, 1} or len(rest) != 1:
        raise ValueError(f"the authority did not grant it: status {granted}")
    kind, wrapped = der.inside(rest[0])
    if der.oid(kind) != _SIGNED_DATA:
        raise ValueError("expected signed data")
    parts = der.inside(der.inside(wrapped)[0])
    content_kind, content = der.inside(parts[2])
    if der.oid(content_kind) != _TST_INFO:
        raise ValueError("expected a TSTInfo")
    said = der.inside(content)[0].content
    info = der.inside(der.parse(said))
    algorithm, imprint = der.inside(info[2])
    if der.hash_name(der.oid(der.inside(algorithm)[0])) != "sha256":
        raise ValueError("expected a SHA-256 imprint")
    nonce = next((der.number(item) for item in info[5:] if item.tag == der.INTEGER), None)
    certificates = (
        der.inside(next(part for part in parts[3:] if part.tag == 0xA0))
        if any(p.tag == 0xA0 for p in parts[3:])
        else []
    )
    (signer,) = der.inside(parts[-1])
    return Stamp(_time(info[4]), imprint.content, nonce, _is_signed(signer, said, certificates))


def _is_signed(signer: Node, said: bytes, certificates: list[Node]) -> bool | None:
    _, who, digest_algorithm, attributes, _, signature = der.inside(signer)[:6]
    digest = der.hash_name(der.oid(der.inside(digest_algorithm)[0]))
    if not digest or attributes.tag != 0xA0:
        return None
    stated = next((der.inside(der.inside(item)[1])[0].content for item in der.inside(attributes)
                   if der.oid(der.inside(item)[0]) == _MESSAGE_DIGEST), b"")  # fmt: skip
    if stated != hashlib.new(digest, said).digest():
        return False
    issuer, serial = der.inside(who) if who.tag == der.SEQUENCE else (who, who)
    for certificate in certificates:
        fields = der.inside(der.inside(certificate)[0])
        fields = fields[1:] if fields[0].tag == 0xA0 else fields
        if who.tag != der.SEQUENCE or (fields[0].content, fields[2].raw) == (serial.content, issuer.raw):
            signed = b"\x31" + attributes.raw[1:]  # RFC 5652 §5.4: hashed as a SET
            outcome = der.is_signed(fields[5], digest, signed, signature.content)
            if outcome is not False or who.tag == der.SEQUENCE:
                return outcome
    return None if not certificates else False


def _time(node: Node) -> str:
    text = node.content.decode("ascii")
    if node.tag != der.TIME or not text.endswith("Z") or not text[:14].isdigit():
        raise ValueError(f"expected a time, found {text[:40]!r}")
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:14]}{text[14:-1]}Z"
