"""Signatures checked beside the event loop: real envelopes, real processes, killed and stopped for real."""

import contextlib
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from relay import envelope as envelopes
from relay import passport as passports
from relay import verifiers as verifiers_module
from relay.arrival import Arrival
from relay.budget import Purse
from relay.clock import ClockQuality, SimulatedClock
from relay.counters import Counters
from relay.courier import StickSession
from relay.crew import crew
from relay.envelope import Envelope
from relay.errors import SenderError
from relay.header import Header, Kind
from relay.identity import Identity
from relay.ids import AUTHORITY
from relay.intake import FLOW
from relay.links import Link, Links
from relay.passport import Role
from relay.precedence import Precedence
from relay.station import Answer, AnswerLevel
from relay.verification import GROUP_CHECKED, MOST_UNCHECKED, Claim, Verification
from relay.verifier_process import READY, batch_of, serve, verdicts_on
from relay.verifiers import Verifiers
from tests.relay.house import House, Kept, until


class Camera:
    """A node's keys and numbering; each of its envelopes says nothing much."""

    def __init__(self) -> None:
        self.identity = Identity.generate()
        keys = (self.identity.signing_key, self.identity.sealing_key, self.identity.transport_key)
        authority = Identity.generate()
        self.passport = passports.issue(
            authority.signing, role=Role.CAMERA, name="gate", site="yard", agency="city", keys=keys, not_before_ms=0,
            not_after_ms=1 << 47, serial=2,
        ).passport  # fmt: skip
        self._secret = self.identity.shared_secret(authority.sealing_key)
        self._sequence = 0

    def say(self, kind: Kind = Kind.ALERT) -> Envelope:
        self._sequence += 1
        body = b"x" * 40
        header = Header(
            kind=kind, quality=ClockQuality.FREE_RUNNING, precedence=Precedence.FLASH, origin=self.identity.node_id,
            destination=self.identity.node_id if kind.goes_down else AUTHORITY, series=1, boot=1, sequence=self._sequence,
            wall_ms=1, monotonic_ms=1, ttl_s=0, link=bytes(8), body_sha256=hashlib.sha256(body).digest(),
        )  # fmt: skip
        return envelopes.seal(header, body, signing=self.identity.signing, shared_secret=self._secret)


class Desk:
    """A verification, what came out of it, and what was refused."""

    def __init__(self, verifiers: Verifiers, counters: Counters) -> None:
        clock = SimulatedClock()
        self.verifiers, self.counters = verifiers, counters
        self.verification = Verification(verifiers, self.verified_now)
        self.verified: list[Claim] = []
        self.refused: list[tuple[str, int]] = []
        self._link = Links(purse=Purse({}), clock=clock).opened(StickSession(), 0)
        self.nodes = [Camera() for _ in range(3)]

    def verified_now(self, claim: Claim) -> None:
        self.verified.append(claim)

    def claim(self, node: Camera, *, is_forged: bool = False) -> Claim:
        envelope = node.say()
        if is_forged:
            envelope = msgspec.structs.replace(envelope, signature=Camera().say().signature)
        arrival = Arrival(envelope=envelope, passport=node.passport, via=node.identity.node_id, path="test", received_wall_ms=0,
                          received_monotonic_ms=0)  # fmt: skip
        return Claim(arrival=arrival, link=self._link, on_refused=self._refuse)

    def _refuse(self, link: Link, error: SenderError) -> None:
        self.refused.append((error.reason, len(self.verified)))

    def flow(self, count: int, forged: frozenset[int] = frozenset()) -> list[Claim]:
        """Put so many at once, nodes by turns; returns those whose signature holds."""
        claims = [self.claim(self.nodes[at % 3], is_forged=at in forged) for at in range(count)]
        for claim in claims:
            self.verification.put(claim)
        return [claim for at, claim in enumerate(claims) if at not in forged]

    def of(self, node: Camera, claims: list[Claim]) -> list[int]:
        headers = [claim.arrival.envelope.header for claim in claims]
        return [header.sequence for header in headers if header.origin == node.identity.node_id]

    async def until_verified(self, expected: list[Claim]) -> None:
        """All of them, each once, each node's in its order, and nothing else."""
        await until(lambda: len(self.verified) >= len(expected), "every envelope to be checked")
        assert len(self.verified) == len(expected)
        for node in self.nodes:
            assert self.of(node, self.verified) == self.of(node, expected)

    @property
    def pid(self) -> int:
        """Of the process that checks."""
        (process,) = self.verifiers._processes
        assert process._transport is not None
        return process._transport.get_pid()

    async def warmed_up(self) -> None:
        """With a process that can be asked."""
        expected = self.flow(FLOW)
        await self.until_verified(expected)
        await until(lambda: self.verifiers.has_room, "the process to be ready")
        self.verified.clear()


