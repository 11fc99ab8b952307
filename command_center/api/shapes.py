"""What browsers see: the shapes of the API. Times are ms since 1970 UTC. ``queries`` makes them from rows."""

from typing import Annotated, Literal

from pydantic import Field

from command_center.api.journey_shapes import Journey
from command_center.api.shape import NodeName as NodeName  # noqa: PLC0414  others import it from here
from command_center.api.shape import Shape as Shape  # noqa: PLC0414  the same


class Problem(Shape):
    """Why not."""

    detail: str


class Hops(Shape):
    """How long each hop took, ms; null where it can't be known, or is not over."""

    sighting_to_spooled_ms: float | None
    spooled_to_stored_ms: float | None
    stored_to_receipt_ms: float | None
    acknowledged_to_node_ms: float | None


class Responding(Shape):
    """A unit that is assigned to an incident, and how far it is."""

    unit: str
    status: str


class Incident(Shape):
    """One row of the queue. ``hops`` are those of its first alert."""

    id: int
    number: str
    version: int
    state: str
    label: str
    camera: str
    node: NodeName
    zone: str
    precedence: str
    confidence: float
    rule: str
    alert_count: int
    first_alert_at_ms: int
    last_alert_at_ms: int
    sighted_at_ms: int
    clock_quality: str
    snapshot_url: str | None
    box_xyxy: tuple[float, float, float, float]
    acknowledged_by: str | None
    acknowledged_at_ms: int | None
    closed_by: str | None
    closed_at_ms: int | None
    disposition: str | None
    note: str
    quarantined: bool
    level: int
    """Notified again so far: 0 not, 1 again, 2 second position, 3 supervisor."""
    quiet: str
    """Why it is listed and not annunciated: shelved, or flood; empty if it is."""
    returned: bool
    """Its node took every alert of it back."""
    merged_into: int | None
    parts: list[int]
    """Incidents that people merged into this one."""
    responding: list[Responding]
    """Units that are assigned to it now."""
    hops: Hops


class Alert(Shape):
    """One alert, with the raw clock readings that the hops are made of."""

    id: str
    entry: int
    label: str
    confidence: float
    precedence: str
    rule: str
    track: int
    zone: str
    box_xyxy: tuple[float, float, float, float]
    model_sha256_prefix: str
    sequence: int
    series: int
    boot: int
    age_ms: int
    clock_quality: str
    header_wall_ms: int
    header_monotonic_ms: int
    received_wall_ms: int
    received_monotonic_ms: int
    committed_monotonic_ms: int | None
    via: str
    path: str
    snapshot_url: str | None
    retracted_at_ms: int | None
    retraction: str
    hops: Hops
    journey: Journey | None = None
    """Hop by hop, as the stations on its way tell; in an incident's detail, once their traces are here."""


class Clip(Shape):
    """A clip that shows one or more of an incident's alerts, as its node's exhibit says."""

    sha256: str
    media_type: str
    size_bytes: int
    width_px: int
    height_px: int
    begins_at_ms: int
    """By the node's wall clock, at the clip's first picture."""
    alerts: list[str]
    url: str | None
    """Null: its bytes are not all here yet, or were refused."""


class Moment(Shape):
    """One line of an incident's timeline."""

    at_ms: int
    what: str
    """The entry's kind."""
    said: str
    """The same as people say it."""
    who: str
    detail: str


class IncidentDetail(Incident):
    """An incident with everything that belongs to it."""

    units: list["UnitWord"]
    alerts: list[Alert]
    clips: list[Clip]
    timeline: list[Moment]


class IncidentList(Shape):
    """A page of the queue; events after the first page's ``watermark`` continue from it."""

    watermark: int
    incidents: list[Incident]
    next: str | None
    """What to ask ``after`` for the next page; null: this was the last."""
    total: int
    """How many there are in all pages."""
    newest: int
    """The highest incident id at this moment: one above it came since."""


class Camera(Shape):
    """A camera, as its node last said."""

    camera: str
    state: str
    frames_per_s: float
    detail: str


class NodePath(Shape):
    """A path, as its node last said."""

    path: str
    is_up: bool
    rtt_ms: float
    """Smoothed; 0 where it is not known."""
    heard_age_ms: int
    """How old the last word over it was when the node said so."""
    bytes_sent: int


