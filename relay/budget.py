"""What a metered path may cost: budgets of bytes and of money, a day and a month, kept over restarts.

Alerts are never held back by a budget, but what they spend counts. PRIORITY and ROUTINE go on a metered path only while every
budget of it has room; BULK never does (``scheduler`` decides, this file counts).

A day is 24 hours and a month 30 days of this machine's *monotonic* time. The clock runs on while the process is stopped
within one boot; what a machine was switched off for can't be known and counts as nothing. So a wall clock that leaps refills
no budget, and a budget is refilled too late rather than too early.

What is written to the disk is ahead of what was spent (a *lease*): after a kill or a power cut the lease counts as spent,
so that a crash can't make a budget larger. A stop in good order writes the exact figure.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from relay.path_health import OVERHEAD_BYTES, BudgetUse
from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("relay").joinpath("schema", "budget"))

PERIODS_MS: Final[Mapping[str, int]] = {"day": 86_400_000, "month": 30 * 86_400_000}
_WRITE_AT_LEAST_EVERY_MS: Final = 600_000
_MB: Final = 1_000_000
_LEASE_BYTES: Final = 64 * 1024
_LEASE_SHARE: Final = 20
"""A lease is at most a twentieth of the path's smallest budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What a path costs and may cost. A limit of 0 is none."""

    cost_per_mb: float = 0.0
    """Money for 1,000,000 bytes."""
    day_bytes: int = 0
    month_bytes: int = 0
    day_money: float = 0.0
    month_money: float = 0.0

    def limits(self) -> list[tuple[str, str, float]]:
        """(period, unit, limit) of every budget there is."""
        found = [("day", "bytes", float(self.day_bytes)), ("month", "bytes", float(self.month_bytes)),
                 ("day", "money", self.day_money), ("month", "money", self.month_money)]  # fmt: skip
        return [item for item in found if item[2] > 0]

    def amount(self, size_bytes: int, unit: str) -> float:
        """So many bytes in a budget's unit."""
        return float(size_bytes) if unit == "bytes" else size_bytes * self.cost_per_mb / _MB

    def lease_bytes(self) -> int:
        """How far the disk's figure may be ahead."""
        in_bytes = [limit if unit == "bytes" else limit / self.cost_per_mb * _MB
                    for _, unit, limit in self.limits() if unit == "bytes" or self.cost_per_mb > 0]  # fmt: skip
        return int(min([_LEASE_BYTES, *(limit / _LEASE_SHARE for limit in in_bytes)]))


@dataclass(slots=True, kw_only=True)
class _Period:
    began_age_ms: int
    bytes: int = 0


@dataclass(slots=True, kw_only=True)
class _Account:
    tariff: Tariff
    periods: dict[str, _Period] = field(default_factory=dict)
    written_bytes: int = -1
    """The month's figure on the disk; -1: what is there is of no use."""


