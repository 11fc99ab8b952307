"""Retractions that came before their alerts, in a store that an older release wrote: it kept them in the journal and in no view.

``mend`` runs at each start of a center, in the transaction that notes the start, and does for each what ``retractions`` would have done.
What it leaves is what replay makes of the same journal, so ``check`` finds nothing, and a second start finds nothing to do.
"""

import sqlite3
from typing import Final

import structlog

from command_center import event_feed, facts, fleet, journal
from command_center.alert_by_id import entry_of
from command_center.facts import EnvelopeStored, Remark
from command_center.retractions import reason_of
from command_center.views import BodyOpener
from relay import envelope as envelopes
from relay.clock import Clock
from relay.errors import SenderError
from relay.kinds.retraction import Retraction

_log = structlog.get_logger("command_center.retractions")

_WITHOUT_A_VIEW: Final = """
SELECT id, payload FROM entry WHERE kind = 'retraction' AND kind <> 'alert' AND subject LIKE 'node:%'
AND id NOT IN (SELECT entry FROM early_retraction) ORDER BY id
"""
"""By the index of kinds. A retraction stands under its node where it touched no incident: it came early, or changed nothing."""


def mend(connection: sqlite3.Connection, opener: BodyOpener, clock: Clock) -> int:
    """Apply what was lost; returns how many retractions that were. The journal says so, and the log in one line."""
    count = 0
    for entry, payload in connection.execute(_WITHOUT_A_VIEW).fetchall():
        stored = facts.decode(payload, EnvelopeStored)
        envelope = envelopes.parse(stored.wire)
        sender = next(fleet.nodes(connection, clock, envelope.header.origin), None)
        if sender is None:  # check names it: no entry admits the node
            continue
        try:
            body = opener.open(envelope, sender.passport.sealing_key)
        except SenderError as error:  # check says the same of it; a start is not the time to stop for that
            _log.warning("a retraction of before can't be read", entry=entry, error=str(error))
            continue
        if isinstance(body, Retraction):
            count += _apply(connection, entry, sender.id, body, stored.received_wall_ms)
    if count:
        _log.warning("retractions that came before their alerts were applied", count=count)
        fact = Remark(
            what="views mended", detail=f"{count} retractions that came before their alerts, of an older release"
        )
        journal.append(connection, at_ms=clock.wall_ms(), kind="views-rebuilt", actor="center", subject="center",
                       payload=facts.encode(fact))  # fmt: skip
    return count


def _apply(connection: sqlite3.Connection, entry: int, node: bytes, body: Retraction, at_ms: int) -> bool:
    alert = connection.execute(f"SELECT {entry_of('?')}", (body.alert_id,)).fetchone()[0]
    if alert is not None and alert < entry:
        return False  # it came behind its alert, and changed nothing: another node's, or the second one
    row = (body.alert_id, node, entry, at_ms, reason_of(body))
    if not connection.execute("INSERT OR IGNORE INTO early_retraction VALUES (?, ?, ?, ?, ?)", row).rowcount:
        return False
    if alert is None:
        return True
    found = connection.execute(
        "SELECT incident, retracted_at_ms FROM alert WHERE entry = ? AND node = ?", (alert, node)
    ).fetchone()
    if found is not None:  # the first word counts, also before one that came later
        connection.execute(
            "UPDATE alert SET retracted_at_ms = ?, retraction = ? WHERE entry = ?", (at_ms, row[4], alert)
        )
        incident, retracted_at_ms = found
        connection.execute(
            "UPDATE incident SET retracted_count = retracted_count + ? WHERE id = ?",
            (retracted_at_ms is None, incident),
        )
        event_feed.note(connection, "incident", incident)
    return True
