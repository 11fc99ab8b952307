"""The TLS path over real TCP: who is at either end is proved, whoever floods waits behind itself, and a stranger costs little."""

import asyncio
import contextlib
import hashlib
import resource
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay import limits, open_files, passport
from relay.config import ListenConfig, PathConfig
from relay.counters import Counters
from relay.crew import Crew, crew
from relay.errors import BadSignature, ConfigError, EndpointInUse, Malformed, UnsupportedVersion
from relay.header import Kind
from relay.identity import Identity
from relay.passport import Passport, Role
from relay.path import Lane, PathFacts
from relay.paths import tls_proof
from relay.paths.tls import DialedTlsSession, TlsDial
from relay.paths.tls_connection import TlsConnection, TlsTuning, Turns
from relay.paths.tls_listen import TlsListen
from relay.precedence import Precedence
from tests.relay.hasty_loop import run_hasty
from tests.relay.house import House, Kept, until
from tests.relay.test_status_view import shown
from tests.relay.test_zeromq import Heard, connections_to

FACTS = PathFacts(name="test", mtu_bytes=65536)
LISTENER = Identity.from_seed(b"L" * 32)
DIALER = Identity.from_seed(b"D" * 32)
ATTEMPT = b"a" * tls_proof.ATTEMPT_BYTES
IMPATIENT = TlsTuning(handshake_s=0.5)


def passport_of(identity: Identity) -> Passport:
    keys = (identity.signing_key, identity.sealing_key, identity.transport_key)
    return passport.issue(identity.signing, role=Role.CENTER, name="center", site="yard", agency="city", keys=keys,
                          not_before_ms=0, not_after_ms=1 << 47, serial=1).passport  # fmt: skip


class Listening:
    """A listener that runs, and what it told."""

    def __init__(self, listener: TlsListen, counters: Counters, members: Crew) -> None:
        self.listener, self.counters, self.members = listener, counters, members
        self.heard = Heard()

    @property
    def port(self) -> int:
        return int(self.listener.endpoint.rpartition(":")[2])

    def dial(self, *, server: Identity = LISTENER, identity: Identity = DIALER) -> Heard:
        """Have somebody dial it; what that one hears."""
        heard, self.dialer_counters = Heard(), Counters()
        dial = TlsDial(facts=FACTS, endpoint=self.listener.endpoint, peer=passport_of(server), identity=identity,
                       counters=self.dialer_counters)  # fmt: skip
        self.members.start(dial.run(heard), "dial")
        return heard


@contextlib.asynccontextmanager
async def listening(
    endpoint: str = "tls://127.0.0.1:0", tuning: TlsTuning | None = None, identity: Identity = LISTENER
) -> AsyncIterator[Listening]:
    counters = Counters()
    listener = TlsListen(facts=FACTS, endpoint=endpoint, identity=identity, counters=counters, tuning=tuning)
    async with crew() as members:
        made = Listening(listener, counters, members)
        members.start(listener.run(made.heard), "listen")
        await asyncio.wait_for(listener.listening(), 5)
        yield made


