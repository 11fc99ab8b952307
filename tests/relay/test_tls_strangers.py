"""Who is at either end of a TLS path is proved, and who proves nothing costs little."""

import asyncio
import contextlib
import hashlib
import ssl
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.errors import BadSignature, Malformed, UnsupportedVersion
from relay.identity import Identity
from relay.path import Lane
from relay.paths import tls_proof
from tests.relay.house import until
from tests.relay.tls_ends import ATTEMPT, DIALER, IMPATIENT, LISTENER, listening, stranger


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
