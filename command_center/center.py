"""The command center under one roof: the composition root. ``open_center`` reads top to bottom as the start order."""

import asyncio
import contextlib
import ipaddress
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from nacl.signing import SigningKey

from command_center import (
    admin_door,
    assembling,
    enrollments,
    event_feed,
    exhibits,
    fleet,
    journal,
    membership,
    starting,
    web_server,
)
from command_center.accounts import Door, Passwords
from command_center.accounts.oidc import Provider
from command_center.administration import Administration
from command_center.annunciated_lately import AnnunciatedLately
from command_center.api import queries
from command_center.api.app import create_app
from command_center.audit.index import AuditIndex
from command_center.bell import Bell
from command_center.blobs import BlobStore
from command_center.callbacks import answers
from command_center.callbacks import writer as callback_writer
from command_center.callbacks.postman import Postman
from command_center.callbacks.writer import Origin
from command_center.certificates import Tls
from command_center.config import CenterConfig, listen_configs
from command_center.custody import clip_orders
from command_center.custody.clip_orders import ClipOrders
from command_center.custody.retaining import Retaining
from command_center.dispatch import Dispatch
from command_center.event_feed import EventFeed
from command_center.evidence.export_office import ExportOffice
from command_center.ingest import Ingest
from command_center.link_denials import LinkDenials
from command_center.live.ice import IceServers
from command_center.live.sessions import LiveSessions
from command_center.liveness import Liveness
from command_center.membership import Membership
from command_center.metrics import Metrics
from command_center.readers import Readers
from command_center.responses import plan_file
from command_center.responses.handovers import Handovers
from command_center.responses.mutual_aid import MutualAid
from command_center.responses.planner import Planner
from command_center.services import Services
from command_center.shelving import Shelves
from command_center.standby import meeting
from command_center.standby.keeping import Standby
from command_center.state_dir import DATABASE_NAME, LOG_PAGES, PARTS, StateDir
from command_center.suppressing import Suppressing
from command_center.timings import Timings
from command_center.units.board import Board
from command_center.units.welfare import Welfare
from command_center.viewings import Viewings
from command_center.views import BodyOpener
from command_center.watch import Watch
from command_center.witness import correspondence
from command_center.witness.correspondence import Correspondence
from command_center.witness.outstations import Outstations
from command_center.witness.publisher import Publisher
from relay.clock import Clock, SystemClock
from relay.config import StationConfig
from relay.crew import Crew, crew
from relay.door import open_door
from relay.errors import OperatorError
from relay.kinds.roster import Roster
from relay.service import carrying_verbs
from relay.station import Station
from relay.verifiers import worth_having

_log = structlog.get_logger("command_center")
_FLEET_WATCHED_EVERY_S: Final = 1.0
_WATCHED_EVERY_S: Final = 0.5
_WORK_APART_S: Final = 0.02
_HOUSEKEEPING_EVERY_S: Final = 60.0
_SESSIONS_SWEPT_EVERY_S: Final = 1.0
_CERTIFICATE_EVERY_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Center:
    """A running center."""

    station: Station
    services: Services
    ingest: Ingest
    administration: Administration
    url: str


