"""Viewings under way: authorized, journalled, asked of the node, answered, watched over, ended.

A viewing is journalled in the transaction that puts its order into the spool: no order without the entry, and so no picture
before it. It ends when the viewer says so, the node says so, its session, role or node is revoked, nobody takes its stills
any more, or it has lasted long enough. Its id is 128 random bits, known to the viewer and the node only.
"""

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from command_center import fleet
from command_center.accounts import SignedIn
from command_center.accounts.live import LiveStreams
from command_center.config import LiveConfig
from command_center.errors import NotFound, WatchingRefused
from command_center.fleet import Node, Standing
from command_center.live import records
from command_center.live.facts import LiveEnded, LiveOpened
from command_center.live.ice import IceServers
from command_center.metrics import Metrics
from command_center.readers import Readers
from relay.clock import Clock
from relay.database import Database
from relay.errors import Malformed, OperatorError
from relay.ids import NodeId
from relay.kinds import offer as offers
from relay.kinds.answer import Still, StreamEnded, StreamOpened, StreamRefused, StreamRung, Word
from relay.kinds.instruction import SESSION_BYTES, CloseStream, OpenStream, Order
from relay.passport import Role
from relay.spool import Spool, Spooled

_log = structlog.get_logger("command_center.live")

STILLS_LEFT_AFTER_S: Final = 20.0
"""A viewing by stills that nobody asks for any more."""
OVERTIME_S: Final = 30.0
"""The node ends a viewing that has lasted long enough; after this the center does."""
_WATCH_EVERY_S: Final = 0.5
_CUT_CONFIRMED_WITHIN_S: Final = 1.5
_ENDED_REMEMBERED: Final = 500
_STRAY_CLOSED_EVERY_MS: Final = 1000
RELAY_STILLS: Final = "relay-stills"


@dataclass(eq=False, slots=True, kw_only=True)
class Viewing:
    """One person watching one camera."""

    id: bytes
    node: Node
    camera: str
    person: SignedIn
    reason: str
    incident: int
    opened_ms: int
    """Monotonic."""
    is_by_stills: bool
    rung: str = ""
    why: str = ""
    still: Still | None = None
    still_came_ms: int = 0
    asked_ms: int = 0
    """When the viewer last asked for a still or for how it is."""
    ended_why: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    answer: "asyncio.Future[StreamOpened | StreamRefused]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())  # fmt: skip
    has_node_ended: bool = False
    node_uptime_s: int = 0
    """As the node last said; when it goes back, the node was restarted, and shows nothing any more."""
    hold: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def name(self) -> str:
        """Its id in addresses."""
        return self.id.hex()


