"""NATS with a leaf node: a file-backed JetStream at the node, sourced by one at the hub; pings every 2 s, all links as its URLs.

The stream's ``sync_interval`` is the default of two minutes: faster than ours, and not durable.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from tests.network.peers.exchange import PORT, Pace, Ready, number_of, tell


def is_here() -> bool:
    """Whether the server and the client library are installed."""
    try:
        import nats  # noqa: F401
    except ImportError:
        return False
    return program() is not None


def program() -> str | None:
    """The machine's own server: the newer one beside this Python, for ``benchmarks/durability``, sources nothing over this leaf's set-up."""
    beside_python = str(Path(sys.executable).parent)
    places = [place for place in os.environ["PATH"].split(os.pathsep) if place != beside_python]
    return shutil.which("nats-server", path=os.pathsep.join(places))


def _server(state_dir: Path, name: str, leafnodes: str) -> None:
    config_file = state_dir / f"nats-{name}.conf"
    config_file.write_text(
        f'listen: 127.0.0.1:{PORT + 1}\nping_interval: "2s"\nping_max: 2\n'
        f'jetstream {{ store_dir: "{state_dir}/jetstream-{name}", domain: {name} }}\nleafnodes {{ {leafnodes} }}\n'
    )
    log_file = (state_dir / f"nats-{name}.log").open("wb")
    server = program()
    assert server is not None
    subprocess.Popen([server, "-c", str(config_file)], stdout=log_file, stderr=log_file)


async def _connected() -> "nats.NATS":  # type: ignore[name-defined]  # noqa: F821
    import nats

    while True:
        try:
            return await nats.connect(f"nats://127.0.0.1:{PORT + 1}", allow_reconnect=True)
        except (OSError, nats.errors.Error):
            await asyncio.sleep(0.1)


def center(state_dir: Path) -> None:
    """The hub, and a program that consumes its copy of the stream and answers each message with its number."""
    _server(state_dir, "hub", f'listen: "0.0.0.0:{PORT}"')
    asyncio.run(_answer())


async def _answer() -> None:
    from nats.js.api import ExternalStream, StreamConfig, StreamSource

    connection = await _connected()
    stream = connection.jetstream(domain="hub")
    source = StreamSource(name="EDGE", external=ExternalStream(api="$JS.edge.API"))
    await stream.add_stream(StreamConfig(name="HUB", sources=[source]))
    subscription = await stream.subscribe("up", stream="HUB", ordered_consumer=True)
    tell(Ready())
    async for message in subscription.messages:
        await connection.publish("down", message.data[:8])


def node(state_dir: Path, addresses: list[str]) -> None:
    """The leaf, and the program that publishes to its stream."""
    urls = ", ".join(f'"nats-leaf://{address}:{PORT}"' for address in addresses)
    _server(state_dir, "edge", f"remotes: [ {{ urls: [ {urls} ], no_randomize: true }} ], reconnect: 1")
    pace, loop = Pace(), asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="nats", daemon=True).start()

    async def set_up() -> "nats.js.JetStreamContext":  # type: ignore[name-defined]  # noqa: F821
        connection = await _connected()

        async def on_answer(message: "nats.aio.msg.Msg") -> None:  # type: ignore[name-defined]  # noqa: F821
            pace.heard(number_of(message.data))

        await connection.subscribe("down", cb=on_answer)
        stream = connection.jetstream(domain="edge")
        await stream.add_stream(name="EDGE", subjects=["up"])
        return stream

    stream = asyncio.run_coroutine_threadsafe(set_up(), loop).result(30)
    pace.run(lambda data: asyncio.run_coroutine_threadsafe(stream.publish("up", data, timeout=30), loop))