@contextlib.asynccontextmanager
async def open_center(
    state: StateDir, *, http: str | None = None, listen: tuple[str, ...] | None = None, clock: Clock | None = None,
    passwords: Passwords | None = None, config: CenterConfig | None = None,
) -> AsyncIterator[Center]:  # fmt: skip
    """Open everything that ``state`` holds and serve it for the block.

    Raises:
        OperatorError: not initialized, keys missing, ports in use, another center running, disk full.
    """
    state.require_initialized()
    config = config or state.load_config()
    plans = plan_file.load(state.plans_file)
    clock = clock or SystemClock()
    issuer = _issuer_of(state, clock)
    metrics, bell, lately = Metrics(), Bell(), AnnunciatedLately(clock)
    timings = Timings(clock=clock, metrics=metrics)
    ingest = Ingest(opener=BodyOpener(issuer.authority), clock=clock, metrics=metrics, timings=timings,
                    limits=config.incidents, lately=lately, passport_wire=bell.passport_wire,
                    after_commit=bell.arrived, on_word=bell.word)  # fmt: skip
    await asyncio.to_thread(meeting.require_lead, state, config.standby.address)
    async with contextlib.AsyncExitStack() as stack:
        socket = web_server.bind(http or config.http, metrics)
        stack.callback(socket.close)
        tls = _encryption(config, state, socket.getsockname()[0], clock)
        station = bell.station = await stack.enter_async_context(
            Station.open(StationConfig(state_dir=state.root_dir, listen=listen_configs(config.listen if listen is None else listen)),
                         inbox=ingest, extra_parts=PARTS, clock=clock, database_name=DATABASE_NAME, log_pages=LOG_PAGES,
                         verifiers=worth_having() if config.verifiers is None else config.verifiers, has_intake_log=True)
        )  # fmt: skip
        await _begin(station, clock, config, issuer)
        standby = Standby(config.standby, state=state, station=station, metrics=metrics)
        readers = stack.enter_context(contextlib.closing(Readers(station.database)))
        audit_index = stack.enter_context(
            contextlib.closing(AuditIndex(state.audit_index_file, database=station.database, metrics=metrics))
        )
        passwords = passwords or Passwords()
        stack.callback(passwords.close)
        feed = bell.feed = EventFeed(
            readers=readers, metrics=metrics, render=lambda connection, event: queries.render(connection, event, clock)
        )
        shelves = Shelves(database=station.database, clock=clock, after_commit=bell.ring,
                          most_ms=round(config.incidents.shelving_most_h * 3_600_000))  # fmt: skip
        watch = Watch(clock=clock, metrics=metrics, shelves=shelves, limits=config.incidents, lately=lately)
        url = config.url or web_server.url_of(socket, is_tls=tls is not None)
        key = SigningKey(await station.database.run(callback_writer.set_up))
        postman = Postman(database=station.database, readers=readers, clock=clock, metrics=metrics, key=key, after_commit=bell.ring,
                          origin=Origin(base_url=url.rstrip("/"), center=station.identity.node_id.hex(),
                                        agency=issuer.agency))  # fmt: skip
        exports = ExportOffice(state, database=station.database, clock=clock, metrics=metrics,
                               kept_h=config.exports_kept_h)  # fmt: skip
        stack.push_async_callback(exports.close)
        dispatch = Dispatch(database=station.database, spool=station.spool, clock=clock, announce=station.announce,
                            after_commit=bell.ring)  # fmt: skip
        planner = Planner(plans=plans, clock=clock, dispatch=dispatch, database=station.database, metrics=metrics,
                          announce=station.announce, after_commit=bell.ring)  # fmt: skip
        await station.database.run(planner.set_up)
        denials = LinkDenials(database=station.database, clock=clock, metrics=metrics)
        door = Door(database=station.database, readers=readers, clock=clock, passwords=passwords, config=config.sessions,
                    policy=config.accounts, identity=station.identity, metrics=metrics)  # fmt: skip
        live = bell.live = LiveSessions(
            database=station.database, readers=readers, spool=station.spool, clock=clock, metrics=metrics,
            config=config.live, ice=IceServers(config.live, state.root_dir), held_by=door.live, announce=station.announce,
        )  # fmt: skip
        services = Services(
            database=station.database, readers=readers, clock=clock, config=config, identity=station.identity,
            journal_origin=origin_of(station), issuer=issuer, feed=feed, metrics=metrics,
            door=door, live=live,
            provider=Provider(config.oidc, base_url=url, clock=clock, state_dir=state.root_dir) if config.oidc.issuer else None,
            dispatch=dispatch,
            suppressing=Suppressing(database=station.database, clock=clock, dispatch=dispatch, announce=station.announce,
                                    after_commit=bell.ring),
            board=Board(database=station.database, clock=clock, dispatch=dispatch, metrics=metrics,
                        announce=station.announce, after_commit=bell.ring),
            planner=planner, handovers=Handovers(database=station.database, clock=clock, after_commit=bell.ring),
            mutual_aid=MutualAid(database=station.database, clock=clock, denials=denials, after_commit=bell.ring), link_denials=denials,
            blobs=BlobStore(state.blobs_dir), viewings=Viewings(database=station.database, clock=clock, metrics=metrics),
            shelves=shelves, postman=postman, exports=exports, audit_index=audit_index,
            membership=Membership(database=station.database, issuer=issuer, clock=clock, url=url, after_commit=bell.ring,
                                  publish_roster=lambda roster: _withdraw(live, station, roster)),
            liveness=Liveness(database=station.database, clock=clock, waiting=lambda: station.receiver.waiting_count,
                              stored_at_ms=lambda: ingest.stored_at_ms),
            clip_orders=ClipOrders(database=station.database, spool=station.spool, clock=clock, announce=station.announce),
            correspondence=Correspondence(database=station.database, spool=station.spool, identity=station.identity, metrics=metrics,
                                          origin=origin_of(station), clock=clock, announce=station.announce),
            outstations=Outstations(state.root_dir, database=station.database, clock=clock, metrics=metrics, origin=origin_of(station),
                                    signing=station.identity.signing), ring=bell.ring, standby=standby, station_gauges=lambda: _gauges(station) | standby.gauges(),
        )  # fmt: skip
        stack.push_async_callback(_checkpoint, services)  # the last words of this run are signed, too
        office = Administration(
            database=station.database, issuer=issuer, clock=clock, url=url, membership=services.membership, after_commit=bell.ring,
            running=lambda: _running_figures(station, url, standby.said()), after_accounts=services.door.sweep,
        )  # fmt: skip
        station.on_answer(timings.answered)
        members = await stack.enter_async_context(crew())
        await stack.enter_async_context(standby.kept_in_step(members))
        _start_work(members, services, bell, timings, watch, tls)
        await stack.enter_async_context(open_door(state.root_dir, carrying_verbs(station)))
        await stack.enter_async_context(admin_door.serve(state.admin_socket_file, office))
        await stack.enter_async_context(web_server.serve(create_app(services), socket, tls.context if tls else None))
        stack.callback(feed.close)
        bell.ring()  # what an earlier run left to do
        _log.info("command center up", url=url, listening_on=list(station.listening_on))
        yield Center(station=station, services=services, ingest=ingest, administration=office, url=url)


