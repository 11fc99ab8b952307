"""Uvicorn inside our own task group: it neither takes the signals nor decides when to stop."""

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Generator

import uvicorn
from fastapi import FastAPI

from command_center.metrics import Metrics
from command_center.web_connections import Connections, HttpConnection, Listener
from relay.errors import ConfigError, EndpointInUse


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the command line's part."""
        yield


def bind(address: str, metrics: Metrics) -> Listener:
    """Take ``host:port``; port 0 takes a free one.

    Raises:
        ConfigError: not an address.
        EndpointInUse: somebody else listens there.
    """
    host, port = require_address(address)
    listener = Listener(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.connections = Connections(metrics)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise EndpointInUse(
            f"can't serve HTTP on {address}: {error.strerror or error}; stop what uses it, or choose another with --http"
        ) from error
    return listener


def require_address(address: str) -> tuple[str, int]:
    """Take ``host:port`` apart.

    Raises:
        ConfigError: not an address.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"expected host:port to serve HTTP on, found {address!r}")
    return host.strip("[]"), int(port)


def url_of(listener: socket.socket, *, is_tls: bool = False) -> str:
    """How nodes and people reach it, as far as this machine can tell; ``url`` in the configuration knows better."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104  comparing, not binding
        host = socket.gethostname()
    scheme = "https" if is_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@contextlib.asynccontextmanager
async def serve(app: FastAPI, listener: Listener, context: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    """Serve for the block, encrypted where there is a context; open requests get 3 s when it ends."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False, proxy_headers=False,
                            timeout_graceful_shutdown=3, timeout_keep_alive=30)  # fmt: skip
    config.load()
    config.ssl = context
    config.http_protocol_class = functools.partial(HttpConnection, connections=listener.connections)  # type: ignore[assignment]
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        async with asyncio.timeout(10):
            while not server.started and not task.done():  # noqa: ASYNC110  uvicorn offers no event
                await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task
        listener.close()
