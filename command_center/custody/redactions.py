"""Redactions: what a picture must not show when it is given away. The original stays, and its digest is in every bag.

A redaction is a fact of the journal; exports follow it from then on (``evidence.masking``). A clip can't be masked here, only
withheld: it is not encoded again on a center.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from command_center import facts, journal
from command_center.alert_by_id import entry_of
from command_center.custody import appliers
from command_center.custody.facts import Redaction
from command_center.errors import NotFound, NotPossible
from command_center.incident_store import number_of

MODES: Final = ("black", "blur", "withhold", "")
MAX_REGIONS: Final = 64
Region = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionView:
    """How one picture is given away."""

    sha256: bytes
    mode: str
    regions_px: tuple[Region, ...]
    by: str
    reason: str
    entry: int
    at_ms: int
    incidents: tuple[str, ...] = ()
    """Numbers of those whose picture it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a redaction is about, as its node describes it."""

    media_type: str
    width_px: int
    height_px: int
    is_here: bool
    """Whether its bytes have come, and have not been erased."""


def subject_of(connection: sqlite3.Connection, sha256: bytes) -> Subject:
    """Look it up.

    Raises:
        NotFound: no exhibit names it.
    """
    row = connection.execute(
        "SELECT e.media_type, e.width_px, e.height_px, EXISTS (SELECT 1 FROM stored_object o WHERE o.sha256 = e.sha256) "
        "FROM exhibit_item e WHERE e.sha256 = ? LIMIT 1",
        (sha256,),
    ).fetchone()
    if row is None:
        raise NotFound(f"no exhibit names the picture {sha256.hex()}: the incident's page shows those that it has")
    return Subject(media_type=row[0], width_px=row[1], height_px=row[2], is_here=bool(row[3]))


def set_one(connection: sqlite3.Connection, sha256: bytes, *, mode: str, regions_px: tuple[Region, ...], by: str, reason: str,
            at_ms: int, size_px: tuple[int, int] | None = None) -> None:  # fmt: skip
    """Set how a picture is given away.

    ``size_px``: width and height that the picture itself has, where somebody looked; else its node's word is taken for it.

    Raises:
        NotFound: no exhibit names it.
        NotPossible: no such mode, no region, no reason, or a clip that was to be masked.
    """
    subject = subject_of(connection, sha256)
    if mode not in MODES:
        raise NotPossible(f"expected black, blur or withhold, found {mode!r}")
    if mode in {"black", "blur"}:
        _require_regions(subject.media_type, size_px or (subject.width_px, subject.height_px), regions_px)
    if not reason.strip():
        raise NotPossible("expected a reason, found none: name the rule or the order that asks for it")
    fact = Redaction(sha256=sha256, mode=mode, regions_px=regions_px if mode in {"black", "blur"} else (), by=by,
                     reason=reason.strip()[:500])  # fmt: skip
    entry = journal.append(connection, at_ms=at_ms, kind=appliers.REDACTED, actor=f"user:{by}",
                           subject=f"object:{sha256.hex()}", payload=facts.encode(fact))  # fmt: skip
    appliers.apply_redacted(connection, entry)


def _require_regions(media_type: str, size_px: tuple[int, int], regions_px: tuple[Region, ...]) -> None:
    width_px, height_px = size_px
    if not media_type.startswith("image/"):
        raise NotPossible(
            f"expected a picture to mask, found {media_type}: a clip can only be withheld (mode withhold)"
        )
    if not 1 <= len(regions_px) <= MAX_REGIONS:
        raise NotPossible(
            f"expected 1 to {MAX_REGIONS} regions as left,top,width,height in pixels, found {len(regions_px)}"
        )
    for left, top, width, height in regions_px:
        if left < 0 or top < 0 or width < 1 or height < 1 or left + width > width_px or top + height > height_px:
            raise NotPossible(
                f"expected regions within {width_px} x {height_px} pixels, found {left},{top},{width},{height}"
            )


def views(connection: sqlite3.Connection) -> list[RedactionView]:
    """All of them, the newest first."""
    rows = connection.execute(
        "SELECT sha256, mode, regions_px, by, reason, entry, at_ms FROM redaction ORDER BY entry DESC"
    )
    return [RedactionView(sha256=row[0], mode=row[1], regions_px=tuple(tuple(region) for region in json.loads(row[2])),
                          by=row[3], reason=row[4], entry=row[5], at_ms=row[6], incidents=_numbers(connection, row[0]))
            for row in rows.fetchall()]  # fmt: skip


def _numbers(connection: sqlite3.Connection, sha256: bytes) -> tuple[str, ...]:
    rows = connection.execute(
        f"SELECT DISTINCT i.id, i.first_alert_at_ms FROM exhibit_item e JOIN alert a ON a.entry = {entry_of('e.alert_id')} "  # noqa: S608  a constant
        "AND a.node = e.node JOIN incident i ON i.id = a.incident WHERE e.sha256 = ? ORDER BY i.id LIMIT 20",
        (sha256,),
    )
    return tuple(number_of(row[0], row[1]) for row in rows)


__all__ = ["RedactionView", "Region", "Subject", "set_one", "subject_of", "views"]
