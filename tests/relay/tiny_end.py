"""One end of a tiny path run by itself: what it opened and heard is kept, what it waits for is written down instead of waited."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from relay.crew import crew
from relay.path import Path, Session
from relay.paths.tiny_session import TinySession
from tests.relay.house import until


class TinyEnd:
    """Hears everything of one path."""

    def __init__(self) -> None:
        self.sessions: list[TinySession] = []
        self.parcels: list[bytes] = []
        self.closed: list[str] = []
        self.waited_s: list[float] = []
        self.gate = asyncio.Event()
        """Cleared: waits last until it is set."""
        self.gate.set()

    async def wait(self, seconds: float) -> None:
        self.waited_s.append(seconds)
        await self.gate.wait()
        await asyncio.sleep(0.001)

    @property
    def session(self) -> TinySession:
        return self.sessions[-1]

    def session_opened(self, session: Session) -> None:
        assert isinstance(session, TinySession)
        self.sessions.append(session)

    def session_received(self, session: Session, parcel: bytes) -> None:
        self.parcels.append(parcel)

    def session_closed(self, session: Session, reason: str) -> None:
        self.closed.append(reason)

    @contextlib.asynccontextmanager
    async def of(self, path: Path, *, expect_session: bool = True) -> AsyncIterator["TinyEnd"]:
        async with crew() as members:
            members.start(path.run(self), "path")
            if expect_session:
                await until(lambda: bool(self.sessions), "a session")
            yield self
