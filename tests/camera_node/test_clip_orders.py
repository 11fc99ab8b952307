"""What the center asks of clips: sent on demand, kept on hold, let go; each order is answered."""

import hashlib
import sqlite3
from pathlib import Path

from camera_node import clip_book, clip_orders
from camera_node.clip_book import ClipState
from camera_node.config import ClipConfig
from camera_node.node import Node
from relay.header import Kind
from relay.ids import EnvelopeId
from relay.kinds import body
from relay.kinds.answer import Answer, Followed, Outcome
from relay.kinds.instruction import HoldClip, Instruction, Order, ReleaseClip, SendClip
from relay.passport import Passport
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Station
from tests.camera_node.house import CenterInbox, House
from tests.camera_node.test_clip_keeping import Store, _filler, fragmented, store
from tests.camera_node.test_clip_sending import clips, config, is_all, put_together
from tests.camera_node.test_node import running
from tests.camera_node.waiting import until

__all__ = ["fragmented"]
KEPT = ClipConfig(pre_roll_s=1, post_roll_s=1, reserve_bytes=0, is_sent="never")


async def order(center: Station, node: Passport, wanted: Order) -> EnvelopeId:
    spooled = await center.put(
        Draft(kind=Kind.INSTRUCTION, precedence=Precedence.PRIORITY, body=body.encode(Instruction(order=wanted)),
              destination=node.node_id, peer_sealing_key=node.sealing_key)
    )  # fmt: skip
    return spooled.envelope.id


def answers(house: House, inbox: CenterInbox) -> dict[bytes, Followed]:
    words = [body.decode(house.open(arrival), Answer).word for arrival in inbox.of(Kind.ANSWER)]
    return {word.instruction_id: word for word in words if isinstance(word, Followed)}


def passport(node: Node) -> Passport:
    return node.station.passport


async def test_kept_clip_is_sent_when_the_center_asks_and_again_when_it_asks_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with (
        house.run_center() as (center, inbox, path),
        running(config(tmp_path, state_dir, path=path, clip=KEPT)) as node,
    ):
        await until(lambda: is_all(node, ClipState.KEPT), what="the clip is kept")
        await until(lambda: bool(inbox.of(Kind.ALERT)))
        alert_id = inbox.of(Kind.ALERT)[0].envelope.id
        clip = clips(node)[-1]
        asked = await order(center, passport(node), SendClip(alert_id=alert_id, reason="export"))
        await until(lambda: asked in answers(house, inbox), what="it is answered")
        assert answers(house, inbox)[asked].outcome is Outcome.UNDER_WAY
        await until(lambda: clip_of(node, clip.id) is ClipState.HEARD, what="every byte is heard", within_s=30)
        sha256 = bytes.fromhex(clip.sha256)
        assert put_together(house, inbox)[sha256] == node.clips.file_of(clip).read_bytes()
        before = len(inbox.of(Kind.CHUNK))
        again = await order(center, passport(node), SendClip(alert_id=alert_id))
        await until(lambda: again in answers(house, inbox))
        await until(
            lambda: clip_of(node, clip.id) is ClipState.HEARD and len(inbox.of(Kind.CHUNK)) > before, within_s=30
        )
        unknown = await order(center, passport(node), SendClip(alert_id=bytes(32)))
        await until(lambda: unknown in answers(house, inbox))
        assert answers(house, inbox)[unknown].outcome is Outcome.REFUSED
        assert "no clip shows this alert" in answers(house, inbox)[unknown].detail
        assert len(answers(house, inbox)) == 3, "each order has one answer"


def clip_of(node: Node, clip_id: int) -> ClipState:
    return node.station.database.run_blocking(lambda connection: clip_book.get(connection, clip_id).state)


