"""What arrives is kept, shown, and provable: real envelopes, real database, real files."""

import asyncio
import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from command_center import check, facts, journal
from command_center.accounts import UserRole
from command_center.errors import JournalDamaged
from command_center.facts import EnvelopeStored
from command_center.state_dir import StateDir
from relay.errors import SpoolBusy
from relay.header import Kind
from relay.identity import Identity
from relay.kinds.acknowledgement import Acknowledgement
from relay.kinds.body import decode as decode_body
from relay.kinds.chunk import Chunk, cut
from relay.kinds.exhibit import Exhibit, ExhibitItem
from relay.kinds.heartbeat import CameraState
from relay.precedence import Precedence
from tests.command_center.house import PICTURE, House, Node, running_center

SHA256 = hashlib.sha256(PICTURE).digest()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 10
    while not await holds():
        assert time.monotonic() < deadline, "did not happen within 10 s"
        await asyncio.sleep(0.01)


def exhibit(alert_id: bytes, *, sha256: bytes = SHA256, size_bytes: int = len(PICTURE)) -> Exhibit:
    item = ExhibitItem(media_type="image/jpeg", sha256=sha256, size_bytes=size_bytes, chunk_bytes=4096, width_px=640,
                       height_px=360, captured_wall_ms=1, captured_monotonic_ms=1)  # fmt: skip
    return Exhibit(alert_id=alert_id, items=(item,))


async def assert_all_as_written(house: House) -> None:
    report = await asyncio.to_thread(check.run, house.state)
    assert report.problems == ()


async def test_every_stored_alert_is_measured_at_its_own_entry_and_its_incident_is_shown_again(house: House) -> None:
    node = house.node()
    await house.deliver(
        node, node.alert(camera="gate"), node.heartbeat(), node.alert(camera="yard"), node.alert(camera="gate")
    )
    await house.deliver(node, node.alert(camera="yard"))

    async def is_measured() -> bool:
        return len(await house.query("SELECT entry FROM hop")) == 4

    await until(is_measured)
    assert await house.query("SELECT entry FROM hop ORDER BY entry") == await house.query(
        "SELECT entry FROM alert ORDER BY entry"
    )
    rows = await house.query("SELECT spooled_to_stored_ms, stored_to_receipt_ms FROM hop")
    assert all(spooled == 0 and isinstance(receipt, float) for spooled, receipt in rows), "on the house's own clock"
    measured = await house.query(
        "SELECT subject, COUNT(*) FROM event WHERE kind = 'incident' GROUP BY subject ORDER BY subject"
    )
    assert [subject for subject, _ in measured] == ["1", "2"]
    assert all(isinstance(count, int) and count >= 2 for _, count in measured), (
        "when it joined, and when it was measured"
    )


async def test_alert_is_journalled_with_its_exact_bytes_and_becomes_an_incident(house: House) -> None:
    node = house.node()
    alert = node.alert()
    assert await house.deliver(node, alert) == 1
    ((payload,),) = await house.query("SELECT payload FROM entry WHERE kind = 'alert'")
    assert isinstance(payload, bytes)
    assert facts.decode(payload, EnvelopeStored).wire == alert.wire
    assert await house.query("SELECT id, state, label, zone, alert_count FROM incident") == [
        (1, "unacknowledged", "handgun", "yard", 1)
    ]
    await assert_all_as_written(house)


async def test_thousand_deliveries_are_one_alert(house: House) -> None:
    node = house.node()
    alert = node.alert()
    assert await house.deliver(node, *[alert] * 500) == 1
    assert await house.deliver(node, *[alert] * 500) == 0
    assert await house.query("SELECT COUNT(*) FROM alert") == [(1,)]


async def test_alerts_of_one_place_join_and_others_do_not(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert(), node.alert(confidence=0.95), node.alert(camera="cam2"))
    house.clock.advance(31_000)
    await house.deliver(node, node.alert())
    rows = await house.query("SELECT camera, alert_count, round(confidence, 2) FROM incident ORDER BY id")
    assert rows == [("cam1", 2, 0.95), ("cam2", 1, 0.9), ("cam1", 1, 0.9)]
    await assert_all_as_written(house)