@contextlib.asynccontextmanager
async def desk(processes: int = 1) -> AsyncIterator[Desk]:
    counters = Counters()
    verifiers = Verifiers(processes, counters)
    async with crew() as members:
        members.start(verifiers.run(), "verifiers")
        yield Desk(verifiers, counters)


async def test_of_a_flow_every_signature_that_holds_comes_out_in_order_and_no_other() -> None:
    async with desk() as made:
        await made.warmed_up()
        seed = random.SystemRandom().randrange(1 << 30)
        print(f"seed {seed}")
        forged = frozenset(random.Random(seed).sample(range(600), 25))
        await made.until_verified(made.flow(600, forged))
        assert [reason for reason, _ in made.refused] == ["bad_signature"] * 25
        assert made.counters["signatures_checked_beside"] >= 500, "this test is about those"


async def test_two_processes_do_not_change_the_order() -> None:
    async with desk(processes=2) as made:
        await made.warmed_up()
        await until(lambda: all(one.is_ready for one in made.verifiers._processes), "both processes")
        assert len(made.verifiers._processes) == 2
        await made.until_verified(made.flow(900))


async def test_what_comes_alone_starts_no_process() -> None:
    async with desk() as made:
        for _ in range(20):
            expected = made.flow(3, frozenset({1}))
            await made.until_verified(expected)
            made.verified.clear()
        assert len(made.refused) == 20
        assert made.counters["verifiers_started"] == made.counters["signatures_checked_beside"] == 0


async def test_a_killed_process_takes_nothing_with_it_and_another_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifiers_module, "_STARTED_AGAIN_AFTER_S", 0.05)
    async with desk() as made:
        await made.warmed_up()
        os.kill(made.pid, signal.SIGSTOP)
        expected = made.flow(400)
        await until(lambda: not made.verifiers.is_idle, "a batch to be in its hands")
        assert not made.verified
        os.kill(made.pid, signal.SIGKILL)
        await made.until_verified(expected)
        assert made.counters["verifiers_lost"] == 1
        made.verified.clear()
        await made.warmed_up()
        assert made.counters["verifiers_started"] == 2


async def test_a_process_that_hangs_is_ended_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifiers_module, "_STUCK_AFTER_S", 0.3)
    async with desk() as made:
        await made.warmed_up()
        os.kill(made.pid, signal.SIGSTOP)
        await made.until_verified(made.flow(400))
        assert made.counters["verifiers_lost"] == 1


async def test_with_no_process_to_be_had_everything_is_checked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with desk() as made:
        forged = frozenset({5, 77})
        await made.until_verified(made.flow(300, forged))
        await until(lambda: made.counters["verifiers_not_started"] == 1, "the start to be tried")
        assert len(made.refused) == 2


async def test_unchecked_envelopes_never_pile_up() -> None:
    async with desk(processes=0) as made:
        longest = 0
        expected: list[Claim] = []
        for _ in range(15):
            expected += made.flow(100)  # nothing else runs meanwhile
            longest = max(longest, len(made.verification))
        assert longest <= MOST_UNCHECKED
        assert made.verified, "some were checked while they came"
        await made.until_verified(expected)


