"""This center as a witness of others: one row for each known log, moved only by a proof, in one transaction with its journal entry."""

import sqlite3
from collections.abc import Sequence

from nacl.signing import SigningKey

from command_center import checkpoint, facts, journal
from command_center.checkpoint import Checkpoint
from command_center.errors import BadRequest, JournalDamaged, LostRace, NotFound, NotPossible
from command_center.facts import Remark
from command_center.witness.cosigning import KnownLog, Submission, cosign, grew
from relay.clock import Clock


class StaleSize(LostRace):
    """The log does not know what this witness has; it is told."""

    def __init__(self, size: int) -> None:
        super().__init__(f"this witness has the checkpoint of size {size}")
        self.size = size


def witness(connection: sqlite3.Connection, submission: Submission, known: Sequence[KnownLog], *, name: str, signing: SigningKey,
            clock: Clock) -> str:  # fmt: skip
    """Keep and sign another log's checkpoint; returns the cosignature line.

    Raises:
        NotFound: an unknown log.
        BadRequest: not signed by that log's key.
        StaleSize: ``old`` is not what this witness has.
        NotPossible: the proof does not show that the log only grew: two histories.
    """
    origin = submission.note.partition("\n")[0]
    log = next((item for item in known if item.name == origin), None)
    if log is None:
        raise NotFound(f"this center witnesses no log {origin[:100]!r}: its key is to be added to [witness] known")
    try:
        made = checkpoint.verify(checkpoint.without_witnesses(submission.note), log.key)
    except JournalDamaged as error:
        raise BadRequest(f"the checkpoint is not signed by the key of {origin}: {error}") from error
    row = connection.execute("SELECT size, root FROM witnessed WHERE origin = ?", (origin,)).fetchone()
    size, root = (row[0], row[1]) if row else (0, b"")
    if submission.old_size != size:
        raise StaleSize(size)
    now = clock.wall_ms()
    if not grew(size, root, made.size, made.root, submission.proof):
        _note(
            connection,
            origin,
            f"REFUSED: no proof that the journal of {made.size} entries begins with that of {size}",
            now,
        )
        return ""
    _keep(connection, made, now)
    _note(connection, origin, f"size {made.size}", now)
    return cosign(made.note, name, signing, now // 1000)


def require_signed(line: str) -> str:
    """The cosignature, where there is one.

    Raises:
        NotPossible: it was refused; the refusal is in the journal.
    """
    if not line:
        raise NotPossible(
            "the proof does not show that your journal only grew: this is kept, and a person should look at it"
        )
    return line


def _keep(connection: sqlite3.Connection, made: Checkpoint, now: int) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO witnessed VALUES (?, ?, ?, ?, ?)", (made.origin, made.size, made.root, made.note, now)
    )


def _note(connection: sqlite3.Connection, origin: str, detail: str, now: int) -> None:
    remark = Remark(what="checkpoint-witnessed", detail=detail)
    journal.append(connection, at_ms=now, kind="checkpoint-witnessed", actor=f"log:{origin[:100]}", subject=f"log:{origin[:100]}",
                   payload=facts.encode(remark))  # fmt: skip