class LiveSessions:
    """``run`` watches over them; everything on the event loop."""

    def __init__(self, *, database: Database, readers: Readers, spool: Spool, clock: Clock, metrics: Metrics,
                 config: LiveConfig, ice: IceServers, held_by: LiveStreams,
                 announce: Callable[[Sequence[Spooled]], None]) -> None:  # fmt: skip
        self._database = database
        self._readers = readers
        self._spool = spool
        self._clock = clock
        self._metrics = metrics
        self._config = config
        self.ice = ice
        self._held_by = held_by
        self._announce = announce
        self._viewings: dict[bytes, Viewing] = {}
        self._ended: dict[bytes, Viewing] = {}
        self._to_end: list[tuple[Viewing, str, StreamEnded | None]] = []
        self._strays: list[tuple[NodeId, bytes]] = []
        self._stray_closed_ms: dict[NodeId, int] = {}
        self._wake = asyncio.Event()

    @property
    def count(self) -> int:
        """Viewings under way."""
        return len(self._viewings)

    def all(self) -> list[Viewing]:
        """Viewings under way, the oldest first."""
        return list(self._viewings.values())

    def find(self, name: str, person: SignedIn) -> Viewing:
        """A viewing of this person's, ended ones included.

        Raises:
            NotFound: none.
        """
        try:
            identifier = bytes.fromhex(name)
        except ValueError:
            identifier = b""
        found = self._viewings.get(identifier) or self._ended.get(identifier)
        if found is None or found.person.username != person.username:
            raise NotFound("there is no such viewing of yours: it may be over for long")
        return found

    # ------------------------------------------------------------------ opening

    async def open(self, person: SignedIn, node_name: str, camera: str, *, offer: str, reason: str, incident: int,
                   address: str) -> tuple[Viewing, str]:  # fmt: skip
        """Let somebody watch: journal it, ask the node, wait for its answer; returns the SDP answer, empty for stills.

        Raises:
            NotFound: no such node or camera.
            WatchingRefused: the offer is none, too many watch, the node is not trusted, says no, or says nothing in time.
            OperatorError: it can't be journalled; then nothing was asked.
        """
        try:
            if offer:
                offers.check(offer)
        except Malformed as error:
            raise WatchingRefused(str(error), status=400) from error
        node = await self._readers.run(lambda connection: fleet.find(connection, self._clock, node_name))
        self._require_watchable(node, camera)
        self._require_room(person)
        viewing = Viewing(id=secrets.token_bytes(SESSION_BYTES), node=node, camera=camera, person=person, reason=reason,
                          incident=incident, opened_ms=self._clock.monotonic_ms(), asked_ms=self._clock.monotonic_ms(),
                          is_by_stills=not offer)  # fmt: skip
        self._viewings[viewing.id] = viewing
        viewing.hold.enter_context(self._held_by.held(person, lambda: self._end_soon(viewing, "the session was ended")))
        try:
            await self._order(viewing, offer, address)
            async with asyncio.timeout(self._config.answer_within_s):
                said = await asyncio.shield(viewing.answer)
        except TimeoutError:
            await self.end(viewing, f"the node gave no answer within {self._config.answer_within_s:g} s")
            heard = node.last_heard_age_ms
            ago = "it was never heard" if heard is None else f"it was last heard {heard / 1000:.0f} s ago"
            raise WatchingRefused(
                f"{node.passport.name} does not answer: {ago}", status=504, retry_after_s=10
            ) from None
        except BaseException:  # the viewer left, too: whatever it was goes on, and nothing is held for nobody
            self._forget(viewing, "it was not opened")
            raise
        if isinstance(said, StreamRefused):
            await self._note_end(viewing, f"refused: {said.reason}")
            raise WatchingRefused(f"{node.passport.name}: {said.reason}", status=503 if said.is_busy else 502,
                                  retry_after_s=10 if said.is_busy else 0)  # fmt: skip
        if viewing.ended_why:
            raise WatchingRefused(f"it was ended meanwhile: {viewing.ended_why}", status=403)
        self._metrics.count("live_opened")
        return viewing, said.answer

    def _require_watchable(self, node: Node, camera: str) -> None:
        name = node.passport.name
        if node.passport.role is not Role.CAMERA:
            raise NotFound(f"{name} is no camera node")
        if node.standing is not Standing.APPROVED:
            raise WatchingRefused(f"{name} is {node.standing.value}: nobody vouches for what it shows", status=403)
        known = [health.camera for health in node.heartbeat.cameras] if node.heartbeat is not None else []
        if known and camera not in known:
            raise NotFound(f"{name} has no camera {camera!r}; it has {', '.join(known)}")

    def _require_room(self, person: SignedIn) -> None:
        mine = sum(viewing.person.username == person.username for viewing in self._viewings.values())
        if len(self._viewings) >= self._config.most_viewers:
            self._metrics.count("live_refused_busy")
            raise WatchingRefused(f"{len(self._viewings)} viewings are open, as many as may be: [live] most_viewers",
                                  status=503, retry_after_s=10)  # fmt: skip
        if mine >= self._config.most_of_person:
            self._metrics.count("live_refused_busy")
            raise WatchingRefused(f"you watch {mine} {'camera' if mine == 1 else 'cameras'} already, as many as one person may: close one", status=503,
                                  retry_after_s=10)  # fmt: skip

    async def _order(self, viewing: Viewing, offer: str, address: str) -> None:
        now = self._clock.wall_ms()
        order = OpenStream(
            session=viewing.id, camera=viewing.camera, offer=offer, longest_s=self._config.longest_s,
            ice_servers=self.ice.for_viewing("node", now) if offer else (), is_relay_only=self.ice.is_relay_only and bool(offer),
        )  # fmt: skip
        fact = LiveOpened(session=viewing.id, node=viewing.node.id, camera=viewing.camera, by=viewing.person.username,
                          role=viewing.person.role.value, reason=viewing.reason, incident=viewing.incident,
                          way="webrtc" if offer else "stills", address=address)  # fmt: skip

        def work(connection: sqlite3.Connection) -> Spooled:
            records.note(connection, fact, actor=f"user:{viewing.person.username}", node_id=viewing.node.id,
                         incident=viewing.incident, now=now)  # fmt: skip
            return records.order(connection, self._spool, viewing.node, order)

        self._announce([await self._database.run(work)])

    # ------------------------------------------------------------------ ending

    async def end(self, viewing: Viewing, why: str) -> None:
        """Stop a viewing: the node is told, and the journal. Does nothing where it is over."""
        if viewing.id not in self._viewings:
            return
        self._forget(viewing, why)
        await self._database_end(viewing, LiveEnded(session=viewing.id, reason=why, shown_ms=0, sent_bytes=0),
                                 CloseStream(session=viewing.id, reason=why[:200]))  # fmt: skip

    async def cut_revoked(self) -> None:
        """End what revoked nodes show and wait a moment for their word: once the roster is out, none reaches them any more."""
        nodes = await self._nodes()
        cut = [
            viewing
            for viewing in self.all()
            if (node := nodes.get(viewing.node.id)) and node.standing is Standing.REVOKED
        ]
        for viewing in cut:
            await self.end(viewing, "the node was revoked")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CUT_CONFIRMED_WITHIN_S):
                while not all(viewing.has_node_ended for viewing in cut):  # noqa: ASYNC110  several events, rarely, briefly
                    await asyncio.sleep(0.02)

    async def _note_end(self, viewing: Viewing, why: str, word: StreamEnded | None = None) -> None:
        """The node ended it."""
        if viewing.id not in self._viewings:
            return
        self._forget(viewing, why)
        fact = LiveEnded(session=viewing.id, reason=why, shown_ms=word.shown_ms if word else 0,
                         sent_bytes=word.sent_bytes if word else 0)  # fmt: skip
        await self._database_end(viewing, fact, None)

    async def _database_end(self, viewing: Viewing, fact: LiveEnded, order: Order | None) -> None:
        def work(connection: sqlite3.Connection) -> list[Spooled]:
            records.note(connection, fact, actor="center", node_id=viewing.node.id, incident=viewing.incident,
                         now=self._clock.wall_ms())  # fmt: skip
            return [records.order(connection, self._spool, viewing.node, order)] if order is not None else []

        try:
            self._announce(await self._database.run(work))
        except OperatorError as error:
            # The node ends it by itself when it has lasted long enough.
            self._metrics.count("live_ends_not_journalled")
            _log.error("end of a viewing not journalled", session=viewing.name, error=str(error))

    def _forget(self, viewing: Viewing, why: str) -> None:
        self._viewings.pop(viewing.id, None)
        viewing.hold.close()
        viewing.ended_why = viewing.ended_why or why
        viewing.changed.set()
        self._ended[viewing.id] = viewing
        while len(self._ended) > _ENDED_REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self._metrics.count("live_ended")
        _log.info("viewing ended", node=viewing.node.passport.name, camera=viewing.camera,
                  by=viewing.person.username, why=why)  # fmt: skip

    def _end_soon(self, viewing: Viewing, why: str) -> None:
        self._to_end.append((viewing, why, None))
        self._wake.set()

    # ------------------------------------------------------------------ what nodes say

    def heard(self, node_id: NodeId, word: Word) -> None:
        """A node's word about a viewing; after its commit, on the event loop."""
        session = getattr(word, "session", None)
        if not isinstance(session, bytes):
            return
        viewing = self._viewings.get(session)
        if viewing is None or viewing.node.id != node_id:
            self._stray(node_id, session, word)
            return
        match word:
            case StreamOpened() | StreamRefused():
                if not viewing.answer.done():
                    viewing.answer.set_result(word)
                viewing.rung = RELAY_STILLS if viewing.is_by_stills else ""
            case StreamRung():
                viewing.rung, viewing.why = word.rung, word.reason
                viewing.asked_ms = self._clock.monotonic_ms()
            case Still():
                if viewing.still is None or word.number > viewing.still.number:
                    viewing.still, viewing.still_came_ms = word, self._clock.monotonic_ms()
            case StreamEnded():
                viewing.has_node_ended = True
                self._to_end.append((viewing, f"node: {word.reason}", word))
                self._wake.set()
        changed, viewing.changed = viewing.changed, asyncio.Event()
        changed.set()

    def _stray(self, node_id: NodeId, session: bytes, word: Word) -> None:
        ended = self._ended.get(session)
        if isinstance(word, StreamEnded):
            if ended is not None and ended.node.id == node_id:
                ended.has_node_ended = True
            return
        self._metrics.count("live_words_stray")
        if isinstance(word, StreamOpened | Still | StreamRung) and len(self._strays) < _ENDED_REMEMBERED:
            self._strays.append((node_id, session))  # it shows something to nobody that we know of
            self._wake.set()

    # ------------------------------------------------------------------ watching over

    async def run(self) -> None:
        """Until cancelled; first, what an earlier run left open is ended."""
        longest_s = self._config.longest_s + OVERTIME_S
        with contextlib.suppress(OperatorError):  # a full disk: the nodes end it after its longest time
            self._announce(await self._database.run(
                lambda connection: records.close_left_open(connection, self._spool, self._clock, longest_s)
            ))  # fmt: skip
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            ends, self._to_end = self._to_end, []
            for viewing, why, word in ends:
                if word is not None:
                    await self._note_end(viewing, why, word)
                else:
                    await self.end(viewing, why)
            await self._close_strays()
            if self._viewings:
                await self._look()

    async def _look(self) -> None:
        now_ms = self._clock.monotonic_ms()
        nodes = await self._nodes()
        for viewing in self.all():
            node = nodes.get(viewing.node.id)
            uptime_s = node.heartbeat.uptime_s if node is not None and node.heartbeat is not None else 0
            was_up_s, viewing.node_uptime_s = viewing.node_uptime_s, uptime_s
            if uptime_s < was_up_s:
                await self._note_end(viewing, "the node was restarted")
            elif node is None or node.standing is not Standing.APPROVED:
                await self.end(viewing, "the node is not approved any more")
            elif now_ms - viewing.opened_ms > (self._config.longest_s + OVERTIME_S) * 1000:
                await self.end(viewing, f"{self._config.longest_s} s are the longest that may be watched at once")
            elif viewing.rung == RELAY_STILLS and now_ms - viewing.asked_ms > STILLS_LEFT_AFTER_S * 1000:
                await self.end(viewing, "nobody asks for its stills")

    async def _nodes(self) -> dict[NodeId, Node]:
        """The nodes that show something, as they are now."""
        wanted = {viewing.node.id for viewing in self._viewings.values()}
        if not wanted:
            return {}
        return await self._readers.run(lambda connection: {
            node.id: node for node_id in wanted for node in fleet.nodes(connection, self._clock, node_id)
        })  # fmt: skip

    async def _close_strays(self) -> None:
        strays, self._strays = self._strays, []
        now_ms = self._clock.monotonic_ms()
        for node_id, session in strays:
            if now_ms - self._stray_closed_ms.get(node_id, -_STRAY_CLOSED_EVERY_MS) < _STRAY_CLOSED_EVERY_MS:
                continue  # its next word comes soon enough
            self._stray_closed_ms[node_id] = now_ms

            def work(
                connection: sqlite3.Connection, node_id: NodeId = node_id, session: bytes = session
            ) -> list[Spooled]:
                node = next(fleet.nodes(connection, self._clock, node_id), None)
                if node is None or node.standing is Standing.REVOKED:
                    return []
                close = CloseStream(session=session, reason="the center knows of no such viewing")
                return [records.order(connection, self._spool, node, close)]

            with contextlib.suppress(OperatorError):  # a full disk: its next word tries again
                self._announce(await self._database.run(work))
