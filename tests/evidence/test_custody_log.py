"""Everybody who saw something of an incident stands in the custody log of its bag, by whatever way they saw it."""

import asyncio
import csv
import os
from pathlib import Path

from nacl.public import PublicKey, SealedBox

from command_center import check
from command_center.accounts import UserRole
from command_center.evidence.export import export
from command_center.evidence.selection import Selection
from command_center.state_dir import StateDir
from command_center.unsealing import Unseal
from relay.clock import SimulatedClock
from relay.kinds.answer import StreamEnded, StreamOpened
from relay.kinds.instruction import OpenStream
from tests.command_center.house import House
from tests.command_center.test_live import GATE, OFFER, SDP, Camera
from tests.evidence.scene import make, picture, show, unpack, wrong_in


async def story(house: House) -> None:
    """Somebody looks in each of the ways that there are; the names say how."""
    gate, yard = house.node("gate"), house.node("yard")
    alert, other = gate.alert(), yard.alert(camera="cam9")
    await house.deliver(gate, gate.heartbeat(), alert)
    await house.deliver(yard, yard.heartbeat(), other)
    snapshot = await show(house, gate, alert.id, picture("gate"))
    clip = await show(house, gate, alert.id, b"moving pictures" * 500, media_type="video/mp4")
    async with house.signed_in("card", UserRole.DISPATCHER) as client:
        assert (await client.get("/api/v1/incidents/1")).status_code == 200
    async with house.signed_in("snapshot", UserRole.DISPATCHER) as client:
        assert (await client.get(f"/api/v1/snapshots/{snapshot.hex()}")).status_code == 200
    async with house.signed_in("clip", UserRole.DISPATCHER) as client:
        assert (await client.get(f"/api/v1/clips/{clip.hex()}")).status_code in {200, 206}
    await _watch(house, Camera(house, gate), "live", incident=1)
    await _watch(house, Camera(house, gate), "walkby", incident=0)
    async with house.signed_in("sharer", UserRole.SUPERVISOR) as client:
        made = await client.post(
            "/api/v1/incidents/1/shares", json={"agency": "county", "reason": "they are nearer", "minutes": 10}
        )
        assert made.status_code == 201, made.text
        link = "/aid/" + made.json()["url"].rpartition("/")[2]
        async with house.browser("192.0.2.77") as theirs:
            assert (await theirs.post(link)).status_code in {200, 303}
            assert (await theirs.get(link)).status_code == 200
            assert (await theirs.get(f"{link}/picture")).status_code == 200
        ended = await client.post(
            f"/api/v1/incidents/1/shares/{made.json()['share']['id']}/revoke", json={"reason": "over"}
        )
        assert ended.status_code == 200, ended.text
    original = SealedBox(PublicKey(house.authority.sealing_key)).encrypt(b"\xff\xd8\xff" + os.urandom(300))
    await house.center.administration.perform(
        Unseal(name=f"{alert.id.hex()}.sealed", sealed=original, reason="court order 7")
    )
    async with house.signed_in("reader", UserRole.AUDITOR) as client:
        assert (await client.get("/api/v1/audit/looks?incident=1")).status_code == 200
    async with house.signed_in("elsewhere", UserRole.DISPATCHER) as client:
        assert (await client.get("/api/v1/incidents/2")).status_code == 200


async def _watch(house: House, camera: Camera, who: str, *, incident: int) -> None:
    seen = sum(isinstance(order, OpenStream) for order in await camera.orders())
    async with house.signed_in(who) as client:
        params = {"reason": "a person at the fence", **({"incident": str(incident)} if incident else {})}
        asking = asyncio.create_task(client.post(GATE, content=OFFER, params=params, headers=SDP))
        order = await camera.asked(OpenStream, seen + 1)
        await camera.says(StreamOpened(session=order.session, answer="v=0\r\nanswer"))
        assert (await asking).status_code == 201
        await camera.says(StreamEnded(session=order.session, reason="the viewer left", shown_ms=61_000, sent_bytes=10))


def custody(bag_dir: Path) -> list[dict[str, str]]:
    with (bag_dir / "data/custody/custody.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_way_of_looking_is_in_the_bag_and_nobody_else_is(tmp_path: Path) -> None:
    center = make(tmp_path / "center", story)
    state = StateDir(center)
    export(state, Selection(incidents=("1",)), tmp_path / "bag.zip", SimulatedClock())
    assert wrong_in(tmp_path / "bag.zip") == ""
    bag_dir = unpack(tmp_path / "bag.zip", tmp_path / "unpacked")
    rows = custody(bag_dir)
    looked = {(row["what"], row["who"]) for row in rows}
    assert looked >= {
        ("viewed", "user:card"), ("viewed", "user:snapshot"), ("viewed", "user:clip"), ("live-opened", "user:live"),
        ("live-opened", "user:walkby"), ("incident-shared", "user:sharer"), ("share-viewed", "agency:county"),
        ("original-unsealed", "user:local-administrator"), ("journal-read", "user:reader"), ("export-started", "user:local-administrator"),
    }, looked  # fmt: skip
    assert "user:elsewhere" not in {who for _, who in looked}, "who looked at another incident is not of this one"
    said = {(row["what"], row["who"]): row["detail"] for row in rows}
    assert "61000 ms" in next(row["detail"] for row in rows if row["what"] == "live-ended")
    assert "a person at the fence" in said["live-opened", "user:live"]
    assert "with county until" in said["incident-shared", "user:sharer"]
    assert "they are nearer" in said["incident-shared", "user:sharer"]
    assert "court order 7" in said["original-unsealed", "user:local-administrator"]
    assert all(
        row["detail"] for row in rows if row["what"] in {"incident-shared", "share-ended", "live-opened", "live-ended"}
    )
    for what, who in (("live-opened", "user:walkby"), ("original-unsealed", "user:local-administrator")):
        entry = next(row["journal_entry"] for row in rows if (row["what"], row["who"]) == (what, who))
        assert f'"id":{entry},' in (bag_dir / "data/journal/entries.jsonl").read_text(), "with its proof"
    assert check.run(state).problems == ()
