"""What the evidence and audit addresses take and give. Times are ms since 1970 by the center's clock."""

from typing import Literal

from pydantic import Field

from command_center.api.shapes import Shape


class ExportOrder(Shape):
    """What to export: incidents, or everything, or a range; one of these."""

    incidents: list[str] = Field(default=[], max_length=1000)
    """As ``INC-2026-000007`` or ``7``."""
    everything: bool = False
    """All incidents and the whole journal."""
    since: str = ""
    """ISO 8601: incidents with an alert since then."""
    until: str = ""
    """ISO 8601: incidents that began before then."""
    camera: str = ""
    unredacted: bool = False
    """Originals of what is redacted: for a court. Not for auditors."""
    fetch: bool = False
    """First have the nodes send the clips that are not here."""
    fetch_within_s: float = Field(default=60.0, gt=0, le=3600)
    """Within which a node must answer."""
    partial: bool = False
    """With ``fetch``: go on without the clips of nodes that can't be reached; the bag says what is missing."""


class ExportJob(Shape):
    """An export on its way, or what came of it."""

    id: str
    by: str
    selection: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    phase: str
    """For people: what it does now."""
    done_bytes: int
    total_bytes: int
    """Of this phase; 0 where it is not known."""
    created_at_ms: int
    finished_at_ms: int | None
    size_bytes: int
    tag_manifest_sha256: str | None
    """The whole bag hangs on it; the journal has it, too."""
    authority: str | None
    """The fingerprint that a verifier compares."""
    missing: list[str]
    """What the bag can't have, and why."""
    timestamp: str
    """When an authority says that it existed, or why there is no such word; empty where none is configured."""
    problem: str
    """Why there is no file, where there is none."""
    file_url: str | None
    """GET it, in ranges if need be (RFC 9110 §14; ``ETag`` and ``If-Range`` hold). Null until it is done."""


class ExportJobs(Shape):
    """All exports that are kept, the newest first."""

    exports: list[ExportJob]


class Verification(Shape):
    """What a check of a bag found."""

    name: str
    passed: bool
    claims: list[str]
    """One line for each thing that was proven, in order."""
    problem: str
    """The first thing that is wrong, with file and bytes; empty where all holds."""


class AuditEntry(Shape):
    """One entry of the journal in words."""

    id: int
    at_ms: int
    kind: str
    said: str
    """The kind as people say it."""
    actor: str
    by: str
    """The actor by name: a person with the role that they had then, a node by its name."""
    subject: str
    about: str
    """The subject by name or number."""
    detail: str


class AuditKind(Shape):
    """What an entry may be of."""

    kind: str
    said: str
    is_look: bool
    """Whether it says that somebody saw something, or took a copy."""


class AuditKinds(Shape):
    """All of them, by their words."""

    kinds: list[AuditKind]


class IndexLag(Shape):
    """How far the searches' index is behind. Nothing is left out for it: newer entries are looked through one by one."""

    entries: int
    until_ms: int | None
    """When the newest entry was written that is in the index; null: none is."""


class AuditEntries(Shape):
    """A page, the newest first."""

    entries: list[AuditEntry]
    next_before: int | None
    """Ask again with ``before=`` this for older ones; null at the journal's beginning."""
    not_indexed: IndexLag


class Look(Shape):
    """Somebody looked at, watched, exported or fetched something."""

    id: int
    at_ms: int
    who: str
    by: str
    """The same by name."""
    what: str
    """The entry's kind: viewed, export-started, …"""
    said: str
    """The same as people say it."""
    subject: str
    about: str
    """The same by name or number."""
    detail: str


class Looks(Shape):
    """A page, the newest first."""

    looks: list[Look]
    next_before: int | None
    not_indexed: IndexLag


class HoldOrder(Shape):
    """Put an incident on legal hold."""

    incident: int
    reason: str = Field(max_length=500)


class Hold(Shape):
    """An incident whose evidence may not go."""

    incident: int
    number: str
    by: str
    reason: str
    at_ms: int
    told: int
    """Alerts whose node said that it keeps the clip, or has none."""
    gone: int
    """Alerts whose clip was gone before, or whose node can't be told."""
    waiting: int
    """Alerts whose node has not answered yet."""


class Holds(Shape):
    """Everything on hold, the newest first."""

    holds: list[Hold]


class RedactionOrder(Shape):
    """What a picture must not show when it is given away."""

    mode: Literal["black", "blur", "withhold"]
    regions_px: list[tuple[int, int, int, int]] = Field(default=[], max_length=64)
    """left, top, width, height."""
    reason: str = Field(max_length=500)


class RedactionSubject(Shape):
    """A picture or a clip that is given away, or not."""

    sha256: str
    media_type: str
    """``image/…`` can be masked; anything else can only be withheld."""
    width_px: int
    height_px: int
    is_here: bool
    """Whether it can be looked at: it has come, and has not been erased."""


class RedactionRow(Shape):
    """How one picture is given away."""

    sha256: str
    mode: str
    regions_px: list[tuple[int, int, int, int]]
    by: str
    reason: str
    at_ms: int
    entry: int
    incidents: list[str]
    """Numbers of those whose picture it is."""


class Redactions(Shape):
    """All of them, the newest first."""

    redactions: list[RedactionRow]


class WitnessWord(Shape):
    """What one place outside made of our last checkpoint."""

    target: str
    size: int
    at_ms: int
    cosignature: str
    problem: str


class WitnessedLog(Shape):
    """Another center's newest checkpoint that this one has signed."""

    origin: str
    size: int
    note: str
    at_ms: int


class WitnessList(Shape):
    """Who keeps ours, and whose we keep."""

    every_s: int
    """How often ours are given out."""
    ours: list[WitnessWord]
    theirs: list[WitnessedLog]