async def test_body_that_does_not_open_is_kept_as_unreadable(house: House) -> None:
    node = house.node()
    sealed_for_another = node.identity.shared_secret(Identity.generate().sealing_key)
    bad = node.say(Kind.ALERT, b"x" * 40, secret=sealed_for_another)
    nonsense = node.say(Kind.ALERT, b"\xc1 not an alert")
    await house.deliver(node, bad, nonsense, node.alert())
    rows = await house.query("SELECT payload FROM entry WHERE kind = 'unreadable' ORDER BY id")
    kept = [facts.decode(row[0], EnvelopeStored) for row in rows if isinstance(row[0], bytes)]
    assert [item.wire for item in kept] == [bad.wire, nonsense.wire]
    assert [item.reason.split(":")[0] for item in kept] == ["cannot_open", "malformed"]
    assert house.services.metrics["unreadable"] == 2
    assert await house.query("SELECT COUNT(*) FROM incident") == [(1,)]


async def test_fork_quarantines_the_node_and_its_alerts_are_kept_apart(house: House) -> None:
    node = house.node()
    first = node.alert()
    await house.deliver(node, first)
    await house.deliver(node, node.alert(label="rifle", sequence=1))
    await house.deliver(node, node.alert(sequence=2))
    assert await house.query("SELECT standing FROM node WHERE id = ?", node.id) == [("quarantined",)]
    rows = await house.query("SELECT label, is_quarantined FROM incident ORDER BY id")
    assert rows == [("handgun", 0), ("rifle", 1), ("handgun", 1)]
    kinds = [row[0] for row in await house.query("SELECT kind FROM entry WHERE subject = ?", f"node:{node.id.hex()}")]
    assert kinds == ["node-admitted", "node-standing"]
    assert house.services.metrics["forks"] == 1
    await assert_all_as_written(house)


@pytest.mark.parametrize("is_first", [False, True])
async def test_another_nodes_picture_is_never_shown_for_an_alert(house: House, is_first: bool) -> None:
    """An admitted node that was taken over must not be able to put its picture on somebody else's incident."""
    node, liar = house.node("gate-camera"), house.node("liar")
    alert = node.alert()
    false = liar.body(Kind.EXHIBIT, exhibit(alert.id))
    if not is_first:
        await house.deliver(node, alert)
    await house.deliver(liar, false, *[liar.body(Kind.CHUNK, piece) for piece in cut(PICTURE, SHA256)])
    if is_first:
        await house.deliver(node, alert)
    assert await house.query("SELECT count(*) FROM exhibit_item") == [(1,)], (
        "the false exhibit was kept, as everything is"
    )
    assert await house.query("SELECT snapshot_sha256 FROM incident") == [(None,)]
    await assert_all_as_written(house)


@pytest.mark.parametrize("order", ["in order", "reversed", "chunks first", "twice"])
async def test_snapshot_is_put_together_in_any_order(house: House, order: str) -> None:
    node = house.node()
    alert = node.alert()
    chunks = [node.body(Kind.CHUNK, piece) for piece in cut(PICTURE, SHA256)]
    shown = node.body(Kind.EXHIBIT, exhibit(alert.id))
    sequence = {
        "in order": [alert, shown, *chunks],
        "reversed": [*chunks[::-1], shown, alert],
        "chunks first": [*chunks, alert, shown],
        "twice": [alert, shown, *chunks, *[node.body(Kind.CHUNK, piece) for piece in cut(PICTURE, SHA256)]],
    }[order]
    for envelope in sequence:
        await house.deliver(node, envelope)

    async def is_there() -> bool:
        return await house.query("SELECT sha256 FROM stored_object") == [(SHA256,)]

    await until(is_there)
    assert house.services.blobs.file_of(SHA256).read_bytes() == PICTURE
    assert await house.query("SELECT COUNT(*) FROM piece") == [(0,)]
    await assert_all_as_written(house)


