"""Checkpoints outside: in folders, at addresses, with another agency; and what they are good for when somebody rewrites history."""

import asyncio
import base64
import contextlib
import http.server
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from command_center import check, checkpoint, journal
from command_center.accounts import UserRole
from command_center.config import WitnessConfig
from command_center.custody.commands import CheckpointGive
from command_center.errors import BadRequest, JournalDamaged
from command_center.evidence.export import export
from command_center.evidence.selection import Selection
from command_center.evidence.signatures import is_signature
from command_center.evidence.verifier.errors import Wrong
from command_center.evidence.verifier.main import claims
from command_center.state_dir import StateDir
from command_center.witness import cosigning
from command_center.witness.cosigning import Submission, parse_key, parse_request, request
from command_center.witness.publisher import Publisher
from relay.clock import SimulatedClock
from relay.identity import Identity
from tests.command_center.house import House, running_center
from tests.evidence.scene import make, play, seal_again, unpack

ALL, ONE = Selection(is_all=True), Selection(incidents=("1",))


def publisher_of(house: House, config: WitnessConfig) -> Publisher:
    services = house.services
    return Publisher(config, database=house.database, clock=house.clock, metrics=services.metrics, origin=services.journal_origin,
                     signing=services.identity.signing)  # fmt: skip


def known(house: House, config: WitnessConfig) -> None:
    """Let a running center witness others."""
    changed = msgspec.structs.replace(house.services.config, witness=config)
    object.__setattr__(house.services, "config", changed)


def said(place: Path, against: Path | None = None) -> str:
    try:
        return "\n".join(
            claims(place, against=(against.read_bytes() or b"\n") if against else b"", check_signature=is_signature)
        )
    except Wrong as error:
        return f"WRONG {error}"


