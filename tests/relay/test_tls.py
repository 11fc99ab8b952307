"""The TLS path over real TCP: two lanes of one session, lost and made again, and what a person may set up wrong."""

import asyncio
import socket

import pytest

from relay.counters import Counters
from relay.errors import ConfigError, EndpointInUse
from relay.path import Lane
from relay.paths.tls import DialedTlsSession, TlsDial
from relay.paths.tls_connection import TlsConnection, Turns
from relay.paths.tls_listen import TlsListen
from tests.relay.hasty_loop import run_hasty
from tests.relay.house import until
from tests.relay.test_zeromq import Heard, connections_to
from tests.relay.tls_ends import DIALER, FACTS, LISTENER, Transport, listening, passport_of


async def test_two_lanes_are_two_tcp_connections_of_one_session_and_both_ends_are_proved() -> None:
    async with listening() as here:
        dialed = here.dial()
        await until(lambda: bool(dialed.sessions), "the session")
        await until(lambda: len(connections_to(here.port)) == 2, "both lanes")
        for lane in Lane:
            await until(lambda lane=lane: dialed.sessions[0].send(lane.name.encode(), lane), "the lane")  # type: ignore[misc]
        await until(lambda: len(here.heard.parcels) == 2, "both")
        assert len(here.heard.sessions) == 1
        assert here.heard.sessions[0].transport_key == DIALER.transport_key
        assert dialed.sessions[0].transport_key == LISTENER.transport_key
        for lane in Lane:
            assert here.heard.sessions[0].send(lane.name.encode(), lane)
        await until(lambda: len(dialed.parcels) == 2, "both ways")


async def test_full_bulk_lane_does_not_stop_the_urgent_one() -> None:
    async with listening() as here:
        dialed = here.dial()
        await until(lambda: bool(dialed.sessions), "the session")
        session = dialed.sessions[0]
        await until(lambda: session.send(bytes(60_000), Lane.BULK), "the bulk lane")
        sent = 1
        while session.send(bytes(60_000), Lane.BULK):
            sent += 1
            assert sent < 10_000, "the bulk lane must say that it is full"
        assert session.send(b"alert", Lane.URGENT)
        await until(lambda: b"alert" in here.heard.parcels, "the alert", timeout_s=5)
        await until(lambda: len(here.heard.parcels) == sent + 1, "the bulk")
        assert session.send(bytes(60_000), Lane.BULK), "there is room again"


async def test_session_comes_back_after_the_listener_was_away() -> None:
    async with listening() as elsewhere:  # its crew outlives the listener that is dialed
        async with listening() as here:
            endpoint = here.listener.endpoint
            elsewhere.listener.endpoint = endpoint
            dialed = elsewhere.dial()
            await until(lambda: bool(dialed.sessions), "the first session")
            first = dialed.sessions[0]
        await until(lambda: bool(dialed.closed), "its end")
        assert not first.send(b"late", Lane.URGENT), "a closed session takes nothing"
        async with listening(endpoint) as again:
            await until(lambda: bool(dialed.sessions), "the next session")
            assert dialed.sessions[0].send(b"again", Lane.URGENT)
            await until(lambda: again.heard.parcels == [b"again"], "the parcel")


async def test_a_bulk_connection_that_is_lost_ends_the_session_and_the_next_one_has_both_again() -> None:
    async with listening() as here:
        dialed = here.dial()
        await until(lambda: bool(here.heard.sessions), "the session")
        accepted = here.heard.sessions[0]
        await until(lambda: Lane.BULK in accepted.connections, "bulk")  # type: ignore[attr-defined]
        accepted.connections[Lane.BULK].close()  # type: ignore[attr-defined]
        await until(lambda: bool(dialed.closed), "the end of the session")
        assert "the bulk connection was lost" in dialed.closed[0]
        await until(
            lambda: bool(here.heard.sessions) and len(here.heard.sessions[-1].connections) == 2,  # type: ignore[attr-defined]
            "the next one",
        )


def test_a_bulk_lane_that_nobody_takes_calls_less_and_less_often_while_the_urgent_one_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each call is a handshake for the listener, which may be short of something."""
    called_s: list[float] = []

    async def call(dial: TlsDial, session: DialedTlsSession, lane: Lane) -> bool:
        if lane == Lane.BULK:
            called_s.append(asyncio.get_running_loop().time())
            if len(called_s) == 200:
                session.drop("enough")
        return lane == Lane.URGENT

    monkeypatch.setattr(TlsDial, "_call", call)

    async def serve() -> None:
        heard = Heard()
        dial = TlsDial(facts=FACTS, endpoint="tls://host:1", peer=passport_of(LISTENER), identity=DIALER, counters=Counters())  # fmt: skip
        await dial._one_session(heard)
        assert heard.closed == ["enough"], "bulk alone ended nothing"

    run_hasty(serve())
    assert called_s[-1] > 200, "a call in more than a second"
    assert called_s[1] < 1


async def test_a_handshake_that_ends_after_the_listener_did_is_hung_up_on() -> None:
    async with listening() as here:
        pass
    connection, transport = TlsConnection(here.listener, Turns()), Transport()
    connection.connection_made(transport)
    assert not connection.is_open
    assert transport.was_aborted
    assert not here.listener._strangers


async def test_a_listener_that_drops_a_session_hangs_up_and_is_dialed_again() -> None:
    async with listening() as here:
        dialed = here.dial()
        await until(lambda: bool(here.heard.sessions), "the session")
        here.heard.sessions[0].drop("it said nothing for too long")
        assert here.heard.closed == ["it said nothing for too long"]
        await until(lambda: bool(dialed.closed) and bool(dialed.sessions), "the next session")


async def test_port_in_use_is_told_in_one_line() -> None:
    async with listening() as here:
        with pytest.raises(
            EndpointInUse, match=r"is in use by another program: stop it .*or listen elsewhere"
        ) as failure:
            async with listening(here.listener.endpoint):
                pass
        assert "\n" not in str(failure.value)


async def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(ConfigError, match=r"can't listen on tls://192\.0\.2\.7:5703"):
        async with listening("tls://192.0.2.7:5703"):
            pass


@pytest.mark.parametrize(
    "endpoint", ["", "tls://", "tls://host", "tcp://host:1", "host:5703", "tls://host:port", "tls://host:1/path"]
)
def test_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="expected an endpoint like tls://host:5703"):
        TlsDial(facts=FACTS, endpoint=endpoint, peer=passport_of(LISTENER), identity=DIALER, counters=Counters())
    with pytest.raises(ConfigError, match=r"expected an endpoint like tls://0\.0\.0\.0:5703"):
        TlsListen(facts=FACTS, endpoint=endpoint, identity=LISTENER, counters=Counters())


async def test_ipv6_is_listened_on_and_dialed() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"needs IPv6 on this machine: {error}")
    async with listening("tls://[::1]:0") as here:
        assert here.listener.endpoint.startswith("tls://[::1]:")
        dialed = here.dial()
        await until(lambda: bool(dialed.sessions), "the session")