@pytest.mark.parametrize("processes", [0, 1])
async def test_who_says_little_is_checked_in_the_next_group_however_much_another_sends(processes: int) -> None:
    async with desk(processes=processes) as made:
        if processes:
            await made.warmed_up()
        flooder, other = made.nodes[:2]
        flood = [made.claim(flooder) for _ in range(700)]
        for claim in flood:
            made.verification.put(claim)
        word = made.claim(other)
        made.verification.put(word)
        await made.until_verified([*flood, word])
        assert made.verified.index(word) <= GROUP_CHECKED


async def test_the_process_ends_with_the_crew() -> None:
    async with desk() as made:
        await made.warmed_up()
        pid = made.pid
        os.kill(pid, signal.SIGTERM)  # a service manager stops the whole group: what is in its hands is done first
        await made.until_verified(made.flow(300))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_process_ends_when_whoever_started_it_is_gone() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "relay.verifier_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.read(1) == READY
        process.stdin.close()  # as the kernel does with a killed process' files
        assert process.wait(20) == 0


def test_a_verdict_is_yes_for_this_key_this_signature_and_this_header_alone() -> None:
    node, other = Camera(), Camera()
    said, also = node.say(), node.say()
    good = (node.identity.signing_key, said.signature, said.header_bytes)
    claims = [
        good,
        (other.identity.signing_key, said.signature, said.header_bytes),
        (node.identity.signing_key, also.signature, said.header_bytes),
        (node.identity.signing_key, said.signature, also.header_bytes),
        (node.identity.signing_key, bytes(64), said.header_bytes),
        (bytes(32), said.signature, said.header_bytes),
        *[(node.identity.signing_key, said.signature, _flipped(said.header_bytes, at)) for at in range(76)],
        good,
    ]
    verdicts = verdicts_on(batch_of(claims)[4:])
    assert verdicts == b"\x01" + bytes(len(claims) - 2) + b"\x01"
    down = node.say(Kind.ACKNOWLEDGEMENT)
    assert len(down.header_bytes) == 84
    assert verdicts_on(batch_of([(node.identity.signing_key, down.signature, down.header_bytes)])[4:]) == b"\x01"


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_batch_that_is_cut_off_gets_no_yes() -> None:
    node = Camera()
    said = node.say()
    batch = batch_of([(node.identity.signing_key, said.signature, said.header_bytes)])
    for length in range(len(batch)):
        answers = io.BytesIO()
        serve(io.BytesIO(batch[:length]), answers)
        assert b"\x01" not in answers.getvalue()
    answers = io.BytesIO()
    serve(io.BytesIO(batch * 2), answers)
    assert answers.getvalue() == READY + b"\x01\x01"


async def test_a_center_answers_a_flow_whose_signatures_are_checked_beside(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("camera", Role.CAMERA)
    house.settle()
    kept, sent, heard = Kept(), list[bytes](), set[bytes]()

    def is_all_stored() -> bool:
        return len(kept.arrivals) == len(sent)

    def note(answer: Answer) -> None:
        if answer.level is AnswerLevel.HEARD:
            heard.add(answer.envelope_id)

    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=kept, verifiers=1) as center,
        house.station("camera", to=[("center", center.listening_on[0])]) as camera,
    ):
        camera.on_answer(note)
        draft = camera.draft_up(Kind.ALERT, Precedence.FLASH, b"x" * 40)
        for _ in range(100):  # the first flow starts the process, a later one is checked there
            sent += [item.envelope.id for item in await camera.put_all([draft] * 100)]
            await until(is_all_stored, "all of them to be stored")
            if center.counters["signatures_checked_beside"]:
                break
        assert center.counters["signatures_checked_beside"]
        await until(lambda: heard == set(sent), "every receipt")
    stored = [arrival.envelope.header.sequence for arrival in kept.arrivals]
    assert sorted(stored) == list(range(1, len(sent) + 1)), "each once"
