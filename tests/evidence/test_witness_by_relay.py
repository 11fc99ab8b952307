"""Checkpoints that go to another agency's center by relay: through outages, answered with its cosignature, and good against a rewriter."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from command_center import check, checkpoint
from command_center.accounts import UserRole
from command_center.commands import NodeInvite, NodeStanding
from command_center.config import WitnessConfig
from command_center.custody.commands import WitnessedNote, WitnessList
from command_center.errors import NotFound
from command_center.evidence.export import export
from command_center.evidence.selection import Selection
from command_center.state_dir import StateDir
from command_center.witness import cosigning
from command_center.witness.cli import app
from command_center.witness.publisher import Publisher
from relay import envelope as envelopes
from relay import passport as passports
from relay.clock import SimulatedClock
from relay.header import Kind
from relay.identity import Identity
from relay.kinds import body as bodies
from relay.kinds.checkpoint import SubmittedCheckpoint
from relay.kinds.cosignature import Cosignature
from relay.passport import Role
from tests.command_center.house import House, Node, running_center
from tests.command_center.test_ingest import until
from tests.evidence.scene import play, unpack
from tests.evidence.test_witnesses import rewrite, said

ALL, ONE = Selection(is_all=True), Selection(incidents=("1",))


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port


async def until_both(what: Callable[[], Awaitable[bool]], *houses: House, within_s: float = 60.0) -> None:
    """The houses' clocks stand still by themselves, and what a station sends is paced by its clock."""
    async with asyncio.timeout(within_s):
        while not await what():
            for house in houses:
                house.clock.advance(50)
            await asyncio.sleep(0.05)


def publisher_of(house: House) -> Publisher:
    services = house.services
    return Publisher(WitnessConfig(), database=house.database, clock=house.clock, metrics=services.metrics, origin=services.journal_origin,
                     signing=services.identity.signing, outstations=services.outstations)  # fmt: skip


async def join(ours: House, theirs: House, endpoint: str, name: str = "county-b") -> str:
    """As two administrators do it; returns what the command said."""
    outcome = await theirs.center.administration.perform(
        NodeInvite(name="city-a", role="agency", site="their hq", is_preapproved=True)
    )
    command = next(line for line in outcome.lines if "witness join" in line).split()
    arguments = [
        "join",
        name,
        command[command.index("OUR-NAME") + 1],
        "--path",
        endpoint,
        "--state",
        str(ours.state.root_dir),
    ]
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert done.exit_code == 0, done.output
    return done.output


@contextlib.asynccontextmanager
async def center_at(root_dir: Path, port: int = 0) -> AsyncIterator[House]:
    async with running_center(root_dir, listen=(f"tcp://127.0.0.1:{port}",) if port else ()) as house:
        yield house


async def cosigned_size(house: House) -> int:
    rows = await house.query("SELECT size FROM witness_word WHERE target = 'relay:county-b' AND cosignature <> ''")
    size = rows[0][0] if rows else 0
    assert isinstance(size, int)
    return size


