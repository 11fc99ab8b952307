"""STUN and TURN servers of live video: from policy only, with credentials for one viewing, the same for viewer and node."""

import asyncio
import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from command_center.config import CenterConfig, LiveConfig
from command_center.live.ice import IceServers
from relay.errors import ConfigError
from relay.kinds.answer import StreamOpened
from relay.kinds.instruction import OpenStream
from tests.command_center.house import running_center
from tests.command_center.test_live import GATE, OFFER, SDP, WHY, Camera


def test_turn_credentials_hold_for_one_viewing_and_are_what_coturn_computes(tmp_path: Path) -> None:
    secret_file = tmp_path / "turn.secret"
    secret_file.write_text("a shared secret, long enough\n")
    urls = ("stun:turn.example:3478", "turn:turn.example:3478?transport=udp")
    config = LiveConfig(ice_urls=urls, turn_secret_file=str(secret_file), longest_s=600, is_relay_only=True)
    stun, turn = IceServers(config, tmp_path).for_viewing("alice", 1_790_000_000_000)
    assert (stun.url, stun.username, stun.credential) == (urls[0], "", "")
    assert turn.username == f"{1_790_000_000 + 900}:alice"
    digest = hmac.new(b"a shared secret, long enough", turn.username.encode(), hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(digest).decode()
    assert turn.credential not in repr(turn)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (LiveConfig(ice_urls=("http://turn.example",)), "expected turn:"),
        (LiveConfig(ice_urls=("turn:turn.example:3478",)), "turn_secret_file"),
        (LiveConfig(ice_urls=("turn:turn.example:3478",), turn_secret_file="missing"), "can't read"),
        (LiveConfig(is_relay_only=True), "needs a turn: server"),
        (LiveConfig(ice_urls=("stun:a:1",) * 5), "at most 4"),
    ],
)
def test_wrong_ice_settings_are_named(tmp_path: Path, config: LiveConfig, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        IceServers(config, tmp_path)


async def test_viewers_get_the_configured_servers_and_so_does_the_node(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a shared secret, long enough")
    live = LiveConfig(ice_urls=("turn:127.0.0.1:3478?transport=tcp",), turn_secret_file=str(tmp_path / "secret"))
    async with running_center(tmp_path / "center", config=CenterConfig(http="127.0.0.1:0", live=live)) as house:
        node = house.node()
        await house.deliver(node, node.heartbeat())
        camera = Camera(house, node)
        async with house.signed_in() as client:
            listed = (await client.get("/api/v1/live/ice-servers")).json()
            assert [server["urls"] for server in listed["ice_servers"]] == list(live.ice_urls)
            asking = asyncio.create_task(client.post(GATE, content=OFFER, params=WHY, headers=SDP))
            order = await camera.asked(OpenStream)
            assert [server.url for server in order.ice_servers] == list(live.ice_urls)
            assert order.ice_servers[0].username.endswith(":node")
            await camera.says(StreamOpened(session=order.session, answer="v=0"))
            link = (await asking).headers["link"]
            assert link.startswith('<turn:127.0.0.1:3478?transport=tcp>; rel="ice-server"; username="')
