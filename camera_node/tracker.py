"""ByteTrack: which box of this frame is which thing of the frames before. One per camera; pure, time is an argument.

Two rounds of assignment: first the sure boxes with every track, then the unsure ones with the tracks that are left, so
that a thing half hidden keeps its number. Differences from the paper, each for a reason: tracks are kept for seconds and
not frames; things of one kind only meet their own kind (a handgun never becomes the person who holds it); small boxes
are widened before they are compared, because a handgun moves by more than its own size between two frames at 5/s.
Source: Zhang et al., arXiv 2110.06864; widened boxes: Yang et al., WACV 2023 (C-BIoU).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import lap
import numpy as np
from numpy.typing import NDArray

from camera_node import kalman
from camera_node.detector import Detection

Floats = NDArray[np.float64]
_NEVER: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSettings:
    """ByteTrack's thresholds."""

    sure_confidence: float = 0.4
    """From here a box takes part in the first round."""
    new_confidence: float = 0.45
    """From here a box may begin a track."""
    match_cost: float = 0.85
    """1 - overlap·confidence, first round, at most."""
    unsure_match_cost: float = 0.6
    young_match_cost: float = 0.75
    keep_lost_s: float = 2.5
    widen: float = 0.25
    """Each box grows by this share of its size on each side before comparing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A thing as it is now."""

    number: int
    label: str
    confidence: float
    """Of this frame's box; 0 when it was not seen on this frame."""
    bbox_xyxy_px: tuple[float, float, float, float]
    first_seen_ms: int
    last_seen_ms: int
    is_seen: bool
    """A box of this frame belongs to it; else the box is where it should be."""
    is_confirmed: bool
    """Seen on two frames in a row at least."""


@dataclass(slots=True)
class _Thing:
    number: int
    kind: str
    mean: Floats
    covariance: Floats
    first_seen_ms: int
    last_seen_ms: int
    confidence: float
    votes: dict[str, float] = field(default_factory=dict)
    is_confirmed: bool = False
    is_seen: bool = True

    @property
    def label(self) -> str:
        return max(self.votes, key=lambda label: self.votes[label])


