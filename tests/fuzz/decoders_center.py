"""The decoders of outside bytes of the command center, and of whoever verifies a bag.

They read what browsers, phones, identity providers, time-stamping authorities and cameras' pictures bring, and bags that somebody hands in.

A bag is read from memory here, with every signature taken for good: what a stranger signs with keys of its own gets that far, too.
"""

import base64
import contextlib
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from joserfc import jwt
from PIL import Image

from command_center import checkpoint, pictures
from command_center.accounts import oidc_documents
from command_center.api import events, unit_page
from command_center.callbacks import guard, signing, web_carrier
from command_center.errors import AccessDenied, BadRequest, JournalDamaged, NotFound
from command_center.evidence import masking
from command_center.evidence.archive import ArchiveWriter
from command_center.evidence.verifier import bag, completeness, journal, packing, statements
from command_center.evidence.verifier.bag import Payload
from command_center.evidence.verifier.container import Archive, Source
from command_center.evidence.verifier.errors import Unreadable, Wrong
from command_center.evidence.verifier.statements import Statements
from command_center.standby import messages as standby_messages
from relay import envelope
from relay.identity import Identity
from tests.fuzz.decoder import Decoder
from tests.vectors.make_vectors import make_all

_AUTHORITY: Final = Identity.from_seed(bytes(32))
_ISSUER: Final = "https://id.example"
_NOT_AS_EXPORTED: Final = (Wrong, Unreadable)
_VECTORS: Final = make_all()
_CENTER_KEY: Final = bytes(range(32))
_ASKED: Final[Mapping[str, standby_messages.Asked]] = {
    "hello": standby_messages.Hello(number=1, format=1, term=2),
    "changed": standby_messages.Changed(
        number=2, pages=[(7, bytes(64))], more=True, pages_in_all=9, run=bytes(16), sequence=3
    ),
    "log": standby_messages.Log(number=3, at=4096, data=b"record"),
    "blob": standby_messages.Blob(number=4, sha256=bytes(32), is_first=True, is_last=False, data=b"piece"),
}
_ANSWERS: Final[Mapping[str, standby_messages.Answer]] = {
    "standing": standby_messages.Standing(number=1, leads=False, term=0, run=bytes(16), sequence=5),
    "wants": standby_messages.Wants(number=2, blobs=[bytes(32)]),
    "failed": standby_messages.Failed(number=3, why="the disk is full"),
}


class Memory:
    """A bag in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)

    def names(self) -> frozenset[str]:
        return frozenset(self._files)

    def pieces(self, name: str) -> Iterator[bytes]:
        data = self._files[name]
        for at in range(0, len(data), 50):
            yield data[at : at + 50]

    def close(self) -> None:
        """Nothing is held."""


def _any_signature(key: bytes, message: bytes, signature: bytes) -> bool:
    return True


# ------------------------------------------------------------------------------------------------ bags


def _zip(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    writer = ArchiveWriter(stream)
    for name, content in files.items():
        writer.add(f"bag/{name}", [content])
    writer.finish()
    return stream.getvalue()


def _read_zip(data: bytes) -> object:
    """Opened as ``verify`` opens it, and every file in it read."""
    with tempfile.NamedTemporaryFile(prefix="fuzz-", suffix=".zip") as file:
        file.write(data)
        file.flush()
        with contextlib.closing(Archive(Path(file.name))) as archive:
            return {name: b"".join(archive.pieces(name)) for name in archive.names()}


def _read_info(data: bytes) -> object:
    return bag.info(Memory({"bagit.txt": bag.BAGIT, "bag-info.txt": data}))


def _read_manifest(data: bytes) -> object:
    return bag.check_payload(Memory({bag.MANIFEST: data, "data/one.txt": b"one"}))


def _read_pem(data: bytes) -> object:
    return bag.key_of(Memory({"key.pem": data}), "key.pem")


def _statement_files(name: str, kind: str, payload: bytes) -> dict[str, bytes]:
    """One statement's files, as an export writes them, with a signature that is none."""
    kinds = {"passport": statements.PASSPORT_TYPE, "roster": statements.ROSTER_TYPE}
    payload_type, signature = kinds.get(kind, statements.HEADER_TYPE), bytes(64)
    signer = hashlib.sha256(_AUTHORITY.signing_key).hexdigest() if kind in kinds else _NODE
    return {
        f"data/{name}.pae": statements.pae(payload_type, payload), f"data/{name}.sig": signature,
        f"data/{name}.dsse.json": statements.dsse(payload_type, payload, signature, signer),
    }  # fmt: skip


