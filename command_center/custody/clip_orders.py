"""What nodes are asked about clips: noted in the caller's transaction, put into the spool by ``pay``, answered by the node.

A node whose passport was withdrawn is asked nothing: nobody would carry it there, and it is said so.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, Literal

from command_center import fleet
from command_center.fleet import Standing
from relay.clock import Clock
from relay.database import Database
from relay.errors import OperatorError
from relay.header import Kind
from relay.ids import NodeId
from relay.kinds import body as bodies
from relay.kinds.answer import Followed, Outcome
from relay.kinds.instruction import HoldClip, Instruction, Order, ReleaseClip, SendClip
from relay.precedence import Precedence
from relay.spool import Draft, Spool, Spooled

Verb = Literal["send", "hold", "release"]
_IN_ONE: Final = 200
_SEND_TTL_S: Final = 86_400
"""A clip that nobody could be asked for within a day is asked for anew, by a person."""


def ask(connection: sqlite3.Connection, *, node: bytes, alert_id: bytes, verb: Verb, reason: str, at_ms: int) -> None:
    """Note that a node is to be asked about the clip of an alert."""
    connection.execute("INSERT INTO clip_order (node, alert_id, verb, reason, at_ms) VALUES (?, ?, ?, ?, ?)",
                       (node, alert_id, verb, reason.strip()[:200], at_ms))  # fmt: skip


def is_due(connection: sqlite3.Connection) -> bool:
    """Whether something waits to be put into the spool."""
    query = "SELECT 1 FROM clip_order WHERE envelope_id IS NULL AND outcome IS NULL LIMIT 1"
    return connection.execute(query).fetchone() is not None


def note_answer(connection: sqlite3.Connection, node: bytes, word: Followed, at_ms: int) -> bool:
    """A node said what became of an order; whether it was one of ours to it."""
    changed = connection.execute(
        "UPDATE clip_order SET outcome = ?, detail = ?, answered_at_ms = ? WHERE envelope_id = ? AND node = ? "
        "AND outcome IS NULL",
        (int(word.outcome), word.detail, at_ms, word.instruction_id, node),
    )
    return changed.rowcount == 1


class ClipOrders:
    """Puts what is due into the spool; lives in the running center."""

    def __init__(
        self, *, database: Database, spool: Spool, clock: Clock, announce: Callable[[Sequence[Spooled]], None]
    ) -> None:
        self._database = database
        self._spool = spool
        self._clock = clock
        self._announce = announce

    async def pay(self) -> None:
        """Put up to some hundred orders into the spool."""
        self._announce(await self._database.run(self._put_due))

    def _put_due(self, connection: sqlite3.Connection) -> list[Spooled]:
        rows = connection.execute(
            "SELECT id, node, alert_id, verb, reason FROM clip_order WHERE envelope_id IS NULL AND outcome IS NULL "
            "ORDER BY id LIMIT ?", (_IN_ONE,),
        ).fetchall()  # fmt: skip
        spooled: list[Spooled] = []
        for number, node_id, alert_id, verb, reason in rows:
            node = next(fleet.nodes(connection, self._clock, node_id), None)
            if node is None or node.standing is Standing.REVOKED:
                connection.execute(
                    "UPDATE clip_order SET outcome = ?, detail = ? WHERE id = ?",
                    (
                        int(Outcome.REFUSED),
                        "not asked: its passport was withdrawn, nobody carries anything to it",
                        number,
                    ),
                )
                continue
            order = _order(verb, alert_id, reason)
            draft = Draft(kind=Kind.INSTRUCTION, precedence=Precedence.PRIORITY, body=bodies.encode(Instruction(order=order)),
                          destination=NodeId(node_id), peer_sealing_key=node.passport.sealing_key,
                          ttl_s=_SEND_TTL_S if verb == "send" else 0)  # fmt: skip
            spooled.append(self._spool.put(connection, draft))
            connection.execute("UPDATE clip_order SET envelope_id = ? WHERE id = ?", (spooled[-1].envelope.id, number))
        return spooled


def _order(verb: str, alert_id: bytes, reason: str) -> Order:
    match verb:
        case "send":
            return SendClip(alert_id=alert_id, reason=reason)
        case "hold":
            return HoldClip(alert_id=alert_id, reason=reason)
        case "release":
            return ReleaseClip(alert_id=alert_id, reason=reason)
        case _:
            raise OperatorError(
                f"expected send, hold or release in clip_order, found {verb!r}: run command-center check"
            )