async def test_object_with_the_wrong_hash_is_refused_and_can_be_sent_again(house: House) -> None:
    node = house.node()
    alert = node.alert()
    wrong = [piece if piece.offset_bytes else Chunk(object_sha256=SHA256, offset_bytes=0, content=b"?" * len(piece.content))
             for piece in cut(PICTURE, SHA256)]  # fmt: skip
    await house.deliver(node, alert, node.body(Kind.EXHIBIT, exhibit(alert.id)))
    await house.deliver(node, *[node.body(Kind.CHUNK, piece) for piece in wrong])

    async def is_refused() -> bool:
        return bool(await house.query("SELECT 1 FROM entry WHERE kind = 'object-refused'"))

    await until(is_refused)
    assert not house.services.blobs.file_of(SHA256).exists()
    assert await house.query("SELECT COUNT(*) FROM stored_object") == [(0,)]
    await house.deliver(node, *[node.body(Kind.CHUNK, piece) for piece in cut(PICTURE, SHA256)])

    async def is_stored() -> bool:
        return bool(await house.query("SELECT 1 FROM stored_object"))

    await until(is_stored)
    assert house.services.metrics["objects_refused"] == 1
    await assert_all_as_written(house)


async def test_pieces_beyond_the_signed_size_are_refused(house: House) -> None:
    node = house.node()
    alert = node.alert()
    await house.deliver(node, alert, node.body(Kind.EXHIBIT, exhibit(alert.id, size_bytes=5000)))
    await house.deliver(
        node, node.body(Kind.CHUNK, Chunk(object_sha256=SHA256, offset_bytes=4096, content=b"x" * 4096))
    )
    assert house.services.metrics["chunk_refused_beyond_end"] == 1


async def test_heartbeats_are_journalled_only_when_they_say_something_new(house: House) -> None:
    node = house.node()
    for _ in range(20):
        await house.deliver(node, node.heartbeat())
    await house.deliver(node, node.heartbeat(state=CameraState.LOST))
    await house.deliver(node, node.heartbeat(state=CameraState.LOST))
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'heartbeat'") == [(2,)]
    await assert_all_as_written(house)


async def test_numbers_that_a_node_gave_up_are_no_gap(house: House) -> None:
    node = house.node()
    node.sequence = 5
    await house.deliver(node, node.heartbeat(forgone=((2, 5), (0, 3), (9, 8))))
    state = await house.database.run(lambda c: house.center.station.ledger.state(c, node.id, node.series))
    assert list(state.forgone) == [(2, 5)]
    assert state.gaps() == [(1, 1)]
    assert house.services.metrics["forgone_ranges_refused"] == 2


async def test_acknowledging_puts_an_envelope_for_the_node_into_the_spool_in_the_same_commit(house: House) -> None:
    node = house.node()
    alerts = [node.alert(), node.alert()]
    await house.deliver(node, *alerts)
    async with house.signed_in() as client:
        answer = await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
    assert answer.status_code == 200
    said = await down_to(house, node)
    assert [set(item.alert_ids) for item in said] == [{alerts[0].id, alerts[1].id}]
    assert said[0].role == UserRole.DISPATCHER.value
    assert await house.query("SELECT precedence FROM envelope") == [(int(Precedence.FLASH),)]
    await assert_all_as_written(house)


async def test_alert_that_joins_an_acknowledged_incident_is_acknowledged_too(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
    late = node.alert()
    await house.deliver(node, late)

    async def is_told() -> bool:
        return any(late.id in item.alert_ids for item in await down_to(house, node))

    await until(is_told)
    assert await house.query("SELECT state, alert_count FROM incident") == [("acknowledged", 2)]


async def test_unknown_sender_is_admitted_by_its_passport_once(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert(), node.alert())
    assert await house.query("SELECT name FROM node") == [("gate",)]
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'node-admitted'") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE incident SET state = 'closed'", "view incident, row 1: state"),
        ("UPDATE alert SET confidence = 0.5", "confidence do not follow"),
        ("DELETE FROM alert", "view alert"),
        ("UPDATE node SET standing = 'revoked'", "standing do not follow"),
    ],
)
async def test_check_finds_a_view_that_does_not_follow_from_the_journal(house: House, sql: str, expected: str) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    changed = await house.database.run(lambda c: c.execute(sql).rowcount)
    assert changed == 1, "the test changed nothing"
    report = await asyncio.to_thread(check.run, house.state)
    assert expected in report.problems[0]


