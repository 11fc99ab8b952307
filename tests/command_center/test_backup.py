"""A backup of a running center, and a center made from it."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_center import backup, check, restoring
from command_center.accounts import UserRole
from command_center.demonstration.household import BIN_DIR, free_port
from command_center.errors import AlreadyInitialized, BadRequest
from command_center.state_dir import StateDir
from relay import envelope as envelopes
from relay import intake_log
from relay.arrival import Arrival
from relay.clock import SimulatedClock
from relay.envelope import Envelope
from relay.header import Kind
from relay.identity import Identity
from relay.kinds.chunk import cut
from tests.benchmarks.center import _nodes
from tests.benchmarks.ingest_load import Load, LoadNode
from tests.command_center.house import PICTURE, House, Node, running_center
from tests.command_center.test_ingest import exhibit, until
from tests.command_center.test_mutual_aid import shared
from tests.command_center.test_unit_page import link_for
from tests.command_center.test_units import on_board

PASSPHRASE = "kept in the safe of the station"


async def log_as_a_crash_leaves_it(file: Path, node: Node, alerts: list[Envelope]) -> None:
    done = asyncio.Event()
    arrivals = [
        Arrival(envelope=alert, passport=node.signed.passport, via=node.id, path="listen", received_wall_ms=1, received_monotonic_ms=1)
        for alert in alerts
    ]  # fmt: skip
    with contextlib.closing(intake_log.IntakeLog.open(file)) as log:
        log.append(arrivals, lambda _numbers, _error: done.set())
        await done.wait()


async def test_what_was_receipted_and_not_journalled_is_told_by_check_and_goes_into_a_backup(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_center(tmp_path / "center", clock=clock) as house:
        node = house.node()
        await house.center.station.admit(node.signed.wire)
        journalled, logged = node.alert(), node.alert()
        await house.deliver(node, journalled)
    state = StateDir(tmp_path / "center")
    assert check.run(state).receipted_ahead == 0
    await log_as_a_crash_leaves_it(state.intake_log_file, node, [journalled, logged])
    assert check.run(StateDir(tmp_path / "center")).receipted_ahead == 1
    said = tool("check", "--state", tmp_path / "center")
    assert "all as written" in said
    assert "1 receipted alerts are in intake.log" in said
    assert json.loads(tool("check", "--json", "--state", tmp_path / "center"))["receipted_ahead"] == 1
    backup.back_up(StateDir(tmp_path / "center"), tmp_path / "copy", clock, passphrase=PASSPHRASE)
    restoring.restore(tmp_path / "copy", tmp_path / "again", clock, passphrase=PASSPHRASE)
    for name in ("center", "again"):
        async with running_center(tmp_path / name, clock=clock) as house:

            async def is_journalled(house: House = house) -> bool:
                return await house.query("SELECT id FROM alert ORDER BY sequence") == [(journalled.id,), (logged.id,)]

            await until(is_journalled)
            assert house.center.station.counters["duplicates_arrived"] == 0
            assert house.center.station.counters["envelopes_stored"] == 1
        assert check.run(StateDir(tmp_path / name)).receipted_ahead == 0


async def filled(house: House) -> bytes:
    """An alert with a stored picture, somebody signed in, an acknowledgement on its way; returns the picture's hash."""
    node = house.node()
    alert = node.alert()
    sha256 = hashlib.sha256(PICTURE).digest()
    await house.deliver(node, alert, node.body(Kind.EXHIBIT, exhibit(alert.id)),
                        *[node.body(Kind.CHUNK, piece) for piece in cut(PICTURE, sha256)])  # fmt: skip

    async def is_stored() -> bool:
        return bool(await house.query("SELECT 1 FROM stored_object"))

    await until(is_stored)
    async with house.signed_in() as client:
        assert (await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})).status_code == 200
    return sha256


