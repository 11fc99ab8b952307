"""Orders from the center, the whole way: a siren that sounds, a false alarm that is not told again until its time is over."""

import asyncio
from pathlib import Path

import numpy as np

from camera_node import suppression_book
from camera_node.actions import CommandAction
from camera_node.board_care import BoardCare
from camera_node.config import NodeConfig
from camera_node.governor import Governor, GovernorSettings
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from camera_node.suppression import look_of
from camera_node.suppression_book import SuppressionKeeper
from relay.clock import SimulatedClock, SystemClock
from relay.database import Database
from relay.header import Kind
from relay.ids import EnvelopeId
from relay.kinds import body
from relay.kinds.answer import Answer, Followed, Outcome
from relay.kinds.instruction import Act, Instruction, Order, Suppress, Unsuppress
from relay.passport import Passport
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Station
from tests.camera_node.clips import still, write_clip
from tests.camera_node.house import CenterInbox, House
from tests.camera_node.test_node import camera, model, running
from tests.camera_node.waiting import until


async def order(center: Station, node: Passport, what: Order) -> EnvelopeId:
    spooled = await center.put(
        Draft(kind=Kind.INSTRUCTION, precedence=Precedence.PRIORITY, body=body.encode(Instruction(order=what)),
              destination=node.node_id, peer_sealing_key=node.sealing_key)
    )  # fmt: skip
    return spooled.envelope.id


async def answer_to(house: House, inbox: CenterInbox, instruction_id: EnvelopeId) -> Followed:
    def found() -> list[Followed]:
        words = [body.decode(house.open(arrival), Answer).word for arrival in inbox.of(Kind.ANSWER)]
        return [word for word in words if isinstance(word, Followed) and word.instruction_id == instruction_id]

    await until(lambda: bool(found()), what="the answer")
    assert len(found()) == 1
    return found()[0]


async def test_an_ordered_action_is_started_once_and_answered(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    siren = CommandAction(name="siren", command=("/bin/sh", "-c", 'echo "$HEARD_REASON" >> sounded'))
    async with house.run_center() as (center, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), model=model(tmp_path), action=(siren,))
        async with running(config) as node:
            ordered = await order(center, node.station.passport, Act(action="siren", by="dana", reason="run card 3"))
            assert (await answer_to(house, inbox, ordered)).outcome is Outcome.DONE
            await until((state_dir / "sounded").exists, what="the siren")
            wrong = await order(center, node.station.passport, Act(action="horn", by="dana"))
            word = await answer_to(house, inbox, wrong)
            assert word.outcome is Outcome.REFUSED
            assert "it has siren" in word.detail
        async with running(config) as node:  # started again: nothing sounds by itself
            third = await order(center, node.station.passport, Unsuppress(alert_id=bytes(32), by="dana"))
            await answer_to(house, inbox, third)
    assert (state_dir / "sounded").read_text() == "dana: run card 3\n"


async def test_a_suppressed_false_alarm_is_not_told_again_until_it_is_told_to(tmp_path: Path) -> None:
    """A thing that stands still before the camera, and a rule that tells it on every frame."""
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    restless = ClassOfInterestSettings(hold_off_s=0)
    clip = write_clip(tmp_path / "still.mp4", still(80))
    async with house.run_center() as (center, inbox, path):
        watched = camera(tmp_path, rule=(restless,), source=str(clip), frozen_after_s=600)
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(watched,), model=model(tmp_path))
        async with running(config) as node:
            await until(lambda: bool(inbox.of(Kind.ALERT)), what="the alert arrives")
            alert_id = inbox.of(Kind.ALERT)[0].envelope.id
            rows = await node.station.database.run(
                lambda connection: connection.execute("SELECT camera, label, length(look) FROM look").fetchall()
            )
            assert rows[0] == ("gate", "handgun", 576)
            ordered = await order(center, node.station.passport, Suppress(alert_id=alert_id, for_s=3600, by="sam"))
            word = await answer_to(house, inbox, ordered)
            assert word.outcome is Outcome.DONE, word.detail
            assert "not told for 3600 s" in word.detail
            unknown = await order(center, node.station.passport, Suppress(alert_id=bytes(32), for_s=3600, by="sam"))
            assert (await answer_to(house, inbox, unknown)).outcome is Outcome.REFUSED

            def held_back() -> int:
                health = node.eyes[0].last_health
                return health.held_back.get(alert_id.hex(), 0) if health is not None else 0

            def raised_at_ms() -> list[int]:
                return [arrival.envelope.header.monotonic_ms for arrival in inbox.of(Kind.ALERT)]

            # The eye says what it held back after everything that it told before: by then all of that is spooled.
            await until(lambda: held_back() > 0, what="the suppression is in force")
            silent_from_ms, before = node.station.clock.monotonic_ms(), held_back()
            await until(lambda: held_back() >= before + 10, what="it is held back on later frames")
            silent_until_ms = node.station.clock.monotonic_ms()
            ended = await order(center, node.station.passport, Unsuppress(alert_id=alert_id, by="dana"))
            assert (await answer_to(house, inbox, ended)).detail == "told again"
            await until(lambda: any(at > silent_until_ms for at in raised_at_ms()), what="it is told again")
            assert not [at for at in raised_at_ms() if silent_from_ms < at <= silent_until_ms]


