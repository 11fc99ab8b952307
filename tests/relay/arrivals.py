"""Arrivals as a receiver makes them of a camera's alerts."""

import hashlib

import msgspec

from relay import envelope as envelopes
from relay.arrival import Arrival
from relay.clock import ClockQuality
from relay.header import Header, Kind
from relay.ids import AUTHORITY, NodeId
from relay.precedence import Precedence
from tests.relay.house import House

_HEADER = Header(
    kind=Kind.ALERT, quality=ClockQuality.FREE_RUNNING, precedence=Precedence.FLASH, origin=NodeId(bytes(8)), destination=AUTHORITY,
    series=5, boot=1, sequence=1, wall_ms=1, monotonic_ms=1, ttl_s=0, link=bytes(8), body_sha256=bytes(32),
)  # fmt: skip


def arrivals_of(house: House, count: int) -> list[Arrival]:
    identity, passport = house.identities["gate"], house.passports["gate"].passport
    secret = identity.shared_secret(house.authority.sealing_key)
    made: list[Arrival] = []
    for number in range(1, count + 1):
        body = b"alert %d" % number
        header = msgspec.structs.replace(
            _HEADER, origin=identity.node_id, sequence=number, body_sha256=hashlib.sha256(body).digest()
        )
        made.append(Arrival(envelope=envelopes.seal(header, body, signing=identity.signing, shared_secret=secret), passport=passport,
                            via=identity.node_id, path="test", received_wall_ms=1, received_monotonic_ms=1))  # fmt: skip
    return made