async def test_a_restored_center_has_everything_and_checks(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_center(tmp_path / "center", clock=clock) as house:
        sha256 = await filled(house)
        series = await house.query("SELECT series FROM stream")
        manifest = backup.back_up(house.state, tmp_path / "copy", clock, passphrase=PASSPHRASE)
        assert manifest.missing_objects == ()
        entries = await house.query("SELECT id, leaf FROM entry ORDER BY id")
    restored = restoring.restore(tmp_path / "copy", tmp_path / "again", clock, passphrase=PASSPHRASE)
    assert restored == manifest
    report = check.run(StateDir(tmp_path / "again"))
    assert (report.problems, report.objects) == ((), 1)
    async with running_center(tmp_path / "again", clock=clock) as house:
        found = await house.query("SELECT id, leaf FROM entry ORDER BY id")
        assert found[: manifest.journal_size] == entries[: manifest.journal_size]
        assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'restored'") == [(1,)]
        assert await house.query("SELECT COUNT(*) FROM session") == [(0,)]
        assert house.services.blobs.file_of(sha256).read_bytes() == PICTURE
        node = house.node("late")
        await house.deliver(node, node.alert())
        async with house.browser() as client:
            await client.post("/api/v1/session", json={"username": "alice", "password": "correct horse battery"})
            shown = (await client.get("/api/v1/session")).json()
            client.headers["X-Heard-CSRF"] = shown["csrf"]
            assert (await client.post("/api/v1/incidents/2/acknowledge", json={"version": 1})).status_code == 200
        assert await house.query("SELECT series FROM stream") != series, (
            "the lost center's numbers are never used twice"
        )


async def test_links_and_shares_that_were_ended_after_the_copy_do_not_come_back_to_life(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_center(tmp_path / "center", clock=clock) as house:
        await filled(house)
        async with house.signed_in("sue", UserRole.SUPERVISOR) as client, house.browser() as somebody:
            await on_board(client)
            lost = await link_for(client)
            share, number = await shared(client)
            assert (await somebody.get(lost)).status_code == 200
            backup.back_up(house.state, tmp_path / "copy", clock, passphrase=PASSPHRASE)
            await link_for(client)
            await client.post(f"/api/v1/incidents/1/shares/{number}/revoke", json={"reason": "the wrong agency"})
            assert (await somebody.get(lost)).status_code == 404
    restoring.restore(tmp_path / "copy", tmp_path / "again", clock, passphrase=PASSPHRASE)
    assert check.run(StateDir(tmp_path / "again")).problems == ()
    async with running_center(tmp_path / "again", clock=clock) as house, house.browser() as somebody:
        assert (await somebody.get(lost)).status_code == 404
        refused = await somebody.post(share)
        assert (refused.status_code, "restored from a backup" in refused.text) == (403, True)


async def test_everything_is_on_the_disk_before_a_restored_center_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut a moment later must not find a center of empty files."""
    clock, on_disk, unsafe = SimulatedClock(), set[int](), list[str]()
    async with running_center(tmp_path / "center", clock=clock) as house:
        await filled(house)
        backup.back_up(house.state, tmp_path / "copy", clock, passphrase=PASSPHRASE)
    fsync, rename = os.fsync, Path.rename

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        on_disk.add(os.fstat(descriptor).st_ino)

    def checked(source: Path, target: Path) -> Path:
        if target == tmp_path / "again":
            unsafe.extend(str(item) for item in (source, *source.rglob("*")) if item.stat().st_ino not in on_disk)
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "rename", checked)
    restoring.restore(tmp_path / "copy", tmp_path / "again", clock, passphrase=PASSPHRASE)
    assert len(on_disk) > 5
    assert unsafe == []


async def test_keys_are_in_a_backup_only_when_sealed(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_center(tmp_path / "center", clock=clock) as house:
        backup.back_up(house.state, tmp_path / "bare", clock)
        backup.back_up(house.state, tmp_path / "sealed", clock, passphrase=PASSPHRASE)
        seeds = [file.read_bytes() for file in (house.state.authority_key_file, house.state.identity_key_file)]
    for copy in ("bare", "sealed"):
        for file in (tmp_path / copy).rglob("*"):
            if file.is_file():
                assert file.stat().st_mode & 0o077 == 0 or file.parent.name == "files", file
                assert not any(seed in file.read_bytes() for seed in seeds), f"{file} holds a private key"
    with pytest.raises(BadRequest, match="keys-from"):
        restoring.restore(tmp_path / "bare", tmp_path / "again", clock)
    with pytest.raises(BadRequest, match="passphrase is not"):
        restoring.restore(tmp_path / "sealed", tmp_path / "again", clock, passphrase="another one altogether")
    assert not (tmp_path / "again").exists()
    restoring.restore(tmp_path / "bare", tmp_path / "again", clock, keys_dir=tmp_path / "center")
    assert Identity.load(tmp_path / "again" / "identity.key").seed == seeds[1]


async def test_a_backup_that_is_damaged_or_of_another_center_is_refused_whole(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_center(tmp_path / "center", clock=clock) as house:
        await filled(house)
        backup.back_up(house.state, tmp_path / "copy", clock)
        with pytest.raises(BadRequest, match="never overwritten"):
            backup.back_up(house.state, tmp_path / "copy", clock)
    StateDir(tmp_path / "other").init(clock, name="o", site="s", agency="a", http="127.0.0.1:0", url="")
    with pytest.raises(BadRequest, match="another center"):
        restoring.restore(tmp_path / "copy", tmp_path / "again", clock, keys_dir=tmp_path / "other")
    with pytest.raises(AlreadyInitialized):
        restoring.restore(tmp_path / "copy", tmp_path / "other", clock, keys_dir=tmp_path / "center")
    for name in ("center.sqlite", next((tmp_path / "copy" / "blobs").rglob("*/*")).relative_to(tmp_path / "copy")):
        twin = tmp_path / "twin"
        shutil.copytree(tmp_path / "copy", twin)
        content = bytearray((twin / name).read_bytes())
        content[len(content) // 2] ^= 1
        (twin / name).write_bytes(content)
        with pytest.raises(BadRequest, match=Path(name).name):
            restoring.restore(twin, tmp_path / "again", clock, keys_dir=tmp_path / "center")
        shutil.rmtree(twin)
    assert [item.name for item in tmp_path.iterdir() if "again" in item.name] == []  # noqa: ASYNC240  a test may wait


async def test_a_manifest_can_not_reach_outside(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_center(tmp_path / "center", clock=clock) as house:
        backup.back_up(house.state, tmp_path / "copy", clock)
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    manifest["files"].append({"path": "../center/identity.key", "size_bytes": 32, "sha256": "0" * 64})
    (tmp_path / "copy" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadRequest, match="outside the backup"):
        backup.load(tmp_path / "copy")


# ---------------------------------------------------------------------- processes, under load


@contextlib.contextmanager
def running(state_dir: Path, endpoint: str) -> Iterator[subprocess.Popen[bytes]]:
    command: list[str | Path] = [BIN_DIR / "command-center", "run", "--state", state_dir, "--listen", endpoint, "--http",
               f"127.0.0.1:{free_port()}", "--log-level", "error"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert b"Console" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def tool(*args: str | Path) -> str:
    done = subprocess.run([BIN_DIR / "command-center", *args], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def _send(endpoint: str, server: Identity, nodes: list[LoadNode]) -> None:
    load = Load(endpoint, server.transport_key, nodes)
    await load.connect()
    try:
        await load.run(window=40)
    finally:
        load.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_backup_under_load_restores_after_a_kill_and_forgets_no_envelope(tmp_path: Path) -> None:
    """20 nodes send as fast as they can, a backup is made in the middle, the center is killed and its disk is lost."""
    state_dir, endpoint = tmp_path / "center", f"tcp://127.0.0.1:{free_port()}"
    tool("init", "--state", state_dir)
    authority, server = Identity.load(state_dir / "authority.key"), Identity.load(state_dir / "identity.key")
    nodes = _nodes(authority)
    for node in nodes:
        node.sign(250, authority.sealing_key)
    with running(state_dir, endpoint) as process:
        sending = asyncio.create_task(_send(endpoint, server, nodes))
        while sum(node.acked for node in nodes) < 1000:
            assert not sending.done(), "the load must be under way"
            await asyncio.sleep(0.01)
        heard_before = [node.acked for node in nodes]
        await asyncio.to_thread(tool, "backup", "--state", state_dir, "--to", tmp_path / "copy")
        assert sum(node.acked for node in nodes) > sum(heard_before), "the center went on storing meanwhile"
        process.send_signal(signal.SIGKILL)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
    (tmp_path / "keys").mkdir()
    for name in ("authority.key", "identity.key"):
        shutil.copy2(state_dir / name, tmp_path / "keys" / name)
    shutil.rmtree(state_dir)
    said = tool("restore", tmp_path / "copy", "--state", state_dir, "--keys-from", tmp_path / "keys")
    assert "0 problems" in said
    with contextlib.closing(sqlite3.connect(state_dir / "center.sqlite")) as connection:
        in_copy = {row[0] for row in connection.execute("SELECT id FROM alert")}
    in_copy |= {envelopes.parse(record.wire).id for record in intake_log.read(state_dir / intake_log.FILE_NAME)}
    assert len(in_copy) >= sum(heard_before), "what was receipted before the backup began is in it"
    for node in nodes:  # everything once more, as nodes do that hear no receipt: what is known is not new
        node.sent_s, node.acked, node.took_ms = [], 0, []
    with running(state_dir, endpoint):
        await _send(endpoint, server, nodes)
    assert "0 problems" in tool("check", "--state", state_dir).replace("all as written", "0 problems")
    with contextlib.closing(sqlite3.connect(state_dir / "center.sqlite")) as connection:
        alerts, ids = connection.execute("SELECT COUNT(*), COUNT(DISTINCT id) FROM alert").fetchone()
        assert alerts == ids == 20 * 250
