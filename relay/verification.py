"""Between the paths and the disk: envelopes whose signature is not checked yet, and who checks it.

What comes alone is checked here, at once. In a flow the signatures of a group go to a process beside (``verifiers``), while this one
reads, stores and answers; nodes take turns in these groups as they do in the commits (``intake``). Nothing leaves here but
with a signature that holds, and in the order in which it came from its node.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from relay import envelope as envelopes
from relay.arrival import Arrival
from relay.errors import BadSignature, SenderError
from relay.intake import FLOW, Intake, Turn
from relay.links import Link
from relay.verifiers import Verifiers

GROUP_CHECKED: Final = 128
"""Signatures in one batch: some 9 ms of a core, and nobody waits for two."""
_ALONE: Final = 8
"""So few are checked sooner here than a process is asked."""
_FLOWS_S: Final = 0.05
"""After so many at once the next few are more of them, and not alone."""
MOST_UNCHECKED: Final = 8 * GROUP_CHECKED
"""Of unchecked envelopes: nobody can fill this machine's memory with what was never signed."""
_AT_ONCE: Final = 16
"""Checked here before the event loop does something else: little more than a millisecond."""

OnRefused = Callable[[Link, SenderError], None]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What an arrival will be if its signature holds."""

    arrival: Arrival
    link: Link
    on_refused: OnRefused

    @property
    def turn(self) -> Turn:
        """Whose turn it takes."""
        return Turn(self.link.id, self.arrival.via, self.arrival.envelope.header.origin)


class Verification:
    """Used on the event loop only."""

    def __init__(self, verifiers: Verifiers, on_verified: Callable[[Claim], None]) -> None:
        self._verifiers = verifiers
        self._on_verified = on_verified
        self._waiting: Intake[Claim] = Intake()
        self._is_due = False
        self._flows_until_s = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be checked, here or with the processes beside."""
        return not self._waiting and self._verifiers.is_idle

    def has_room(self, turn: Turn, *, beside: int) -> bool:
        """Whether one more of this origin by this neighbor is taken, ``beside`` so many that wait to be stored."""
        return self._waiting.has_room(turn, beside=beside)

    def count_of(self, turn: Turn) -> int:
        """How many of this origin by this neighbor wait to be checked."""
        return self._waiting.count_of(turn)

    def put(self, claim: Claim) -> None:
        """Have it checked: when the event loop comes around, so that what comes together is looked at together.

        With ``MOST_UNCHECKED`` waiting some are checked before this returns: whoever reads is held to the pace of checking, and so is whoever
        sends what does not hold.
        """
        self._waiting.put(claim.turn, claim)
        if len(self._waiting) >= MOST_UNCHECKED:
            self._check_here(_ALONE)
        if not self._is_due:
            self._call()

    def _call(self) -> None:
        self._is_due = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_due = False
        count = len(self._waiting)
        is_idle = self._verifiers.is_idle
        now_s = asyncio.get_running_loop().time()
        if count >= FLOW:
            self._flows_until_s = now_s + _FLOWS_S
        if (
            not is_idle
            or count >= FLOW
            or (self._verifiers.has_room and (count > _ALONE or now_s < self._flows_until_s))
        ):
            while self._waiting and self._verifiers.has_room:
                self._ask(self._waiting.take(GROUP_CHECKED))
            if not self._waiting or not self._verifiers.is_idle or self._verifiers.is_up:
                return  # the next verdict calls again
        self._check_here(_AT_ONCE)
        if self._waiting:
            self._call()

    def _check_here(self, most: int) -> None:
        held = [claim for claim in self._waiting.take(most) if self._holds(claim)]

        def tell(_: bytes) -> None:
            for claim in held:
                self._on_verified(claim)

        self._verifiers.tell_in_turn(tell)

    def _ask(self, group: list[Claim]) -> None:
        def tell(verdicts: bytes) -> None:
            for claim, verdict in zip(group, verdicts, strict=True):
                if verdict == 1 or self._holds(claim):
                    self._on_verified(claim)
            if self._waiting and not self._is_due:
                self._call()

        self._verifiers.ask([_asked_of(claim.arrival) for claim in group], tell)

    @staticmethod
    def _holds(claim: Claim) -> bool:
        """Check it here, for good."""
        try:
            envelopes.verify(claim.arrival.envelope, claim.arrival.passport.signing_key)
        except BadSignature as error:
            claim.on_refused(claim.link, error)
            return False
        return True


def _asked_of(arrival: Arrival) -> tuple[bytes, bytes, bytes]:
    envelope = arrival.envelope
    return arrival.passport.signing_key, envelope.signature, envelope.header_bytes
