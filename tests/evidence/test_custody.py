"""Legal hold, retention with tombstones, and evidence fetched from nodes on demand."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from camera_node import clip_book
from camera_node.clip_book import ClipState
from camera_node.config import ClipConfig
from command_center import check
from command_center.accounts import UserRole
from command_center.blobs import BlobStore
from command_center.commands import NodeInvite, NodeStanding
from command_center.custody import fetching, retention
from command_center.custody.commands import HoldList, HoldPlace, HoldRelease, Retain
from command_center.errors import BadRequest, NotFound, NotPossible
from command_center.evidence.export import export
from command_center.evidence.progress import Progress
from command_center.evidence.selection import Selection
from command_center.evidence.verifier.main import claims
from command_center.state_dir import StateDir
from relay.config import PathConfig
from relay.enrollment import enroll
from relay.header import Kind
from relay.kinds import body as bodies
from relay.kinds.answer import Answer, Followed, Outcome
from relay.kinds.instruction import HoldClip, Instruction, ReleaseClip
from tests.camera_node.test_clip_sending import config, is_all
from tests.camera_node.test_node import running
from tests.camera_node.waiting import until as until_true
from tests.command_center.house import House, Node, running_center
from tests.command_center.test_ingest import until
from tests.evidence.scene import picture, play, show, unpack

DAY_MS = 86_400_000
KEPT = ClipConfig(pre_roll_s=1, post_roll_s=1, segment_s=0.5, reserve_bytes=0, is_sent="never")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_center(tmp_path / "center") as made:
        await play(made)
        yield made


async def instructions(house: House, node: Node) -> list[tuple[bytes, Instruction]]:
    """What waits in the spool for a node, opened as it opens it."""
    from relay import envelope as envelopes

    secret = node.identity.shared_secret(house.services.identity.sealing_key)
    found: list[tuple[bytes, Instruction]] = []
    for (wire,) in await house.query("SELECT wire FROM envelope WHERE kind = ? ORDER BY number", int(Kind.INSTRUCTION)):
        assert isinstance(wire, bytes)
        envelope = envelopes.parse(wire)
        if envelope.header.destination == node.id:
            found.append((envelope.id, bodies.decode(envelopes.open_body(envelope, secret), Instruction)))
    return found


async def told(house: House, node: Node, count: int) -> list[tuple[bytes, Instruction]]:
    async def are_there() -> bool:
        return len(await instructions(house, node)) >= count

    await until(are_there)
    return await instructions(house, node)


async def close_all(client: httpx.AsyncClient) -> None:
    for listed in (await client.get("/api/v1/incidents")).json()["incidents"]:
        incident = listed
        if listed["state"] == "unacknowledged":
            seen = {"version": listed["version"]}
            incident = (await client.post(f"/api/v1/incidents/{listed['id']}/acknowledge", json=seen)).json()
        done = await client.post(
            f"/api/v1/incidents/{incident['id']}/close", json={"version": incident["version"], "disposition": "handled"}
        )
        assert done.status_code == 200, done.text


def sound(state: StateDir) -> None:
    report = check.run(state)
    assert report.problems == ()


# ---------------------------------------------------------------------- hold


async def test_hold_tells_the_node_of_every_alert_of_later_ones_too_and_shows_what_it_said(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        node = house.node("gate")
        first, second = node.alert(), node.alert(confidence=0.95)
        await house.deliver(node, first, second)
        await house.center.administration.perform(HoldPlace(incidents=("1",), reason="case 7"))
        sent = await told(house, node, 2)
        assert [one.order for _, one in sent] == [HoldClip(alert_id=a.id, reason="case 7") for a in (first, second)]
        third = node.alert()
        await house.deliver(node, third)
        sent = await told(house, node, 3)
        assert sent[2][1].order == HoldClip(alert_id=third.id, reason="its incident is on hold")
        words = [Followed(instruction_id=sent[0][0], outcome=Outcome.DONE, detail="kept"),
                 Followed(instruction_id=sent[1][0], outcome=Outcome.REFUSED, detail="deleted for the quota"),
                 Followed(instruction_id=bytes(32), outcome=Outcome.DONE)]  # fmt: skip
        await house.deliver(node, *(node.body(Kind.ANSWER, Answer(word=word)) for word in words))
        listed = await house.center.administration.perform(HoldList())
        assert "case 7  (clips kept 1, gone before 1, not answered 1)" in listed.lines[0]
        assert house.services.metrics["answers_unasked"] == 1
        await house.center.administration.perform(HoldRelease(incidents=("INC-2026-000001",), reason="dismissed"))
        sent = await told(house, node, 6)
        assert [type(one.order) for _, one in sent[3:]] == [ReleaseClip] * 3
        kinds = [row[0] for row in await house.query("SELECT kind FROM entry WHERE kind LIKE 'hold-%' ORDER BY id")]
        assert kinds == ["hold-placed", "hold-released"]
        for command, text in ((HoldPlace(incidents=("1",), reason=" "), "expected a reason"),
                              (HoldRelease(incidents=("1",), reason="x"), "not on hold")):  # fmt: skip
            with pytest.raises(NotPossible, match=text):
                await house.center.administration.perform(command)
        with pytest.raises(NotFound, match="no incident 9"):
            await house.center.administration.perform(HoldPlace(incidents=("9",), reason="x"))
    sound(StateDir(tmp_path / "center"))


async def test_a_withdrawn_node_is_not_asked_and_it_is_said(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        node = house.node("gate")
        await house.deliver(node, node.alert())
        await house.center.administration.perform(NodeStanding(name="gate", standing="revoked", reason="stolen"))
        await house.center.administration.perform(HoldPlace(incidents=("1",), reason="case 7"))

        async def is_settled() -> bool:
            return (await house.query("SELECT outcome FROM clip_order")) == [(3,)]

        await until(is_settled)
        assert await instructions(house, node) == []


async def test_holds_over_the_api_are_for_supervisors(house: House) -> None:
    async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
        placed = await client.post("/api/v1/holds", json={"incident": 1, "reason": "subpoena 12"})
        assert placed.status_code == 201, placed.text
        (shown,) = placed.json()["holds"]
        assert (shown["number"], shown["by"], shown["reason"], shown["waiting"]) == (
            "INC-2026-000001",
            "sam",
            "subpoena 12",
            2,
        )
        assert (await client.post("/api/v1/holds", json={"incident": 1, "reason": "again"})).status_code == 422
        assert (await client.post("/api/v1/holds", json={"incident": 99, "reason": "x"})).status_code == 404
        assert (await client.delete("/api/v1/holds/1")).status_code == 422, "no reason"
        assert (await client.delete("/api/v1/holds/1?reason=withdrawn")).json() == {"holds": []}
    for name, role in (("bob", UserRole.DISPATCHER), ("erin", UserRole.AUDITOR)):
        async with house.signed_in(name, role) as client:
            assert (await client.post("/api/v1/holds", json={"incident": 1, "reason": "x"})).status_code == 403


# ---------------------------------------------------------------------- retention


async def test_retention_deletes_with_a_tombstone_and_every_proof_stays(house: House) -> None:
    async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
        await close_all(client)
        checkpoint = (await client.get("/api/v1/journal/checkpoint")).text
        await client.post("/api/v1/holds", json={"incident": 2, "reason": "case 7"})
    blobs = house.services.blobs
    rows = await house.query("SELECT sha256 FROM stored_object")
    files = {row[0]: blobs.file_of(row[0]) for row in rows if isinstance(row[0], bytes)}
    assert len(files) == 2
    house.clock.advance(10 * DAY_MS)
    dry = await house.center.administration.perform(Retain(days=9, is_dry_run=True))
    assert dry.lines[-1].startswith("1 objects")
    assert all(file.exists() for file in files.values())
    done = await house.center.administration.perform(Retain(days=9))
    assert "a tombstone of each is in the journal" in done.lines[-1]
    (gone,) = [bytes.fromhex(name) for name in json.loads(bytes(done.data))]
    await asyncio.to_thread(retention.unlink, house.database, blobs)
    assert [sha256 for sha256, file in files.items() if not file.exists()] == [gone], "what is on hold stays"
    async with house.signed_in("erin", UserRole.AUDITOR) as client:
        assert (await client.get(f"/api/v1/snapshots/{gone.hex()}")).status_code == 404
        incident = (await client.get("/api/v1/incidents/1")).json()
        assert incident["snapshot_url"] is None
        size, now = int(checkpoint.split("\n")[1]), (await client.get("/api/v1/journal/checkpoint")).text.split("\n")[1]
        assert (await client.get(f"/api/v1/journal/consistency?old={size}&size={now}")).status_code == 200
    with pytest.raises(BadRequest, match="more than 0 days"):
        await house.center.administration.perform(Retain(days=0))
    sound(house.state)
    bag_zip = house.state.root_dir.parent / "bag.zip"
    await asyncio.to_thread(_export, house, bag_zip)
    assert list(claims(bag_zip))
    bag_dir = unpack(bag_zip, house.state.root_dir.parent / "unpacked")
    missing = {
        m["sha256"]: m["why"] for m in json.loads((bag_dir / "data/completeness.json").read_text())["missing_media"]
    }
    assert "deleted at the center at" in missing[gone.hex()]
    assert "retention of 9 days" in missing[gone.hex()]
    assert "object-erased" in (bag_dir / "data/custody/custody.csv").read_text()


def _export(house: House, target_file: Path) -> None:
    from command_center.evidence import steps

    def note(step: steps.EvidenceExport) -> steps.Noted:
        return house.database.run_blocking(lambda connection: steps.note(connection, step, house.clock.wall_ms()))

    export(house.state, Selection(incidents=("1",)), target_file, house.clock, note_step=note)


async def test_open_incidents_and_shared_pictures_are_kept(house: House) -> None:
    house.clock.advance(100 * DAY_MS)
    done = await house.center.administration.perform(Retain(days=1))
    assert done.lines[-1].startswith("0 objects")


@pytest.mark.parametrize("is_before_unlink", [True, False])
def test_a_kill_between_tombstone_and_file_is_finished_at_the_next_start(
    tmp_path: Path, is_before_unlink: bool
) -> None:
    async def story() -> bytes:
        async with running_center(tmp_path / "center") as house:
            node = house.node()
            alert = node.alert()
            await house.deliver(node, alert)
            sha256 = await show(house, node, alert.id, picture("x"))
            async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
                await close_all(client)
            house.clock.advance(10 * DAY_MS)
            await house.center.administration.perform(Retain(days=1))
            return sha256

    sha256 = asyncio.run(story())
    state = StateDir(tmp_path / "center")
    blobs = BlobStore(state.blobs_dir)
    assert blobs.file_of(sha256).exists(), "the fault: nobody deleted the file yet"
    if not is_before_unlink:
        blobs.delete(sha256)
    database = state.open_database()
    with contextlib.closing(database):
        retention.unlink(database, blobs)
        assert database.run_blocking(lambda c: c.execute("SELECT COUNT(*) FROM unlinking").fetchone())[0] == 0
    assert not blobs.file_of(sha256).exists()
    sound(state)


async def test_object_that_comes_again_is_there_again(house: House) -> None:
    async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
        await close_all(client)
    house.clock.advance(10 * DAY_MS)
    await house.center.administration.perform(Retain(days=1))
    await asyncio.to_thread(retention.unlink, house.database, house.services.blobs)
    node = house.node("tower")
    alert = node.alert(camera="cam7")
    await house.deliver(node, alert)
    sha256 = await show(house, node, alert.id, picture("first"))
    assert house.services.blobs.file_of(sha256).exists()
    assert (await house.query("SELECT COUNT(*) FROM erased_object WHERE sha256 = ?", sha256)) == [(0,)]
    sound(house.state)


# ---------------------------------------------------------------------- fetching


async def ended(client: httpx.AsyncClient, identifier: str) -> dict[str, Any]:
    for _ in range(1200):
        job: dict[str, Any] = (await client.get(f"/api/v1/exports/{identifier}")).json()
        if job["state"] not in {"waiting", "running"}:
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(job)


@contextlib.asynccontextmanager
async def node_with_a_kept_clip(house: House, tmp_path: Path) -> AsyncIterator[Any]:
    outcome = await house.center.administration.perform(
        NodeInvite(name="gate", role="camera", site="north", is_preapproved=True)
    )
    code = next(line for line in outcome.lines if "enroll" in line).split()[2]
    state_dir = tmp_path / "node"
    await asyncio.to_thread(enroll, code, state_dir, wait_s=10)
    endpoint = house.center.station.listening_on[0].replace("[::ffff:127.0.0.1]", "127.0.0.1")
    path = PathConfig(name="lan", endpoint=endpoint, peer="center")
    async with running(config(tmp_path, state_dir, path=path, clip=KEPT)) as node:
        await until_true(lambda: is_all(node, ClipState.KEPT), what="the clip is kept at the node", within_s=30)

        async def has_alert() -> bool:
            return bool(await house.query("SELECT 1 FROM alert"))

        await until(has_alert)
        yield node


async def test_clip_that_only_its_node_has_is_fetched_into_the_export_and_held_there(tmp_path: Path) -> None:
    async with (
        running_center(tmp_path / "center", listen=("tcp://127.0.0.1:0",)) as house,
        node_with_a_kept_clip(house, tmp_path) as node,
        house.signed_in("sam", UserRole.SUPERVISOR) as client,
    ):
        without = await ended(client, (await client.post("/api/v1/exports", json={"incidents": ["1"]})).json()["id"])
        assert without["state"] == "done"
        order = (await client.post("/api/v1/exports", json={"incidents": ["1"], "fetch": True})).json()
        job = await ended(client, order["id"])
        assert job["state"] == "done", job["problem"]
        bag_zip = tmp_path / "bag.zip"
        bag_zip.write_bytes((await client.get(job["file_url"])).content)
        assert list(claims(bag_zip))
        bag_dir = unpack(bag_zip, tmp_path / "unpacked")
        clips = list((bag_dir / "data/media").glob("*.mp4"))
        kept = node.station.database.run_blocking(lambda connection: clip_book.newest(connection, 10))
        sent = {clip.sha256 for clip in kept if clip.state is ClipState.HEARD}
        assert {hashlib.sha256(file.read_bytes()).hexdigest() for file in clips} <= {clip.sha256 for clip in kept}
        assert clips, "the clip is in the bag"
        assert sent
        asked = json.loads((bag_dir / "data/completeness.json").read_text())["asked_of_nodes"]
        assert {one["answer"] for one in asked} == {"under way"}
        assert (await client.post("/api/v1/holds", json={"incident": 1, "reason": "case 7"})).status_code == 201

        async def is_told() -> bool:
            return bool((await client.get("/api/v1/holds")).json()["holds"][0]["told"] >= 1)

        for _ in range(1200):  # a minute: on a busy machine the node's answer takes its time
            if await is_told():
                break
            house.clock.advance(50)  # this center's clock stands still by itself, and what it sends is paced by it
            await asyncio.sleep(0.05)
        assert await is_told(), "the node says that it keeps the clip"
        held = node.station.database.run_blocking(lambda c: c.execute("SELECT reason FROM clip_hold").fetchall())
        assert ("case 7",) in held
    sound(StateDir(tmp_path / "center"))


async def test_unreachable_node_is_a_clear_error_in_the_journal_or_stated_where_that_was_asked_for(
    house: House,
) -> None:
    async with house.signed_in("sam", UserRole.SUPERVISOR) as client:
        body: dict[str, object] = {"incidents": ["1"], "fetch": True, "fetch_within_s": 1}
        job = await ended(client, (await client.post("/api/v1/exports", json=body)).json()["id"])
        assert (job["state"], job["file_url"]) == ("failed", None)
        assert "node gate (" in job["problem"]
        assert "did not answer within 1 s" in job["problem"]
        assert "Nothing was exported" in job["problem"]
        kinds = [
            row[0]
            for row in await house.query("SELECT kind FROM entry WHERE subject = ? ORDER BY id", f"export:{job['id']}")
        ]
        assert kinds == ["export-started", "export-failed"]
        body["partial"] = True
        job = await ended(client, (await client.post("/api/v1/exports", json=body)).json()["id"])
        assert job["state"] == "done"


async def test_refused_and_stalled_are_told_apart() -> None:
    def item(**changes: object) -> fetching.Item:
        values: dict[str, Any] = {"alert": "aa", "node": "gate", "hearing": "heard, heard 1 s ago", "answer": "refused", "detail": "no clip",
                                  "done_bytes": 0, "total_bytes": 0, "is_here": False}  # fmt: skip
        return fetching.Item(**(values | changes))

    async def refused() -> list[fetching.Item]:
        return [item(), item(is_here=True, answer="under way")]

    assert await fetching.wait_for(refused, Progress()) == ["node gate has no clip of alert aa: no clip"]

    async def stuck() -> list[fetching.Item]:
        return [item(answer="under way", done_bytes=5, total_bytes=10)]

    with pytest.raises(fetching.StillAtNode, match=r"sent nothing more for 0\.2 s"):
        await fetching.wait_for(stuck, Progress(), stalled_after_s=0.2)