def _issuer_of(state: StateDir, clock: Clock) -> enrollments.Issuer:
    if (until_ms := state.renew_own_passport(clock)) is not None:
        _log.info("this center's own passport was renewed", until_ms=until_ms)
    return state.load_issuer()


async def _begin(station: Station, clock: Clock, config: CenterConfig, issuer: enrollments.Issuer) -> None:
    """Journal the start, and what the last run receipted and did not get to; go on from the roster that was published last."""
    opener = BodyOpener(issuer.authority)
    await station.database.run(lambda connection: starting.note(connection, clock, config, opener))
    await station.receiver.recover()
    roster = await station.database.run(membership.newest_roster)
    if roster is not None:
        await station.publish_roster(roster)


async def _withdraw(live: LiveSessions, station: Station, roster: Roster) -> None:
    """Once the roster is out, no word reaches the withdrawn: what they show ends before."""
    await live.cut_revoked()
    await station.publish_roster(roster)


def _start_work(members: Crew, services: Services, bell: Bell, timings: Timings, watch: Watch, tls: Tls | None) -> None:
    """Everything that goes on beside requests and arrivals."""
    members.start(services.feed.run(), "event feed")
    members.start(services.audit_index.run(), "audit index")
    members.start(timings.run(services.database, services.feed.wake), "timings")
    members.start(_work_after_commits(services, bell), "work after commits")
    members.start(services.postman.run(), "callbacks")
    welfare = Welfare(clock=services.clock, metrics=services.metrics, limits=services.config.welfare)
    members.start(services.live.run(), "live video")
    retaining = Retaining(database=services.database, blobs=services.blobs, clock=services.clock, metrics=services.metrics,
                          days=services.config.retention.media_days)  # fmt: skip
    every: dict[str, tuple[float, Callable[[], Awaitable[object]]]] = {
        "checkpoint": (services.config.checkpoint_every_s, lambda: _checkpoint(services)),
        "fleet watch": (_FLEET_WATCHED_EVERY_S, lambda: _watch_fleet(services)),
        "sessions": (_SESSIONS_SWEPT_EVERY_S, services.door.sweep),
        "incident watch": (_WATCHED_EVERY_S, lambda: _watch_incidents(services, watch)),
        "response watch": (_WATCHED_EVERY_S, lambda: _watch_responses(services, welfare)),
        "housekeeping": (_HOUSEKEEPING_EVERY_S, lambda: _keep_house(services, retaining)),
    }
    if tls is not None:
        every["certificate"] = (_CERTIFICATE_EVERY_S, lambda: _renew(tls))
    publisher = Publisher(services.config.witness, database=services.database, clock=services.clock, metrics=services.metrics,
                          origin=services.journal_origin, signing=services.identity.signing, outstations=services.outstations)  # fmt: skip
    every["checkpoint publishing"] = (services.config.witness.every_s, publisher.publish)
    members.start(services.outstations.run(), "outstations")
    for name, (period_s, act) in every.items():
        members.start(_every(period_s, act, name), name)


def _encryption(config: CenterConfig, state: StateDir, host: str, clock: Clock) -> Tls | None:
    if config.tls.mode != "off":
        return Tls(config.tls, state.root_dir / "tls", host, clock)
    if not ipaddress.ip_address(host).is_loopback:
        _log.warning(
            "passwords and links cross the network unencrypted: set [tls] mode, or serve it behind a TLS proxy"
        )
    return None