def _row(name: str, kind: str, entry: int = 1) -> bytes:
    return json.dumps({"name": name, "kind": kind, "signer": _NODE, "entry": entry}).encode() + b"\n"


def _checked(files: Mapping[str, bytes]) -> Statements:
    return statements.check(Memory(files), _AUTHORITY.signing_key, _any_signature)


_ALERT: Final = envelope.parse(_VECTORS["alert"][0])
_NODE: Final = _ALERT.header.origin.hex()
_PASSPORT: Final = packing.unpack(_VECTORS["passport"][0])
assert isinstance(_PASSPORT, list)
assert isinstance(_PASSPORT[0], bytes)
_PASSPORT_STATEMENT: Final = _PASSPORT[0]
_FIELDS: Final = packing.unpack(_PASSPORT_STATEMENT)
assert isinstance(_FIELDS, list)
assert isinstance(_FIELDS[5], bytes)
_NODE_KEY: Final = _FIELDS[5]
_BASE: Final = {
    **_statement_files("passports/one", "passport", _PASSPORT_STATEMENT),
    f"data/keys/{hashlib.sha256(_NODE_KEY).digest()[:8].hex()}.pem": bag.pem(_NODE_KEY),
}
_ALERT_BODY: Final = bytes.fromhex(str(_VECTORS["alert"][1]["body"]))


def _alert_files(payload: bytes, body: bytes) -> dict[str, bytes]:
    name = f"alerts/{hashlib.sha256(payload).hexdigest()}"
    return {
        **_BASE, statements.INDEX: _row("passports/one", "passport") + _row(name, "alert"),
        **_statement_files(name, "alert", payload), f"data/{name}.body": body, f"data/{name}.json": b"{}",
    }  # fmt: skip


def _read_index(data: bytes) -> object:
    return _checked({**_alert_files(_ALERT.header_bytes, _ALERT_BODY), statements.INDEX: data})


def _read_passport(data: bytes) -> object:
    return _checked(
        {**_BASE, statements.INDEX: _row("passports/one", "passport"), **_statement_files("passports/one", "passport", data)}
    )  # fmt: skip


def _read_roster(data: bytes) -> object:
    return _checked(
        {statements.INDEX: _row("rosters/one", "roster"), **_statement_files("rosters/one", "roster", data)}
    )


def _read_header(data: bytes) -> object:
    return _checked(_alert_files(data, _ALERT_BODY))


def _read_exhibit(data: bytes) -> object:
    """A body under a header that is made for it."""
    header = bytearray(_ALERT.header_bytes)
    header[0] = 3
    header[-32:] = hashlib.sha256(data).digest()
    name = f"exhibits/{hashlib.sha256(header).hexdigest()}"
    return _checked({
        **_BASE, statements.INDEX: _row("passports/one", "passport") + _row(name, "exhibit"),
        **_statement_files(name, "exhibit", bytes(header)), f"data/{name}.body": data, f"data/{name}.json": b"{}",
    })  # fmt: skip


def _entry(number: int = 1, proof: Sequence[bytes] = ()) -> tuple[bytes, bytes]:
    """A line of the journal's slice, and its leaf; of a journal of one entry that is the root, too."""
    payload = b"what"
    leaf = journal.leaf_hash(packing.pack([1, number, 5, "viewed", "user:a", "x", hashlib.sha256(payload).digest()]))
    row = {"id": number, "at_ms": 5, "kind": "viewed", "actor": "user:a", "subject": "x",
           "payload": base64.b64encode(payload).decode(), "leaf": leaf.hex(), "proof": [step.hex() for step in proof]}  # fmt: skip
    return json.dumps(row).encode() + b"\n", leaf


def _note(root: bytes, size: int = 1) -> bytes:
    origin = "center.example"
    identifier = hashlib.sha256(origin.encode() + b"\n\x01" + _CENTER_KEY).digest()[:4]
    mark = base64.b64encode(identifier + bytes(64)).decode()
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n\n— {origin} {mark}\n".encode()


_ENTRY, _ROOT = _entry()
_SECOND_LEAF: Final = _entry(2)[1]
_TWO_ENTRIES: Final = _entry(1, [_SECOND_LEAF])[0] + _entry(2, [_ROOT])[0]
_OF_TWO: Final = {journal.CHECKPOINT: _note(journal.join(_ROOT, _SECOND_LEAF), 2)}


def _read_journal(files: Mapping[str, bytes], against: bytes = b"") -> object:
    return journal.check(Memory(files), Statements(), _CENTER_KEY, _any_signature, against)