@contextlib.contextmanager
def posted_to(status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/checkpoints", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


# ---------------------------------------------------------------------- published


async def test_checkpoints_go_to_folders_and_addresses_and_a_failing_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    with posted_to() as (url, bodies), posted_to(500) as (broken, _):
        async with running_center(tmp_path / "center") as house:
            await play(house)
            config = WitnessConfig(
                folders=(str(tmp_path / "share"), str(tmp_path / "missing")), urls=(url, broken, "http://127.0.0.1:1/")
            )
            assert await publisher_of(house, config).publish() == 2
            newest = (tmp_path / "share/checkpoint").read_text()
            assert bodies == [newest.encode()]
            own = house.services.identity.signing_key
            assert checkpoint.verify(newest, own).size > 5
            assert (tmp_path / f"share/checkpoint-{checkpoint.verify(newest, own).size}").read_text() == newest
            async with house.signed_in("erin", UserRole.AUDITOR) as client:
                words = {word["target"]: word for word in (await client.get("/api/v1/witness")).json()["ours"]}
            assert words[url]["problem"] == ""
            assert "500" in words[broken]["problem"]
            assert "can't write" in words[str(tmp_path / "missing")]["problem"]
            assert house.services.metrics["checkpoints_not_published"] == 3
            entry = await house.query("SELECT payload FROM entry WHERE kind = 'checkpoint-published'")
            assert isinstance(entry[0][0], bytes)
            assert url.encode() in entry[0][0]
            await publisher_of(house, config).publish()
    target_file = tmp_path / "bag.zip"
    await asyncio.to_thread(export, StateDir(tmp_path / "center"), ONE, target_file, SimulatedClock())
    assert "history: it begins with each of 2 checkpoints that were given to others before" in said(target_file)
    assert "begins with the checkpoint of size" in said(target_file, tmp_path / "share/checkpoint")


async def test_one_agencys_center_witnesses_anothers(tmp_path: Path) -> None:
    async with running_center(tmp_path / "ours") as house, running_center(tmp_path / "theirs") as other:
        own = house.services.identity.signing_key
        origin = house.services.journal_origin
        url = f"{other.center.url}/api/v1/witness"
        publisher = publisher_of(house, WitnessConfig(witnesses=(url,)))
        assert await publisher.publish() == 0, "not known there yet"
        assert "witnesses no log" in str(await house.query("SELECT problem FROM witness_word"))
        known(other, WitnessConfig(known=(checkpoint.verifier_key(origin, own),)))
        assert await publisher.publish() == 1
        node = house.node("gate")
        for _ in range(3):
            await house.deliver(node, node.alert())
            assert await publisher.publish() == 1, "with a proof that it grew"
        ((size, line),) = await house.query("SELECT size, cosignature FROM witness_word")
        ((kept_size, note),) = await other.query("SELECT size, note FROM witnessed")
        assert size == kept_size
        assert isinstance(note, str)
        assert isinstance(line, str)
        witness_key = other.services.identity.signing_key
        assert (
            cosigning.cosigned_at(note, line, other.services.journal_origin, witness_key)
            == other.clock.wall_ms() // 1000
        )
        assert (
            cosigning.cosigned_at(note.replace("\n", "\nx", 1), line, other.services.journal_origin, witness_key)
            is None
        )
        await house.query("SELECT 1")
        await house.database.run(lambda c: c.execute("DELETE FROM witness_word"))
        assert await publisher.publish() == 1, "the witness says which size it has, and is told from there"
        kinds = await other.query("SELECT COUNT(*) FROM entry WHERE kind = 'checkpoint-witnessed'")
        assert kinds == [(5,)]


async def test_a_witness_refuses_a_second_history_and_keeps_the_refusal(tmp_path: Path) -> None:
    log = Identity.generate()

    def note(size: int, root: bytes) -> str:
        return checkpoint.sign(origin="heard/log", size=size, root=root, signing=log.signing).note

    async with running_center(tmp_path / "center") as house, house.browser() as client:
        known(house, WitnessConfig(known=(checkpoint.verifier_key("heard/log", log.signing_key),)))
        address = "/api/v1/witness/add-checkpoint"

        async def submit(submission: Submission) -> tuple[int, str]:
            answer = await client.post(address, content=request(submission))
            return answer.status_code, answer.text

        assert (await submit(Submission(old_size=0, proof=(), note=note(3, b"3" * 32))))[0] == 200
        assert await submit(Submission(old_size=0, proof=(), note=note(4, b"4" * 32))) == (409, "3\n")
        forged = await submit(Submission(old_size=3, proof=(b"x" * 32,), note=note(4, b"4" * 32)))
        assert forged[0] == 422
        assert (await submit(Submission(old_size=3, proof=(), note=note(3, b"9" * 32))))[0] == 422, (
            "the same size, another root"
        )
        stranger = checkpoint.sign(origin="heard/log", size=9, root=bytes(32), signing=Identity.generate().signing).note
        assert (await submit(Submission(old_size=3, proof=(), note=stranger)))[0] == 403
        unknown = checkpoint.sign(origin="heard/other", size=9, root=bytes(32), signing=log.signing).note
        assert (await submit(Submission(old_size=0, proof=(), note=unknown)))[0] == 404
        for body in (b"", b"old x\n\nnote", b"old 1\n" + b"AA==\n" * 70 + b"\nnote", b"\xff\xfe", b"old 1\n!!\n\nnote"):
            assert (await client.post(address, content=body)).status_code == 400
        refusals = await house.query(
            "SELECT COUNT(*) FROM entry WHERE kind = 'checkpoint-witnessed' AND instr(payload, x'52454655534544')"
        )
        assert refusals == [(2,)]
        assert (await house.query("SELECT size FROM witnessed")) == [(3,)]


def test_requests_and_keys_come_through_whole() -> None:
    made = Submission(old_size=7, proof=(b"a" * 32, b"b" * 32), note="origin\n8\nAAAA\n\n— origin x\n")
    assert parse_request(request(made)) == made
    key = Identity.generate().signing_key
    assert parse_key(checkpoint.verifier_key("heard/x", key)).key == key
    for text in ("", "a+b+c", checkpoint.verifier_key("heard/x", key).replace("heard/x", "heard/y")):
        with pytest.raises(BadRequest):
            parse_key(text)


# ---------------------------------------------------------------------- history


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A stopped center, and the checkpoint that somebody outside got half way through its history."""
    folder_dir = tmp_path_factory.mktemp("kept")

    async def story(house: House) -> None:
        await play(house)
        async with house.signed_in("erin", UserRole.AUDITOR) as client:
            note = (await client.get("/api/v1/journal/checkpoint")).text
        (folder_dir / "held").write_text(note)
        node = house.node("late")
        await house.deliver(node, node.alert(), node.alert())

    return make(folder_dir / "center", story), folder_dir / "held"


@pytest.fixture
def center(kept: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept[0], tmp_path / "center"))


def rewrite(center: Path) -> None:
    """Somebody with the center's disk and its key changes an old entry and makes everything fit again."""
    connection = sqlite3.connect(center / "center.sqlite", isolation_level=None)
    rows = connection.execute("SELECT id, at_ms, kind, actor, subject, payload FROM entry ORDER BY id").fetchall()
    connection.executescript("DELETE FROM entry; DELETE FROM tree_hash; DELETE FROM checkpoint;")
    for _, at_ms, kind, actor, subject, payload in rows:
        changed = "user:bob" if kind == "viewed" else actor
        journal.append(connection, at_ms=at_ms, kind=kind, actor=changed, subject=subject, payload=payload)
    connection.close()


def test_whole_journal_and_wanted_checkpoint_are_proven(center: Path, kept: tuple[Path, Path]) -> None:
    export(StateDir(center), ALL, center.parent / "all.zip", SimulatedClock())
    assert "it begins with the checkpoint of size" in said(center.parent / "all.zip", kept[1])
    export(StateDir(center), ONE, center.parent / "one.zip", SimulatedClock())
    assert "export with --against that checkpoint" in said(center.parent / "one.zip", kept[1])
    export(StateDir(center), ONE, center.parent / "two.zip", SimulatedClock(), against=kept[1].read_bytes())
    assert "it begins with the checkpoint of size" in said(center.parent / "two.zip", kept[1])
    assert check.run(StateDir(center), kept[1].read_text()).problems == ()


def test_rewritten_history_is_detected_by_the_checkpoint_that_somebody_kept(
    center: Path, kept: tuple[Path, Path]
) -> None:
    rewrite(center)
    state = StateDir(center)
    assert check.run(state).problems == (), "in itself it all fits"
    assert any("history was rewritten" in problem for problem in check.run(state, kept[1].read_text()).problems)
    export(state, ALL, center.parent / "all.zip", SimulatedClock())
    assert not said(center.parent / "all.zip").startswith("WRONG")
    assert "history was rewritten" in said(center.parent / "all.zip", kept[1])
    with pytest.raises(JournalDamaged, match="history was rewritten"):
        export(state, ONE, center.parent / "one.zip", SimulatedClock(), against=kept[1].read_bytes())
    assert not (center.parent / "one.zip").exists()


def test_a_bag_whose_proof_of_earlier_history_was_forged_is_wrong(
    center: Path, kept: tuple[Path, Path], tmp_path: Path
) -> None:
    export(StateDir(center), ONE, tmp_path / "bag.zip", SimulatedClock(), against=kept[1].read_bytes())
    bag_dir = unpack(tmp_path / "bag.zip", tmp_path / "unpacked")
    file = bag_dir / "data/journal/earlier-checkpoints.jsonl"
    row = json.loads(file.read_text())
    own = Identity.load(center / "identity.key")
    note = row["note"].split("\n")
    row["note"] = checkpoint.sign(origin=note[0], size=int(note[1]), root=bytes(32), signing=own.signing).note
    file.write_text(json.dumps(row) + "\n")
    seal_again(bag_dir, own)
    assert "history was rewritten" in said(bag_dir)


def test_other_checkpoints_are_refused_with_the_reason(center: Path, kept: tuple[Path, Path], tmp_path: Path) -> None:
    export(StateDir(center), ONE, tmp_path / "bag.zip", SimulatedClock())
    stranger, own = Identity.generate(), Identity.load(center / "identity.key")
    origin = kept[1].read_text().split("\n")[0]
    for name, note, text in (
        ("stranger", checkpoint.sign(origin=origin, size=3, root=bytes(32), signing=stranger.signing).note, "not signed by the center"),
        ("later", checkpoint.sign(origin=origin, size=10_000, root=bytes(32), signing=own.signing).note, "history was cut off"),
        ("garbage", "no note at all\n", "expected a signed note"), ("empty", "", "expected a signed note"),
        ("binary", "\x00\n\n\x00", "expected a signed note"),
    ):  # fmt: skip
        (tmp_path / name).write_text(note)
        assert text in said(tmp_path / "bag.zip", tmp_path / name), name
    cosigned = kept[1].read_text() + "— someone.example/witness " + base64.b64encode(bytes(76)).decode() + "\n"
    (tmp_path / "cosigned").write_text(cosigned)
    export(StateDir(center), ALL, tmp_path / "all.zip", SimulatedClock())
    assert "it begins with" in said(tmp_path / "all.zip", tmp_path / "cosigned")


def test_command_lines_say_the_same(center: Path, kept: tuple[Path, Path], tmp_path: Path) -> None:
    program = [sys.executable, "-W", "error", "-c", "from command_center.cli import main; main()"]

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, timeout=60)

    given = run("checkpoint", "--to", "the county's auditor", "--state", center)
    assert given.returncode == 0, given.stderr
    (tmp_path / "given").write_text(given.stdout)
    made = run("export", "1", "--to", tmp_path / "bag.zip", "--against", kept[1], "--state", center)
    assert made.returncode == 0, made.stderr
    for held in (kept[1], tmp_path / "given"):
        checked = run("verify", tmp_path / "bag.zip", "--against", held)
        assert (checked.returncode, "that you hold against it" in checked.stdout) == (0, True), checked.stdout
    assert run("check", "--state", center, "--against", kept[1]).returncode == 0
    bag_dir = unpack(tmp_path / "bag.zip", tmp_path / "unpacked")
    alone = subprocess.run([sys.executable, "-I", "-S", bag_dir / "data/verify.py", "--against", kept[1]], capture_output=True, text=True,
                           timeout=60, cwd="/")  # fmt: skip
    assert (alone.returncode, "that you hold against it" in alone.stdout) == (0, True), alone.stdout
    rewrite(center)
    wrong = run("check", "--state", center, "--against", kept[1])
    assert (wrong.returncode, "history was rewritten" in wrong.stdout) == (1, True)


async def test_a_center_that_signed_nothing_gives_no_checkpoint(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        await house.database.run(lambda c: c.execute("DELETE FROM checkpoint"))
        with pytest.raises(BadRequest, match="found none"):
            await house.center.administration.perform(CheckpointGive(to="x"))
