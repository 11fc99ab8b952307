"""What the API and the administration stand on: the center's parts, opened by ``center``, handed around whole."""

from collections.abc import Callable
from dataclasses import dataclass

from command_center.accounts import Door
from command_center.accounts.oidc import Provider
from command_center.audit.index import AuditIndex
from command_center.blobs import BlobStore
from command_center.callbacks.postman import Postman
from command_center.config import CenterConfig
from command_center.custody.clip_orders import ClipOrders
from command_center.dispatch import Dispatch
from command_center.enrollments import Issuer
from command_center.event_feed import EventFeed
from command_center.evidence.export_office import ExportOffice
from command_center.link_denials import LinkDenials
from command_center.live.sessions import LiveSessions
from command_center.liveness import Liveness
from command_center.membership import Membership
from command_center.metrics import Metrics
from command_center.readers import Readers
from command_center.responses.handovers import Handovers
from command_center.responses.mutual_aid import MutualAid
from command_center.responses.planner import Planner
from command_center.shelving import Shelves
from command_center.standby.keeping import Standby
from command_center.suppressing import Suppressing
from command_center.units.board import Board
from command_center.viewings import Viewings
from command_center.witness.correspondence import Correspondence
from command_center.witness.outstations import Outstations
from relay.clock import Clock
from relay.database import Database
from relay.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that outlives a request."""

    database: Database
    readers: Readers
    clock: Clock
    config: CenterConfig
    identity: Identity
    """The center's own keys: they sign checkpoints and receipts."""
    journal_origin: str
    issuer: Issuer
    membership: Membership
    """Who belongs to the fleet."""
    door: Door
    provider: Provider | None
    """Where people may sign in, too."""
    dispatch: Dispatch
    suppressing: Suppressing
    board: Board
    planner: Planner
    handovers: Handovers
    mutual_aid: MutualAid
    link_denials: LinkDenials
    shelves: Shelves
    postman: Postman
    feed: EventFeed
    blobs: BlobStore
    metrics: Metrics
    liveness: Liveness
    viewings: Viewings
    audit_index: AuditIndex
    live: LiveSessions
    exports: ExportOffice
    clip_orders: ClipOrders
    correspondence: Correspondence
    """Answers other agencies' checkpoints."""
    outstations: Outstations
    """Ours in their fleets."""
    ring: Callable[[], None]
    """Wakes the work that follows a commit."""
    standby: Standby
    station_gauges: Callable[[], dict[str, float]]
    """Figures of the station that hold now."""
