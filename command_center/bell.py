"""What is rung after each commit: consoles, live video and the work that waits wake up. Made before what it rings for."""

import asyncio

from command_center.event_feed import EventFeed
from command_center.live.sessions import LiveSessions
from relay.ids import NodeId
from relay.kinds.answer import Word
from relay.station import Station


class Bell:
    """Rung after each commit of interest, from the event loop; before the center is complete it rings for nobody."""

    def __init__(self) -> None:
        self.station: Station | None = None
        self.feed: EventFeed | None = None
        self.live: LiveSessions | None = None
        self.work = asyncio.Event()

    def ring(self) -> None:
        """Something was committed."""
        self.arrived(leaves_work=True)

    def arrived(self, *, leaves_work: bool) -> None:
        """Something arrived and was committed; where it leaves no work, only consoles wake up."""
        if leaves_work:
            self.work.set()
        if self.feed is not None:
            self.feed.wake()

    def word(self, node_id: NodeId, word: Word) -> None:
        """A node answered."""
        if self.live is not None:
            self.live.heard(node_id, word)

    def passport_wire(self, node_id: bytes) -> bytes | None:
        """A node's passport as it was signed; None: not held."""
        return self.station.trust.wire_of(NodeId(node_id)) if self.station else None