class Tracker:
    """The things before one camera."""

    def __init__(self, settings: TrackSettings | None = None, *, kind_of: Callable[[str], str] = str) -> None:
        """``kind_of`` says which labels may be the same thing: handgun and rifle are both a weapon."""
        self._settings = settings or TrackSettings()
        self._kind_of = kind_of
        self._things: list[_Thing] = []
        self._next_number = 1
        self._last_ms: int | None = None

    def update(
        self, detections: Sequence[Detection], now_ms: int, *, frame_size_px: tuple[int, int] | None = None
    ) -> list[Track]:
        """Take one frame's boxes; every track that is seen or only just lost comes out.

        ``now_ms`` is the frame's monotonic capture time. With ``frame_size_px`` (width, height), what is lost and would be
        outside the picture now has left it: who comes in there next is somebody else.
        """
        settings = self._settings
        step_s = 0.0 if self._last_ms is None else max(0, now_ms - self._last_ms) / 1000
        self._last_ms = now_ms
        keep_ms = round(settings.keep_lost_s * 1000)
        # Before anything is matched: after an outage of the camera, whoever stands there now is somebody else.
        self._things = [thing for thing in self._things if now_ms - thing.last_seen_ms <= keep_ms]
        self._predict(step_s)
        if frame_size_px is not None:
            self._things = [thing for thing in self._things if thing.is_seen or _is_within(thing.mean, frame_size_px)]
        for thing in self._things:
            thing.is_seen = False
        sure = [d for d in detections if d.confidence >= settings.sure_confidence]
        unsure = [d for d in detections if 0.1 <= d.confidence < settings.sure_confidence]
        grown = [thing for thing in self._things if thing.is_confirmed]
        young = [thing for thing in self._things if not thing.is_confirmed]
        grown, sure = self._match(grown, sure, settings.match_cost, now_ms, is_weighed=True)
        recent = [t for t in grown if now_ms - t.last_seen_ms <= max(500, round(step_s * 2000))]
        self._match(recent, unsure, settings.unsure_match_cost, now_ms, is_weighed=False)
        young, sure = self._match(young, sure, settings.young_match_cost, now_ms, is_weighed=True)
        forgotten = {id(thing) for thing in young}  # seen once and not again: never was a thing
        self._things = [thing for thing in self._things if id(thing) not in forgotten]
        self._begin([d for d in sure if d.confidence >= settings.new_confidence], now_ms)
        return _public(self._things)

    def _predict(self, step_s: float) -> None:
        if not self._things or step_s <= 0:
            return
        means = np.stack([thing.mean for thing in self._things])
        for row, thing in enumerate(self._things):
            if not thing.is_seen:
                means[row, 7] = 0.0  # a lost thing does not grow or shrink
        means, covariances = kalman.predict(means, np.stack([t.covariance for t in self._things]), step_s)
        for row, thing in enumerate(self._things):
            thing.mean, thing.covariance = means[row], covariances[row]

    def _match(self, things: list[_Thing], detections: list[Detection], most_cost: float, now_ms: int, *,
               is_weighed: bool) -> tuple[list[_Thing], list[Detection]]:  # fmt: skip
        """Assign, update what was matched, and return what was not."""
        if not things or not detections:
            return things, detections
        boxes = np.stack([d.bbox_xyxy_px for d in detections]).astype(np.float64)
        predicted = kalman.to_corners(np.stack([thing.mean for thing in things]))
        overlap = _overlap(_widened(predicted, self._settings.widen), _widened(boxes, self._settings.widen))
        if is_weighed:
            overlap = overlap * np.array([d.confidence for d in detections])
        kinds = [self._kind_of(d.label) for d in detections]
        is_same = np.array([[thing.kind == kind for kind in kinds] for thing in things])
        cost = np.where(is_same, 1 - overlap, _NEVER)
        _, column_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=most_cost)
        pairs = [(row, int(column)) for row, column in enumerate(column_of) if column >= 0]
        if pairs:
            self._correct([(things[row], detections[column]) for row, column in pairs], now_ms)
        taken_rows, taken_columns = {row for row, _ in pairs}, {column for _, column in pairs}
        return ([thing for row, thing in enumerate(things) if row not in taken_rows],
                [d for column, d in enumerate(detections) if column not in taken_columns])  # fmt: skip

    def _correct(self, pairs: list[tuple[_Thing, Detection]], now_ms: int) -> None:
        measured = kalman.to_measurement(np.stack([d.bbox_xyxy_px for _, d in pairs]).astype(np.float64))
        means, covariances = kalman.update(
            np.stack([thing.mean for thing, _ in pairs]), np.stack([thing.covariance for thing, _ in pairs]), measured
        )
        for row, (thing, detection) in enumerate(pairs):
            thing.mean, thing.covariance = means[row], covariances[row]
            thing.last_seen_ms = now_ms
            thing.is_seen = thing.is_confirmed = True
            thing.confidence = detection.confidence
            for label in thing.votes:
                thing.votes[label] *= 0.9
            thing.votes[detection.label] = thing.votes.get(detection.label, 0.0) + detection.confidence

    def _begin(self, detections: list[Detection], now_ms: int) -> None:
        if not detections:
            return
        measured = kalman.to_measurement(np.stack([d.bbox_xyxy_px for d in detections]).astype(np.float64))
        means, covariances = kalman.initiate(measured)
        for row, detection in enumerate(detections):
            self._things.append(_Thing(
                number=self._next_number, kind=self._kind_of(detection.label), mean=means[row],
                covariance=covariances[row], first_seen_ms=now_ms, last_seen_ms=now_ms,
                confidence=detection.confidence, votes={detection.label: detection.confidence},
            ))  # fmt: skip
            self._next_number += 1


def _is_within(mean: Floats, frame_size_px: tuple[int, int]) -> bool:
    return bool(0 <= mean[0] <= frame_size_px[0] and 0 <= mean[1] <= frame_size_px[1])


def _public(things: Sequence[_Thing]) -> list[Track]:
    if not things:
        return []
    boxes = kalman.to_corners(np.stack([thing.mean for thing in things])).tolist()
    return [
        Track(number=thing.number, label=thing.label, confidence=thing.confidence if thing.is_seen else 0.0,
              bbox_xyxy_px=(x1, y1, x2, y2), first_seen_ms=thing.first_seen_ms, last_seen_ms=thing.last_seen_ms,
              is_seen=thing.is_seen, is_confirmed=thing.is_confirmed)
        for thing, (x1, y1, x2, y2) in zip(things, boxes, strict=True)
    ]  # fmt: skip


def _widened(boxes: Floats, share: float) -> Floats:
    margin = (boxes[:, 2:] - boxes[:, :2]) * share
    return np.concatenate((boxes[:, :2] - margin, boxes[:, 2:] + margin), axis=1)


def _overlap(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every box with every other: (N, 4), (M, 4) to (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (first, second)]
    union: Floats = areas[0][:, None] + areas[1][None, :] - shared
    result: Floats = shared / np.maximum(union, 1e-9)
    return result
