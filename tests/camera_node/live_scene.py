"""A whole node with a real eye and a real stage; the test plays the command center."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from camera_node.config import CameraConfig, NodeConfig, VideoConfig
from camera_node.node import Node
from relay.header import Kind
from relay.kinds import body
from relay.kinds.answer import Answer, StreamEnded, StreamOpened, StreamRefused, Word
from relay.kinds.instruction import CloseStream, Instruction, OpenStream, Order
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Station
from tests.camera_node.film import write_film
from tests.camera_node.house import CenterInbox, House
from tests.camera_node.test_node import model, running
from tests.camera_node.waiting import until

W = TypeVar("W", bound=msgspec.Struct)
START_S = 40.0
"""Importing aiortc beside everything else on a busy machine."""


@dataclass
class LiveScene:
    """What a test of live video needs."""

    house: House
    center: Station
    inbox: CenterInbox
    node: Node

    async def say(self, order: Order) -> None:
        passport = self.node.station.passport
        await self.center.put(
            Draft(kind=Kind.INSTRUCTION, precedence=Precedence.IMMEDIATE, body=body.encode(Instruction(order=order)),
                  destination=passport.node_id, peer_sealing_key=passport.sealing_key, ttl_s=30)
        )  # fmt: skip

    def words(self, session: bytes) -> list[Word]:
        said = [body.decode(self.house.open(a), Answer).word for a in self.inbox.of(Kind.ANSWER)]
        return [word for word in said if getattr(word, "session", None) == session]

    def of(self, session: bytes, kind: type[W]) -> list[W]:
        return [word for word in self.words(session) if isinstance(word, kind)]

    async def ask(self, offer: str, *, camera: str = "gate", session: bytes | None = None, **more: object) -> bytes:
        """Open a stream; its session."""
        session = session or secrets.token_bytes(16)
        await self.say(OpenStream(session=session, camera=camera, offer=offer, **more))  # type: ignore[arg-type]
        return session

    async def opened(self, session: bytes) -> str:
        """The answer's SDP; fails with the refusal if it was one."""
        await until(lambda: bool(self.of(session, StreamOpened) or self.of(session, StreamRefused)), within_s=30,
                    what="the node answers")  # fmt: skip
        refusals = self.of(session, StreamRefused)
        assert not refusals, refusals
        return self.of(session, StreamOpened)[0].answer

    async def refused(self, session: bytes) -> StreamRefused:
        await until(lambda: bool(self.of(session, StreamRefused)), within_s=30, what="the node refuses")
        assert not self.of(session, StreamOpened)
        return self.of(session, StreamRefused)[0]

    async def ended(self, session: bytes) -> StreamEnded:
        await until(lambda: bool(self.of(session, StreamEnded)), within_s=30, what="the stream ends")
        return self.of(session, StreamEnded)[0]

    async def close(self, session: bytes, reason: str = "") -> None:
        await self.say(CloseStream(session=session, reason=reason))


@contextlib.asynccontextmanager
async def live_scene(
    tmp_path: Path, *, film_options: dict[str, str] | None = None, camera: dict[str, object] | None = None,
    **video: object,
) -> AsyncIterator[LiveScene]:  # fmt: skip
    """A node with the camera ``gate``: H.264 with a key frame each second unless ``film_options`` say otherwise."""
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    film = write_film(tmp_path / "film.mp4", options=film_options)
    settings: dict[str, object] = {"addresses": ("127.0.0.1",), **video}
    watched = CameraConfig(**{"name": "gate", "source": str(film), "loop": True, "rule": (), **(camera or {})})  # type: ignore[arg-type]
    async with house.run_center() as (center, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(watched,), model=model(tmp_path, "person"),
                            video=VideoConfig(**settings))  # type: ignore[arg-type]  # fmt: skip
        async with running(config) as node:
            await until(lambda: node.live.report().memory_bytes > 0, within_s=START_S, what="the stage stands")
            yield LiveScene(house, center, inbox, node)