async def test_hold_before_any_clip_is_answered_so(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with (
        house.run_center() as (center, inbox, path),
        running(config(tmp_path, state_dir, path=path, is_watching=False)) as node,
    ):
        await order(center, passport(node), HoldClip(alert_id=bytes(32), reason="court"))
        await until(lambda: len(answers(house, inbox)) == 1, what="the answer comes, however late the link is")
        (said,) = answers(house, inbox).values()
        assert (said.outcome, said.detail) == (Outcome.DONE, "no clip shows this alert; if one comes, it is kept")


def files_past_their_time(kept: Store) -> list[str]:
    return [clip.file for clip in kept.ask(lambda connection: clip_book.too_old(connection, 1 << 60))]


async def test_clip_on_hold_outlives_quota_and_age_until_it_is_released(tmp_path: Path, fragmented: bytes) -> None:
    settings = ClipConfig(quota_bytes=1_000_000, reserve_bytes=0, keep_days=1)
    film = fragmented + _filler(400_000 - len(fragmented))
    async with store(tmp_path, film, settings) as kept:

        def hold(name: str, wanted: type[HoldClip] | type[ReleaseClip]) -> None:
            alert_id = hashlib.sha256(name.encode()).digest()
            kept.ask(lambda connection: clip_orders.follow(
                connection, EnvelopeId(hashlib.sha256(f"{name}{wanted}".encode()).digest()), wanted(alert_id=alert_id), 1))  # fmt: skip

        await kept.record("a.mp4", is_sent=True)
        hold("a.mp4", HoldClip)
        hold("b.mp4", HoldClip)  # before the clip is there
        await kept.record("b.mp4", is_sent=True)
        for name in ("c.mp4", "d.mp4"):
            await kept.record(name)
        await until(lambda: kept.states() == ["heard", "heard", "evicted", "evicted"], what="those on hold stay")
        assert kept.counters.snapshot().get("clip_room_on_hold", 0) == 0
        hold("e.mp4", HoldClip)
        await kept.record("e.mp4", is_sent=True)
        await until(
            lambda: kept.counters.snapshot().get("clip_room_on_hold", 0) > 0, what="it is said that nothing can go"
        )
        assert kept.states() == ["heard", "heard", "evicted", "evicted", "heard"]
        assert all((kept.folder / f"{name}.mp4").exists() for name in "abe")
        assert files_past_their_time(kept) == []
        hold("a.mp4", ReleaseClip)
        hold("f.mp4", ReleaseClip)
        await kept.record("f.mp4")
        await until(lambda: kept.states()[0] == "evicted", what="what was released goes")
        assert files_past_their_time(kept) == []


async def test_hold_with_an_end_is_over_then(tmp_path: Path, fragmented: bytes) -> None:
    async with store(tmp_path, fragmented) as kept:
        order_ = HoldClip(alert_id=bytes(32), until_wall_ms=1000)
        kept.ask(lambda connection: clip_orders.follow(connection, EnvelopeId(bytes(32)), order_, 1))
        assert kept.ask(lambda connection: clip_orders.end_holds(connection, 999)) == 0
        assert kept.ask(lambda connection: clip_orders.end_holds(connection, 1001)) == 1


async def test_hold_on_a_clip_that_is_gone_is_refused_with_the_reason(tmp_path: Path, fragmented: bytes) -> None:
    async with store(tmp_path, fragmented) as kept:
        clip = await kept.record("a.mp4")
        kept.ask(lambda connection: clip_book.evict(connection, clip, "deleted for the quota"))
        alert_id = hashlib.sha256(b"a.mp4").digest()

        def give(connection: sqlite3.Connection) -> None:
            clip_orders.follow(connection, EnvelopeId(bytes(32)), HoldClip(alert_id=alert_id), 1)
            clip_orders.follow(connection, EnvelopeId(b"1" * 32), SendClip(alert_id=alert_id), 1)

        kept.ask(give)
        words = [word for _, word in kept.ask(clip_orders.waiting_words)]
        assert {word.outcome for word in words} == {Outcome.REFUSED}
        assert all("deleted for the quota" in word.detail for word in words)