async def test_checkpoints_go_by_relay_through_an_outage_and_a_rewriter_is_caught(tmp_path: Path) -> None:
    port = free_port()
    async with center_at(tmp_path / "ours") as ours:
        await play(ours)
        async with center_at(tmp_path / "theirs", port) as theirs:
            assert "joined agency as city-a" in await join(ours, theirs, f"tcp://127.0.0.1:{port}")

            async def has_first() -> bool:
                return await cosigned_size(ours) > 0

            await until_both(has_first, ours, theirs)
            first = await cosigned_size(ours)
            origin = ours.services.journal_origin
            kinds = [
                row[0] for row in await theirs.query("SELECT kind FROM entry WHERE kind LIKE 'checkpoint%' ORDER BY id")
            ]
            assert kinds == ["checkpoint", "checkpoint-witnessed"], "what was signed by whom, and what was made of it"
            ((note, line),) = await ours.query(
                "SELECT p.note, c.line FROM published_checkpoint p JOIN cosignature c ON c.size = p.size AND c.witness = 'relay:county-b'"
            )
            assert isinstance(note, str)
            assert isinstance(line, str)
            their_key = theirs.services.identity.signing_key
            assert cosigning.cosigned_at(note, line, theirs.services.journal_origin, their_key) is not None
            nodes = await theirs.query("SELECT name, role FROM node")
            assert ("city-a", int(Role.AGENCY)) in nodes
            assert await theirs.query("SELECT 1 FROM incident") == []
        # They are gone. What is published meanwhile waits, and is not lost.
        late = ours.node("late")
        await ours.deliver(late, late.alert())
        await publisher_of(ours).publish()
        await asyncio.sleep(0.2)
        assert await cosigned_size(ours) == first, "the outage is one"
        async with center_at(tmp_path / "theirs", port) as theirs:

            async def has_second() -> bool:
                return await cosigned_size(ours) > first

            await until_both(has_second, ours, theirs)
            kept = (await theirs.center.administration.perform(WitnessedNote(origin=origin))).lines
            listed = (await theirs.center.administration.perform(WitnessList())).lines
            assert any(line.startswith(origin) and "witnessed here" in line for line in listed)
            assert any("cosigned" in line for line in (await ours.center.administration.perform(WitnessList())).lines)
            with pytest.raises(NotFound, match="no checkpoint of 'heard/x'"):
                await theirs.center.administration.perform(WitnessedNote(origin="heard/x"))
            async with theirs.signed_in("erin", UserRole.AUDITOR) as client:
                (shown,) = (await client.get("/api/v1/witness")).json()["theirs"]
            assert shown["origin"] == origin
            assert shown["note"].splitlines() == list(kept)
    assert check.run(StateDir(tmp_path / "theirs")).problems == ()
    assert check.run(StateDir(tmp_path / "ours")).problems == ()
    (tmp_path / "kept").write_text("\n".join(kept) + "\n")
    own = StateDir(tmp_path / "ours")
    await asyncio.to_thread(export, own, ONE, tmp_path / "honest.zip", SimulatedClock())
    assert "begins with the checkpoint of size" in said(tmp_path / "honest.zip", tmp_path / "kept")
    rows = (
        unpack(tmp_path / "honest.zip", tmp_path / "unpacked") / "data/journal/earlier-checkpoints.jsonl"
    ).read_text()
    cosigned = [row for row in map(json.loads, rows.splitlines()) if row.get("cosignatures")]
    assert cosigned, "the bag carries what the other agency signed"
    witness_name = f"heard/{Identity.load(tmp_path / 'theirs/identity.key').node_id.hex()}"
    for row in cosigned:
        (line,) = row["cosignatures"]
        assert cosigning.cosigned_at(
            row["note"], line, witness_name, Identity.load(tmp_path / "theirs/identity.key").signing_key
        )
    # Somebody with this machine and its keys rewrites the past, and goes on publishing.
    rewrite(tmp_path / "ours")
    assert check.run(own).problems == (), "in itself it all fits"
    await asyncio.to_thread(export, own, ALL, tmp_path / "forged.zip", SimulatedClock())
    assert "history was rewritten" in said(tmp_path / "forged.zip", tmp_path / "kept")
    async with center_at(tmp_path / "ours") as ours, center_at(tmp_path / "theirs", port) as theirs:

        async def is_open() -> bool:
            return ours.services.outstations.is_open("county-b")

        await until(is_open)
        await publisher_of(ours).publish()

        async def is_refused() -> bool:
            found = await ours.query("SELECT problem FROM witness_word WHERE target = 'relay:county-b'")
            return bool(found) and "only grew" in str(found[0][0])

        await until_both(is_refused, ours, theirs)
        assert await theirs.query(
            "SELECT COUNT(*) FROM entry WHERE kind = 'checkpoint-witnessed' AND instr(payload, x'52454655534544')"
        ) == [(1,)]
        assert await theirs.query("SELECT note FROM witnessed") == [("\n".join(kept) + "\n",)], "what was kept stands"


async def test_a_cosignature_that_its_key_did_not_make_is_no_witness(tmp_path: Path) -> None:
    port = free_port()
    async with center_at(tmp_path / "ours") as ours, center_at(tmp_path / "theirs", port) as theirs:
        theirs.services.correspondence._identity = Identity.generate()
        await join(ours, theirs, f"tcp://127.0.0.1:{port}")

        async def is_said() -> bool:
            return bool(await ours.query("SELECT 1 FROM witness_word WHERE problem <> ''"))

        await until_both(is_said, ours, theirs)
        ((problem, line),) = await ours.query("SELECT problem, cosignature FROM witness_word")
        assert "its key did not make" in str(problem)
        assert line == ""
        assert await ours.query("SELECT 1 FROM published_checkpoint") == []


async def test_a_broken_folder_is_said_and_keeps_nobody_from_dispatching(tmp_path: Path) -> None:
    async with center_at(tmp_path / "ours") as ours:
        folder_dir = tmp_path / "ours/agencies/county-b"
        folder_dir.mkdir(parents=True)
        (folder_dir / "relay.toml").write_text('state_dir = "."\nunknown = 1\n')

        async def is_said() -> bool:
            return bool(
                await ours.query(
                    "SELECT 1 FROM witness_word WHERE target = 'relay:county-b' AND problem LIKE '%unknown%'"
                )
            )

        await until(is_said)
        node = ours.node("gate")
        assert await ours.deliver(node, node.alert()) == 1
        async with ours.browser() as client:
            assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(("name", "expected"), [("No Good", "small letters"), ("there", "is there already")])
