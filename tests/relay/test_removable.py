"""Carrying by hand: a stick is a path, safe when it is lost, torn, full, or filled by a stranger."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay import courier, envelope
from relay.config import StationConfig
from relay.errors import ConfigError, OperatorError
from relay.header import Kind
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.kinds.alert import Alert, Rule
from relay.passport import Role
from relay.paths.removable import Stick
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Answer, AnswerLevel, Station
from tests.relay.house import House, Kept, until
from tests.relay.test_status_view import shown


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "site-relay": Role.RELAY, "gate-camera": Role.CAMERA})


@pytest.fixture
def stick_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


def an_alert(station: Station) -> Draft:
    said = Alert(label="handgun", camera="gate", zone="yard", confidence=0.9, rule=Rule.CLASS_OF_INTEREST)
    return station.draft_up(Kind.ALERT, Precedence.FLASH, said.encode())


async def test_the_whole_walk_there_and_back(house: House, stick_dir: Path) -> None:
    inbox, answers = Kept(), list[Answer]()
    async with house.station("gate-camera") as node:
        node.on_answer(answers.append)
        ids = [spooled.envelope.id for spooled in await node.put_all([an_alert(node) for _ in range(30)])]
        out = await courier.carry(node, stick_dir)
        assert (out.envelopes, out.left_behind) == (30, 0)
        assert (await node.status()).backlog[Precedence.FLASH] == 30, "copying frees nothing"
        async with house.station("center", inbox=inbox, listen="tcp://127.0.0.1:0") as center:
            there = await courier.deliver(center, stick_dir)
            assert (there.offered, there.taken, there.refused) == (30, 30, {})
            assert there.receipts_written == 1
            again = await courier.deliver(center, stick_dir)
            assert again.taken == 30, "delivered twice"
        assert [arrival.envelope.id for arrival in inbox.arrivals] == ids, "stored once, in order"
        back = await courier.carry(node, stick_dir)
        assert back.receipts_taken == 1
        assert back.freed_on_stick == 30
        await until(lambda: sum(a.level == AnswerLevel.HEARD for a in answers) == 30, "every alert to be heard")
        assert (await node.status()).backlog[Precedence.FLASH] == 0
    assert not list(Stick(stick_dir).envelopes())


async def test_an_acknowledgement_comes_home_on_the_stick_and_its_receipt_goes_back_with_it(
    house: House, stick_dir: Path
) -> None:
    node_inbox, answers = Kept(), list[Answer]()
    async with (
        house.station("gate-camera", inbox=node_inbox) as node,
        house.station("center", listen="tcp://127.0.0.1:0") as center,
    ):
        center.on_answer(answers.append)
        alert = await node.put(an_alert(node))
        await courier.carry(node, stick_dir)
        assert (await courier.deliver(center, stick_dir)).sent_down == 0
        seen = Acknowledgement(
            alert_ids=(alert.envelope.id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1
        )
        said = await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                                      destination=node.identity.node_id, peer_sealing_key=node.identity.sealing_key))  # fmt: skip
        there = await courier.deliver(center, stick_dir)
        assert (there.offered, there.taken, there.refused, there.sent_down) == (1, 1, {}, 1)
        home = await courier.carry(node, stick_dir)
        assert (home.taken_down, home.freed_on_stick) == (1, 1)
        assert [a.envelope.id for a in node_inbox.arrivals] == [said.envelope.id]
        assert not list(Stick(stick_dir).envelopes()), "both have their receipts"
        assert (await courier.carry(node, stick_dir)).taken_down == 0
        await courier.deliver(center, stick_dir)
        await until(lambda: any(a.level == AnswerLevel.HEARD for a in answers), "the node's receipt at the center")
        assert sum((await center.status()).backlog) == 0


async def test_what_is_too_large_or_no_file_on_a_stick_is_counted_and_not_read(house: House, stick_dir: Path) -> None:
    async with house.station("gate-camera") as node:
        await node.put(an_alert(node))
        await courier.carry(node, stick_dir)
    envelopes_dir = stick_dir / "heard-carry" / "envelopes"
    (envelopes_dir / "a.env").write_bytes(bytes(100_000))
    (envelopes_dir / "b.env").symlink_to("/dev/zero")
    (envelopes_dir / "c.env").mkdir()
    async with house.station("center", listen="tcp://127.0.0.1:0") as center:
        done = await courier.deliver(center, stick_dir)
        assert (done.offered, done.taken) == (1, 1)
        assert done.refused == {"oversized": 1, "not_a_file": 2}
        assert "refused: not_a_file 2, oversized 1" in shown(await center.status())


async def test_a_relay_takes_what_a_stick_brings_into_custody(house: House, stick_dir: Path) -> None:
    inbox = Kept()
    async with house.station("gate-camera") as node:
        await node.put(an_alert(node))
        await courier.carry(node, stick_dir)
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center, house.station(
        "site-relay", to=[("center", center.listening_on[0])]
    ) as carrier:  # fmt: skip
        done = await courier.deliver(carrier, stick_dir)
        assert done.taken == 1
        await until(lambda: len(inbox.arrivals) == 1, "the alert at the center")


async def test_torn_forged_and_foreign_files_are_counted_and_the_rest_arrives(
    house: House, stick_dir: Path, tmp_path: Path
) -> None:
    inbox = Kept()
    async with house.station("gate-camera") as node:
        await node.put_all([an_alert(node) for _ in range(5)])
        await courier.carry(node, stick_dir)
    files = sorted((stick_dir / "heard-carry" / "envelopes").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:100])
    data = bytearray(files[1].read_bytes())
    data[100] ^= 1  # within the signature
    files[1].write_bytes(data)
    (stick_dir / "heard-carry" / "envelopes" / "zz.env").symlink_to("/etc/passwd")
    strangers = House(tmp_path / "strangers")
    strangers.enroll("stranger", Role.CAMERA)
    strangers.settle()
    async with strangers.station("stranger") as stranger:
        await stranger.put(an_alert(stranger))
        await courier.carry(stranger, stick_dir)
    async with house.station("center", inbox=inbox, listen="tcp://127.0.0.1:0") as center:
        done = await courier.deliver(center, stick_dir)
        told = shown(await center.status())
    assert "bad_signature 1, malformed 1, not_a_file 1, passport_bad_signature 1, unknown_sender 1" in " ".join(
        told.split()
    )
    assert done.offered == 6
    assert done.taken == 3
    assert done.refused == {"malformed": 1, "bad_signature": 1, "unknown_sender": 1, "passport bad_signature": 1,
                                "not_a_file": 1}  # fmt: skip
    assert len(inbox.arrivals) == 3


async def test_false_receipts_on_a_stick_free_nothing(house: House, stick_dir: Path, tmp_path: Path) -> None:
    strangers = House(tmp_path / "strangers")
    strangers.enroll("center", Role.CENTER)
    strangers.settle()
    async with house.station("gate-camera") as node:
        await node.put(an_alert(node))
        await courier.carry(node, stick_dir)
        from relay import receipt
        from relay.ranges import RangeSet

        liar = strangers.identities["center"]
        forged = receipt.issue(RangeSet([(1, 1000)]), signer=house.identities["center"].node_id, signing=liar.signing, stored_at_s=1,
                               origin=node.identity.node_id, series=1)  # fmt: skip
        Stick(stick_dir).put_receipts([("forged", forged.wire)])
        await courier.carry(node, stick_dir)
        assert node.counters["refused_bad_signature"] == 1
        assert (await node.status()).backlog[Precedence.FLASH] == 1


@pytest.mark.parametrize("after", [1, 40, 150])
async def test_a_stick_that_is_pulled_out_half_way_holds_whole_files_only_and_costs_nothing(
    house: House, stick_dir: Path, tmp_path: Path, after: int
) -> None:
    pulled_dir, envelopes_dir = tmp_path / "pulled", stick_dir / "heard-carry" / "envelopes"
    really_replace, count = Path.replace, 0

    def pulled_out(self: Path, target: Path) -> Path:
        nonlocal count
        done = really_replace(self, target)
        count += self.parent == envelopes_dir
        if count == after and stick_dir.exists():
            (envelopes_dir / ".half.env.part").write_bytes(b"half a file")
            stick_dir.rename(pulled_dir)
        return done

    async with house.station("gate-camera") as node:
        await node.put_all([an_alert(node) for _ in range(200)])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", pulled_out)
            with pytest.raises(OperatorError, match="was the medium pulled out"):
                await courier.carry(node, stick_dir)
        assert pulled_dir.exists(), "it was never pulled out"
        assert (await node.status()).backlog[Precedence.FLASH] == 200
        assert len(list(Stick(pulled_dir).envelopes())) == after
        assert all(envelope.parse(wire).header.sequence for _, wire in Stick(pulled_dir).envelopes())
        pulled_dir.rename(stick_dir)
        again = await courier.carry(node, stick_dir)
        assert (again.already_there, again.envelopes) == (after, 200 - after)
    async with house.station("center", listen="tcp://127.0.0.1:0") as center:
        assert (await courier.deliver(center, stick_dir)).taken == 200


async def test_a_stick_that_is_pulled_out_while_it_is_delivered_is_said_in_words(house: House, stick_dir: Path) -> None:
    async with house.station("gate-camera") as node:
        await node.put_all([an_alert(node) for _ in range(3)])
        await courier.carry(node, stick_dir)
    stick = Stick(stick_dir)
    reading = stick.envelopes()
    next(reading)
    await asyncio.to_thread(stick_dir.rename, stick_dir.with_name("pulled"))
    assert list(reading) == [], "files that are gone are passed over"
    with pytest.raises(OperatorError, match="was the medium pulled out"):
        list(stick.envelopes())
    with pytest.raises(OperatorError, match="was the medium pulled out"):
        stick.put_receipts([("one", b"receipt")])


@pytest.fixture
def small_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_stick_that_fills_up_leaves_no_torn_file_and_says_what_stayed_behind(
    house: House, small_dir: Path
) -> None:
    async with house.station("gate-camera") as node:
        await node.put_all([an_alert(node) for _ in range(60)])
        done = await courier.carry(node, small_dir)
        assert done.left_behind > 0, "the medium was not full: the fault did not happen"
        assert done.envelopes + done.left_behind == 60
        names = [file.name for file in (small_dir / "heard-carry" / "envelopes").iterdir()]
        assert not [name for name in names if name.endswith(".part")]
        assert len(list(Stick(small_dir).envelopes())) == done.envelopes


async def test_no_stick_and_no_center_are_said_in_words(house: House, tmp_path: Path) -> None:
    async with house.station("gate-camera") as node:
        with pytest.raises(OperatorError, match="is it plugged in"):
            await courier.carry(node, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="belongs to a command center"):
        async with Station.open(StationConfig(state_dir=house.dir_of("center"))):
            pass