def test_a_suppression_ends_by_the_time_the_node_is_on_or_by_the_wall_clock(tmp_path: Path) -> None:
    async def ends_after(passed_ms: int, wall_ms: int, *, starts_wall_ms: int = 1_790_000_000_000) -> bool:
        clock = SimulatedClock(wall_ms=starts_wall_ms)
        parts = {suppression_book.PART: suppression_book.SCHEMA}
        file = tmp_path / f"{passed_ms}-{wall_ms}-{starts_wall_ms}.sqlite"
        database = Database.open(file, parts=parts)
        try:
            pixels = np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8)
            box = (0.2, 0.2, 0.5, 0.5)

            def begin(connection: object) -> None:
                suppression_book.note_look(connection, b"a" * 32, camera="gate", label="gun", box_xyxy=box,  # type: ignore[arg-type]
                                           look=look_of(pixels, box))  # fmt: skip
                outcome, _ = suppression_book.follow(connection, EnvelopeId(b"i" * 32),  # type: ignore[arg-type]
                                                     Suppress(alert_id=b"a" * 32, for_s=3600, by="sam"), clock.wall_ms())  # fmt: skip
                assert outcome is Outcome.DONE

            await database.run(begin)
            keeper = SuppressionKeeper(database, clock)
            assert len(await keeper.tick()) == 1
            clock.advance(passed_ms)
            clock.step_wall(starts_wall_ms + wall_ms)
            return not await keeper.tick()
        finally:
            database.close()

    async def played() -> None:
        assert not await ends_after(3_599_000, 3_599_000)
        assert await ends_after(3_601_000, 3_601_000)
        assert await ends_after(3_601_000, 0), "the wall clock stands still"
        assert await ends_after(1_000, 3_601_000), "the node was off meanwhile"
        assert not await ends_after(1_000, 3_601_000, starts_wall_ms=5), "a clock that was never set says nothing"

    asyncio.run(played())


async def test_a_hot_board_slows_the_eyes_and_the_center_is_told_why(tmp_path: Path) -> None:
    zone_dir = tmp_path / "root/sys/class/thermal/thermal_zone0"
    zone_dir.mkdir(parents=True)
    (zone_dir / "type").write_text("cpu-thermal")
    (zone_dir / "temp").write_text("95000")
    house = House(tmp_path)
    config = NodeConfig(
        state_dir=house.enroll_camera(), camera=(camera(tmp_path, frames_per_s=8),), model=model(tmp_path)
    )
    async with running(config) as node:
        care = BoardCare(
            node.eyes, Governor(GovernorSettings()), clock=SystemClock(), root=tmp_path / "root", every_s=0.05
        )
        await until(lambda: node.cameras()[0].frames_per_s > 4, what="the camera at its full pace")
        task = asyncio.create_task(care.run())
        try:
            await until(lambda: "looks at 2 of 8 frames/s: 95 °C" in node.cameras()[0].detail, what="the reason")
            await until(lambda: 0 < node.cameras()[0].frames_per_s < 3.5, what="the slower pace")
            assert care.report.pace_why == "95 °C"
        finally:
            task.cancel()
