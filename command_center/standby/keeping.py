"""A running center and its standby: opened and closed with the center."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from command_center.blobs import BlobStore
from command_center.config import StandbyConfig
from command_center.metrics import Metrics
from command_center.standby.leader import Leader
from command_center.standby.meeting import Outranked, say_who_leads
from command_center.standby.promoting import term_of
from command_center.state_dir import StateDir
from command_center.web_server import require_address
from relay.crew import Crew
from relay.station import Station


class Standby:
    """As the configuration has it: possibly none."""

    def __init__(self, config: StandbyConfig, *, state: StateDir, station: Station, metrics: Metrics) -> None:
        self._config = config
        self._state = state
        self._station = station
        self._metrics = metrics
        self.leader: Leader | None = None

    @contextlib.asynccontextmanager
    async def kept_in_step(self, members: Crew) -> AsyncIterator[None]:
        """Say who leads, and keep a standby in step, for the block.

        Raises:
            ConfigError, EndpointInUse: an address is none, or taken.
            Outranked: by way of ``members``, whenever the other machine turns out to lead.
        """
        config, station = self._config, self._station
        if not (config.listen or config.address):
            yield
            return
        term = await station.database.run(term_of)
        async with contextlib.AsyncExitStack() as stack:
            if config.listen:
                stack.callback(say_who_leads(config.listen, station.identity, term).close)
            if config.address:
                leader = self.leader = Leader(
                    address=require_address(config.address), wait_s=config.wait_s, term=term, identity=station.identity,
                    database=station.database, intake_log=station.intake_log, blobs=BlobStore(self._state.blobs_dir),
                    clock=station.clock, metrics=self._metrics,
                )  # fmt: skip
                leader.start()
                stack.push_async_callback(asyncio.to_thread, leader.close)
                members.start(_stop_if_outranked(leader, config.address), "standby")
            yield

    def gauges(self) -> dict[str, float]:
        """For the metrics: whether it is in step, and how far behind."""
        if self.leader is None:
            return {}
        return {
            "standby_in_step": float(self.leader.is_in_step),
            "standby_pages_behind": float(self.leader.pages_behind),
        }

    def said(self) -> str:
        """For people."""
        if self.leader is None:
            return "none"
        return "in step" if self.leader.is_in_step else f"NOT in step: {self.leader.why_not}"


async def _stop_if_outranked(leader: Leader, address: str) -> None:
    term = await leader.outranked
    raise Outranked(address, term)
