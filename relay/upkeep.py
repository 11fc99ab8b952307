"""What a station does without being asked: pings, drops the silent, heeds the interfaces, lets go of what outlived its time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from relay.budget import Purse
from relay.clock import Clock
from relay.counters import Counters
from relay.database import Database
from relay.errors import HeardError
from relay.interfaces import Change, What, watch
from relay.introduction import Introducer
from relay.links import PING_EVERY_MS, Link, Links
from relay.path import Path
from relay.redial import Redials
from relay.sender import Sender
from relay.spool import Spool

_log = structlog.get_logger("relay.upkeep")
EXPIRE_EVERY_S: Final = 30.0
BALLAST_LOOK_EVERY_S: Final = 5.0
SPENDING_LOOK_EVERY_S: Final = 1.0
LEAST_LOOK_S: Final = 0.02


async def watch_links(links: Links, introducer: Introducer, clock: Clock) -> None:
    """Ping every link, greet again where nobody answered, and end those without a word for too long."""
    while True:
        await asyncio.sleep(PING_EVERY_MS / 1000)
        now_ms = clock.monotonic_ms()
        for link in links.silent(now_ms):
            link.session.drop("no word for too long")
        for link in links:
            if link.session.facts.is_tiny:
                continue
            if link.session.is_outgoing and not link.is_known:
                if now_ms - link.last_heard_ms >= PING_EVERY_MS:  # else its welcome may be on its way still
                    introducer.greet(link)
            elif link.peer is not None:
                link.ping(now_ms)
                links.asked.set()


async def mind_silence(
    links: Links, dials: Sequence[Path], clock: Clock, counters: Counters, on_cut_off: Callable[[str], None]
) -> None:
    """Probe a path that we dialed and that owes an answer; suspect it if it stays silent, and dial beside it.

    If no other path is up, those that are down try at once, too.
    """
    redials = {dial.facts.name: dial.redial for dial in dials if isinstance(dial, Redials)}

    def suspect(link: Link) -> None:
        name = link.session.facts.name
        counters.count("paths_suspected")
        _log.info("path suspected", path=name, silent_for_ms=clock.monotonic_ms() - link.last_heard_ms)
        if name in redials:
            redials[name].spare(lambda: link.silence.is_suspect and links.of(link.session) is link)
        if links.is_cut_off():
            on_cut_off(name)

    def look(now_ms: int) -> float:
        owing = [link for link in links if link.session.is_outgoing and link.is_usable]
        for link in owing:
            if link.silence.wants_probe(link.p95_ms, now_ms):
                link.ping(now_ms)
                link.silence.asked(now_ms, is_ping=True)  # also where its queue is full
            elif link.silence.becomes_suspect(link.p95_ms, now_ms):
                suspect(link)
        return min((link.silence.look_again_ms(link.p95_ms) for link in owing), default=float("inf"))

    while True:
        now_ms = clock.monotonic_ms()
        wait_s = (look(now_ms) - now_ms) / 1000
        try:
            async with asyncio.timeout(None if wait_s == float("inf") else max(0.0, wait_s)):
                await links.asked.wait()
        except TimeoutError:  # one of them is due
            pass
        links.asked.clear()
        await asyncio.sleep(LEAST_LOOK_S)


async def heed_interfaces(dials: Sequence[Path], links: Links, clock: Clock, counters: Counters) -> None:
    """A lost carrier ends the sessions that are pinned to it at once; one that returns is dialed over at once.

    What is not pinned may or may not have gone over it: those sessions are asked for a sign of life, and those paths dial.
    """

    def heed(change: Change) -> None:
        counters.count(f"interface_{change.what.value}")
        affected = {change.interface, ""}
        open_paths = {link.session.facts.name for link in links if link.session.is_outgoing}
        for link in links:
            pinned_to = link.session.facts.interface
            if not link.session.is_outgoing or pinned_to not in affected:
                continue
            if pinned_to == change.interface and change.what is What.DOWN:
                link.session.drop(f"interface {change.interface} has lost its carrier")
            elif link.peer is not None:
                link.ping(clock.monotonic_ms())
        for dial in dials if change.what is not What.DOWN else ():
            if not isinstance(dial, Redials) or dial.facts.name in open_paths:
                continue
            if dial.facts.interface == change.interface and change.what is What.UP:
                dial.redial.start_over()
            elif dial.facts.interface in affected:
                dial.redial.nudge()

    await watch(heed)


async def expire(database: Database, spool: Spool, sender: Sender, counters: Counters) -> None:
    """Drop what outlived its time to live, now and then."""
    while True:
        await asyncio.sleep(EXPIRE_EVERY_S)
        try:
            sender.freed(await database.run(spool.expire))
        except HeardError as error:  # a full disk: the next round tries again
            counters.refused("not_expired")
            _log.error("not expired", error=str(error))


async def keep_ballast(database: Database, counters: Counters) -> None:
    """Say so when the disk is found full, and have its ballast again as soon as there is room."""
    was_short = False
    while True:
        if database.is_short:
            if not was_short:
                counters.count("disk_found_full")
                _log.error(
                    "the disk is full: what is left of it takes alerts only; free space", file=str(database.file)
                )
            try:
                has_room = await database.take_ballast()
            except HeardError as error:
                _log.error("no look at the disk", error=str(error))
            else:
                if has_room:
                    _log.warning("the disk has room again", file=str(database.file))
        was_short = database.is_short
        await asyncio.sleep(BALLAST_LOOK_EVERY_S)


async def write_spending(database: Database, purse: Purse, clock: Clock, counters: Counters) -> None:
    """Keep the disk's account of metered paths ahead of what is spent; the exact figure when the station stops."""
    if purse.is_empty:
        return

    async def write(*, is_final: bool) -> None:
        snapshot, boot_id = purse.snapshot(clock.monotonic_ms(), is_final=is_final), clock.boot_id
        try:
            await database.run(lambda connection: snapshot.write(connection, boot_id))
        except HeardError as error:  # a full disk: alerts have the room, and the next round tries again
            counters.refused("spending_not_written")
            _log.error("spending not written", error=str(error))

    try:
        while True:
            await asyncio.sleep(SPENDING_LOOK_EVERY_S)
            if purse.is_write_due(clock.monotonic_ms()):
                await write(is_final=False)
    finally:
        await asyncio.shield(write(is_final=True))
