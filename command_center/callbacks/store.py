"""The outbox: receivers, deliveries, and how far the journal has been turned into deliveries.

A delivery is made in the transaction that moves ``upto`` past its journal entry, so each entry is told to each receiver
exactly once as a delivery, and each delivery at least once as a request; its ``id`` never changes and tells repeats apart.
"""

import sqlite3
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

import msgspec

from command_center.callbacks.kinds import Options, ReceiverKind
from command_center.errors import BadRequest, NotFound, NotPossible
from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "callbacks"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Somebody who is told."""

    name: str
    url: str
    secret: bytes | None
    only_flash: bool
    may_be_inside: bool
    disabled_why: str
    kind: ReceiverKind = ReceiverKind.WEBHOOK
    only_called: bool = False
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One thing to tell one receiver."""

    number: int
    id: str
    receiver: str
    event: str
    incident: int
    body: bytes
    created_at_ms: int
    attempts: int
    next_at_ms: int
    state: str
    last_answer: str
    media_type: str = "application/json"


_DELIVERY: Final = (
    "number, id, receiver, event, incident, body, created_at_ms, attempts, next_at_ms, state, last_answer, media_type"
)
MEDIA_TYPES: Final = {
    ReceiverKind.WEBHOOK: "application/json", ReceiverKind.TAK: "application/cot+xml",
    ReceiverKind.SMTP: "message/rfc822", ReceiverKind.CAP: "application/cap+xml",
}  # fmt: skip


def receivers(connection: sqlite3.Connection) -> list[Receiver]:
    """Everybody, in use or not."""
    rows = connection.execute(
        "SELECT name, url, secret, only_flash, may_be_inside, disabled_why, kind, only_called, options FROM receiver"
    )
    return [Receiver(name=r[0], url=r[1], secret=r[2], only_flash=bool(r[3]), may_be_inside=bool(r[4]), disabled_why=r[5],
                     kind=ReceiverKind(r[6]), only_called=bool(r[7]), options=msgspec.json.decode(r[8], type=Options))
            for r in rows]  # fmt: skip


def add_receiver(connection: sqlite3.Connection, receiver: Receiver) -> None:
    """From now on it is told; what happened before is not.

    Raises:
        BadRequest: the name is taken.
    """
    if connection.execute("SELECT 1 FROM receiver WHERE name = ?", (receiver.name,)).fetchone():
        raise BadRequest(f"there is a receiver {receiver.name} already: remove it first, or choose another name")
    connection.execute(
        "INSERT INTO receiver (name, url, secret, only_flash, may_be_inside, kind, only_called, options) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (receiver.name, receiver.url, receiver.secret, receiver.only_flash, receiver.may_be_inside, receiver.kind.value,
         receiver.only_called, msgspec.json.encode(receiver.options)),
    )  # fmt: skip


def remove_receiver(connection: sqlite3.Connection, name: str) -> int:
    """It is told no more; what waits for it is dead, and stays in sight. Returns how many.

    Raises:
        NotFound: there is no such receiver.
    """
    if not connection.execute("DELETE FROM receiver WHERE name = ?", (name,)).rowcount:
        raise NotFound(f"there is no receiver {name}")
    connection.execute("DELETE FROM capability WHERE receiver = ?", (name,))
    return connection.execute(
        "UPDATE delivery SET state = 'dead', last_answer = 'its receiver was removed' WHERE receiver = ? AND state = 'pending'",
        (name,),
    ).rowcount


def deliveries(connection: sqlite3.Connection, *, state: str | None = None, limit: int = 200) -> list[Delivery]:
    """The latest first."""
    condition, values = ("WHERE state = ? ", (state,)) if state else ("", ())
    query = f"SELECT {_DELIVERY} FROM delivery {condition}ORDER BY number DESC LIMIT ?"  # noqa: S608  constants
    rows = connection.execute(query, (*values, limit))
    return [_delivery(row) for row in rows]


def due(connection: sqlite3.Connection, receiver: str, now_ms: int, longest_ms: int) -> Delivery | None:
    """What to send to a receiver now: the most urgent and oldest. A wall clock that leapt back delays nothing for good."""
    row = connection.execute(
        f"SELECT {_DELIVERY} FROM delivery WHERE receiver = ? AND state = 'pending' "  # noqa: S608  constants
        "AND (next_at_ms <= ? OR next_at_ms > ?) ORDER BY precedence, number LIMIT 1",
        (receiver, now_ms, now_ms + longest_ms),
    ).fetchone()
    return None if row is None else _delivery(row)


def next_at_ms(connection: sqlite3.Connection) -> int | None:
    """When the next delivery to a receiver in use is due, center's wall clock."""
    row = connection.execute(
        "SELECT MIN(next_at_ms) FROM delivery WHERE state = 'pending' AND receiver IN "
        "(SELECT name FROM receiver WHERE disabled_why = '')"
    ).fetchone()
    return None if row is None else row[0]


def resend(connection: sqlite3.Connection, delivery_id: str, now_ms: int) -> None:
    """Try a dead one again, now, with a fresh ladder.

    Raises:
        NotFound: there is none with this id.
        NotPossible: it is not dead, or its receiver is gone.
    """
    row = connection.execute("SELECT state, receiver, media_type FROM delivery WHERE id = ?", (delivery_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no delivery {delivery_id}")
    if row[0] != "dead":
        raise NotPossible(f"delivery {delivery_id} is {row[0]}: only dead ones are sent again")
    receiver = next((item for item in receivers(connection) if item.name == row[1]), None)
    if receiver is None:
        raise NotPossible(f"the receiver {row[1]} was removed: add it again first")
    if MEDIA_TYPES[receiver.kind] != row[2]:
        raise NotPossible(f"delivery {delivery_id} is {row[2]}, and {row[1]} takes {MEDIA_TYPES[receiver.kind]} now")
    connection.execute("UPDATE receiver SET disabled_why = '' WHERE name = ?", (row[1],))
    connection.execute(
        "UPDATE delivery SET state = 'pending', attempts = 0, next_at_ms = ? WHERE id = ?", (now_ms, delivery_id)
    )


def _delivery(row: tuple[int, str, str, str, int, bytes, int, int, int, str, str, str]) -> Delivery:
    return Delivery(number=row[0], id=row[1], receiver=row[2], event=row[3], incident=row[4], body=row[5],
                    created_at_ms=row[6], attempts=row[7], next_at_ms=row[8], state=row[9], last_answer=row[10],
                    media_type=row[11])  # fmt: skip
