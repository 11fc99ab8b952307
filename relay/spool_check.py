"""The checker: verifies every numbered invariant of ``relay.spool`` in a spool file, and repairs what can be repaired.

Works on a file that no service has open (it takes the same lock), with the invariants' numbers of ``spool.py``; number 0
is SQLite's own integrity. A repair loses nothing that can be read: damaged rows move to the table ``damaged``, a file
that SQLite calls malformed is kept beside the new one that what was readable in it went to (``spool_salvage``).

*Not checked*: signatures of carried envelopes (they were verified on arrival, and will be again where they end), and
sealed bodies, unless the authority's keys are given.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from relay import envelope as envelopes
from relay import spool_salvage
from relay.clock import SystemClock
from relay.database import lock
from relay.envelope import Envelope
from relay.errors import OperatorError, SenderError
from relay.forgone import forgive
from relay.identity import AuthorityKeys, Identity
from relay.ids import AUTHORITY, NodeId
from relay.ranges import RangeSet
from relay.receipt import parse as parse_receipt
from relay.sqlite_errors import explain

_ROUNDS: Final = 4
"""Taking a damaged row out makes its number missing, which the next round mends: two rounds do, more are for safety."""

_USAGE: Final = """SELECT u.precedence, u.envelopes, u.bytes, COUNT(e.number), COALESCE(SUM(e.size_bytes), 0)
FROM usage u LEFT JOIN envelope e ON e.precedence = u.precedence GROUP BY u.precedence ORDER BY u.precedence"""
_USAGE_BY_ORIGIN: Final = (
    "SELECT origin, precedence, COUNT(*), SUM(size_bytes) FROM envelope GROUP BY origin, precedence"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place where the file is not as an invariant says."""

    invariant: int
    """Its number in ``relay.spool``; 0 is SQLite's own integrity."""
    what: str
    where: str
    repairable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found; of a repair, what it found before it began, and what it could not mend."""

    file: Path
    findings: tuple[Finding, ...]
    left: tuple[Finding, ...]
    """What still is not as it should be; after a check, all findings."""
    counts: Mapping[str, int]
    """Rows by table."""
    kept_file: Path | None = None
    """Where a repair kept a malformed file."""

    @property
    def is_clean(self) -> bool:
        """Whether every invariant holds now."""
        return not self.left


Series = tuple[NodeId, int]


@dataclass(slots=True)
class _Examination:
    """One pass over an open file: findings, and what a repair needs to know about each."""

    connection: sqlite3.Connection
    identity: Identity | None
    authority: AuthorityKeys | None
    findings: list[Finding] = field(default_factory=list)
    bad_rows: dict[int, str] = field(default_factory=dict)
    bad_receipts: dict[tuple[bytes, bytes, int], str] = field(default_factory=dict)
    covered_rows: list[int] = field(default_factory=list)
    lost_openings: set[int] = field(default_factory=set)
    lost_numberings: list[NodeId] = field(default_factory=list)
    missing: dict[Series, RangeSet] = field(default_factory=dict)
    twice: dict[Series, RangeSet] = field(default_factory=dict)
    usage_differs: bool = False
    _streams: dict[NodeId, tuple[int, int, bytes]] = field(default_factory=dict)
    _own: dict[Series, dict[int, bytes]] = field(default_factory=dict)
    _links: dict[Series, dict[int, bytes]] = field(default_factory=dict)
    _receipts: dict[tuple[bytes, bytes, int], RangeSet] = field(default_factory=dict)

    def run(self) -> None:
        """Look at everything."""
        self._streams = {
            NodeId(row[0]): (row[1], row[2], row[3])
            for row in self.connection.execute("SELECT destination, series, last_sequence, link FROM stream")
        }
        self._look_at_receipts()
        self._look_at_rows()
        self._look_at_chains()
        for destination in self._streams:
            self._look_at_numbering(destination)
        self._look_at_departures()
        self._look_at_usage()

    def _find(self, invariant: int, what: str, where: str, *, repairable: bool = True) -> None:
        self.findings.append(Finding(invariant=invariant, what=what, where=where, repairable=repairable))

    def _is_own(self, origin: bytes, destination: bytes, series: int) -> bool:
        if self.identity is not None:
            return origin == self.identity.node_id
        stream = self._streams.get(NodeId(destination))
        return stream is not None and stream[0] == series

    def _look_at_receipts(self) -> None:
        for origin, destination, series, stored, wire in self.connection.execute("SELECT * FROM receipt"):
            key = (origin, destination, series)
            try:
                receipt = parse_receipt(wire)
            except SenderError as error:
                self.bad_receipts[key] = f"not a receipt: {error}"
            else:
                ranges = receipt.ranges()
                if (receipt.origin, receipt.series) != (origin, series) or destination not in {
                    AUTHORITY,
                    receipt.signer,
                }:
                    self.bad_receipts[key] = "its columns do not say what its bytes say"
                elif ranges.count != stored:
                    self.bad_receipts[key] = f"it covers {ranges.count} numbers, its column says {stored}"
                else:
                    self._receipts[key] = ranges
            if key in self.bad_receipts:
                self._find(8, self.bad_receipts[key], f"receipt for {origin.hex()}, series {series}")

    def _look_at_rows(self) -> None:
        openings = {row[0] for row in self.connection.execute("SELECT id FROM opening")}
        rows = self.connection.execute(
            "SELECT number, opening, id, origin, destination, series, sequence, kind, precedence, ttl_s, size_bytes, wire "
            "FROM envelope ORDER BY number"
        )
        for number, opening, *columns, wire in rows:
            if opening not in openings:
                self.lost_openings.add(opening)
                self._find(5, f"it names opening {opening}, which is not there", f"envelope {number}")
            why = self._what_is_wrong(columns, wire)
            if why:
                self.bad_rows[number] = why[1]
                self._find(*why, f"envelope {number}")
                continue
            identifier, origin, destination, series, sequence = columns[:5]
            covered = self._receipts.get((origin, destination, series))
            if covered is not None and sequence in covered:
                self.covered_rows.append(number)
                self._find(7, "a receipt that we hold covers it", f"envelope {number}")
            if self._is_own(origin, destination, series):
                self._note_own(number, (destination, series), sequence, identifier, wire)

    def _what_is_wrong(self, columns: list[object], wire: bytes) -> tuple[int, str] | None:
        try:
            envelope = envelopes.parse(wire)
        except SenderError as error:
            return 1, f"its bytes are not an envelope: {error}"
        header = envelope.header
        told: list[object] = [envelope.id, header.origin, header.destination, header.series, header.sequence,
                              header.kind, header.precedence, header.ttl_s, len(wire)]  # fmt: skip
        if told != columns:
            return 5, "its columns do not say what its bytes say"
        if self.identity is not None and header.origin == self.identity.node_id:
            try:
                self._verify_own(envelope, self.identity)
            except SenderError as error:
                return 1, f"our own envelope does not hold: {error}"
        return None

    def _verify_own(self, envelope: Envelope, identity: Identity) -> None:
        envelopes.verify(envelope, identity.signing_key)
        if self.authority is not None and envelope.header.destination == AUTHORITY:
            envelopes.open_body(envelope, identity.shared_secret(self.authority.sealing_key))

    def _note_own(self, number: int, key: Series, sequence: int, identifier: bytes, wire: bytes) -> None:
        known = self._own.setdefault(key, {})
        if sequence in known:
            self._find(2, f"our number {sequence} was given twice", f"envelope {number}", repairable=False)
        known[sequence] = identifier
        self._links.setdefault(key, {})[sequence] = envelopes.parse(wire).header.link

    def _look_at_chains(self) -> None:
        for key, links in self._links.items():
            ids = self._own[key]
            for sequence, link in links.items():
                before = bytes(8) if sequence == 1 else ids.get(sequence - 1)
                if before is not None and before[:8] != link:
                    self._find(2, f"our number {sequence} is not chained to the one before",
                               f"series {key[1]} to {key[0].hex()}", repairable=False)  # fmt: skip

    def _look_at_numbering(self, destination: NodeId) -> None:
        series, last, link = self._streams[destination]
        key, where = (destination, series), f"numbering to {destination.hex()}, series {series}"
        ids = self._own.get(key, {})
        # Numbers of a row that is here twice over count once; what is damaged is taken out before it is missed.
        here, forgone = RangeSet((number, number) for number in sorted(ids)), self._forgone(key)
        covered = RangeSet()
        for (origin, towards, of_series), ranges in self._receipts.items():
            if towards == destination and of_series == series and self._is_own(origin, towards, of_series):
                covered = ranges
        known = RangeSet([*here, *covered, *forgone])
        if known.highest > last:
            self.lost_numberings.append(destination)
            self._find(2, f"number {known.highest} was given, but the numbering stands at {last}", where)
            return
        if last in ids and ids[last][:8] != link:
            self.lost_numberings.append(destination)
            self._find(2, f"the numbering's link is not that of its last number {last}", where)
        missing = RangeSet([(1, last)] if last else []).minus(known)
        for first, until in missing:
            self._find(2, f"numbers {first} to {until} are not here, not receipted and not forgone", where)
        twice = forgone.minus(forgone.minus(RangeSet([*here, *covered])))
        for first, until in twice:
            self._find(2, f"numbers {first} to {until} are forgone, but here or receipted too", where)
        if missing:
            self.missing[key] = missing
        if twice:
            self.twice[key] = twice

    def _forgone(self, key: Series) -> RangeSet:
        return RangeSet(self.connection.execute(
            "SELECT first, last FROM forgone WHERE destination = ? AND series = ? AND 1 <= first AND first <= last "
            "ORDER BY first", key).fetchall())  # fmt: skip

    def _look_at_departures(self) -> None:
        for name, count in self.connection.execute("SELECT name, count FROM tally"):
            if name in {"evicted_flash", "evicted_immediate", "expired_flash", "expired_immediate"}:
                self._find(4, f"{count} alerts left as {name}, which never may", "tally", repairable=False)

    def _look_at_usage(self) -> None:
        for precedence, envelopes_told, bytes_told, counted, summed in self.connection.execute(_USAGE):
            if (envelopes_told, bytes_told) != (counted, summed):
                self.usage_differs = True
                self._find(6, f"says {envelopes_told} envelopes of {bytes_told} bytes, found {counted} of {summed}",
                           f"usage of precedence {precedence}")  # fmt: skip
        if not self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'usage_by_origin'").fetchone():
            return  # an earlier release's file: the table is made when a station opens it
        told = set(self.connection.execute("SELECT origin, precedence, envelopes, bytes FROM usage_by_origin"))
        for origin, precedence, *_ in sorted(told ^ set(self.connection.execute(_USAGE_BY_ORIGIN))):
            self.usage_differs = True
            self._find(6, "is not the sum of what is there", f"usage of {origin.hex()}, precedence {precedence}")


def check(spool_file: Path, *, identity: Identity | None, authority: AuthorityKeys | None = None) -> Report:
    """Verify every invariant; changes nothing.

    Own signatures and bodies are checked as far as ``identity`` and ``authority`` are given.

    Raises:
        SpoolBusy: a service has the file open.
        OperatorError: there is no such file, or it can't be read at all.
    """
    with _locked(spool_file):
        return _check(spool_file, identity, authority)


def repair(spool_file: Path, *, identity: Identity | None, authority: AuthorityKeys | None = None) -> Report:
    """Mend what can be mended, durable when it returns; the report says what was found and what is left of it.

    A numbering that can't be trusted is dropped: the next put starts a new series, so no number is given twice.

    Raises:
        SpoolBusy: a service has the file open.
        OperatorError: there is no such file, or the disk fails.
    """
    with _locked(spool_file):
        before = _check(spool_file, identity, authority)
        kept_file: Path | None = None
        try:
            if any(finding.invariant == 0 for finding in before.findings):
                kept_file = spool_salvage.salvage(spool_file, identity)
                before = _merged(before, _check(spool_file, identity, authority))
            if before.findings:
                with closing(_connect(spool_file)) as connection:
                    _mend(connection, identity, authority)
        except sqlite3.Error as error:
            raise explain(error, spool_file) from error
        after = _check(spool_file, identity, authority)
        return Report(file=spool_file, findings=before.findings, left=after.findings, counts=after.counts,
                      kept_file=kept_file)  # fmt: skip


def _merged(first: Report, second: Report) -> Report:
    findings = tuple(dict.fromkeys((*first.findings, *second.findings)))
    return Report(file=first.file, findings=findings, left=findings, counts=second.counts)


@contextmanager
def _locked(spool_file: Path) -> Iterator[None]:
    if not spool_file.is_file():
        raise OperatorError(f"expected a spool in {spool_file}, found no such file: check the state folder")
    descriptor = lock(spool_file)
    try:
        yield
    finally:
        os.close(descriptor)


def _connect(spool_file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(spool_file, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _check(spool_file: Path, identity: Identity | None, authority: AuthorityKeys | None) -> Report:
    findings: list[Finding] = []
    counts: dict[str, int] = {}
    try:
        with closing(_connect(spool_file)) as connection:
            for (line,) in connection.execute("PRAGMA integrity_check(20)"):
                if line != "ok":
                    findings.append(Finding(invariant=0, what=str(line), where=spool_file.name))
            if not findings:
                examination = _Examination(connection, identity, authority)
                examination.run()
                findings = examination.findings
                for table in ("envelope", "receipt", "stream", "forgone", "damaged"):
                    counts[table] = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error) and "malformed" not in str(error):
            raise explain(error, spool_file) from error
        findings.append(Finding(invariant=0, what=str(error), where=spool_file.name))
    except sqlite3.DatabaseError as error:
        findings.append(Finding(invariant=0, what=str(error), where=spool_file.name))
    return Report(file=spool_file, findings=tuple(findings), left=tuple(findings), counts=counts)


def _mend(connection: sqlite3.Connection, identity: Identity | None, authority: AuthorityKeys | None) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for _ in range(_ROUNDS):
        found = _Examination(connection, identity, authority)
        found.run()
        if not any(finding.repairable for finding in found.findings):
            break
        _mend_rows(connection, found)
        _mend_numberings(connection, found)
    connection.execute("COMMIT")


def _mend_rows(connection: sqlite3.Connection, found: _Examination) -> None:
    now_ms = SystemClock().wall_ms()
    for opening in found.lost_openings:  # age then counts from this boot's start: nothing expires too early
        connection.execute("INSERT OR IGNORE INTO opening VALUES (?, 'lost', 0, 0)", (opening,))
    for number, why in found.bad_rows.items():
        connection.execute(
            "INSERT INTO damaged SELECT ?, ?, sequence, wire FROM envelope WHERE number = ?", (now_ms, why, number)
        )
        connection.execute("DELETE FROM envelope WHERE number = ?", (number,))
    for number in found.covered_rows:
        connection.execute("DELETE FROM envelope WHERE number = ?", (number,))
    for key, why in found.bad_receipts.items():
        where = "origin = ? AND destination = ? AND series = ?"
        connection.execute(f"INSERT INTO damaged SELECT ?, ?, NULL, wire FROM receipt WHERE {where}",  # noqa: S608
                           (now_ms, why, *key))  # fmt: skip
        connection.execute(f"DELETE FROM receipt WHERE {where}", key)  # noqa: S608
    if found.usage_differs or found.bad_rows or found.covered_rows:
        connection.execute(
            "UPDATE usage SET envelopes = (SELECT COUNT(*) FROM envelope e WHERE e.precedence = usage.precedence), "
            "bytes = (SELECT COALESCE(SUM(size_bytes), 0) FROM envelope e WHERE e.precedence = usage.precedence)"
        )
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'usage_by_origin'").fetchone():
            connection.execute("DELETE FROM usage_by_origin")
            connection.execute(f"INSERT INTO usage_by_origin {_USAGE_BY_ORIGIN}")


def _mend_numberings(connection: sqlite3.Connection, found: _Examination) -> None:
    for (destination, series), ranges in found.twice.items():
        forgive(connection, destination, series, ranges)
    for (destination, series), ranges in found.missing.items():
        for first, last in ranges:
            connection.execute("INSERT OR IGNORE INTO forgone VALUES (?, ?, ?, ?, 'damaged')",
                               (destination, series, first, last))  # fmt: skip
    for destination in found.lost_numberings:
        connection.execute("DELETE FROM stream WHERE destination = ?", (destination,))