def _with(name: str, others: Mapping[str, bytes], data: bytes) -> dict[str, bytes]:
    return {journal.ENTRIES: _ENTRY, journal.CHECKPOINT: _note(_ROOT), **others, name: data}


_PREVIOUS: Final = {journal.PREVIOUS: _note(_ROOT)}
_EARLIER: Final = json.dumps({"note": _note(_ROOT).decode(), "proof": []}).encode() + b"\n"
_COMPLETE: Final = json.dumps(
    {"streams": [{"node": "ab", "series": 1, "file": "t.csv", "is_forked": False}], "missing_media": []}
).encode()
_TABLE: Final = completeness.HEAD.encode() + b"\n1,4,,not received\n5,5," + b"ab" * 32 + b",in INC-1\n"


def _read_completeness(statement: bytes, table: bytes) -> object:
    files: Source = Memory({completeness.STATEMENT: statement, "data/t.csv": table})
    return completeness.check(files, Payload({}), Statements())


# ------------------------------------------------------------------------------------------------ the rest


_KEYS: Final = json.dumps({"keys": [{
    "kty": "EC", "crv": "P-256", "kid": "one", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}]}).encode()  # fmt: skip
"""The example key of RFC 7515, A.3, which signed this."""
_TOKEN: Final = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSJ9.eyJzdWIiOiJzb21lYm9keSIsImlzcyI6Imh0dHBzOi8vaWQuZXhhbXBsZ"
    "SJ9.mlW-GyY8ea8H_KoufeEs3Uq3rCQqsQ1HX5-RADV8LA2c2pD9Y9UuwH_06NBrOSYYNuzcOKNZ6f0_yyy5h4YU1A"
)
_REGISTRY: Final = jwt.JWTClaimsRegistry(now=1_790_000_000, iss={"essential": True, "value": _ISSUER})
_METADATA: Final = json.dumps({
    "issuer": _ISSUER, "authorization_endpoint": f"{_ISSUER}/a", "token_endpoint": f"{_ISSUER}/t", "jwks_uri": f"{_ISSUER}/k",
}).encode()  # fmt: skip


def _picture(form: str) -> bytes:
    stream = io.BytesIO()
    Image.frombytes("RGB", (16, 12), bytes(range(192)) * 3).save(stream, form)
    return stream.getvalue()


_PICTURES: Final = {"jpeg": _picture("JPEG"), "png": _picture("PNG"), "webp": _picture("WEBP")}


def _small(data: bytes) -> object:
    with tempfile.NamedTemporaryFile(prefix="fuzz-") as file:
        file.write(data)
        file.flush()
        return pictures.small_jpeg(Path(file.name), 8)


def _text(data: bytes) -> str:
    return data.decode("latin-1")