async def test_views_are_made_anew_from_the_journal_and_are_the_same(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        node = house.node()
        await house.deliver(node, node.alert(), node.alert(camera="cam2"))
        tables = ("incident", "alert", "node")
        before = [await house.query(f"SELECT * FROM {table}") for table in tables]
        with pytest.raises(SpoolBusy):
            await asyncio.to_thread(check.rebuild, house.state, 0)
    state = StateDir(tmp_path / "center")
    assert check.rebuild(state, 0) == (), "what follows from the journal is left alone"
    with contextlib.closing(sqlite3.connect(state.database_file)) as connection:
        connection.executescript(
            "DELETE FROM alert; UPDATE incident SET state = 'closed'; UPDATE node SET standing = 'revoked'"
        )
    assert check.run(state).problems
    assert len(check.rebuild(state, 0)) == len(tables)
    assert check.run(state).problems == ()
    async with running_center(tmp_path / "center") as house:
        assert [await house.query(f"SELECT * FROM {table}") for table in tables] == before
        assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'views-rebuilt'") == [(1,)]
    with contextlib.closing(sqlite3.connect(state.database_file)) as connection:
        connection.execute("UPDATE entry SET actor = 'nobody' WHERE id = 2")
        connection.commit()
    with pytest.raises(JournalDamaged, match="entry 2"):
        check.rebuild(state, 0)


async def test_check_finds_a_flipped_byte_in_an_entry_and_in_a_picture(house: House) -> None:
    node = house.node()
    alert = node.alert()
    chunks = [node.body(Kind.CHUNK, piece) for piece in cut(PICTURE, SHA256)]
    await house.deliver(node, alert, node.body(Kind.EXHIBIT, exhibit(alert.id)), *chunks)

    async def is_stored() -> bool:
        return bool(await house.query("SELECT 1 FROM stored_object"))

    await until(is_stored)
    await assert_all_as_written(house)
    file = house.services.blobs.file_of(SHA256)
    flipped = bytearray(file.read_bytes())
    flipped[100] ^= 1
    assert bytes(flipped) != PICTURE
    file.write_bytes(flipped)
    report = await asyncio.to_thread(check.run, house.state)
    assert len(report.problems) == 1
    assert "its SHA-256 is" in report.problems[0]

    def flip(connection: object) -> tuple[int, bytes, bytes]:
        import sqlite3

        assert isinstance(connection, sqlite3.Connection)
        entry = next(item for item in journal.entries(connection) if item.kind == "alert")
        payload = bytearray(entry.payload)
        payload[50] ^= 1
        connection.execute("UPDATE entry SET payload = ? WHERE id = ?", (bytes(payload), entry.id))
        return entry.id, entry.payload, bytes(payload)

    entry_id, before, after = await house.database.run(flip)
    assert before != after
    report = await asyncio.to_thread(check.run, house.state)
    assert report.problems[0].startswith(f"entry {entry_id} (alert, incident:1) was changed")


async def down_to(house: House, node: Node) -> list[Acknowledgement]:
    """The acknowledgements that wait in the center's spool, opened with the node's key."""
    from relay import envelope as envelopes

    secret = node.identity.shared_secret(house.center.station.identity.sealing_key)
    rows = await house.query("SELECT wire FROM envelope WHERE destination = ? ORDER BY number", node.id)
    opened = [envelopes.parse(row[0]) for row in rows if isinstance(row[0], bytes)]
    return [decode_body(envelopes.open_body(item, secret), Acknowledgement) for item in opened]


async def test_check_follows_a_changed_window(tmp_path: Path) -> None:
    """Incidents that were grouped under an earlier configuration stay right."""
    for window_s, cameras in ((30, 1), (2, 2)):
        async with running_center(tmp_path / "c") as house:
            node = house.node(f"node{window_s}")
            await house.deliver(node, node.alert())
            house.clock.advance(5_000)
            await house.deliver(node, node.alert())
            found = await house.query("SELECT COUNT(*) FROM incident WHERE node = ?", node.id)
            assert found == [(cameras,)]
            await assert_all_as_written(house)
        (tmp_path / "c" / "center.toml").write_text('http = "127.0.0.1:0"\n[incidents]\nwindow_s = 2\n')


async def test_hammering_at_the_door_does_not_fill_the_journal(house: House) -> None:
    async with house.browser() as client:
        for _ in range(40):
            await client.post("/api/v1/session", json={"username": "alice", "password": "wrong"})
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'") == [(6,)]
    assert house.services.metrics["sign_ins_limited"] == 35
