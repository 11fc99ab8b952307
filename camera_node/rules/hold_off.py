"""One armed person is one alert and not a hundred; two are two.

What was alerted is remembered with its track and its place. A new track near the place of a remembered thing that is
*not seen any more* takes its record over (it was hidden, or left the picture and came back) and raises no alert, until
nothing has been seen for the hold-off time. While the remembered thing is still seen, a new track is somebody else and
is alerted. A rise in severity always breaks out.

A thing of another class is the same thing only if it turns up at once, in the middle of the picture, where the other was
lost: a detector that wavers between handgun and rifle. At the picture's edge it is somebody else who comes in.

Known miss: a second thing of the same class that appears within the hold-off time, near where the first was lost, is
taken for it. So the time is short and the reach small: one alert too many is merged by the center, one too few is lost.
"""

import math
from dataclasses import dataclass
from typing import Final

from camera_node.zone import Point
from relay.precedence import Precedence

_WAVERS_FOR_MS: Final = 3000
_EDGE: Final = 0.12
"""Of the picture's width or height."""


@dataclass(slots=True)
class _Record:
    kind: str
    label: str
    track: int
    place: Point
    last_seen_ms: int
    precedence: Precedence


class HoldOff:
    """What one rule has alerted lately. Distances are fractions of the frame."""

    def __init__(
        self, *, hold_off_s: float, near: float = 0.15, speed_per_s: float = 0.1, farthest: float = 0.3
    ) -> None:
        """``near`` grows by ``speed_per_s`` for as long as nothing was seen, to ``farthest``."""
        self._hold_off_ms = round(hold_off_s * 1000)
        self._near = near
        self._speed_per_s = speed_per_s
        self._farthest = farthest
        self._records: list[_Record] = []

    def see(self, kind: str, track: int, place: Point, now_ms: int) -> None:
        """This track is seen now. Called for every seen track of interest, before ``holds`` is asked for any."""
        self._forget_old(now_ms)
        for record in self._records:
            if record.track == track and record.kind == kind:
                record.place, record.last_seen_ms = place, now_ms

    def holds(self, kind: str, label: str, track: int, place: Point, precedence: Precedence, now_ms: int) -> bool:
        """Whether this was alerted already: the record of it follows this track. A rise in severity is not held."""
        self._forget_old(now_ms)
        record = self._find(kind, label, track, place, now_ms)
        if record is None:
            return False
        record.track, record.place, record.last_seen_ms = track, place, now_ms
        return precedence >= record.precedence

    def remember(self, kind: str, label: str, track: int, place: Point, precedence: Precedence, now_ms: int) -> None:
        """It is alerted now. Called after ``holds`` said no, and whatever else could stop it."""
        own = next((record for record in self._records if record.track == track and record.kind == kind), None)
        if own is not None:
            own.precedence = precedence
            return
        self._records.append(_Record(kind=kind, label=label, track=track, place=place, last_seen_ms=now_ms,
                                     precedence=precedence))  # fmt: skip

    def _forget_old(self, now_ms: int) -> None:
        self._records = [r for r in self._records if now_ms - r.last_seen_ms <= self._hold_off_ms]

    def forget(self, track: int) -> None:
        """The alert on this track was taken back: it holds nothing off any more."""
        self._records = [record for record in self._records if record.track != track]

    def _find(self, kind: str, label: str, track: int, place: Point, now_ms: int) -> _Record | None:
        alike = [record for record in self._records if record.kind == kind]
        own = next((record for record in alike if record.track == track), None)
        if own is not None:
            return own
        unseen = [record for record in alike if record.last_seen_ms < now_ms]
        near = [record for record in unseen
                if math.dist(record.place, place) <= self._reach(record, label, now_ms - record.last_seen_ms)]  # fmt: skip
        return min(near, key=lambda record: math.dist(record.place, place), default=None)

    def _reach(self, record: _Record, label: str, unseen_ms: int) -> float:
        """How far from where it was lost the same thing may turn up; negative: nowhere."""
        if record.label == label:
            return min(self._farthest, self._near + self._speed_per_s * unseen_ms / 1000)
        is_at_edge = not all(_EDGE <= share <= 1 - _EDGE for share in record.place)
        return -1.0 if is_at_edge or unseen_ms > _WAVERS_FOR_MS else self._near