CENTER: Final[dict[str, Decoder]] = {
    "signed_note": Decoder(read=lambda data: checkpoint.verify(data.decode("utf-8", "replace"), _AUTHORITY.signing_key), refuses_with=(JournalDamaged,),
                           valid={"ours": checkpoint.sign(origin="center.example", size=5, root=bytes(32), signing=_AUTHORITY.signing).note.encode()}),
    "oidc_metadata": Decoder(read=lambda data: oidc_documents.discovery_in(data, _ISSUER), valid={"ours": _METADATA}, refuses_with=(AccessDenied,)),
    "oidc_answer": Decoder(read=oidc_documents.id_token_in, valid={"token": b'{"id_token": "a.b.c"}'}, refuses_with=(AccessDenied,)),
    "oidc_keys": Decoder(read=lambda data: oidc_documents.claims_in(_TOKEN, data, _REGISTRY), valid={"one": _KEYS}, refuses_with=(AccessDenied,)),
    "oidc_token": Decoder(read=lambda data: oidc_documents.claims_in(_text(data), _KEYS, _REGISTRY), valid={"one": _TOKEN.encode()},
                          refuses_with=(AccessDenied,)),
    "last_event_id": Decoder(read=lambda data: events.event_id_in(_text(data)), valid={"number": b"42"}),
    "phone_form": Decoder(read=unit_page.fields_in, valid={"note": b"csrf=abc&note=on%20my%20way&lat=1.5"}, refuses_with=(ValueError,)),
    "retry_after": Decoder(read=lambda data: web_carrier.seconds_in(_text(data)), valid={"seconds": b"120"}),
    "receiver_url": Decoder(read=lambda data: guard.require_url(_text(data)), valid={"ours": b"https://units.example/heard"}, refuses_with=(BadRequest,)),
    "webhook_secret": Decoder(read=lambda data: signing.secret_of(_text(data)), refuses_with=(ValueError,),
                              valid={"ours": b"whsec_" + base64.b64encode(bytes(range(32)))}),
    "standby_asked": Decoder(read=standby_messages.asked, valid={name: standby_messages.encode(one)[4:] for name, one in _ASKED.items()}),
    "standby_answer": Decoder(read=standby_messages.answer, valid={name: standby_messages.encode(one)[4:] for name, one in _ANSWERS.items()}),
    "small_picture": Decoder(read=_small, valid=_PICTURES, refuses_with=(NotFound,)),
    "masked_picture": Decoder(read=lambda data: masking.mask(data, "blur", [(0, 0, 4, 4)]), refuses_with=(masking.CannotMask,),
                              valid={name: _PICTURES[name] for name in ("jpeg", "png")}),
    "bag_zip": Decoder(read=_read_zip, valid={"two": _zip({"bagit.txt": bag.BAGIT, "data/one.txt": b"one" * 40})}, refuses_with=_NOT_AS_EXPORTED),
    "bag_info": Decoder(read=_read_info, valid={"ours": b"Heard-Evidence-Format: 1\nPayload-Oxum: 3.1\n"}, refuses_with=_NOT_AS_EXPORTED),
    "bag_manifest": Decoder(read=_read_manifest, valid={"one": hashlib.sha256(b"one").hexdigest().encode() + b"  data/one.txt\n"},
                            refuses_with=_NOT_AS_EXPORTED),
    "bag_key": Decoder(read=_read_pem, valid={"ours": bag.pem(_CENTER_KEY)}, refuses_with=_NOT_AS_EXPORTED),
    "bag_index": Decoder(read=_read_index, refuses_with=_NOT_AS_EXPORTED,
                         valid={"two": _alert_files(_ALERT.header_bytes, _ALERT_BODY)[statements.INDEX]}),
    "bag_passport": Decoder(read=_read_passport, valid={"camera": _PASSPORT_STATEMENT}, refuses_with=_NOT_AS_EXPORTED),
    "bag_roster": Decoder(read=_read_roster, valid={"one": packing.pack([3, 5, [bytes(8)]])}, refuses_with=_NOT_AS_EXPORTED),
    "bag_header": Decoder(read=_read_header, valid={"alert": _ALERT.header_bytes}, refuses_with=_NOT_AS_EXPORTED),
    "bag_exhibit": Decoder(read=_read_exhibit, valid={"items": bytes.fromhex(str(_VECTORS["exhibit"][1]["body"]))}, refuses_with=_NOT_AS_EXPORTED),
    "bag_entries": Decoder(read=lambda data: _read_journal(_with(journal.ENTRIES, {}, data)), valid={"one": _ENTRY}, refuses_with=_NOT_AS_EXPORTED),
    "bag_proofs": Decoder(read=lambda data: _read_journal(_with(journal.ENTRIES, _OF_TWO, data)), valid={"two": _TWO_ENTRIES},
                          refuses_with=_NOT_AS_EXPORTED),
    "bag_checkpoint": Decoder(read=lambda data: _read_journal(_with(journal.CHECKPOINT, {}, data)), valid={"one": _note(_ROOT)},
                              refuses_with=_NOT_AS_EXPORTED),
    "bag_earlier": Decoder(read=lambda data: _read_journal(_with(journal.EARLIER, {}, data)), valid={"one": _EARLIER}, refuses_with=_NOT_AS_EXPORTED),
    "bag_consistency": Decoder(read=lambda data: _read_journal(_with(journal.CONSISTENCY, _PREVIOUS, data)), valid={"same": b""},
                               refuses_with=_NOT_AS_EXPORTED),
    "held_checkpoint": Decoder(read=lambda data: _read_journal(_with(journal.ENTRIES, {}, _ENTRY), data), valid={"same": _note(_ROOT)},
                               refuses_with=_NOT_AS_EXPORTED),
    "bag_completeness": Decoder(read=lambda data: _read_completeness(data, _TABLE), valid={"one": _COMPLETE}, refuses_with=_NOT_AS_EXPORTED),
    "bag_table": Decoder(read=lambda data: _read_completeness(_COMPLETE, data), valid={"two": _TABLE}, refuses_with=_NOT_AS_EXPORTED),
    "bag_packing": Decoder(read=packing.unpack, valid={"list": packing.pack([1, "a", b"b", [2]])}, refuses_with=(ValueError,)),
}  # fmt: skip
