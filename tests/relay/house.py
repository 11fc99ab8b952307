"""A whole house of stations for tests: a real authority, real keys, real sockets on port 0, real SQLite files."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from relay import passport as passports
from relay.arrival import Arrival
from relay.config import ListenConfig, PathConfig, SpoolConfig, StationConfig
from relay.enrollment import Enrollment
from relay.identity import Identity
from relay.passport import Role, SignedPassport
from relay.station import Inbox, Station


class Kept:
    """An inbox that writes down what it was given: first in the transaction, then after the commit."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.fail_with: Exception | None = None

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        if self.fail_with is not None:
            raise self.fail_with

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals.extend(arrivals)


class House:
    """An authority and the stations that it has enrolled, each with its state under one folder."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.authority = Identity.generate()
        self.passports: dict[str, SignedPassport] = {}
        self.identities: dict[str, Identity] = {}
        self._serial = 0

    @classmethod
    def of(cls, state_dir: Path, stations: Mapping[str, Role]) -> "House":
        """With these stations, enrolled and settled."""
        made = cls(state_dir)
        for name, role in stations.items():
            made.enroll(name, role)
        made.settle()
        return made

    def enroll(self, name: str, role: Role, identity: Identity | None = None) -> Identity:
        """Make keys and a passport; written to disk by ``settle``."""
        identity = identity or Identity.generate()
        self._serial += 1
        keys = (identity.signing_key, identity.sealing_key, identity.transport_key)
        self.passports[name] = passports.issue(
            self.authority.signing, role=role, name=name, site="yard", agency="city", keys=keys, not_before_ms=0,
            not_after_ms=1 << 47, serial=self._serial,
        )  # fmt: skip
        self.identities[name] = identity
        if not (self.dir_of(name) / "identity.key").exists():
            identity.save(self.dir_of(name) / "identity.key")
        return identity

    def dir_of(self, name: str) -> Path:
        return self.state_dir / name

    def settle(self, *, strangers: bool = False) -> None:
        """Give every station its enrollment, with everybody else's passport; or, as ``strangers``, without other cameras'."""
        for name, own in self.passports.items():
            self.dir_of(name).mkdir(parents=True, exist_ok=True)
            Enrollment(
                authority_signing_key=self.authority.signing_key, authority_sealing_key=self.authority.sealing_key,
                passport=own.wire, peers=tuple(p.wire for other, p in self.passports.items()
                                            if other != name and not (strangers and p.passport.role == own.passport.role == Role.CAMERA)),
            ).save(self.dir_of(name))  # fmt: skip

    @contextlib.asynccontextmanager
    async def station(
        self, name: str, *, listen: str | ListenConfig = "", to: Sequence[tuple[str, str] | PathConfig] = (),
        inbox: Inbox | None = None, spool: SpoolConfig | None = None, verifiers: int = 0, has_intake_log: bool = False,
    ) -> AsyncIterator[Station]:  # fmt: skip
        """Run a station: ``listen`` is an endpoint, ``to`` pairs of (peer name, endpoint)."""
        listens = ListenConfig(endpoint=listen) if listen and isinstance(listen, str) else listen
        config = StationConfig(
            state_dir=self.dir_of(name),
            listen=(listens,) if isinstance(listens, ListenConfig) else (),
            path=tuple(item if isinstance(item, PathConfig) else PathConfig(name=f"to-{item[0]}-{i}", endpoint=item[1], peer=item[0])
                       for i, item in enumerate(to)),
            spool=spool or SpoolConfig(ballast_bytes=0),
        )  # fmt: skip
        if inbox is None and self.passports[name].passport.role == Role.CENTER:
            inbox = Kept()
        async with Station.open(config, inbox=inbox, verifiers=verifiers, has_intake_log=has_intake_log) as station:
            yield station


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    """Wait for a condition; fail with words if it never holds."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110  the conditions are counters, they have no event to wait for
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited {timeout_s} s in vain for: {what}") from None
