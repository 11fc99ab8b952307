"""``plans.toml`` in the state folder: response plans (run cards). Read once, at start; ``command-center plan check`` says what is wrong.

A plan fits an incident when every condition that it names holds. All plans that fit apply, in the file's order. Whatever is not said
to be ``automatic`` waits for a person.
"""

import hashlib
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from relay.errors import ConfigError

FILE_NAME: Final = "plans.toml"
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Text = Annotated[str, msgspec.Meta(max_length=4000)]


class Tell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told: the name of a receiver, such as one that is only told when called."""

    receiver: _Word
    automatic: bool = False


class Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the node of the camera is asked to do."""

    action: Literal["send_clip", "hold_clip", "act"]
    name: Annotated[str, msgspec.Meta(max_length=20)] = ""
    """For ``act``: what the node's configuration calls it, e.g. siren."""
    for_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 0
    """For ``act``: how long; 0: as long as the node's configuration says."""
    automatic: bool = False


class Send(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is recommended. Nobody is ever sent by a plan alone."""

    units: Annotated[int, msgspec.Meta(ge=0, le=50)] = 0
    capabilities: tuple[_Word, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run card. An empty condition holds always."""

    name: _Word
    sites: tuple[_Word, ...] = ()
    cameras: tuple[_Word, ...] = ()
    """``camera`` or ``node/camera``."""
    labels: tuple[_Word, ...] = ()
    precedence: tuple[Literal["FLASH", "IMMEDIATE", "PRIORITY", "ROUTINE"], ...] = ()
    days: tuple[_Day, ...] = ()
    between: tuple[_Word, _Word] | None = None
    """Local times such as 22:00 and 06:00; the first belongs to it, the second does not."""
    instructions: _Text = ""
    send: Send = Send()
    tell: tuple[Tell, ...] = ()
    trigger: tuple[Trigger, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    time_zone: str = "UTC"
    plan: tuple[Plan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a plan is matched by."""

    site: str
    node: str
    camera: str
    label: str
    precedence: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """A file of plans that was checked."""

    plans: tuple[Plan, ...] = ()
    zone: zoneinfo.ZoneInfo | None = None
    sha256: bytes = bytes(32)

    def fitting(self, seen: Seen) -> list[Plan]:
        """Those that fit, in the file's order."""
        local = datetime.fromtimestamp(seen.at_ms / 1000, self.zone or UTC)
        return [plan for plan in self.plans if _fits(plan, seen, local)]


def load(file: Path) -> Plans:
    """Read and check; no plans where there is no file.

    Raises:
        ConfigError: what was expected, what was found, and where.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return Plans()
    except OSError as error:
        raise ConfigError(f"can't read {file}: {error.strerror}") from error
    return parse(data, str(file))


def parse(data: bytes, where: str) -> Plans:
    """The same from bytes.

    Raises:
        ConfigError: what was expected, what was found, and where.
    """
    try:
        raw = msgspec.toml.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected TOML in {where}: {error}") from error
    _require_known(raw, where)
    try:
        found = msgspec.convert(raw, _File)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error} (plans count from 0)") from error
    names = [plan.name for plan in found.plan]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: expected each plan's name once, found {name!r} {names.count(name)} times")
    for plan in found.plan:
        _require_sense(plan, where)
    try:
        zone = zoneinfo.ZoneInfo(found.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"{where}: expected a time zone such as Europe/Amsterdam, found {found.time_zone!r}"
        ) from error
    return Plans(plans=found.plan, zone=zone, sha256=hashlib.sha256(data).digest())


def _require_known(raw: object, where: str) -> None:
    """A misspelled key would make a plan fit more than was meant: msgspec names it, this says what there is."""
    plans = raw.get("plan", []) if isinstance(raw, dict) else []
    for number, plan in enumerate(plans if isinstance(plans, list) else [], start=1):
        known = Plan.__struct_fields__
        for key in plan if isinstance(plan, dict) else ():
            if key not in known:
                named = plan.get("name", f"number {number}")
                raise ConfigError(f"{where}, plan {named}: unknown key {key!r}; known keys: {', '.join(sorted(known))}")


def _require_sense(plan: Plan, where: str) -> None:
    if plan.between is not None:
        for text in plan.between:
            _time_of(text, f"{where}, plan {plan.name}")
        if plan.between[0] == plan.between[1]:
            raise ConfigError(
                f"{where}, plan {plan.name}: from {plan.between[0]} to {plan.between[1]} is no time at all"
            )
    if not (plan.instructions or plan.tell or plan.trigger or plan.send.units or plan.send.capabilities):
        raise ConfigError(f"{where}, plan {plan.name}: expected something to do (instructions, send, tell or trigger)")
    for trigger in plan.trigger:
        if (trigger.action == "act") != bool(trigger.name):
            raise ConfigError(
                f"{where}, plan {plan.name}: expected a name with act, and only there, as in "
                f'{{ action = "act", name = "siren" }}, found {trigger.action} {trigger.name!r}'
            )
        if trigger.for_s and trigger.action != "act":
            raise ConfigError(
                f"{where}, plan {plan.name}: expected for_s with act only, found {trigger.action} for {trigger.for_s} s"
            )
    told = [tell.receiver for tell in plan.tell]
    if len(set(told)) != len(told):
        raise ConfigError(f"{where}, plan {plan.name}: expected each receiver once, found {', '.join(told)}")


def _time_of(text: str, where: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{where}: expected a time of day such as 22:00, found {text!r}") from error


def _fits(plan: Plan, seen: Seen, local: datetime) -> bool:
    begin = end = None
    if plan.between is not None:
        begin, end = time.fromisoformat(plan.between[0]), time.fromisoformat(plan.between[1])
    is_now = True
    day = _DAYS[local.weekday()]
    if begin is not None and end is not None:
        at = local.time()
        is_now = begin <= at < end if begin < end else at >= begin or at < end
        if begin > end and at < end:
            day = _DAYS[(local.weekday() - 1) % 7]  # a night belongs to the day on which it began
    return (
        is_now
        and (not plan.days or day in plan.days)
        and (not plan.sites or seen.site in plan.sites)
        and (not plan.cameras or seen.camera in plan.cameras or f"{seen.node}/{seen.camera}" in plan.cameras)
        and (not plan.labels or seen.label in plan.labels)
        and (not plan.precedence or seen.precedence in plan.precedence)
    )