class Stranger:
    """Whoever has shaken hands, and says what a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def certificate_sha256(self) -> bytes:
        return hashlib.sha256(self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)).digest()

    def opening(self, identity: Identity = DIALER, lane: Lane = Lane.URGENT, attempt: bytes = ATTEMPT) -> bytes:
        return tls_proof.opening(attempt, lane, identity=identity, listener_transport_key=LISTENER.transport_key,
                                 certificate_sha256=self.certificate_sha256)  # fmt: skip

    def say(self, parcel: bytes) -> None:
        self.say_raw(struct.pack(">I", len(parcel)) + parcel)

    def say_raw(self, data: bytes) -> None:
        self._writer.write(data)

    async def is_cut(self, within_s: float = 10) -> bool:
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionError):
                while await self._reader.read(65536):
                    pass
        return True


@contextlib.asynccontextmanager
async def stranger(port: int) -> AsyncIterator[Stranger]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls_proof.calling_context(), server_hostname=""
    )
    try:
        yield Stranger(reader, writer)
    finally:
        writer.transport.abort()


# ---------------------------------------------------------------------- a session


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


# ---------------------------------------------------------------------- who it is


async def test_a_listener_that_is_another_one_than_its_passport_says_is_told_nothing() -> None:
    async with listening() as here:
        dialed = here.dial(server=Identity.generate())
        await until(lambda: here.dialer_counters["refused_bad_signature"] >= 2, "two attempts")
        assert not dialed.sessions
        assert not here.heard.sessions
        assert here.counters.refused_total == 0, "not even who calls"


async def test_banned_key_is_cut_off_and_kept_out_and_others_stay() -> None:
    other = Identity.generate()
    async with listening() as here:
        banned, welcome = here.dial(), here.dial(identity=other)
        await until(lambda: len(here.heard.sessions) == 2, "both")
        here.listener.ban({DIALER.transport_key})
        assert [session.transport_key for session in here.heard.sessions] == [other.transport_key]
        await until(lambda: bool(banned.closed), "the connection to be closed", 30)
        await until(lambda: here.counters["refused_revoked"] >= 1, "the banned one to come back", 30)
        assert len(here.heard.sessions) == 1
        assert not welcome.closed
        assert welcome.sessions[0].send(b"still here", Lane.URGENT)
        await until(lambda: b"still here" in here.heard.parcels, "the other one")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("another's key", "bad_signature"), ("for another listener", "bad_signature"), ("recorded before a restart", "bad_signature"),
        ("a key that is none", "bad_signature"), ("a lane that is none", "malformed"), ("a later version", "unsupported_version"),
        ("too short", "malformed"), ("too long", "oversized"), ("a huge length", "oversized"), ("an alert at once", "oversized"),
    ],
)  # fmt: skip
async def test_who_does_not_prove_a_key_is_no_session_and_is_hung_up_on(what: str, reason: str) -> None:
    async with listening() as here, stranger(here.port) as caller:
        opening = bytearray(caller.opening())
        match what:
            case "another's key":
                opening[18:50] = Identity.generate().transport_key
            case "for another listener":
                opening[:] = tls_proof.opening(ATTEMPT, Lane.URGENT, identity=DIALER, listener_transport_key=Identity.generate().transport_key,
                                               certificate_sha256=caller.certificate_sha256)  # fmt: skip
            case "recorded before a restart":
                opening[:] = tls_proof.opening(ATTEMPT, Lane.URGENT, identity=DIALER, listener_transport_key=LISTENER.transport_key,
                                               certificate_sha256=hashlib.sha256(b"the certificate of then").digest())  # fmt: skip
            case "a key that is none":
                opening[18:50] = bytes(32)
            case "a lane that is none":
                opening[1] = 7
            case "a later version":
                opening[0] = 2
            case "too short":
                del opening[-1:]
            case "too long" | "an alert at once":
                opening += bytes(300)
        if what == "a huge length":
            caller.say_raw(b"\xff\xff\xff\xff")
        else:
            caller.say(bytes(opening))
        assert await caller.is_cut()
        assert here.counters[f"refused_{reason}"] == here.counters.refused_total == 1
        assert not here.heard.sessions
        assert not here.heard.closed


async def test_another_key_does_not_join_a_session_whose_name_it_knows() -> None:
    async with listening() as here, stranger(here.port) as first, stranger(here.port) as thief:
        first.say(first.opening())
        await until(lambda: bool(here.heard.sessions), "the session")
        thief.say(thief.opening(identity=Identity.generate(), lane=Lane.BULK))
        assert await thief.is_cut()
        assert here.counters["refused_foreign_transport_key"] == 1
        first.say(b"alert")
        await until(lambda: here.heard.parcels == [b"alert"], "the first one goes on")


async def test_a_lane_that_opens_anew_takes_the_place_of_its_old_connection() -> None:
    async with listening() as here, stranger(here.port) as first, stranger(here.port) as second:
        first.say(first.opening())
        await until(lambda: bool(here.heard.sessions), "the session")
        second.say(second.opening())
        assert await first.is_cut()
        second.say(b"alert")
        await until(lambda: here.heard.parcels == [b"alert"], "what the second one says")
        assert len(here.heard.sessions) == 1
        assert not here.heard.closed


async def test_a_stranger_that_says_nothing_is_hung_up_on_in_time_and_bytes_that_are_no_tls_at_once() -> None:
    async with listening(tuning=IMPATIENT) as here:
        async with stranger(here.port) as silent:
            assert await silent.is_cut()
        async with stranger(here.port) as slow:
            slow.say_raw(struct.pack(">I", tls_proof.OPENING_BYTES) + b"\x01")  # and never the rest
            assert await slow.is_cut()
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                await reader.read()
        writer.close()
        assert not here.listener._strangers
        dialed = here.dial()
        await until(lambda: bool(dialed.sessions), "others are served")


async def test_older_tls_is_not_spoken() -> None:
    context = tls_proof.calling_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening() as here:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", here.port, ssl=context, server_hostname="")


def test_the_certificate_is_the_node_s_own_has_no_end_and_its_key_is_new_each_time() -> None:
    _, first = tls_proof.listening_context(LISTENER)
    _, second = tls_proof.listening_context(LISTENER)
    assert first != second
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = tls_proof.certificate_for(key, LISTENER, serial=7)
    assert made.not_valid_before_utc.year == 1970, "a machine's clock may say so when it starts"
    assert made.not_valid_after_utc.year == 9999
    Ed25519PublicKey.from_public_bytes(LISTENER.signing_key).verify(made.signature, made.tbs_certificate_bytes)
    der = made.public_bytes(Encoding.DER)
    assert tls_proof.require_issued_by(der, LISTENER.signing_key) == hashlib.sha256(der).digest()
    changed = bytearray(der)
    changed[der.index(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))] ^= 1
    for wrong in (bytes(changed), b"", der[:-1], None):
        with pytest.raises(BadSignature, match="somebody else answers at this address"):
            tls_proof.require_issued_by(wrong, LISTENER.signing_key)


def test_an_opening_is_for_one_listener_one_attempt_and_one_lane() -> None:
    sha256 = hashlib.sha256(b"certificate").digest()
    said = tls_proof.opening(ATTEMPT, Lane.BULK, identity=DIALER, listener_transport_key=LISTENER.transport_key, certificate_sha256=sha256)  # fmt: skip
    assert tls_proof.require_opening(said, identity=LISTENER, certificate_sha256=sha256) == (
        ATTEMPT, Lane.BULK, DIALER.transport_key)  # fmt: skip
    for at in range(len(said)):
        changed = bytearray(said)
        changed[at] ^= 1
        with pytest.raises((BadSignature, Malformed, UnsupportedVersion)):
            tls_proof.require_opening(bytes(changed), identity=LISTENER, certificate_sha256=sha256)
    with pytest.raises(BadSignature):
        tls_proof.require_opening(said, identity=Identity.generate(), certificate_sha256=sha256)


# ---------------------------------------------------------------------- floods and bounds


async def test_parcel_over_the_bound_costs_its_sender_the_session_and_is_named_in_status(tmp_path: Path) -> None:
    house = House.of(tmp_path / "house", {"center": Role.CENTER, "gate": Role.CAMERA})
    inbox = Kept()
    async with (
        house.station("center", listen=ListenConfig(kind="tls", endpoint="tls://127.0.0.1:0"), inbox=inbox) as center,
        house.station("gate", to=[PathConfig(name="up", kind="tls", endpoint=center.listening_on[0], peer="center")]) as gate,
    ):  # fmt: skip
        await until(lambda: gate.path_health()[0].is_up, "the path")
        [link] = list(gate._links)
        assert link.session.send(bytes(limits.MAX_PARCEL_BYTES + 1), Lane.URGENT)
        await until(lambda: center.counters["refused_oversized"] == 1, "the refusal")
        assert "oversized 1" in shown(await center.status())
        await gate.put(gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun"))
        await until(lambda: len(inbox.arrivals) == 1, "the alert, over the next session", 30)


async def test_a_listener_that_sends_more_than_the_bound_loses_the_session_and_is_named() -> None:
    async with listening() as here:
        dialed = here.dial()
        await until(lambda: bool(here.heard.sessions), "the session")
        assert here.heard.sessions[0].send(bytes(limits.MAX_PARCEL_BYTES + 1), Lane.URGENT)
        await until(lambda: here.dialer_counters["refused_oversized"] == 1, "the refusal")
        await until(lambda: bool(dialed.closed), "the end")


class Slow:
    """An upper floor that takes a millisecond over each parcel, and remembers whose it was."""

    def __init__(self) -> None:
        self.whose: list[TlsConnection] = []

    def connection_made(self, connection: TlsConnection) -> None:
        """Nothing to do."""

    def parcel_came(self, connection: TlsConnection, parcel: bytes) -> None:
        ends_s = time.perf_counter() + 0.001
        while time.perf_counter() < ends_s:
            pass
        self.whose.append(connection)

    def oversized_came(self, connection: TlsConnection, error: Exception) -> None:
        """Nothing to do."""

    def connection_lost(self, connection: TlsConnection, reason: str) -> None:
        """Nothing to do."""


class Transport(asyncio.Transport):
    """Knows whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.was_aborted = False

    def abort(self) -> None:
        self.was_aborted = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to do."""

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


def three() -> Iterator[tuple[Slow, list[TlsConnection], list[Transport]]]:
    upstairs, turns = Slow(), Turns()
    connections = [TlsConnection(upstairs, turns) for _ in range(3)]
    transports = [Transport() for _ in connections]
    for connection, transport in zip(connections, transports, strict=True):
        connection.connection_made(transport)
    yield upstairs, connections, transports


def framed(*parcels: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(parcel)) + parcel for parcel in parcels)


async def test_who_floods_waits_behind_itself_and_leaves_the_loop_to_others() -> None:
    upstairs, (flooding, quiet, late), _ = next(three())
    flooding.data_received(framed(*[b"x" * 100] * 500))
    assert 1 <= len(upstairs.whose) <= 4, "two milliseconds' worth in one go"
    turned: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turned.append(len(upstairs.whose)))
    quiet.data_received(framed(b"alert"))
    await until(lambda: quiet in upstairs.whose, "the quiet one's turn")
    assert upstairs.whose.index(quiet) <= 8, "behind one parcel of each, not behind five hundred"
    assert turned, "the loop had other things to do"
    assert turned[0] <= 4, "and did them between"
    late.data_received(framed(b"alert", b"alert"))
    await until(lambda: upstairs.whose.count(late) == 2, "both")
    first, second = (at for at, whose in enumerate(upstairs.whose) if whose is late)
    assert second - first <= 2, "in turn with the flood"
    await until(lambda: len(upstairs.whose) == 503, "all of it", 30)
    assert [whose for whose in upstairs.whose if whose is flooding] == [flooding] * 500


async def test_a_connection_with_too_much_waiting_is_read_no_further_until_it_is_less() -> None:
    upstairs, (flooding, _, _), (transport, *_) = next(three())
    parcel = bytes(30_000)
    for _ in range(20):
        flooding.data_received(framed(parcel))
    assert not transport.is_read
    await until(lambda: transport.is_read, "reading to go on")
    assert len(upstairs.whose) >= 16, "not before most of it was taken"
    await until(lambda: len(upstairs.whose) == 20, "the rest")


async def test_a_flood_over_a_real_connection_is_held_back_by_tcp_and_all_of_it_comes() -> None:
    async with listening() as here, stranger(here.port) as caller:
        caller.say(caller.opening())
        await until(lambda: bool(here.heard.sessions), "the session")
        caller.say_raw(framed(*[b"f" * 2_000] * 3_000))
        await until(lambda: len(here.heard.parcels) == 3_000, "all of it", 60)


async def test_a_caller_is_turned_away_where_no_file_is_left_and_welcome_again_when_there_is() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with listening() as here:
        open_now = len([*open_files._FILES_DIR.iterdir()])
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + open_files.CONNECTION - 1, hard))
        try:
            async with stranger(here.port) as caller:
                assert await caller.is_cut()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert here.counters["refused_no_room"] == 1
        dialed = here.dial()
        await until(lambda: bool(dialed.sessions), "the next")


# ---------------------------------------------------------------------- what a person set up wrong


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
