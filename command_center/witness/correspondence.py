"""Answers checkpoints that came by relay: judged as those that come over HTTP, the answer in the spool in the same transaction.

Whose journal a station speaks for is pinned at its first checkpoint: an administrator let that station in, and the journal's name is made from
its key, so nobody can speak for a journal that is not theirs.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from command_center import checkpoint, fleet
from command_center.errors import BadRequest, JournalDamaged, NotFound, NotPossible
from command_center.fleet import Standing
from command_center.metrics import Metrics
from command_center.witness import desk
from command_center.witness.cosigning import KnownLog, Submission, parse_key
from command_center.witness.desk import StaleSize
from relay.clock import Clock
from relay.database import Database
from relay.header import Kind
from relay.identity import Identity
from relay.ids import EnvelopeId, NodeId, node_id_of
from relay.kinds import body as bodies
from relay.kinds.checkpoint import SubmittedCheckpoint
from relay.kinds.cosignature import Cosignature
from relay.precedence import Precedence
from relay.spool import Draft, Spool, Spooled

_IN_ONE: Final = 50
_ANSWER_TTL_S: Final = 30 * 86_400


def note_due(connection: sqlite3.Connection, envelope_id: EnvelopeId, node: NodeId, said: SubmittedCheckpoint) -> None:
    """A checkpoint arrived; in the transaction that stores its envelope."""
    connection.execute(
        "INSERT OR IGNORE INTO submitted_checkpoint VALUES (?, ?, ?)", (envelope_id, node, bodies.encode(said))
    )


def is_due(connection: sqlite3.Connection) -> bool:
    """Whether one waits for an answer."""
    return connection.execute("SELECT 1 FROM submitted_checkpoint LIMIT 1").fetchone() is not None


class Correspondence:
    """Lives in the running center."""

    def __init__(self, *, database: Database, spool: Spool, identity: Identity, origin: str, clock: Clock,
                 metrics: Metrics, announce: Callable[[Sequence[Spooled]], None]) -> None:  # fmt: skip
        self._database = database
        self._spool = spool
        self._identity = identity
        self._origin = origin
        self._clock = clock
        self._metrics = metrics
        self._announce = announce

    async def answer(self) -> None:
        """Answer up to some dozens of those that wait."""
        self._announce(await self._database.run(self._answer_due))

    def _answer_due(self, connection: sqlite3.Connection) -> list[Spooled]:
        rows = connection.execute(
            "SELECT envelope_id, node, body FROM submitted_checkpoint LIMIT ?", (_IN_ONE,)
        ).fetchall()
        spooled: list[Spooled] = []
        for envelope_id, node_id, body in rows:
            connection.execute("DELETE FROM submitted_checkpoint WHERE envelope_id = ?", (envelope_id,))
            node = next(fleet.nodes(connection, self._clock, node_id), None)
            if node is None or node.standing is Standing.REVOKED:
                continue  # nobody carries anything to it; its checkpoint is in the journal
            size, line, problem = self._judge(
                connection, node_id, node.standing, bodies.decode(body, SubmittedCheckpoint)
            )
            self._metrics.count("checkpoints_cosigned" if line else "checkpoints_not_cosigned")
            word = Cosignature(submission_id=envelope_id, size=size, line=line, problem=problem[:200])
            draft = Draft(kind=Kind.COSIGNATURE, precedence=Precedence.ROUTINE, body=bodies.encode(word), destination=NodeId(node_id),
                          peer_sealing_key=node.passport.sealing_key, ttl_s=_ANSWER_TTL_S)  # fmt: skip
            spooled.append(self._spool.put(connection, draft))
        return spooled

    def _judge(self, connection: sqlite3.Connection, node_id: bytes, standing: Standing,
               said: SubmittedCheckpoint) -> tuple[int, str, str]:  # fmt: skip
        """(size that this witness has, the cosignature or nothing, why not)."""
        origin = said.note.partition("\n")[0]
        submission = Submission(old_size=said.old_size, proof=said.proof, note=said.note)
        line, problem = "", ""
        try:
            known = self._known(connection, node_id, standing, said)
            line = desk.require_signed(desk.witness(connection, submission, known, name=self._origin, signing=self._identity.signing,
                                                    clock=self._clock))  # fmt: skip
        except (StaleSize, NotFound, BadRequest, NotPossible) as error:
            problem = str(error)
        row = connection.execute("SELECT size FROM witnessed WHERE origin = ?", (origin,)).fetchone()
        return (row[0] if row else 0), line, problem

    @staticmethod
    def _known(
        connection: sqlite3.Connection, node_id: bytes, standing: Standing, said: SubmittedCheckpoint
    ) -> list[KnownLog]:
        """The one log that this station may speak for.

        Raises:
            BadRequest: its key is not one, or does not belong to that name.
            NotPossible: it is quarantined, or speaks for another journal, or another station for this one.
        """
        if standing is not Standing.APPROVED:
            raise NotPossible("this station is quarantined there: nothing of it is signed")
        note, origin = said.note, said.note.partition("\n")[0]
        pinned = connection.execute("SELECT origin, key FROM pinned_log WHERE node = ?", (node_id,)).fetchone()
        if pinned is not None:
            if pinned[0] != origin:
                raise NotPossible(
                    f"this station speaks for the journal {pinned[0]}, found {origin[:100]}: enroll another one for that"
                )
            return [KnownLog(name=origin, key=pinned[1])]
        log = parse_key(said.key)
        if log.name != origin or origin != f"heard/{node_id_of(log.key).hex()}":
            raise BadRequest(f"expected a journal that is named after its key, found {origin[:100]!r}")
        try:
            checkpoint.verify(checkpoint.without_witnesses(note), log.key)
        except JournalDamaged as error:
            raise BadRequest(f"the checkpoint is not signed by the key of {origin}: {error}") from error
        connection.execute(
            "DELETE FROM pinned_log WHERE node IN (SELECT id FROM node WHERE standing = ?)", (Standing.REVOKED.value,)
        )
        if connection.execute("SELECT 1 FROM pinned_log WHERE origin = ?", (origin,)).fetchone():
            raise NotPossible(f"another station speaks for the journal {origin} already: withdraw that one first")
        connection.execute("INSERT INTO pinned_log VALUES (?, ?, ?)", (node_id, origin, log.key))
        return [log]
