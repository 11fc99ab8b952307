"""An event loop that can be asked, without going back to it, whether anything has come meanwhile.

Who stands still for the disk on it (``intake_log``) does so only for as long as nobody else wants something. A center's program runs on one; on any
other loop nothing is known, and who stands still does so to the end.
"""

import asyncio
import selectors


class PeekableLoop(asyncio.SelectorEventLoop):
    """Python's own, on Linux' epoll."""

    def __init__(self) -> None:
        self._own_selector = selectors.EpollSelector()
        super().__init__(self._own_selector)

    @property
    def came_descriptor(self) -> int:
        """Readable where something has come that the loop was told to look out for, and has not seen yet; nobody else may read from it."""
        return self._own_selector.fileno()