class Purse:
    """The accounts of all metered paths. ``now_ms`` is always the monotonic clock's. Used on the event loop."""

    def __init__(self, tariffs: Mapping[str, Tariff]) -> None:
        self._accounts = {path: _Account(tariff=tariff) for path, tariff in tariffs.items()}
        self._age_at_start_ms = 0
        self._started_ms = 0
        self._written_ms = 0

    @property
    def is_empty(self) -> bool:
        """Whether no path costs anything."""
        return not self._accounts

    def counts(self, path: str) -> bool:
        """Whether what goes on this path costs anything."""
        return path in self._accounts

    # ------------------------------------------------------------------ the disk

    def load(self, connection: sqlite3.Connection, boot_id: str, now_ms: int) -> None:
        """Take up what an earlier run wrote, its lease included. What was counted before this, at the start, is kept."""
        row = connection.execute("SELECT boot_id, monotonic_ms, age_ms FROM spending_clock").fetchone()
        if row is not None:
            self._age_at_start_ms = row[2] + (max(0, now_ms - row[1]) if row[0] == boot_id else 0)
        self._started_ms = self._written_ms = now_ms
        for path, period, began_age_ms, size_bytes in connection.execute("SELECT * FROM spending"):
            account = self._accounts.get(path)
            if account is not None:
                account.periods[period] = _Period(began_age_ms=began_age_ms, bytes=size_bytes)
                if period == "month":
                    account.written_bytes = size_bytes

    def is_write_due(self, now_ms: int) -> bool:
        """Whether some account has used half of its lease or began a new period, or the clock was not written for long."""
        return now_ms - self._written_ms > _WRITE_AT_LEAST_EVERY_MS or any(
            account.written_bytes < month.bytes + account.tariff.lease_bytes() // 2
            for account in self._accounts.values()
            if (month := account.periods.get("month")) is not None
        )

    def snapshot(self, now_ms: int, *, is_final: bool) -> "Snapshot":
        """What is to be written: with leases, or exactly when nothing more will be spent."""
        rows: list[tuple[str, str, int, int]] = []
        for path, account in self._accounts.items():
            lease_bytes = 0 if is_final else account.tariff.lease_bytes()
            for name, period in self._current(account, now_ms).items():
                rows.append((path, name, period.began_age_ms, period.bytes + lease_bytes))
            account.written_bytes = account.periods["month"].bytes + lease_bytes
        self._written_ms = now_ms
        return Snapshot(rows=tuple(rows), monotonic_ms=now_ms, age_ms=self._age_ms(now_ms))

    # ------------------------------------------------------------------ counting

    def spend(self, path: str, size_bytes: int, now_ms: int) -> None:
        """A parcel of this size went or came on a path; what the carrier adds to it is added here."""
        account = self._accounts.get(path)
        if account is None:
            return
        for period in self._current(account, now_ms).values():
            period.bytes += size_bytes + OVERHEAD_BYTES

    def left_bytes(self, path: str, now_ms: int) -> float:
        """How much anything but an alert may still send on a path now; infinite where there is no budget."""
        account = self._accounts.get(path)
        if account is None:
            return float("inf")
        periods, left = self._current(account, now_ms), float("inf")
        for name, unit, limit in account.tariff.limits():
            allowed = limit
            if unit == "money":
                allowed = limit / account.tariff.cost_per_mb * _MB if account.tariff.cost_per_mb > 0 else float("inf")
            left = min(left, allowed - periods[name].bytes)
        return max(0.0, left)

    def spent(self, path: str, now_ms: int) -> float:
        """Money in this month."""
        account = self._accounts.get(path)
        return 0.0 if account is None else account.tariff.amount(self._current(account, now_ms)["month"].bytes, "money")

    def uses(self, path: str, now_ms: int) -> tuple[BudgetUse, ...]:
        """Every budget of a path."""
        account = self._accounts.get(path)
        if account is None:
            return ()
        periods = self._current(account, now_ms)
        return tuple(BudgetUse(period=name, unit=unit, limit=limit, used=account.tariff.amount(periods[name].bytes, unit))
                     for name, unit, limit in account.tariff.limits())  # fmt: skip

    def _age_ms(self, now_ms: int) -> int:
        return self._age_at_start_ms + max(0, now_ms - self._started_ms)

    def _current(self, account: _Account, now_ms: int) -> dict[str, _Period]:
        """The periods that run now; one that is over begins anew, in step with when it first began."""
        age_ms = self._age_ms(now_ms)
        for name, length_ms in PERIODS_MS.items():
            period = account.periods.get(name)
            if period is None:
                account.periods[name] = _Period(began_age_ms=age_ms)
            elif age_ms - period.began_age_ms >= length_ms:
                account.periods[name] = _Period(began_age_ms=age_ms - (age_ms - period.began_age_ms) % length_ms)
                account.written_bytes = -1
        return account.periods


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What ``Purse.load`` reads again."""

    rows: tuple[tuple[str, str, int, int], ...]
    monotonic_ms: int
    age_ms: int

    def write(self, connection: sqlite3.Connection, boot_id: str) -> None:
        """Within a transaction of the caller's."""
        connection.executemany("INSERT OR REPLACE INTO spending VALUES (?, ?, ?, ?)", self.rows)
        connection.execute("INSERT OR REPLACE INTO spending_clock VALUES (1, ?, ?, ?)",
                           (boot_id, self.monotonic_ms, self.age_ms))  # fmt: skip


def share_left(uses: Sequence[BudgetUse]) -> float | None:
    """Of the tightest budget, 0 … 1; None where there is none."""
    return min((max(0.0, 1 - use.used / use.limit) for use in uses), default=None)
