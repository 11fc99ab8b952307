"""What is forged, broken, foreign or withdrawn is refused and counted by name, and the station goes on working."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgpack
import pytest
import structlog

from relay import hop, receipt
from relay.header import Kind
from relay.identity import Identity
from relay.kinds import roster
from relay.kinds.roster import RosterStatement
from relay.passport import Role
from relay.path import Lane
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.station import Station
from tests.relay.house import House, Kept, until
from tests.relay.neighbor import Neighbor, neighbor, said_by
from tests.relay.test_status_view import shown

STRANGER = Identity.from_seed(b"s" * 32)
ANYWHERE = "tcp://127.0.0.1:0"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(
        tmp_path,
        {
            "center": Role.CENTER,
            "site-relay": Role.RELAY,
            "gate-camera": Role.CAMERA,
            "yard-camera": Role.CAMERA,
            "other-agency": Role.AGENCY,
        },
    )


@contextlib.asynccontextmanager
async def center_and_camera(house: House) -> AsyncIterator[tuple[Station, Neighbor, Kept]]:
    inbox = Kept()
    async with (
        house.station("center", listen=ANYWHERE, inbox=inbox) as center,
        neighbor(house, "gate-camera", center.listening_on[0]) as camera,
    ):
        camera.say(said_by(house.identities["gate-camera"], 1).wire)
        await until(lambda: bool(camera.receipts), "the receipt of an honest alert")
        yield center, camera, inbox
        camera.say(said_by(house.identities["gate-camera"], 2).wire)
        await until(lambda: any(r.covers(2) for r in camera.receipts), "an honest alert after the hostile bytes")
    assert [(a.envelope.header.origin, a.envelope.header.sequence) for a in inbox.arrivals] == [
        (house.identities["gate-camera"].node_id, 1),
        (house.identities["gate-camera"].node_id, 2),
    ], "exactly the honest ones are stored"


def flipped(wire: bytes, at: int) -> bytes:
    changed = bytearray(wire)
    changed[at] ^= 1
    return bytes(changed)


Hostile = Callable[[House], bytes]

HOSTILE: dict[str, tuple[Hostile, str]] = {
    "forged signature": (lambda h: flipped(said_by(h.identities["gate-camera"], 5).wire, 100), "bad_signature"),
    "changed header": (lambda h: flipped(said_by(h.identities["gate-camera"], 5).wire, 20), "bad_signature"),
    "another node's key": (
        lambda h: said_by(h.identities["gate-camera"], 5, signing=h.identities["yard-camera"]).wire, "bad_signature"),
    "center impersonated": (
        lambda h: said_by(h.identities["center"], 5, kind=Kind.ROSTER, signing=h.identities["gate-camera"],
                          destination=h.identities["yard-camera"].node_id).wire, "bad_signature"),
    "truncated": (lambda h: said_by(h.identities["gate-camera"], 5).wire[:-1], "malformed"),
    "cut in the header": (lambda h: said_by(h.identities["gate-camera"], 5).wire[:40], "malformed"),
    "something added": (lambda h: said_by(h.identities["gate-camera"], 5).wire + b"\x00", "malformed"),
    "oversized": (lambda h: msgpack.packb([1, bytes(76), bytes(64), bytes(30_000)]), "malformed"),
    "noise": (lambda _: b"\x94" + bytes(range(200)), "malformed"),
    "nothing": (lambda _: b"", "malformed"),
    "a newer version": (lambda h: b"\x94\x02" + said_by(h.identities["gate-camera"], 5).wire[2:], "unsupported_version"),
    "a stranger's": (lambda _: said_by(STRANGER, 5).wire, "unknown_sender"),
    "acknowledgement by a camera": (
        lambda h: said_by(h.identities["gate-camera"], 5, kind=Kind.ACKNOWLEDGEMENT,
                          destination=h.identities["yard-camera"].node_id).wire, "not_for_us"),
    "instruction by a relay": (
        lambda h: said_by(h.identities["site-relay"], 5, kind=Kind.INSTRUCTION,
                          destination=h.identities["yard-camera"].node_id).wire, "not_for_us"),
    "alert by another agency": (lambda h: said_by(h.identities["other-agency"], 5).wire, "not_for_us"),
    "checkpoint by a camera": (lambda h: said_by(h.identities["gate-camera"], 5, kind=Kind.CHECKPOINT).wire, "not_for_us"),
    "note that is none": (lambda _: b"\x92\xa5pong!\x01", "malformed"),
    "note with a huge claim": (lambda _: b"\x92\xa6stored\xdd\xff\xff\xff\xff", "malformed"),
    "passport of another authority": (
        lambda h: hop.encode(hop.Passports((foreign_passport(),))), "bad_signature"),
    "roster of another authority": (lambda _: roster_note(STRANGER, 9, ()), "bad_signature"),
    "receipt that is none": (lambda _: b"\x93\x01\xc4\x02ab\xc4\x00", "malformed"),
    "receipt with a forged signature": (
        lambda h: flipped(a_receipt(h, "center", "gate-camera", 77).wire, 60), "bad_signature"),
}  # fmt: skip


def foreign_passport() -> bytes:
    from relay import passport as passports

    keys = (STRANGER.signing_key, STRANGER.sealing_key, STRANGER.transport_key)
    return passports.issue(STRANGER.signing, role=Role.CENTER, name="center", site="yard", agency="city", keys=keys,
                           not_before_ms=0, not_after_ms=1 << 47, serial=99).wire  # fmt: skip


def roster_note(authority: Identity, number: int, revoked: tuple[bytes, ...]) -> bytes:
    signed = roster.issue(authority.signing, RosterStatement(number=number, issued_at_ms=1, revoked=revoked))
    return hop.encode(hop.RosterNote(signed.statement, signed.signature))


def a_receipt(house: House, signer: str, origin: str, series: int, claims: str = "") -> receipt.Receipt:
    return receipt.issue(
        RangeSet([(1, 1000)]), signer=house.identities[claims or signer].node_id,
        signing=house.identities[signer].signing, stored_at_s=1_790_000_000,
        origin=house.identities[origin].node_id, series=series,
    )  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bytes_are_refused_and_counted(house: House, name: str) -> None:
    make, reason = HOSTILE[name]
    async with center_and_camera(house) as (center, camera, _):
        for lane in Lane:
            before = center.counters[f"refused_{reason}"]
            camera.say(make(house), lane)
            await until(lambda: center.counters[f"refused_{reason}"] > before, f"the refusal {reason}", timeout_s=5)  # noqa: B023
        assert f"{reason} {center.counters[f'refused_{reason}']}" in shown(await center.status())


async def test_replayed_alert_is_stored_once_and_receipted_each_time(house: House) -> None:
    async with center_and_camera(house) as (center, camera, inbox):
        wire = said_by(house.identities["gate-camera"], 1).wire
        before = len(camera.receipts)
        for _ in range(50):
            camera.say(wire)
        await until(lambda: center.counters["duplicates_arrived"] >= 50, "the duplicates", 5)
        await until(lambda: len(camera.receipts) > before, "the repeated receipt")
        assert len(inbox.arrivals) == 1


async def test_second_content_under_a_used_number_is_kept_and_marked_as_a_fork(house: House) -> None:
    inbox = Kept()
    async with (
        house.station("center", listen=ANYWHERE, inbox=inbox) as center,
        neighbor(house, "gate-camera", center.listening_on[0]) as camera,
    ):
        camera.say(said_by(house.identities["gate-camera"], 1).wire)
        camera.say(said_by(house.identities["gate-camera"], 1, body=b"another past").wire)
        await until(lambda: len(inbox.arrivals) == 2, "both")
        assert [arrival.is_fork for arrival in inbox.arrivals] == [False, True]


async def test_parcel_over_the_transport_s_bound_costs_its_sender_the_connection(house: House) -> None:
    async with center_and_camera(house) as (center, camera, _):
        camera.say(bytes(200_000))
        await until(lambda: bool(camera.closed), "the connection to be cut")
        camera.notes.clear()
        await until(lambda: camera.session is not None and camera.is_welcome, "the next connection")
        assert center.counters["refused_oversized"] == 1
        assert "oversized 1" in shown(await center.status())


async def test_passport_over_somebody_elses_connection_is_refused(house: House) -> None:
    async with (
        center_and_camera(house) as (center, _, _),
        neighbor(house, "gate-camera", center.listening_on[0], identity=STRANGER, expect_welcome=False) as thief,
    ):
        await until(lambda: center.counters["refused_not_for_us"] > 0, "the refusal of a borrowed passport")
        thief.say(said_by(house.identities["gate-camera"], 9).wire)
        await until(lambda: center.counters["refused_not_introduced"] > 0, "the refusal of what it says")
        assert not thief.is_welcome


async def test_neighbor_that_never_said_hello_is_not_listened_to(house: House) -> None:
    async with (
        center_and_camera(house) as (center, _, _),
        neighbor(house, "yard-camera", center.listening_on[0], expect_welcome=False, says_hello=False) as rude,
    ):
        rude.say(said_by(house.identities["yard-camera"], 1).wire)
        await until(lambda: center.counters["refused_not_introduced"] == 1, "the refusal")
        await until(lambda: hop.Who() in rude.notes, "the question who it is")
        assert "not_introduced 1" in shown(await center.status())


async def test_a_stranger_who_goes_on_is_counted_each_time_and_logged_seldom(house: House) -> None:
    async with (
        center_and_camera(house) as (center, camera, _),
        neighbor(house, "yard-camera", center.listening_on[0], expect_welcome=False, says_hello=False) as rude,
    ):
        with structlog.testing.capture_logs() as lines:
            for times in range(1, 51):
                rude.say(b"\x92\xa5pong!\x01")
                camera.say(hop.Refused(bytes(32), "disk_full", "as a neighbor that was taken over may say for ever"))
                await until(lambda: center.counters["refused_malformed"] == times, "the refusal")  # noqa: B023
                await until(lambda: center.counters["sent_but_refused_disk_full"] == times, "the other one")  # noqa: B023
        told = Counter(line["event"] for line in lines)
        assert told == {"refused": 6, "refused there": 6}, "at 1, 2, 4 … 32"


@pytest.fixture(params=["camera", "relay", "claims to be the center", "foreign series", "foreign node"])
def false_receipt(request: pytest.FixtureRequest) -> tuple[str, Callable[[House, int], receipt.Receipt]]:
    made: dict[str, tuple[str, Callable[[House, int], receipt.Receipt]]] = {
        "camera": ("refused_not_for_us", lambda h, series: a_receipt(h, "yard-camera", "gate-camera", series)),
        "relay": ("refused_not_for_us", lambda h, series: a_receipt(h, "site-relay", "gate-camera", series)),
        "claims to be the center": (
            "refused_bad_signature", lambda h, series: a_receipt(h, "yard-camera", "gate-camera", series, claims="center")),
        "foreign series": ("", lambda h, series: a_receipt(h, "center", "gate-camera", series ^ 1)),
        "foreign node": ("", lambda h, series: a_receipt(h, "center", "yard-camera", series)),
    }  # fmt: skip
    return made[request.param]


async def test_receipt_that_nobody_may_give_frees_nothing(
    house: House, false_receipt: tuple[str, Callable[[House, int], receipt.Receipt]]
) -> None:
    """A relay holds a camera's alert; another camera brings receipts for it."""
    counted, make = false_receipt
    async with (
        house.station("site-relay", listen=ANYWHERE) as carrier,
        neighbor(house, "gate-camera", carrier.listening_on[0], to="site-relay") as camera,
        neighbor(house, "yard-camera", carrier.listening_on[0], to="site-relay") as hostile,
    ):
        camera.say(said_by(house.identities["gate-camera"], 1).wire)
        await until(lambda: any(isinstance(note, hop.Stored) for note in camera.notes), "custody")
        hostile.say(make(house, 77).wire)
        if counted:
            await until(lambda: carrier.counters[counted] > 0, counted)
        hostile.say(
            said_by(house.identities["yard-camera"], 1, series=78).wire
        )  # comes after the receipt in the same queue
        await until(lambda: any(isinstance(note, hop.Stored) for note in hostile.notes), "the queue to be worked off")
        assert (await carrier.status()).backlog[Precedence.FLASH] == 2, "both alerts are still here"
        hostile.say(a_receipt(house, "center", "gate-camera", 77).wire)  # true ones may come by anybody's hand
        await until(lambda: carrier.counters["envelopes_receipted"] == 1, "the true receipt")
        assert (await carrier.status()).backlog[Precedence.FLASH] == 1


