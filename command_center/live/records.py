"""How a viewing is written down and ordered: used while the center runs, and for what a killed center left open."""

import sqlite3
from typing import Final

from command_center import facts, fleet, journal
from command_center.fleet import Node, Standing
from command_center.live.facts import ENDED, OPENED, LiveEnded, LiveOpened
from relay.clock import Clock
from relay.header import Kind
from relay.ids import NodeId
from relay.kinds import body as bodies
from relay.kinds.instruction import CloseStream, Instruction, Order
from relay.precedence import Precedence
from relay.spool import Draft, Spool, Spooled

ORDER_TTL_S: Final = 60
_AT_MOST: Final = 200_000
"""Entries looked through at a start: a day of a large site."""


def note(connection: sqlite3.Connection, fact: LiveOpened | LiveEnded, *, actor: str, node_id: bytes, incident: int,
         now: int) -> None:  # fmt: skip
    """Journal the opening or the end of a viewing, with its incident where it has one."""
    subject = f"incident:{incident}" if incident else f"node:{node_id.hex()}"
    kind = OPENED if isinstance(fact, LiveOpened) else ENDED
    journal.append(connection, at_ms=now, kind=kind, actor=actor, subject=subject, payload=facts.encode(fact))


def order(connection: sqlite3.Connection, spool: Spool, node: Node, said: Order) -> Spooled:
    """Put an order for a node into the spool."""
    draft = Draft(kind=Kind.INSTRUCTION, precedence=Precedence.IMMEDIATE, ttl_s=ORDER_TTL_S,
                  body=bodies.encode(Instruction(order=said)), destination=NodeId(node.id),
                  peer_sealing_key=node.passport.sealing_key)  # fmt: skip
    return spool.put(connection, draft)


def close_left_open(connection: sqlite3.Connection, spool: Spool, clock: Clock, longest_s: float) -> list[Spooled]:
    """End what an earlier run of this center opened and did not end: nobody could cut it any more."""
    now = clock.wall_ms()
    ended: set[bytes] = set()
    spooled: list[Spooled] = []
    rows = connection.execute("SELECT id, at_ms, kind FROM entry ORDER BY id DESC LIMIT ?", (_AT_MOST,))
    for entry_id, at_ms, kind in rows.fetchall():
        if at_ms < now - longest_s * 1000:
            break
        if kind not in {OPENED, ENDED}:
            continue
        (payload,) = connection.execute("SELECT payload FROM entry WHERE id = ?", (entry_id,)).fetchone()
        if kind == ENDED:
            ended.add(facts.decode(payload, LiveEnded).session)
            continue
        opened = facts.decode(payload, LiveOpened)
        if opened.session in ended:
            continue
        why = "the center was restarted"
        note(connection, LiveEnded(session=opened.session, reason=why, shown_ms=0, sent_bytes=0), actor="center",
             node_id=opened.node, incident=opened.incident, now=now)  # fmt: skip
        node = next(fleet.nodes(connection, clock, opened.node), None)
        if node is not None and node.standing is not Standing.REVOKED:
            spooled.append(order(connection, spool, node, CloseStream(session=opened.session, reason=why)))
    return spooled
