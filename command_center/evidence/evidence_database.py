"""``incident.db``: the same facts as tables, for Datasette, ``sqlite-utils`` and anybody's SQL."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlite_utils

from command_center.evidence.reading import AlertFacts, IncidentFacts
from command_center.evidence.statements import alert_view
from command_center.evidence.tables import TIMELINE_HEAD, Moment

T = TypeVar("T")
_BATCH: Final = 500


class EvidenceDatabase:
    """Written row by row into a file of its own; the same rows make the same bytes."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite_utils.Database(file)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")  # a copy that is written into the bag and thrown away

    def add_incident(self, shown: IncidentFacts) -> None:
        """One incident."""
        self._insert("incident", [{"number": shown.number, **shown.columns}], pk="id")

    def add_alerts(self, alerts: Iterable[AlertFacts]) -> None:
        """Alerts and what belongs to them."""
        for some in _in_batches(alerts):
            views = [alert_view(alert) for alert in some]
            self._insert("alert", [{**{k: v for k, v in view.items() if k not in {"media", "box_xyxy"}},
                                    **dict(zip(("x1", "y1", "x2", "y2"), alert.alert.box_xyxy, strict=True))}
                                   for view, alert in zip(views, some, strict=True)], pk="envelope_id")  # fmt: skip
            self._insert("media", [{"alert": alert.id, "file": m.name, "sha256": m.sha256.hex(), "media_type": m.media_type,
                                    "size_bytes": m.size_bytes, "absence": m.absence}
                                   for alert in some for m in alert.media])  # fmt: skip

    def add_timeline(self, moments: Iterable[Moment]) -> None:
        """What happened."""
        for some in _in_batches(moments):
            rows = (dict(zip(TIMELINE_HEAD, moment.row, strict=True)) for moment in some)
            self._insert(
                "timeline",
                [row | {"at_ms": int(row["at_ms"]), "journal_entry": int(row["journal_entry"])} for row in rows],
            )

    def finish(self) -> None:
        """Bring it into its one form and close it."""
        self._database.conn.commit()
        self._database.vacuum()
        self._database.close()

    def _insert(self, table: str, rows: list[dict[str, Any]], pk: str | None = None) -> None:
        if rows:
            self._database.table(table).insert_all(rows, pk=pk)


def _in_batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := list(itertools.islice(iterator, _BATCH)):
        yield some
