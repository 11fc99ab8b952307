"""The checks in their order, cheapest to fool last: one line for each claim, and the first wrong file by its name."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from . import bag, completeness, ed25519, journal, statements, timestamp
from .bag import CheckSignature
from .container import Opened, Source
from .errors import Unreadable, Wrong
from .statements import Statements
from .timestamp import Stamp

USAGE: Final = "usage: verify.py [FILE.zip | FOLDER] [--authority FINGERPRINT] [--against CHECKPOINT-FILE]"
_MOST_BYTES: Final = 1 << 20


def claims(place: Path, *, authority: str = "", against: bytes = b"",
           check_signature: CheckSignature = ed25519.verify) -> Iterator[str]:  # fmt: skip
    """What holds, line by line. ``against``: an earlier checkpoint that the journal must begin with.

    Raises:
        Wrong: the next thing does not hold; nothing after it was judged.
    """
    with Opened(place) as source:
        yield from _claims(source, authority, against, check_signature)


def _claims(source: Source, authority: str, against: bytes, check: CheckSignature) -> Iterator[str]:
    stated = bag.info(source)
    signer = bag.check_signature(source, check)
    yield "signature: the center's key signed the tag manifest"
    bag.check_tags(source)
    yield "tag files: as the tag manifest says"
    stamp = timestamp.check(source, signer, check)
    yield f"timestamp: {_stamped(stamp, stated)}"
    payload = _payload(source)
    bag.check_oxum(stated, payload)
    yield f"payload: {len(payload.hashes)} files, {payload.size_bytes} bytes, each with its SHA-256, none missing, none added"
    authority_key = statements.authority_key(source)
    found = statements.check(source, authority_key, check)
    fingerprint = _check_authority(found, authority_key, signer, stated, authority)
    known = "the one expected" if authority else "compare it with the one that the agency publishes"
    yield f"authority: {fingerprint} ({known}); it signed the center's passport and those of {len(found.keys) - 1} nodes"
    yield f"statements: {_counted(found)}, each signed by its node, each body with the signed SHA-256"
    yield f"revocations: {_revocations(found)}"
    part = journal.check(source, found, signer, check, against)
    whole = "all there are" if part.is_whole else f"of {part.head.size}"
    yield f"journal: {part.entries} entries ({whole}), each proven to be in the checkpoint of size {part.head.size} that the center signed"
    if part.previous:
        yield f"history: the journal begins with the one of size {part.previous.size} of the previous export"
    if part.published:
        yield f"history: it begins with each of {part.published} checkpoints that were given to others before"
    if part.against:
        yield f"history: it begins with the checkpoint of size {part.against.size} that you hold against it"
    complete = completeness.check(source, payload, found)
    hidden = f"; {complete.redacted} redacted, the digest of each original is listed" if complete.redacted else ""
    torn = f" ({complete.torn} disagree, in series that two machines used)" if complete.torn else ""
    yield (f"completeness: {complete.numbers} numbers of the nodes accounted for, {complete.here} here, {complete.missing} things "
           f"missing and listed, {complete.links} signed links agree{torn}; {complete.media} pictures and clips named by exhibits{hidden}")  # fmt: skip


def _payload(source: Source) -> bag.Payload:
    """The payload; of a clip that is wrong also which of its segments."""
    try:
        return bag.check_payload(source, timestamp.FILES)
    except Wrong as error:
        part = ""
        if error.file.startswith("data/media/") and error.file in source.names():
            part = statements.damaged_part(source, error.file)
        if not part:
            raise
        raise Wrong(error.file, f"{part}, by the segments that its node signed; the rest of it is whole") from error


def _stamped(stamp: Stamp | None, stated: dict[str, str]) -> str:
    if stamp is None:
        wanted = stated.get("Heard-Timestamp-Wanted", "")
        return f"none in this bag; one was wanted of {wanted}, and can be added" if wanted else "none in this bag"
    signed = "signed with the certificate in it" if stamp.is_signed else "its kind of signature is not checked here"
    return f"an authority says that the tag manifest existed at {stamp.at} ({signed}; openssl ts -verify checks whose it is)"


def _check_authority(found: Statements, key: bytes, signer: bytes, stated: dict[str, str], expected: str) -> str:
    fingerprint = hashlib.sha256(key).hexdigest()
    if expected and expected.replace(":", "").lower() != fingerprint:
        raise Wrong(statements.AUTHORITY_PEM, f"this bag is of the authority {fingerprint}, expected {expected}: "
                                              "another agency's, or a forgery")  # fmt: skip
    if found.center != signer:
        raise Wrong(bag.CENTER_PEM, "the authority has not signed a passport of a center for this key")
    if stated.get("Heard-Authority") != fingerprint:
        raise Wrong("bag-info.txt", f"expected Heard-Authority {fingerprint}")
    return fingerprint


def _counted(found: Statements) -> str:
    parts = f" ({found.segmented} of them clips with signed segments)" if found.segmented else ""
    taken_back = f", {count} retractions" if (count := found.counts.get("retraction", 0)) else ""
    return f"{found.counts.get('alert', 0)} alerts, {found.counts.get('exhibit', 0)} exhibits{parts}{taken_back}"


def _revocations(found: Statements) -> str:
    withdrawn = sorted(found.revoked & found.keys.keys())
    if "roster" not in found.counts:
        return "the authority had withdrawn no passport"
    if not withdrawn:
        return "none of the nodes here had been withdrawn"
    return f"withdrawn by the authority: {', '.join(withdrawn)} (data/keys/history.jsonl says when and why)"


def main(arguments: list[str], own_bag: Path, say: Callable[[str], None]) -> int:
    """The command line of ``verify.py``: 0 as exported, 1 wrong, 2 not understood."""
    rest, options = list(arguments), {"--authority": "", "--against": ""}
    for option in tuple(options):
        if option in rest:
            at = rest.index(option)
            options[option] = "".join(rest[at + 1 : at + 2])
            del rest[at : at + 2]
            if not options[option]:
                rest = ["--help"]
    if len(rest) > 1 or any(item.startswith("-") for item in rest):
        say(USAGE)
        return 2
    against = Path(options["--against"]) if options["--against"] else None
    return report(Path(rest[0]) if rest else own_bag, options["--authority"], say, against=against)


def report(place: Path, authority: str, say: Callable[[str], None], check: CheckSignature = ed25519.verify,
           against: Path | None = None) -> int:  # fmt: skip
    """Say each claim as it is proven; 0 where all hold, 1 at the first that does not."""
    try:
        for line in claims(place, authority=authority, against=_checkpoint(against), check_signature=check):
            say(f"ok      {line}")
    except Unreadable as error:
        say(f"REFUSED {error}")
        return 1
    except Wrong as error:
        say(f"WRONG   {error}")
        say("Not as exported. Nothing after this was judged.")
        return 1
    say(f"{place}: as exported")
    return 0


def _checkpoint(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        with file.open("rb") as stream:
            return stream.read(_MOST_BYTES) or b"\n"
    except OSError as error:
        raise Unreadable(str(file), f"can't be read: {error.strerror or error}") from error