async def test_receipt_of_a_camera_does_not_free_its_neighbors_own_alerts(house: House) -> None:
    async with house.station("yard-camera", listen=ANYWHERE) as node:
        spooled = await node.put(
            node.draft_up(Kind.ALERT, Precedence.FLASH, b"body that nobody opens here")
        )  # fmt: skip
        series = spooled.envelope.header.series
        async with neighbor(house, "gate-camera", node.listening_on[0], to="yard-camera") as hostile:
            hostile.say(a_receipt(house, "gate-camera", "yard-camera", series).wire)
            await until(lambda: node.counters["refused_not_for_us"] > 0, "the refusal")
            assert (await node.status()).backlog[Precedence.FLASH] == 1
            assert "gate-camera: not_for_us 1" in shown(await node.status())


async def test_revoked_node_is_cut_off_within_five_seconds_and_stays_out(house: House) -> None:
    async with center_and_camera(house) as (center, _, inbox):
        async with neighbor(house, "yard-camera", center.listening_on[0]) as revoked:
            statement = RosterStatement(number=1, issued_at_ms=1, revoked=(house.identities["yard-camera"].node_id,))
            session = revoked.session
            await center.publish_roster(roster.issue(house.authority.signing, statement))
            await until(lambda: bool(revoked.closed), "its connection to be closed", timeout_s=5)
            assert session is not None
            revoked.notes.clear()
            with pytest.raises(AssertionError, match="in vain"):  # it dials again and again
                await until(lambda: revoked.is_welcome, "a welcome", timeout_s=1.5)
        # What it signed is refused whoever brings it.
        async with neighbor(house, "site-relay", center.listening_on[0]) as carrier:
            carrier.say(said_by(house.identities["yard-camera"], 3).wire)
            await until(lambda: center.counters["refused_revoked"] > 0, "the refusal")
        assert "revoked 1" in shown(await center.status())
        assert len(inbox.arrivals) == 1


async def test_older_roster_does_not_bring_a_revoked_node_back(house: House) -> None:
    async with center_and_camera(house) as (center, camera, _):
        revoked = (house.identities["yard-camera"].node_id,)
        camera.say(roster_note(house.authority, 2, revoked))
        await until(lambda: center.trust.roster_number == 2, "the roster")
        camera.say(roster_note(house.authority, 1, ()))
        camera.say(hop.Ping(1))
        await until(lambda: any(isinstance(note, hop.Pong) for note in camera.notes), "the older roster to be read")
        assert center.trust.is_revoked(house.identities["yard-camera"].node_id)
