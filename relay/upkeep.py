"""What a station does without being asked: pings, drops the silent, lets go of what outlived its time."""

import asyncio
from typing import Final

import structlog

from relay import hop
from relay.clock import Clock
from relay.counters import Counters
from relay.database import Database
from relay.errors import HeardError
from relay.introduction import Introducer
from relay.links import PING_EVERY_MS, Links
from relay.sender import Sender
from relay.spool import Spool

_log = structlog.get_logger("relay.upkeep")
EXPIRE_EVERY_S: Final = 30.0


async def watch_links(links: Links, introducer: Introducer, clock: Clock) -> None:
    """Ping every link, greet again where nobody answered, and end those without a word for too long."""
    while True:
        await asyncio.sleep(PING_EVERY_MS / 1000)
        now_ms = clock.monotonic_ms()
        for link in links.silent(now_ms):
            link.session.drop("no word for too long")
        for link in links:
            if link.session.is_outgoing and link.peer is None:
                introducer.greet(link)
            elif link.peer is not None:
                link.note(hop.Ping(now_ms))


async def expire(database: Database, spool: Spool, sender: Sender, counters: Counters) -> None:
    """Drop what outlived its time to live, now and then."""
    while True:
        await asyncio.sleep(EXPIRE_EVERY_S)
        try:
            sender.freed(await database.run(spool.expire))
        except HeardError as error:  # a full disk: the next round tries again
            counters.refused("not_expired")
            _log.error("not expired", error=str(error))
