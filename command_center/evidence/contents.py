"""What stands in a bag, file after file. Alerts are read once for each file that shows them: memory stays as it is."""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import BinaryIO, Final

from command_center.checkpoint import Checkpoint
from command_center.evidence import completeness, journal_slice, papers, report_html, report_pdf, site_plan, tables
from command_center.evidence.archive import PIECE_BYTES, BagWriter
from command_center.evidence.eido import EidoWriter
from command_center.evidence.evidence_database import EvidenceDatabase
from command_center.evidence.progress import Progress
from command_center.evidence.reading import AlertFacts, Media, Reading
from command_center.evidence.report_pdf import PdfReport
from command_center.evidence.selection import Selection, utc
from command_center.evidence.site_plan import SitePlan
from command_center.evidence.statements import StatementWriter, pretty
from command_center.evidence.tables import Moment
from command_center.evidence.timestamping import Stamper
from command_center.evidence.verifier.bag import FORMAT
from command_center.journal import Entry
from command_center.membership import newest_roster
from relay import passport as passports
from relay.identity import Identity
from relay.passport import Passport

SOFTWARE: Final = "Heard command-center"
_VERIFIER: Final = "command_center.evidence.verifier"


class DamagedObject(Exception):
    """The bytes of an object are not those that were signed."""

    def __init__(self, sha256: bytes) -> None:
        super().__init__(sha256.hex())
        self.sha256 = sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Who opens the bodies, and who signs the bag."""

    authority: Identity
    center: Identity
    center_passport: bytes

    @property
    def authority_id(self) -> str:
        """The authority's fingerprint."""
        return hashlib.sha256(self.authority.signing_key).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """The export as the journal knows it."""

    export: str
    entry: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What came of it."""

    tag_manifest_sha256: bytes
    missing: tuple[str, ...]
    timestamp: str = ""
    """What came of asking for one; empty where none was wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a bag is written, beside what stands in it."""

    progress: Progress = field(default_factory=Progress)
    stamp: Stamper | None = None
    timestamp_wanted: str = ""
    """The address of the authority, for the bag to say."""
    against: tuple[Checkpoint, ...] = ()
    """Earlier checkpoints that somebody holds: the bag proves that the journal begins with them."""


@dataclass(slots=True)
class _Gathered:
    """What the first pass over the alerts leaves for the files after it."""

    numbers: set[int] = field(default_factory=set)
    """Journal entries that belong into the slice."""
    media: dict[bytes, Media] = field(default_factory=dict)
    alert_ids: set[bytes] = field(default_factory=set)
    models: set[tuple[bytes, bytes]] = field(default_factory=set)
    """(node, digest's prefix) of what raised the alerts."""


def write(stream: BinaryIO, reading: Reading, chosen: Selection, incidents: tuple[int, ...], keys: Keys, occasion: Occasion,
          scratch_dir: Path, manner: Manner | None = None) -> Written:  # fmt: skip
    """Write one bag.

    Raises:
        ExportStopped: by whoever holds ``manner.progress``.
    """
    manner = manner or Manner()
    stamp = "".join(c for c in utc(occasion.at_ms)[:19] if c not in "-:") + "Z"
    first = reading.incident(incidents[0]).number if len(incidents) == 1 else "all" if chosen.is_all else "incidents"
    name = f"{first}_{stamp}"
    with contextlib.closing(BagWriter(stream, name, manner.progress)) as bag:
        return _fill(bag, reading, chosen, incidents, keys, occasion, scratch_dir, manner)


def _fill(bag: BagWriter, reading: Reading, chosen: Selection, incidents: tuple[int, ...], keys: Keys, occasion: Occasion,
          scratch_dir: Path, manner: Manner) -> Written:  # fmt: skip
    name = bag.name
    facts = _facts(reading, chosen, keys, occasion, name, len(incidents))
    nodes = _nodes(reading, chosen, incidents)
    bag.progress.enter("statements")
    statements = StatementWriter(bag, keys.authority_id)
    statements.keys(reading, nodes, keys.center_passport, newest_roster(reading.connection))
    gathered = _statements(reading, chosen, incidents, nodes, statements)
    bag.progress.enter("pictures and clips", sum(m.size_bytes for m in gathered.media.values() if not m.absence))
    for media in sorted(gathered.media.values(), key=lambda m: m.sha256):
        _media(bag, reading, media)
    bag.progress.enter("journal and reports")
    numbers = _entries(reading, chosen, incidents, nodes, gathered)
    models = _models(reading, gathered)
    bag.add("models.json", pretty(models))
    numbers |= {row["journal_entry"] for row in models if isinstance(row["journal_entry"], int)}
    ordered = range(1, reading.size + 1) if chosen.is_all else sorted(numbers)
    journal_slice.write(bag, reading, ordered, keys.center.signing, manner.against)
    lost = completeness.write(bag, reading, chosen, statements.said, gathered.media)
    facts["Missing"] = _missing_words(lost, sum(bool(media.absence) for media in gathered.media.values()))
    _tables(bag, reading, incidents, nodes, ordered)
    _reports(bag, reading, incidents, facts, occasion)
    _eido(bag, reading, incidents, keys)
    _database(bag, reading, incidents, ordered, scratch_dir / "incident.db")
    _papers(bag, facts, keys, occasion)
    info = {
        "Source-Organization": _own(keys).agency, "External-Identifier": name, "Bagging-Date": utc(occasion.at_ms)[:10],
        "Bag-Software-Agent": SOFTWARE, "Heard-Evidence-Format": str(FORMAT), "Heard-Authority": keys.authority_id,
        "Heard-Export": f"{occasion.export}, journal entry {occasion.entry}", "Heard-Journal-Size": str(reading.size),
    }  # fmt: skip
    if manner.timestamp_wanted:
        info["Heard-Timestamp-Wanted"] = manner.timestamp_wanted
    words: list[str] = []

    def stamped(tag_manifest: bytes) -> dict[str, bytes]:
        if manner.stamp is None:
            return {}
        bag.progress.enter("timestamp")
        made = manner.stamp(tag_manifest)
        words.append(made.words)
        return made.files

    digest = bag.finish(info, keys.center.signing_key, lambda data: keys.center.signing.sign(data).signature, stamped)
    missing = tuple(f"{m.name}: {m.absence}" for m in gathered.media.values() if m.absence)
    return Written(tag_manifest_sha256=digest, missing=missing, timestamp="".join(words))


def _own(keys: Keys) -> Passport:
    return passports.verify(keys.center_passport, keys.authority.signing_key).passport


def _facts(
    reading: Reading, chosen: Selection, keys: Keys, occasion: Occasion, name: str, count: int
) -> dict[str, str]:
    own = _own(keys)
    return {
        "Package": name, "Agency": own.agency, "Center": f"{own.name}, {own.site}", "Selection": f"{chosen.words} (incidents found: {count})",
        "Made": f"{utc(occasion.at_ms)} (center's clock), journal entry {occasion.entry}",
        "Journal": f"{reading.size} entries", "Authority's fingerprint": keys.authority_id,
    }  # fmt: skip


def _nodes(reading: Reading, chosen: Selection, incidents: tuple[int, ...]) -> list[bytes]:
    if chosen.is_all:
        rows = reading.connection.execute("SELECT id FROM node ORDER BY id").fetchall()
        return [row[0] for row in rows]
    found = {
        reading.connection.execute("SELECT node FROM incident WHERE id = ?", (one,)).fetchone()[0] for one in incidents
    }
    return sorted(found)


def _statements(reading: Reading, chosen: Selection, incidents: tuple[int, ...], nodes: list[bytes],
                statements: StatementWriter) -> _Gathered:  # fmt: skip
    gathered = _Gathered()
    alert_ids = gathered.alert_ids
    for alert in _alerts(reading, incidents):
        statements.alert(alert)
        gathered.numbers.add(alert.said.entry)
        alert_ids.add(alert.said.envelope.id)
        gathered.media.update({media.sha256: media for media in alert.media})
        if any(alert.alert.model_sha256_prefix):
            gathered.models.add((alert.said.envelope.header.origin, alert.alert.model_sha256_prefix))
    subjects = [f"incident:{incident}" for incident in incidents]
    early = () if chosen.is_all else reading.early_retractions(incidents)
    taken_back = reading.retractions([*subjects, *(f"node:{node.hex()}" for node in nodes if chosen.is_all)])
    for said in itertools.chain(taken_back, early):
        statements.retraction(said)
        gathered.numbers.add(said.entry)
    for node in nodes:
        for said, alert_id in reading.exhibits(node, None if chosen.is_all else alert_ids):
            statements.exhibit(said)
            gathered.numbers.add(said.entry)
            gathered.media.update({media.sha256: media for media in reading.media(node, alert_id)})
    statements.finish()
    return gathered


def _alerts(reading: Reading, incidents: tuple[int, ...]) -> Iterator[AlertFacts]:
    return itertools.chain.from_iterable(reading.alerts(incident) for incident in incidents)


def _media(bag: BagWriter, reading: Reading, media: Media) -> None:
    if media.masked and bag.add(media.masked, reading.masked(media.sha256)).hex() not in media.masked:
        raise DamagedObject(media.sha256)
    if media.absence:
        return
    found = bag.add(media.name, _pieces(reading.blobs.file_of(media.sha256)), media.size_bytes)
    if found != media.sha256:
        raise DamagedObject(media.sha256)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


def _missing_words(numbers: int, media: int) -> str:
    if not numbers and not media:
        return (
            "nothing: every number of the nodes' statements in this range is accounted for, and every picture is here"
        )
    return f"{numbers} numbered statements never came, {media} pictures or clips are not here as they were; completeness.json says which and why"


def _entries(
    reading: Reading, chosen: Selection, incidents: tuple[int, ...], nodes: list[bytes], gathered: _Gathered
) -> set[int]:
    """Everything in the journal that concerns these incidents."""
    if chosen.is_all:
        return set()
    subjects = (
        [f"incident:{incident}" for incident in incidents]
        + [f"object:{sha256.hex()}" for sha256 in gathered.media]
        + [f"alert:{identifier.hex()}" for identifier in gathered.alert_ids]
    )
    found = {entry.id for subject in subjects for entry in reading.about(subject)}
    found |= {
        entry.id
        for node in nodes
        for entry in reading.about(f"node:{node.hex()}")
        if entry.kind in journal_slice.OF_A_NODE
    }
    found |= {entry.id for entry in reading.about("center") if entry.kind in journal_slice.OF_THE_CENTER}
    found |= {entry.id for entry in journal_slice.about_exports(reading)}
    found |= {entry.id for node in nodes for entry in reading.watched(node, incidents)}
    return found | gathered.numbers


def _models(reading: Reading, gathered: _Gathered) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for node, prefix in sorted(gathered.models):
        known = {digest: named for digest, named in reading.models(node).items() if digest.startswith(prefix)}
        row: dict[str, object] = {"node": node.hex(), "model_sha256_prefix": prefix.hex(), "model_sha256": None,
                                  "model": None, "journal_entry": None}  # fmt: skip
        for digest, (entry, model) in sorted(known.items()):
            row |= {"model_sha256": digest.hex(), "model": model, "journal_entry": entry}
        rows.append(row)
    return rows


def _moments(reading: Reading, numbers: Iterable[int]) -> Iterator[Moment]:
    return (_moment(reading, reading.entry(number)) for number in numbers)


def _moment(reading: Reading, entry: Entry) -> Moment:
    """An entry in words, with the node's name and, of an alert, what was seen."""
    made = tables.moment(entry)
    name = reading.name_of(entry.actor)
    if not name:
        return made
    seen = f" {reading.seen(entry)};" if entry.kind == "alert" else ""
    return Moment(entry=entry, detail=f"{name}:{seen} {made.detail}")


def _tables(
    bag: BagWriter, reading: Reading, incidents: tuple[int, ...], nodes: list[bytes], numbers: Iterable[int]
) -> None:
    bag.add("timeline.csv", tables.csv_rows(tables.TIMELINE_HEAD, (m.row for m in _moments(reading, numbers))))
    custody = (m.row for m in _moments(reading, numbers) if m.entry.kind in tables.CUSTODY)
    bag.add("custody/custody.csv", tables.csv_rows(tables.TIMELINE_HEAD, custody))
    bag.add(
        "custody/clocks.csv", tables.csv_rows(tables.CLOCKS_HEAD, map(tables.clock_row, _alerts(reading, incidents)))
    )
    history = (tables.key_row(entry) for node in nodes for entry in reading.about(f"node:{node.hex()}")
               if entry.kind in journal_slice.OF_A_NODE)  # fmt: skip
    bag.add(
        "keys/history.jsonl", (json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n" for row in history)
    )
    shown = (reading.incident(incident) for incident in incidents)
    bag.add("incidents.json", pretty([{"number": one.number, **one.columns} for one in shown]))


def _reports(
    bag: BagWriter, reading: Reading, incidents: tuple[int, ...], facts: dict[str, str], occasion: Occasion
) -> None:
    def about(incident: int) -> Iterator[Moment]:
        return (_moment(reading, entry) for entry in reading.about(f"incident:{incident}"))

    def pages() -> Iterator[bytes]:
        yield from report_html.begin(facts)
        for incident in incidents:
            plan = _plan(reading, incident)
            yield from report_html.incident(reading.incident(incident), reading.alerts(incident), about(incident), plan)
        yield from report_html.end()

    bag.add("report.html", pages())
    paper = PdfReport(facts, reading, occasion.at_ms)
    for incident in incidents:
        paper.begin_incident(reading.incident(incident), _plan(reading, incident))
        for alert in reading.alerts(incident):
            paper.alert(alert)
        paper.end_incident(about(incident))
    bag.add("report.pdf", paper.finish())


def _plan(reading: Reading, incident: int) -> SitePlan | None:
    node, camera = reading.connection.execute("SELECT node, camera FROM incident WHERE id = ?", (incident,)).fetchone()
    passport = reading.passport(node)
    return site_plan.plan_of(reading.connection, node=passport.name, site=passport.site, camera=camera)


def _eido(bag: BagWriter, reading: Reading, incidents: tuple[int, ...], keys: Keys) -> None:
    own = _own(keys)
    writer = EidoWriter(authority_id=keys.authority_id, agency=own.agency, center=own.name)
    for incident in incidents:
        shown, plan = reading.incident(incident), _plan(reading, incident)
        moments = (_moment(reading, entry) for entry in reading.about(f"incident:{incident}"))
        place = None if plan is None else (plan.lat, plan.lon)
        bag.add(f"eido/{shown.number}.json", writer.write(shown, reading.alerts(incident), moments, place))


def _database(bag: BagWriter, reading: Reading, incidents: tuple[int, ...], numbers: Iterable[int], file: Path) -> None:
    made = EvidenceDatabase(file)
    for incident in incidents:
        made.add_incident(reading.incident(incident))
    made.add_alerts(_alerts(reading, incidents))
    made.add_timeline(_moments(reading, numbers))
    made.finish()
    bag.add("incident.db", _pieces(file))


def _papers(bag: BagWriter, facts: dict[str, str], keys: Keys, occasion: Occasion) -> None:
    own = _own(keys)
    shown = "\n".join(f"{label}: {value}" for label, value in facts.items())
    bag.add("README.txt", papers.README.format(facts=shown).encode())
    bag.add("VERIFY.md", papers.VERIFY.format(authority=keys.authority_id).encode())
    form = papers.CERTIFICATION.format(name=facts["Package"], made=facts["Made"], software=SOFTWARE, agency=own.agency,
                                       authority=keys.authority_id, selection=facts["Selection"])  # fmt: skip
    bag.add("CERTIFICATION-902.pdf", report_pdf.form(form, occasion.at_ms, facts["Package"]))
    bag.add("verify.py", papers.VERIFY_PY.encode())
    sources = sorted(
        (file for file in resources.files(_VERIFIER).iterdir() if file.name.endswith(".py")), key=lambda f: f.name
    )
    for file in sources:
        bag.add(f"verifier/{file.name}", file.read_bytes())
