"""Mosquitto at both ends with a bridge between them (QoS 1, keepalive 10 s, all links as its addresses); paho clients at both."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.network.peers.exchange import PORT, Pace, Ready, number_of, tell


def is_here() -> bool:
    """Whether the broker is installed."""
    return _program() is not None


def _program() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")


def _broker(state_dir: Path, name: str, *lines: str) -> None:
    config_file = state_dir / f"mosquitto-{name}.conf"
    config_file.write_text("\n".join(("user root", "allow_anonymous true", "max_queued_messages 0", *lines, "")))
    program = _program()
    assert program is not None
    log_file = (state_dir / f"mosquitto-{name}.log").open("wb")
    subprocess.Popen([program, "-c", str(config_file)], stdout=log_file, stderr=log_file)


def _client(topic: str, on_message: Any) -> Client:
    client = Client(CallbackAPIVersion.VERSION2)

    def on_connect(*_: Any) -> None:
        client.subscribe(topic, qos=1)

    client.on_connect = on_connect
    client.on_message = on_message
    while True:
        try:
            client.connect("127.0.0.1", PORT)
        except ConnectionRefusedError:  # the broker is starting
            continue
        return client


def center(state_dir: Path) -> None:
    """The hub, and a program beside it that answers each message with its number."""
    _broker(state_dir, "center", f"listener {PORT} 0.0.0.0")
    client = _client("up", lambda client, _, data: client.publish("down", data.payload[:8], qos=1))
    tell(Ready())
    client.loop_forever()


def node(state_dir: Path, addresses: list[str]) -> None:
    """A local broker that bridges to the hub, and the program that publishes to it."""
    _broker(state_dir, "node", f"listener {PORT} 127.0.0.1", "connection hub",
            "addresses " + " ".join(f"{address}:{PORT}" for address in addresses), "round_robin false",
            "topic up out 1", "topic down in 1", "keepalive_interval 10", "restart_timeout 1 2", "cleansession false",
            "try_private true", "bridge_attempt_unsubscribe false")  # fmt: skip
    pace = Pace()
    client = _client("down", lambda _client, _, data: pace.heard(number_of(data.payload)))
    client.loop_start()
    pace.run(lambda data: client.publish("up", data, qos=1))
