"""What came of a demonstration: counts, hop times, recall. Pure arithmetic over what node and console say."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from models.demonstration import SceneTruth

Alert = dict[str, Any]
"""One alert as JSON: from ``camera-node status --json``, or from the center's API."""


class HopTime(msgspec.Struct, frozen=True, kw_only=True):
    """Of one hop, over all alerts; ms. None where nothing was measured."""

    p50: float | None
    p95: float | None
    max: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "HopTime":
        """Nearest-rank percentiles."""
        if not values:
            return cls(p50=None, p95=None, max=None)
        ordered = sorted(values)

        def rank(share: float) -> float:
            return ordered[min(len(ordered) - 1, max(0, -(-int(share * 100 * len(ordered)) // 100) - 1))]

        return cls(p50=rank(0.50), p95=rank(0.95), max=ordered[-1])


class Recall(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the scene's armed figures were alerted, of those that were in view for their whole stay."""

    events: int
    alerted: int
    false_alerts: int
    """Alerts at a moment when nobody armed was in view."""

    @property
    def share(self) -> float | None:
        """Alerted / events."""
        return self.alerted / self.events if self.events else None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The last line that ``command-center demo --json`` prints."""

    alerts_spooled: int
    alerts_heard: int
    alerts_acknowledged: int
    alerts_shown: int
    duplicates_shown: int
    incidents: int
    snapshots: int
    sighting_to_spooled_ms: HopTime
    spooled_to_stored_ms: HopTime
    stored_to_receipt_ms: HopTime
    acknowledged_to_node_ms: HopTime
    first_alert_after_s: float | None
    scene: Recall | None
    seconds: float
    state_dir: str

    @property
    def is_complete(self) -> bool:
        """Whether every spooled alert was heard, shown exactly once and acknowledged."""
        return (0 < self.alerts_spooled == self.alerts_heard == self.alerts_acknowledged == self.alerts_shown
                and self.duplicates_shown == 0)  # fmt: skip


def duplicates(shown: Sequence[Alert]) -> int:
    """How many times an alert is shown beyond its first."""
    return sum(count - 1 for count in Counter(alert["id"] for alert in shown).values())


def recall_of(alerts: Sequence[Alert], truth: SceneTruth, *, watched_s: float, slack_s: float = 1.0) -> Recall:
    """Compare alerts with the scene's ground truth.

    The clip loops, and an alert says where in the clip it was sighted and when. The earliest alert fixes when the clip
    began; a stay counts if it was over before the camera stopped.
    """
    fps = truth.frames_per_second
    length_s = truth.frame_count / fps
    if not alerts:
        return Recall(
            events=sum(1 for event in truth.events if event.last_frame / fps < watched_s), alerted=0, false_alerts=0
        )
    first = min(alerts, key=lambda alert: int(alert["sighted_monotonic_ms"]))
    began_s = first["sighted_monotonic_ms"] / 1000 - first["clip_time_ms"] / 1000
    stays: list[tuple[float, float]] = []
    for turn in range(int(watched_s // length_s) + 1):
        stays += [
            (turn * length_s + event.first_frame / fps, turn * length_s + event.last_frame / fps)
            for event in truth.events
        ]
    alerted: set[int] = set()
    false_alerts = 0
    for alert in alerts:
        at_s = alert["sighted_monotonic_ms"] / 1000 - began_s
        matches = [i for i, (start, end) in enumerate(stays) if start - 0.2 <= at_s <= end + slack_s]
        alerted.update(matches[:1])
        false_alerts += not matches
    due = [i for i, (_, end) in enumerate(stays) if end <= watched_s]
    return Recall(events=len(due), alerted=len(alerted & set(due)), false_alerts=false_alerts)
