"""A command center and a camera node, enrolled and connected over loopback, with live video: the whole way in one process.

The eye and the stage are processes of their own, as always.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from camera_node.config import CameraConfig, HeartbeatConfig, NodeConfig, VideoConfig
from camera_node.node import Node
from command_center.accounts import UserRole
from command_center.commands import NodeInvite
from command_center.config import CenterConfig, LiveConfig
from relay.clock import SystemClock
from relay.config import PathConfig
from relay.enrollment import enroll
from tests.camera_node.film import write_film
from tests.camera_node.test_node import model, running
from tests.camera_node.waiting import until
from tests.command_center.house import House, running_center

GATE = "/api/v1/live/nodes/gate/cameras/gate"


@dataclass
class LiveHouse:
    """Both ends."""

    house: House
    node: Node

    @property
    def url(self) -> str:
        return self.house.center.url

    @contextlib.asynccontextmanager
    async def signed_in(
        self, name: str = "alice", role: UserRole = UserRole.DISPATCHER
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client over the real socket."""
        await self.house.add_user(name, role)
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            answer = await client.post("/api/v1/session", json={"username": name, "password": "correct horse battery"})
            assert answer.status_code == 200, answer.text
            client.headers["X-Heard-CSRF"] = answer.json()["csrf"]
            yield client

    async def token(self, client: httpx.AsyncClient, *scopes: str) -> str:
        answer = await client.post("/api/v1/account/tokens", json={"name": "player", "scopes": list(scopes), "days": 1})
        assert answer.status_code == 201, answer.text
        secret: str = answer.json()["secret"]
        return secret


@contextlib.asynccontextmanager
async def live_house(
    tmp_path: Path, *, live: LiveConfig | None = None, video: VideoConfig | None = None, film: Path | None = None,
    camera: dict[str, object] | None = None,
) -> AsyncIterator[LiveHouse]:  # fmt: skip
    """The node is called ``gate``, and so is its camera."""
    config = CenterConfig(http="127.0.0.1:0", live=live or LiveConfig())
    center_dir, node_dir = tmp_path / "center", tmp_path / "node"
    real: Any = SystemClock()  # the house's tests have simulated ones
    async with running_center(center_dir, listen=("tcp://127.0.0.1:0",), clock=real, config=config) as house:
        invite = NodeInvite(name="gate", role="camera", site="north", is_preapproved=True)
        outcome = await house.center.administration.perform(invite)
        code = next(line for line in outcome.lines if "enroll" in line).split()[2]
        await asyncio.to_thread(enroll, code, node_dir, wait_s=10)
        endpoint = house.center.station.listening_on[0].replace("[::ffff:127.0.0.1]", "127.0.0.1")
        film = film or write_film(tmp_path / "film.mp4")
        watched = CameraConfig(**{"name": "gate", "source": str(film), "loop": True, "rule": (), **(camera or {})})  # type: ignore[arg-type]
        node_config = NodeConfig(
            state_dir=node_dir, path=(PathConfig(name="lan", endpoint=endpoint, peer="center"),), camera=(watched,),
            model=model(tmp_path, "person"), heartbeat=HeartbeatConfig(interval_s=1),
            video=video or VideoConfig(addresses=("127.0.0.1",)),
        )  # fmt: skip
        async with running(node_config) as node:
            await until(lambda: node.live.report().memory_bytes > 0, within_s=40, what="the stage stands")
            await until(
                lambda: any(path.is_up for path in node.station.path_health()), within_s=20, what="the path is up"
            )
            yield LiveHouse(house, node)
