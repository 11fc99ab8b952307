"""What is in, what is not, and why: for each node, every number of the range, and each picture that was announced.

What it can show: that no number of the range is passed over in silence, and that the nodes' own signatures agree with the
table: each header holds the beginning of the previous header's hash. That a number lies in another incident is the center's
word, under its signature.
"""

import json
from dataclasses import dataclass
from typing import Final

from .bag import Payload
from .container import Source, lines, read
from .errors import Wrong
from .statements import Said, Statements

STATEMENT: Final = "data/completeness.json"
HEAD: Final = "first,last,envelope_id,where"
HERE: Final = "in this bag"
_MAX: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Complete:
    """What was found."""

    numbers: int
    here: int
    missing: int
    """Numbers that never came, and pictures that are not here."""
    links: int
    """How many signed links were compared with the table."""
    media: int
    redacted: int = 0
    """Pictures and clips that are masked or withheld, each with the digest of its original."""
    torn: int = 0
    """Links that disagree in series which two machines used, as the center says: forks."""


def check(source: Source, payload: Payload, statements: Statements) -> Complete:
    """All of it."""
    try:
        stated = json.loads(read(source, STATEMENT, _MAX))
        streams = [
            (str(item["node"]), int(item["series"]), str(item["file"]), item["is_forked"] is True)
            for item in stated["streams"]
        ]
        absent = {str(item["sha256"]) for item in stated["missing_media"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Wrong(STATEMENT, f"expected streams and missing media: {error}") from error
    media = _media(payload)
    for sha256, name in statements.exhibited.items():
        if sha256 not in media and sha256 not in absent:
            raise Wrong(
                STATEMENT, f"data/{name}.body names the picture {sha256[:16]}…, and nothing says why it is not here"
            )
    if stray := media - statements.exhibited.keys():
        raise Wrong("data/media", f"no signed exhibit names {min(stray)}")
    redacted = _redacted(payload, stated, media, absent, statements.exhibited)
    waiting = dict(statements.by_id)
    numbers = here = missing = links = torn = 0
    for node, series, file, is_forked in streams:
        rows = _Rows(f"data/{file}", node, series, is_forked=is_forked)
        for number, line in enumerate(lines(source, rows.file, 4096), start=1):
            if number > 1:
                rows.take(number, line, waiting)
            elif line != HEAD:
                raise Wrong(rows.file, f"line 1: expected {HEAD}")
        numbers, here = numbers + rows.numbers, here + rows.here
        missing, links, torn = missing + rows.missing, links + rows.links, torn + rows.torn
    if waiting:
        said = waiting[min(waiting)]
        raise Wrong(STATEMENT, f"no table lists data/{said.name}.pae, number {said.sequence} of {said.node}")
    return Complete(numbers, here, missing + len(absent - media), links, len(media), redacted, torn)


def _redacted(payload: Payload, stated: dict[str, object], media: set[str], absent: set[str],
              exhibited: dict[str, str]) -> int:  # fmt: skip
    """Each redaction names a signed original that is not here, and the masked copy that is; nothing else lies there."""
    files: set[str] = set()
    rows = stated.get("redactions")
    for row in rows if isinstance(rows, list) else []:
        original, file = (str(row.get("original_sha256")), row.get("file")) if isinstance(row, dict) else ("", None)
        if original not in exhibited or original not in absent or original in media:
            raise Wrong(
                STATEMENT,
                f"the redaction of {original[:16]}: expected an original that an exhibit names and that is not here",
            )
        if file is not None:
            name = f"data/{file}"
            if payload.hashes.get(name) != str(file).removeprefix("redactions/").partition(".")[0]:
                raise Wrong(STATEMENT, f"expected the masked copy {str(file)[:100]} under its SHA-256, found none")
            files.add(name)
    if stray := {name for name in payload.hashes if name.startswith("data/redactions/")} - files:
        raise Wrong(min(stray), "no redaction in completeness.json names it")
    return len(rows) if isinstance(rows, list) else 0


def _media(payload: Payload) -> set[str]:
    found: set[str] = set()
    for name, sha256 in payload.hashes.items():
        if name.startswith("data/media/"):
            if name.removeprefix("data/media/").partition(".")[0] != sha256:
                raise Wrong(name, f"expected its name to be its SHA-256, which is {sha256[:16]}…")
            found.add(sha256)
    return found


class _Rows:
    """One node's series, row by row."""

    def __init__(self, file: str, node: str, series: int, *, is_forked: bool) -> None:
        self.file, self._node, self._series = file, node, series
        self.numbers = self.here = self.missing = self.links = self.torn = 0
        self._is_forked = is_forked
        self._first = self._last = 0
        self._ids: list[str] = []
        """Of the last number: more than one where two contents share it."""
        self._before: list[str] = []

    def take(self, number: int, line: str, waiting: dict[str, Said]) -> None:
        first, last, identifier, where = self._fields(number, line)
        is_twin = first == last == self._first == self._last and bool(identifier)
        if not is_twin:
            if self._last and first != self._last + 1:
                raise Wrong(
                    self.file,
                    f"line {number}: expected number {self._last + 1}, found {first}: numbers are passed over",
                )
            self._before = self._ids if identifier else []
            self._ids, self._first, self._last = [], first, last
            self.numbers += last - first + 1
        if identifier:
            self._ids.append(identifier)
        if where == "not received":
            self.missing += last - first + 1
        if where == HERE:
            said = waiting.pop(identifier, None)
            if said is None or (said.node, said.series, said.sequence) != (self._node, self._series, first):
                raise Wrong(
                    self.file, f"line {number}: the bag has no statement {identifier[:16]}… with number {first}"
                )
            self.here += 1
            self._check_link(number, said)

    def _check_link(self, number: int, said: Said) -> None:
        """A header's link names the header before it; a number that two share has no single one before it."""
        if not self._before or len(self._ids) != 1:
            return
        if any(said.link.hex() == identifier[:16] for identifier in self._before):
            self.links += 1
        elif self._is_forked:
            self.torn += 1
        else:
            raise Wrong(
                self.file,
                f"line {number}: the node signed that {said.link.hex()} came before, the table says {self._before[0][:16]}",
            )

    def _fields(self, number: int, line: str) -> tuple[int, int, str, str]:
        try:
            first, last, identifier, where = line.split(",", 3)
            span = int(first), int(last)
        except ValueError as error:
            raise Wrong(self.file, f"line {number}: expected {HEAD}") from error
        if not 1 <= span[0] <= span[1] or (identifier and span[0] != span[1]):
            raise Wrong(self.file, f"line {number}: expected a number, or a range without an id")
        return (*span, identifier, where)
