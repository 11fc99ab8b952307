"""A relay in the middle verifies before it spends a byte, can't read what it carries, and says by name what it refused."""

import sqlite3
from pathlib import Path

import pytest

from relay import envelope
from relay.errors import CannotOpen
from relay.identity import Identity
from relay.kinds import roster
from relay.kinds.roster import RosterStatement
from relay.passport import Role
from relay.station import Station
from tests.relay.house import House, Kept, until
from tests.relay.neighbor import Neighbor, neighbor, said_by
from tests.relay.test_path_conformance import an_alert
from tests.relay.test_status_view import shown

STRANGER = Identity.generate()
ANYWHERE = "tcp://127.0.0.1:0"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(
        tmp_path / "house",
        {"center": Role.CENTER, "yard-relay": Role.RELAY, "gate-camera": Role.CAMERA, "old-camera": Role.CAMERA},
    )


def flipped(wire: bytes, at: int) -> bytes:
    changed = bytearray(wire)
    changed[at] ^= 1
    return bytes(changed)


async def stored(relay: Station) -> tuple[int, int]:
    """(rows, numbers ever given out): what a refused envelope must not have touched."""

    def read(connection: sqlite3.Connection) -> tuple[int, int]:
        rows = connection.execute("SELECT count(*) FROM envelope").fetchone()[0]
        given = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'envelope'")
        return rows, given.fetchone()[0]

    return await relay.database.run(read)


async def _say(camera: Neighbor, wire: bytes, relay: Station, reason: str) -> None:
    before = relay.counters[f"refused_{reason}"]
    camera.say(wire)
    await until(lambda: relay.counters[f"refused_{reason}"] > before, f"the refusal {reason}")


async def test_forged_unknown_and_revoked_are_refused_before_anything_is_stored(house: House) -> None:
    async with (
        house.station("yard-relay", listen=ANYWHERE) as relay,
        neighbor(house, "gate-camera", relay.listening_on[0], to="yard-relay") as camera,
    ):
        before = await stored(relay)
        await _say(camera, flipped(said_by(house.identities["gate-camera"], 5).wire, 100), relay, "bad_signature")
        await _say(camera, said_by(house.identities["gate-camera"], 5, signing=STRANGER).wire, relay, "bad_signature")
        await _say(camera, said_by(STRANGER, 5).wire, relay, "unknown_sender")
        statement = RosterStatement(number=1, issued_at_ms=1, revoked=(house.identities["old-camera"].node_id,))
        await relay.publish_roster(roster.issue(house.authority.signing, statement))
        await _say(camera, said_by(house.identities["old-camera"], 5).wire, relay, "revoked")
        assert await stored(relay) == before
        named = (await relay.status()).counters
        assert {"refused_bad_signature": 2, "refused_unknown_sender": 1, "refused_revoked": 1}.items() <= named.items()
        assert "refused: bad_signature 2, revoked 1, unknown_sender 1" in shown(await relay.status())
        camera.say(said_by(house.identities["gate-camera"], 6).wire)
        await until(lambda: relay.counters["envelopes_carried"] == 1, "an honest alert after them")


async def test_another_authority_s_node_is_not_even_introduced(house: House, tmp_path: Path) -> None:
    other = House(tmp_path / "other")
    other.enroll("gate-camera", Role.CAMERA)
    async with house.station("yard-relay", listen=ANYWHERE) as relay:
        other.identities["yard-relay"] = house.identities["yard-relay"]
        async with neighbor(
            other, "gate-camera", relay.listening_on[0], to="yard-relay", expect_welcome=False
        ) as camera:
            await until(lambda: relay.counters["refused_bad_signature"] > 0, "the refusal of its passport")
            camera.say(said_by(other.identities["gate-camera"], 1).wire)
            await until(lambda: relay.counters["refused_not_introduced"] > 0, "the refusal of its alert")
            assert not camera.is_welcome
        assert await stored(relay) == (0, 0)
        assert "refused: bad_signature 1, not_introduced 1" in shown(await relay.status())


async def test_a_relay_can_t_read_what_it_carries_and_the_center_can(house: House) -> None:
    inbox = Kept()
    async with (
        house.station("center", listen=ANYWHERE, inbox=inbox) as center,
        house.station("yard-relay", listen=ANYWHERE, to=[("center", center.listening_on[0])]) as relay,
        house.station("gate-camera", to=[("yard-relay", relay.listening_on[0])]) as node,
    ):
        spooled = await node.put(an_alert(node))
        await until(lambda: bool(inbox.arrivals), "the alert at the center")
        held = inbox.arrivals[0].envelope
        assert held.wire == spooled.envelope.wire, "carried byte for byte"
        sender = house.identities["gate-camera"].sealing_key
        assert b"handgun" in envelope.open_body(held, house.authority.shared_secret(sender))
        assert b"handgun" not in held.wire
        with pytest.raises(CannotOpen):
            envelope.open_body(held, house.identities["yard-relay"].shared_secret(sender))
        files = b"".join(file.read_bytes() for file in house.dir_of("yard-relay").glob("spool.sqlite*"))
        assert b"handgun" not in files