def origin_of(station: Station) -> str:
    """The name under which checkpoints are signed."""
    return f"heard/{station.identity.node_id.hex()}"


def _gauges(station: Station) -> dict[str, float]:
    return {f"station_{name}": float(count) for name, count in station.counters.snapshot().items()}


async def _running_figures(station: Station, url: str, standby: str) -> dict[str, object]:
    status = await station.status()
    return {"url": url, "standby": standby, "listening_on": list(status.listening_on), "neighbors": list(status.neighbors),
            "backlog": list(status.backlog), "counters": status.counters}  # fmt: skip


# ---------------------------------------------------------------------- work that goes on beside


async def _every(period_s: float, act: Callable[[], Awaitable[object]], name: str) -> None:
    """Repeat; an operator's error (a full disk) is logged and the next turn tries again."""
    while True:
        await asyncio.sleep(period_s)
        try:
            await act()
        except OperatorError as error:
            _log.error("not done, will try again", work=name, error=str(error))


async def _work_after_commits(services: Services, bell: Bell) -> None:
    while True:
        await bell.work.wait()
        bell.work.clear()
        try:
            while any(due := await services.readers.run(_work_due)):
                owes, has_objects, has_orders, has_checkpoints = due
                if owes:
                    await services.dispatch.pay_owed()
                if has_objects:
                    await assembling.assemble_due(services)
                if has_orders:
                    await services.clip_orders.pay()
                if has_checkpoints:
                    await services.correspondence.answer()
        except OperatorError as error:
            _log.error("not done, will try again", work="after commits", error=str(error))
            services.metrics.count("work_postponed")
            await asyncio.sleep(1.0)
            bell.work.set()
        services.feed.wake()
        await asyncio.sleep(_WORK_APART_S)  # what comes meanwhile is done together


def _work_due(connection: sqlite3.Connection) -> tuple[bool, bool, bool, bool]:
    """Whether alerts are owed an acknowledgement, objects are complete, clips are to be ordered, checkpoints to be witnessed."""
    return (Dispatch.owes(connection), bool(exhibits.due(connection)), clip_orders.is_due(connection),
            correspondence.is_due(connection))  # fmt: skip


async def _checkpoint(services: Services) -> None:
    await services.database.run(
        lambda connection: journal.sign_checkpoint(
            connection,
            origin=services.journal_origin,
            signing=services.identity.signing,
            at_ms=services.clock.wall_ms(),
        )
    )


async def _watch_fleet(services: Services) -> None:
    """Tell consoles when a node becomes late or silent: nothing arrives then that would."""

    def peek(connection: sqlite3.Connection) -> bool:
        shown = dict(connection.execute("SELECT node, shown FROM last_word").fetchall())
        return any(node.id in shown and shown[node.id] != node.hearing.value
                   for node in fleet.nodes(connection, services.clock))  # fmt: skip

    def work(connection: sqlite3.Connection) -> None:
        for node_id, hearing in fleet.hearing_changes(connection, services.clock):
            event_feed.note(connection, "node", node_id.hex())
            services.metrics.count(f"nodes_became_{hearing.value}")

    if await services.readers.run(peek):
        await services.database.run(work)
        services.feed.wake()


async def _watch_incidents(services: Services, watch: Watch) -> None:
    if await services.readers.run(watch.is_due):
        await services.database.run(watch.act)
        services.feed.wake()


async def _watch_responses(services: Services, welfare: Welfare) -> None:
    """Plans that fit, units that are not heard, shares whose time is over."""
    while await services.readers.run(services.planner.is_due):
        await services.planner.act()
    if await services.readers.run(lambda c: welfare.is_due(c) or bool(services.mutual_aid.due(c))):

        def work(connection: sqlite3.Connection) -> None:
            welfare.act(connection)
            services.metrics.count("shares_ended", services.mutual_aid.end_due(connection))

        await services.database.run(work)
        services.feed.wake()


async def _renew(tls: Tls) -> None:
    if await asyncio.to_thread(tls.renew):
        _log.info("the server certificate was made anew")


async def _keep_house(services: Services, retaining: Retaining) -> None:
    def work(connection: sqlite3.Connection) -> None:
        event_feed.prune(connection, services.config.events_kept)
        enrollments.erase_old_secrets(connection, services.clock.wall_ms())
        services.door.keep_house(connection)
        answers.forget_old(connection, services.clock.wall_ms())

    await services.database.run(work)
    await asyncio.to_thread(services.exports.keep_house)
    await asyncio.to_thread(retaining.turn)


__all__ = ["Center", "open_center", "origin_of"]
