"""A station keeps running whatever its disk does: what it can't store now, it is offered again."""

import sqlite3
from pathlib import Path

import pytest

from relay import spool as spools
from relay import trust
from relay.config import SpoolConfig
from relay.errors import SpoolFull
from relay.header import Kind
from relay.passport import Role, SignedPassport
from relay.precedence import Precedence
from relay.station import Answer, AnswerLevel
from tests.relay.house import House, Kept, until
from tests.relay.neighbor import neighbor, said_by

ANYWHERE = "tcp://127.0.0.1:0"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path, {"center": Role.CENTER, "site-relay": Role.RELAY, "gate-camera": Role.CAMERA})


async def test_full_disk_while_a_passport_is_learned_does_not_stop_the_station(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[int] = []

    def no_room(connection: sqlite3.Connection, signed: SignedPassport) -> None:
        happened.append(1)
        raise SpoolFull("the disk is full (simulated)")

    inbox = Kept()
    async with house.station("center", listen=ANYWHERE, inbox=inbox) as center:
        monkeypatch.setattr(trust, "keep_passport", no_room)
        async with neighbor(house, "gate-camera", center.listening_on[0]) as camera:
            await until(lambda: bool(happened), "the fault")
            camera.say(said_by(house.identities["gate-camera"], 1).wire)
            await until(lambda: len(inbox.arrivals) == 1, "the alert", timeout_s=5)


async def test_full_disk_while_expiring_does_not_stop_the_station(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[int] = []

    def no_room(self: spools.Spool, connection: sqlite3.Connection) -> list[int]:
        happened.append(1)
        raise SpoolFull("the disk is full (simulated)")

    monkeypatch.setattr("relay.upkeep.EXPIRE_EVERY_S", 0.01)
    monkeypatch.setattr(spools.Spool, "expire", no_room)
    inbox = Kept()
    async with (
        house.station("center", listen=ANYWHERE, inbox=inbox) as center,
        neighbor(house, "gate-camera", center.listening_on[0]) as camera,
    ):
        await until(lambda: len(happened) > 1, "the fault, twice")
        camera.say(said_by(house.identities["gate-camera"], 1).wire)
        await until(lambda: len(inbox.arrivals) == 1, "the alert", timeout_s=5)


async def test_evicted_envelope_is_not_sent_any_more(house: House) -> None:
    """A clip that gave way to alerts leaves the sender's window too: nothing is sent from memory."""
    async with house.station("gate-camera", spool=SpoolConfig(capacity_bytes=1_000_000, reserve_bytes=0)) as node:
        clips = [await node.put(node.draft_up(Kind.CHUNK, Precedence.BULK, bytes(19_000))) for _ in range(50)]
        for _ in range(20):
            await node.put(node.draft_up(Kind.ALERT, Precedence.FLASH, bytes(19_000)))
        status = await node.status()
        assert status.left_without_receipt["evicted_bulk"] >= 15, "the evictions happened"
        left = {clip.number for clip in clips[: status.left_without_receipt["evicted_bulk"]]}
        await until(lambda: not left & set(node.sender._window), "the sender to forget them", timeout_s=5)
        assert len(node.sender._window) == 70 - len(left)


async def test_alerts_of_a_revoked_camera_do_not_starve_the_others_at_the_relay(house: House) -> None:
    """The center never takes them; they must not keep what it would take from being sent."""
    house.enroll("yard-camera", Role.CAMERA)
    house.settle()
    center_inbox, answers = Kept(), list[Answer]()
    async with house.station("site-relay", listen=ANYWHERE) as carrier:
        async with neighbor(house, "yard-camera", carrier.listening_on[0], to="site-relay") as flood:
            for sequence in range(1, 601):
                flood.say(said_by(house.identities["yard-camera"], sequence).wire)
                if sequence % 20 == 0:
                    await until(lambda: carrier.counters["envelopes_carried"] >= sequence, "custody")  # noqa: B023
        endpoint = carrier.listening_on[0]
    async with house.station("center", listen=ANYWHERE, inbox=center_inbox) as center:
        from relay.kinds import roster

        statement = roster.RosterStatement(number=1, issued_at_ms=1, revoked=(house.identities["yard-camera"].node_id,))
        await center.publish_roster(roster.issue(house.authority.signing, statement))
        async with (
            house.station("site-relay", listen=endpoint, to=[("center", center.listening_on[0])]),
            house.station("gate-camera", to=[("site-relay", endpoint)]) as node,
        ):
            await until(lambda: center.counters["refused_revoked"] > 500, "a window full of refused alerts")
            node.on_answer(answers.append)
            await node.put(node.draft_up(Kind.ALERT, Precedence.FLASH, b"an honest alert"))
            await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "its receipt", timeout_s=5)
