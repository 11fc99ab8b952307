"""The tree against a naive one, proofs against an independent verifier, the journal against a flipped byte."""

import base64
import hashlib
import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey, VerifyKey

from command_center import checkpoint, journal, merkle
from command_center.errors import JournalDamaged
from relay.database import Database


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def inclusion_holds(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """RFC 9162, 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = hashlib.sha256(b"\x01" + p + r).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistency_holds(first: int, second: int, proof: list[bytes], old: bytes, new: bytes) -> bool:
    """RFC 9162, 2.1.4.2."""
    if first == second:
        return not proof and old == new
    path = ([old] if first & (first - 1) == 0 else []) + proof
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = hashlib.sha256(b"\x01" + c + fr).digest(), hashlib.sha256(b"\x01" + c + sr).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = hashlib.sha256(b"\x01" + sr + c).digest()
        fn, sn = fn >> 1, sn >> 1
    return fr == old and sr == new and sn == 0


class Tree:
    def __init__(self, count: int) -> None:
        self.hashes: dict[tuple[int, int], bytes] = {}
        self.leaves: list[bytes] = []
        self.look_ups = 0
        for number in range(count):
            leaf = merkle.leaf_hash(b"%d" % number)
            for level, position, value in merkle.hashes_to_store(number, [leaf], self.row_at):
                assert (level, position) not in self.hashes
                self.hashes[level, position] = value
            self.leaves.append(leaf)

    def row_at(self, level: int, first: int, count: int) -> list[bytes]:
        if level == 0:
            return self.leaves[first : first + count]
        return [self.hashes[level, position] for position in range(first, first + count)]

    def hash_at(self, level: int, position: int) -> bytes:
        self.look_ups += 1
        return merkle.between(level, position, self.row_at)


@given(size=st.integers(0, 200))
def test_root_is_that_of_the_naive_tree(size: int) -> None:
    tree = Tree(size)
    assert merkle.root(size, tree.hash_at) == naive_root(tree.leaves)


@given(data=st.data(), size=st.integers(1, 300))
def test_every_inclusion_proof_holds_at_every_earlier_size(data: st.DataObject, size: int) -> None:
    tree = Tree(size)
    at_size = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, at_size - 1))
    root = naive_root(tree.leaves[:at_size])
    proof = merkle.inclusion_proof(index, at_size, tree.hash_at)
    assert inclusion_holds(tree.leaves[index], index, at_size, proof, root)
    assert not inclusion_holds(merkle.leaf_hash(b"another"), index, at_size, proof, root)


@given(data=st.data(), size=st.integers(1, 300))
def test_every_consistency_proof_holds(data: st.DataObject, size: int) -> None:
    tree = Tree(size)
    old = data.draw(st.integers(1, size))
    proof = merkle.consistency_proof(old, size, tree.hash_at)
    roots = naive_root(tree.leaves[:old]), naive_root(tree.leaves)
    assert consistency_holds(old, size, proof, *roots)
    if old != size:
        assert not consistency_holds(old, size, proof, hashlib.sha256(b"x").digest(), roots[1])


def test_proofs_cost_a_logarithm_of_look_ups() -> None:
    tree = Tree(5000)
    for act in (
        lambda: merkle.root(4999, tree.hash_at),
        lambda: merkle.inclusion_proof(4321, 4999, tree.hash_at),
        lambda: merkle.consistency_proof(1234, 4999, tree.hash_at),
    ):
        tree.look_ups = 0
        act()
        assert tree.look_ups <= 2 * 13


def test_checkpoint_is_a_signed_note_that_others_can_check() -> None:
    key = SigningKey(bytes(range(32)))
    made = checkpoint.sign(origin="heard/0011", size=3, root=bytes(32), signing=key)
    text, _, signatures = made.note.partition("\n\n")
    text += "\n"
    assert text == f"heard/0011\n3\n{base64.b64encode(bytes(32)).decode()}\n"
    dash, name, stamp = signatures.rstrip("\n").split(" ")
    assert (dash, name) == ("—", "heard/0011")
    raw = base64.b64decode(stamp)
    assert raw[:4] == hashlib.sha256(b"heard/0011\n\x01" + bytes(key.verify_key)).digest()[:4]
    VerifyKey(bytes(key.verify_key)).verify(text.encode(), raw[4:])
    assert checkpoint.verify(made.note, bytes(key.verify_key)) == made


@pytest.mark.parametrize(
    "change", [lambda n: n.replace("\n3\n", "\n4\n"), lambda n: n[:-6] + "AAAA\n", lambda n: n[:20]]
)
def test_changed_checkpoint_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    key = SigningKey(bytes(range(32)))
    note = checkpoint.sign(origin="heard/0011", size=3, root=bytes(32), signing=key).note
    changed = change(note)
    assert changed != note
    with pytest.raises(JournalDamaged):
        checkpoint.verify(changed, bytes(key.verify_key))


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[Database, SigningKey]]:
    key = SigningKey(bytes(range(32)))
    database = Database.open(tmp_path / "j.sqlite", parts={"journal": journal.SCHEMA})

    def fill(connection: sqlite3.Connection) -> None:
        for number in range(1, 300):
            journal.append(connection, at_ms=number, kind="alert", actor="node:1", subject="incident:1",
                           payload=b"%d" % number)  # fmt: skip
            if number % 10 == 0:
                journal.sign_checkpoint(connection, origin="heard/x", signing=key, at_ms=number)

    database.run_blocking(fill)
    yield database, key
    database.close()


def problems(database: Database, key: SigningKey) -> list[str]:
    return database.run_blocking(lambda c: list(journal.check(c, bytes(key.verify_key))))


def change(database: Database, sql: str, *values: object) -> None:
    changed = database.run_blocking(lambda c: c.execute(sql, values).rowcount)
    assert changed > 0, "the test changed nothing"


def test_untouched_journal_is_all_as_written(filled: tuple[Database, SigningKey]) -> None:
    assert problems(*filled) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE entry SET payload = x'3939' WHERE id = 17", "entry 17 (alert, incident:1) was changed"),
        ("UPDATE entry SET actor = 'user:mallory' WHERE id = 5", "entry 5 "),
        ("UPDATE entry SET at_ms = 1000 WHERE id = 39", "entry 39 "),
        ("DELETE FROM entry WHERE id = 20", "entry 20 is missing"),
        ("DELETE FROM entry WHERE id >= 25", "expected"),
        ("UPDATE entry SET leaf = zeroblob(32) WHERE id = 39", "entry 39 "),
        ("UPDATE tree_hash SET hash = zeroblob(32) WHERE level = 4 AND position = 1", "level 4, position 1"),
        ("UPDATE tree_hash SET hash = zeroblob(32) WHERE level = 8 AND position = 0", "level 8, position 0"),
        ("DELETE FROM tree_hash WHERE level = 4 AND position = 2", "level 4, position 2"),
        ("INSERT INTO tree_hash VALUES (12, 0, zeroblob(32))", "entries or hashes were taken away"),
        ("UPDATE checkpoint SET note = replace(note, 'heard/x', 'heard/y')", "not signed by this center's key"),
        ("UPDATE checkpoint SET size = 21 WHERE size = 20", "the checkpoint kept for size 21 says 20"),
    ],
)
@pytest.mark.parametrize("together", [7, 4096])
def test_check_names_the_first_wrong_entry(
    filled: tuple[Database, SigningKey], sql: str, expected: str, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_CHECKED_TOGETHER", together)
    database, key = filled
    change(database, sql)
    found = problems(database, key)
    assert found
    assert expected in found[0]


def test_a_check_s_memory_does_not_grow_with_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_CHECKED_TOGETHER", 256)
    key = SigningKey(bytes(range(32)))
    database = Database.open(tmp_path / "j.sqlite", parts={"journal": journal.SCHEMA})

    def fill(connection: sqlite3.Connection) -> None:
        batch = journal.Batch(connection)
        for _ in range(4_000):
            batch.add(at_ms=1, kind="alert", actor="node:1", subject="incident:1", payload=b"x" * 50)
        batch.write()

    def peak() -> int:
        tracemalloc.start()
        try:
            assert problems(database, key) == []
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    try:
        database.run_blocking(fill)
        peak()  # what is made once and stays
        small = peak()
        for _ in range(3):
            database.run_blocking(fill)
        assert peak() < 1.5 * small
    finally:
        database.close()


def test_rewritten_history_with_right_hashes_is_caught_by_its_checkpoint(filled: tuple[Database, SigningKey]) -> None:
    database, key = filled

    def rewrite(connection: sqlite3.Connection) -> None:
        kept = list(journal.entries(connection))
        connection.execute("DELETE FROM entry")
        connection.execute("DELETE FROM tree_hash")
        for entry in kept:
            payload = b"forged" if entry.id == 8 else entry.payload
            journal.append(connection, at_ms=entry.at_ms, kind=entry.kind, actor=entry.actor, subject=entry.subject,
                           payload=payload)  # fmt: skip

    database.run_blocking(rewrite)
    assert "the root of the checkpoint of size 10" in problems(database, key)[0]