class Node(Shape):
    """One node of the fleet strip."""

    id: str
    name: str
    role: str
    site: str
    agency: str
    """Whose it is, as its passport says."""
    passport_until_ms: int
    """From then on it must be enrolled anew."""
    state: str
    reason: str
    last_heard_at_ms: int | None
    last_heard_age_ms: int | None
    interval_s: int
    gaps: list[tuple[int, int]]
    missing: int
    forgone: int
    backlog: list[int]
    oldest_waiting_s: int
    cameras: list[Camera]
    paths: list[NodePath]
    room: str
    """What its spool still takes: free, alerts_only, disk_full (alerts only), none."""
    refusals: dict[str, int]
    """What it refused since it started, by name."""
    model: str
    release: str


class NodeList(Shape):
    """The fleet."""

    nodes: list[Node]


class Acknowledge(Shape):
    """Compare-and-set: the version that the person saw."""

    version: int


class Close(Shape):
    """Compare-and-set, and what it was."""

    version: int
    disposition: Literal[
        "false_alarm", "handled", "gone_on_arrival", "building_secure", "duplicate", "cancelled", "test"
    ]
    note: str = ""
    release_units: bool = False
    """Units that are still at work there are clear; without it they stand in the way."""


class Merge(Shape):
    """Compare-and-set, and the incident that it is part of."""

    version: int
    into: int


class Unmerge(Shape):
    """Compare-and-set."""

    version: int


class ShelveSource(Shape):
    """Keep a source silent."""

    node: str
    camera: str
    label: str = ""
    """Empty: everything that the camera sees."""
    reason: str
    minutes: Annotated[float, Field(allow_inf_nan=False)]
    covers_flash: bool = False
    """Takes a second person."""


class ShelfRow(Shape):
    """A source that is silent now."""

    id: int
    node: NodeName
    camera: str
    label: str
    reason: str
    by: str
    at_ms: int
    until_ms: int
    covers_flash: bool
    agreed_by: str | None


class ShelfList(Shape):
    """Everything on the shelf."""

    shelves: list[ShelfRow]


class QualityRow(Shape):
    """What people made of the alarms of one camera, label and model."""

    node: NodeName
    camera: str
    label: str
    model_sha256_prefix: str
    incidents: int
    real: int
    not_real: int
    precision: float | None
    """Real of those that say so; null where none does."""
    dispositions: dict[str, int]


class QualityList(Shape):
    """Every source with closed incidents, the least precise first."""

    sources: list[QualityRow]


class CallbackKey(Shape):
    """``whpk_`` and the Ed25519 public key in base64, as Standard Webhooks writes it."""

    public_key: str


class CallbackReceiver(Shape):
    """Somebody who is told."""

    name: str
    url: str
    only_flash: bool
    may_be_inside: bool
    has_secret: bool
    disabled_why: str
    kind: str
    """webhook, tak, smtp or cap."""
    only_called: bool
    """Told only when a response plan or an assignment calls it."""


class CallbackDelivery(Shape):
    """One thing told to one receiver."""

    id: str
    receiver: str
    event: str
    incident: int
    created_at_ms: int
    attempts: int
    next_at_ms: int
    state: str
    last_answer: str


class CallbackDeliveries(Shape):
    """The outbox."""

    deliveries: list[CallbackDelivery]


class UnitWord(Shape):
    """The last word of a field unit about an incident."""

    unit: str
    state: str
    at_ms: int


class Conflict(Shape):
    """Somebody else was first; this is how it is now."""

    detail: str
    incident: Incident


class JournalEntry(Shape):
    """One entry, as its leaf was made: the payload stands by its hash."""

    id: int
    at_ms: int
    kind: str
    actor: str
    subject: str
    payload_sha256: str
    leaf: str


class JournalEntries(Shape):
    """A slice of the journal."""

    size: int
    entries: list[JournalEntry]


class InclusionProof(Shape):
    """The audit path of an entry in the tree of ``size`` leaves (RFC 9162, 2.1.3)."""

    entry: int
    size: int
    leaf: str
    root: str
    hashes: list[str]


class ConsistencyProof(Shape):
    """That the tree of ``size`` leaves begins with the tree of ``old_size`` (RFC 9162, 2.1.4)."""

    old_size: int
    size: int
    hashes: list[str]