def test_joining_says_what_is_wrong_before_it_asks_anybody(tmp_path: Path, name: str, expected: str) -> None:
    StateDir(tmp_path / "c").init(
        SimulatedClock(), name="center", site="hq", agency="agency", http="127.0.0.1:0", url=""
    )
    (tmp_path / "c/agencies/there").mkdir(parents=True)
    (tmp_path / "c/agencies/there/relay.toml").write_text("")
    done = CliRunner().invoke(
        app, ["join", name, "HEARD1-X", "--path", "tcp://127.0.0.1:1", "--state", str(tmp_path / "c")]
    )
    assert expected in str(done.exception)


# ---------------------------------------------------------------------- what a witness refuses


def agency(house: House, name: str = "city-a") -> Node:
    """A station that another agency's administrator enrolled here."""
    node = house.node(name)
    keys = (node.identity.signing_key, node.identity.sealing_key, node.identity.transport_key)
    node.signed = passports.issue(house.authority.signing, role=Role.AGENCY, name=name, site="theirs", agency="agency", keys=keys,
                                  not_before_ms=0, not_after_ms=1 << 47, serial=node.signed.passport.serial + 50)  # fmt: skip
    house.center.station.trust.admit(node.signed.wire)
    return node


def submitted(
    log: Identity, size: int, root: bytes, *, old_size: int = 0, key: str = "", origin: str = ""
) -> SubmittedCheckpoint:
    name = origin or f"heard/{log.node_id.hex()}"
    made = checkpoint.sign(origin=name, size=size, root=root, signing=log.signing)
    return SubmittedCheckpoint(
        note=made.note, key=key or checkpoint.verifier_key(name, log.signing_key), old_size=old_size
    )


async def answer_to(house: House, node: Node, said: SubmittedCheckpoint) -> Cosignature:
    envelope = node.body(Kind.CHECKPOINT, said)
    await house.deliver(node, envelope)
    secret = node.identity.shared_secret(house.services.identity.sealing_key)
    found: list[Cosignature] = []

    async def is_there() -> bool:
        for (wire,) in await house.query("SELECT wire FROM envelope WHERE kind = ?", int(Kind.COSIGNATURE)):
            assert isinstance(wire, bytes)
            parsed = envelopes.parse(wire)
            if parsed.header.destination == node.id:
                word = bodies.decode(envelopes.open_body(parsed, secret), Cosignature)
                if word.submission_id == envelope.id:
                    found.append(word)
        return bool(found)

    await until(is_there)
    return found[0]


async def test_whose_journal_a_station_speaks_for_is_pinned_and_each_refusal_is_told(tmp_path: Path) -> None:
    log, other = Identity.generate(), Identity.generate()
    async with running_center(tmp_path / "center") as house:
        first, second = agency(house), agency(house, "city-c")
        good = await answer_to(house, first, submitted(log, 3, b"3" * 32))
        assert (good.size, good.problem) == (3, "")
        assert good.line
        stale = await answer_to(house, first, submitted(log, 5, b"5" * 32))
        assert (stale.size, stale.line) == (3, "")
        assert "has the checkpoint of size 3" in stale.problem
        twice = await answer_to(house, first, submitted(log, 3, b"x" * 32, old_size=3))
        assert "only grew" in twice.problem, "one size, two roots"
        for said_, expected in (
            (submitted(other, 9, bytes(32)), "speaks for the journal"),
            (submitted(log, 9, bytes(32), origin="heard/0000000000000000"), "speaks for the journal"),
        ):
            assert expected in (await answer_to(house, first, said_)).problem
        for said_, expected in (
            (submitted(log, 9, bytes(32), old_size=3), "another station speaks for"),
            (submitted(other, 9, bytes(32), origin="heard/0000000000000000"), "named after its key"),
            (submitted(other, 9, bytes(32), key="nonsense"), "expected"),
            (
                submitted(
                    other, 9, bytes(32), key=checkpoint.verifier_key(f"heard/{log.node_id.hex()}", log.signing_key)
                ),
                "named after its key",
            ),
        ):
            assert expected in (await answer_to(house, second, said_)).problem
        await house.center.administration.perform(NodeStanding(name="city-c", standing="quarantined", reason="odd"))
        assert "quarantined" in (await answer_to(house, second, submitted(other, 9, bytes(32)))).problem
        await house.center.administration.perform(
            NodeStanding(name="city-a", standing="revoked", reason="contract ended")
        )
        third = agency(house, "city-a2")
        moved = await answer_to(house, third, submitted(log, 3, b"3" * 32, old_size=3))
        assert moved.line, "the journal's new station takes over when the old one is withdrawn"
        assert await house.query("SELECT size FROM witnessed") == [(3,)]
    assert check.run(StateDir(tmp_path / "center")).problems == ()
