"""Writes the journal's part of a bag: entries with proofs, the signed checkpoint, the proof that earlier history stands."""

import base64
import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from nacl.signing import SigningKey

from command_center import checkpoint, facts, journal, merkle
from command_center.checkpoint import Checkpoint
from command_center.custody import publishing
from command_center.errors import JournalDamaged
from command_center.evidence.archive import BagWriter
from command_center.evidence.reading import Reading
from command_center.evidence.steps import FINISHED
from command_center.facts import Remark
from command_center.journal import Entry
from relay.ids import node_id_of

OF_THE_CENTER: Final = ("initialized", "configured")
OF_A_NODE: Final = ("node-admitted", "node-standing")


def write(bag: BagWriter, reading: Reading, numbers: Iterable[int], signing: SigningKey,
          against: tuple[Checkpoint, ...] = ()) -> None:  # fmt: skip
    """Entries ``numbers`` (rising), each with its proof; and checkpoints, ``against`` those that somebody holds.

    Raises:
        JournalDamaged: the journal does not begin with one that was signed.
    """
    origin = f"heard/{node_id_of(bytes(signing.verify_key)).hex()}"
    hash_at = journal.hash_reader(reading.connection)
    root = merkle.root(reading.size, hash_at)
    bag.add("journal/entries.jsonl", _rows(reading, numbers, hash_at))
    bag.add("journal/checkpoint", _note(origin, reading.size, root, signing))
    bag.add("journal/verifier-key", checkpoint.verifier_key(origin, bytes(signing.verify_key)).encode() + b"\n")
    if earlier := list(_earlier(reading, against, hash_at)):
        bag.add("journal/earlier-checkpoints.jsonl", earlier)
    old_size = _previous_size(reading)
    if old_size:
        proof = merkle.consistency_proof(old_size, reading.size, hash_at)
        bag.add("journal/previous-checkpoint", _note(origin, old_size, merkle.root(old_size, hash_at), signing))
        bag.add("journal/consistency.jsonl", [_row({"hash": step.hex()}) for step in proof])


def _earlier(reading: Reading, against: tuple[Checkpoint, ...], hash_at: merkle.HashAt) -> Iterator[bytes]:
    """Checkpoints that others have, each with the proof that this journal begins with it."""
    notes = dict(publishing.published(reading.connection)) | {held.size: held.note for held in against}
    for held in against:
        if held.size > reading.size or merkle.root(held.size, hash_at) != held.root:
            raise JournalDamaged(f"the journal does not begin with the checkpoint of size {held.size} that was signed: history was rewritten; "
                                 "run command-center check")  # fmt: skip
    for size, note in sorted(notes.items()):
        if size <= reading.size:
            proof = merkle.consistency_proof(size, reading.size, hash_at)
            row: dict[str, object] = {"note": note, "proof": [step.hex() for step in proof]}
            if cosigned := publishing.cosignatures(reading.connection, size):
                row["cosignatures"] = cosigned
            yield _row(row)


def about_exports(reading: Reading) -> list[Entry]:
    """Entries that say who exported: all of them, for whoever gets one copy asks who has others."""
    rows = reading.connection.execute(
        "SELECT id FROM entry WHERE subject >= 'export:' AND subject < 'export;' ORDER BY id"
    )
    return [reading.entry(number) for (number,) in rows.fetchall()]


def _note(origin: str, size: int, root: bytes, signing: SigningKey) -> bytes:
    return checkpoint.sign(origin=origin, size=size, root=root, signing=signing).note.encode()


def _rows(reading: Reading, numbers: Iterable[int], hash_at: merkle.HashAt) -> Iterator[bytes]:
    for number in numbers:
        entry = reading.entry(number)
        leaf = journal.leaf_of(entry.id, entry.at_ms, entry.kind, entry.actor, entry.subject, entry.payload)
        if leaf != entry.leaf:
            raise JournalDamaged(f"entry {number} was changed: run command-center check")
        proof = merkle.inclusion_proof(number - 1, reading.size, hash_at)
        yield _row({
            "id": entry.id, "at_ms": entry.at_ms, "kind": entry.kind, "actor": entry.actor, "subject": entry.subject,
            "payload": base64.b64encode(entry.payload).decode(), "leaf": leaf.hex(), "proof": [step.hex() for step in proof],
        })  # fmt: skip


def _row(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _previous_size(reading: Reading) -> int:
    """The checkpoint of the last export that was finished; 0 if there was none."""
    for entry in reversed(about_exports(reading)):
        if entry.kind == FINISHED:
            with contextlib.suppress(msgspec.DecodeError, KeyError, ValueError):
                detail = json.loads(facts.decode(entry.payload, Remark).detail)
                return min(int(detail["checkpoint_size"]), reading.size)
    return 0
