"""The neighbors that a listener on a tiny carrier expects: by address, each opened when it has proved itself with its first parcel.

Shared by ``short_burst_gateway``, ``sms`` and ``serial_radio``. An address (an IMEI, a phone number, a radio tag) is a claim; what is
believed is the proof in each parcel, made with the keys of the passport under the configured name.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from relay.conduct import is_worth_a_line
from relay.counters import Counters
from relay.crew import Crew
from relay.errors import BadSignature, Malformed, SenderError
from relay.identity import Identity
from relay.passport import Passport
from relay.path import PathEvents, PathFacts
from relay.paths.tiny_seal import TinySeal
from relay.paths.tiny_session import TinySession

_log = structlog.get_logger("relay.paths.tiny")

PeerNamed = Callable[[str], Passport | None]
"""The passport under a name, once there is one."""
Serve = Callable[[TinySession, str], Coroutine[Any, Any, None]]
"""Sends what waits in a session to an address, for as long as it lasts."""


class TinyNeighbors:
    """Sessions by neighbor's name. Needs ``begin`` before anything arrives."""

    def __init__(
        self, *, facts: PathFacts, identity: Identity, addresses: Mapping[str, str], peer_named: PeerNamed, counters: Counters
    ) -> None:  # fmt: skip
        self._facts = facts
        self._identity = identity
        self._addresses = dict(addresses)
        self._names = {address: name for name, address in addresses.items()}
        self._peer_named = peer_named
        self._counters = counters
        self._seals: dict[str, tuple[bytes, TinySeal]] = {}
        self._sessions: dict[str, TinySession] = {}
        self._events: PathEvents | None = None
        self._crew: Crew | None = None
        self._serve: Serve | None = None

    def begin(self, events: PathEvents, members: Crew, serve: Serve) -> None:
        """From now on sessions are opened, and served by the crew."""
        self._events, self._crew, self._serve = events, members, serve

    def end(self, reason: str) -> None:
        """The carrier is gone, and all sessions with it."""
        for name in list(self._sessions):
            self._close(name, reason)

    def arrived_from(self, address: str, data: bytes) -> None:
        """A sealed parcel came from an address."""
        name = self._names.get(address)
        if name is None:
            self._counters.refused("unknown_address")
            if is_worth_a_line(times := self._counters["refused_unknown_address"]):
                _log.warning(
                    "refused", path=self._facts.name, reason="unknown_address", address=address[:40], times=times
                )
            return
        self._arrived([name], data)

    def arrived_with(self, tag: bytes, data: bytes) -> bool:
        """A sealed parcel came with a tag; False: it is somebody else's, none of ours has this tag."""
        names = [name for name in self._addresses if (seal := self._seal(name)) is not None and seal.tag == tag]
        if names:
            self._arrived(names, data)
        else:
            self._counters.count("radio_for_others")
        return bool(names)

    def _arrived(self, names: Sequence[str], data: bytes) -> None:
        refusal: SenderError | None = None
        for name in names:
            session = self._sessions.get(name) or self._new(name)
            if session is None:
                continue
            try:
                parcels = session.opened(data)
            except (Malformed, BadSignature) as error:
                refusal = error
                continue
            self._take(name, session, parcels)
            return
        reason = refusal.reason if refusal else "unknown_sender"
        self._counters.refused(reason)
        if is_worth_a_line(times := self._counters[f"refused_{reason}"]):
            _log.warning("refused", path=self._facts.name, reason=reason, peer=" or ".join(names), times=times,
                         detail=str(refusal) if refusal else "no passport under this name")  # fmt: skip

    def _new(self, name: str) -> TinySession | None:
        seal = self._seal(name)
        if seal is None:
            return None
        return TinySession(facts=self._facts, seal=seal, is_outgoing=False, counters=self._counters, name=name)

    def _seal(self, name: str) -> TinySeal | None:
        """Made once for each passport: a new one has other keys."""
        passport = self._peer_named(name)
        if passport is None:
            return None
        known = self._seals.get(name)
        if known is None or known[0] != passport.transport_key + passport.signing_key:
            known = (passport.transport_key + passport.signing_key, TinySeal(self._identity, passport))
            self._seals[name] = known
            self._close(name, "its keys have changed")
        return known[1]

    def _take(self, name: str, session: TinySession, parcels: Sequence[bytes]) -> None:
        assert self._events is not None
        assert self._crew is not None
        if name not in self._sessions:
            self._sessions[name] = session
            self._events.session_opened(session)
            if not session.lost.done():
                self._crew.start(self._attend(name, session), f"{self._facts.name} {name}")
        for parcel in parcels:
            if not session.lost.done():  # withdrawn passports don't get this far
                self._events.session_received(session, parcel)
        if session.lost.done():
            self._close(name, session.lost.result())

    async def _attend(self, name: str, session: TinySession) -> None:
        assert self._serve is not None
        await self._serve(session, self._addresses[name])
        if self._sessions.get(name) is session:
            self._close(name, session.lost.result() if session.lost.done() else "over")

    def _close(self, name: str, reason: str) -> None:
        session = self._sessions.pop(name, None)
        if session is not None and self._events is not None:
            session.drop(reason)
            self._events.session_closed(session, reason)
