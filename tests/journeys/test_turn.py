"""Live video through a real coturn only: the center's credentials are good there, and no others are."""

from pathlib import Path

import pytest

pytest.importorskip("aiortc", reason="the extra `video` is not installed")

from aiortc import RTCIceServer

from camera_node.config import VideoConfig
from command_center.config import LiveConfig
from command_center.live.ice import IceServers
from tests.camera_node.viewer import viewer
from tests.camera_node.waiting import until
from tests.journeys.coturn import PROGRAM, coturn
from tests.journeys.live_house import GATE, live_house

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no coturn here")


async def test_viewer_and_node_meet_at_coturn_and_nowhere_else(tmp_path: Path) -> None:
    with coturn(tmp_path) as port:
        live = LiveConfig(ice_urls=(f"turn:127.0.0.1:{port}?transport=udp",), is_relay_only=True,
                          turn_secret_file=str(tmp_path / "turn.secret"))  # fmt: skip
        video = VideoConfig(addresses=("127.0.0.1",))
        async with live_house(tmp_path, live=live, video=video) as house, house.signed_in() as client:
            listed = (await client.get("/api/v1/live/ice-servers")).json()
            assert listed["is_relay_only"]
            servers = [RTCIceServer(**server) for server in listed["ice_servers"]]
            async with viewer(servers=servers, is_relay_only=True) as eyes:
                offer = await eyes.offer()
                assert "typ relay" in offer
                assert "typ host" not in offer
                answer = await client.post(GATE, content=offer, params={"reason": "a drill"},
                                           headers={"Content-Type": "application/sdp"})  # fmt: skip
                assert answer.status_code == 201, answer.text
                assert "typ relay" in answer.text
                assert "typ host" not in answer.text, "the node's own addresses stay with it"
                await eyes.accept(answer.text)
                await until(lambda: len(eyes.frames) > 10, within_s=40, what="pictures come through coturn")


@pytest.mark.parametrize("wrong", ["expired", "forged"])
async def test_coturn_refuses_credentials_that_are_over_or_made_up(tmp_path: Path, wrong: str) -> None:
    with coturn(tmp_path) as port:
        config = LiveConfig(ice_urls=(f"turn:127.0.0.1:{port}?transport=udp",), longest_s=600,
                            turn_secret_file=str(tmp_path / "turn.secret"))  # fmt: skip
        (server,) = IceServers(config, tmp_path).for_viewing("alice", 1_600_000_000_000)
        username = server.username if wrong == "expired" else server.username.replace("16", "36", 1)
        servers = [RTCIceServer(urls=server.url, username=username, credential=server.credential)]
        async with viewer(servers=servers, is_relay_only=True) as eyes:
            assert "typ relay" not in await eyes.offer()
