"""A station's figures in Prometheus' text format, 0.0.4: what ``metrics_server`` serves. Pure.

Names and units follow Prometheus' advice (base units, ``_total`` on counters). Labels are names from this machine's configuration,
from passports and from the code: nothing that an alert says gets here, and no key.

Source: Prometheus, "Exposition formats" and "Metric and label naming".
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from relay.kinds.heartbeat import Room
from relay.latency import BOUNDS_S, Histogram, Latencies
from relay.precedence import Precedence
from relay.status import StationStatus

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]


def text_of(status: StationStatus, latencies: Latencies) -> str:
    """The whole page."""
    lines: list[str] = []

    def family(name: str, kind: str, what: str, samples: Iterable[Sample]) -> None:
        rows = [f"heard_relay_{name}{_labels(labels)} {value:.10g}" for labels, value in samples]
        if rows:
            lines.extend([f"# HELP heard_relay_{name} {what}", f"# TYPE heard_relay_{name} {kind}", *rows])

    about = {"name": status.name, "role": status.role, "site": status.site, "release": status.release}
    family("info", "gauge", "Who this is; always 1.", [(about, 1)])
    family("uptime_seconds", "gauge", "Since this process started.", [({}, status.uptime_s)])
    counters, refused = _sorted_out(status.counters)
    family("events_total", "counter", "What happened, by name, since this process started.",
           [({"event": name}, count) for name, count in counters.items()])  # fmt: skip
    family("refused_total", "counter", "What was refused, by reason, since this process started.",
           [({"reason": name}, count) for name, count in refused.items()])  # fmt: skip
    _custody(status, family)
    _paths(status, family)
    lines += _histogram("hop_seconds", "An alert was handed to a path until the answer was back.",
                        [({"path": path, "answer": answer}, found) for (path, answer), found in sorted(latencies.hops.items())])  # fmt: skip
    lines += _histogram(
        "held_seconds", "An alert was durable here until handed to its first path.", [({}, latencies.held)]
    )
    lines += _histogram(
        "heard_seconds", "An alert was durable here until its receipt was here.", [({}, latencies.heard)]
    )
    return "\n".join(lines) + "\n"


class _Family(Protocol):
    def __call__(self, name: str, kind: str, what: str, samples: Iterable[Sample]) -> None: ...


def _sorted_out(counters: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    refused = {name.removeprefix("refused_"): count for name, count in counters.items() if name.startswith("refused_")}
    return {name: count for name, count in counters.items() if not name.startswith("refused_")}, refused


def _custody(status: StationStatus, family: _Family) -> None:
    family("backlog_envelopes", "gauge", "Envelopes without a receipt.",
           [({"precedence": precedence.name}, status.backlog[precedence]) for precedence in Precedence])  # fmt: skip
    family("oldest_alert_seconds", "gauge", "Age of the oldest alert without a receipt; 0 if none waits.",
           [({}, status.oldest_waiting_s)])  # fmt: skip
    family("spool_bytes", "gauge", "Bytes in custody.", [({}, status.spool_bytes)])
    family("spool_capacity_bytes", "gauge", "Bytes that the spool may hold.", [({}, status.spool_capacity_bytes)])
    family("room", "gauge", "What the spool still takes; 1 for what holds now.",
           [({"room": room.name.lower()}, float(room.name.lower() == status.room)) for room in Room])  # fmt: skip
    family("left_without_receipt_total", "counter", "Left the spool without a receipt, over its whole life.",
           [({"how": name}, count) for name, count in sorted(status.left_without_receipt.items())])  # fmt: skip
    family("neighbors", "gauge", "Neighbors that can be spoken to now.", [({}, len(status.neighbors))])


def _paths(status: StationStatus, family: _Family) -> None:
    paths = status.paths
    family("path_up", "gauge", "Whether the path carries now.",
           [({"path": path.path, "carrier": path.carrier, "provider": path.provider}, float(path.is_up)) for path in paths])  # fmt: skip
    family("path_rtt_seconds", "gauge", "Smoothed round trip; absent while unknown.",
           [({"path": path.path}, path.rtt_ms / 1000) for path in paths if path.rtt_ms])  # fmt: skip
    family("path_rtt_variation_seconds", "gauge", "Its mean deviation (RFC 6298).",
           [({"path": path.path}, path.rtt_variation_ms / 1000) for path in paths if path.rtt_ms])  # fmt: skip
    family("path_loss_ratio", "gauge", "Share of pings without an answer in time.",
           [({"path": path.path}, path.loss) for path in paths])  # fmt: skip
    family("path_goodput_bytes_per_second", "gauge", "What the path delivers; absent until enough went over it.",
           [({"path": path.path, "direction": direction}, value) for path in paths
            for direction, value in (("up", path.goodput_up_bytes_s), ("down", path.goodput_down_bytes_s)) if value])  # fmt: skip
    family("path_bytes_total", "counter", "Parcels' bytes since this process started.",
           [({"path": path.path, "direction": direction}, value) for path in paths
            for direction, value in (("up", path.bytes_up), ("down", path.bytes_down))])  # fmt: skip
    family("path_spent_money", "gauge", "Spent in this month, in the tariff's own currency.",
           [({"path": path.path}, path.spent) for path in paths if path.is_metered])  # fmt: skip
    family("path_budget_left_ratio", "gauge", "Share of the tightest budget that is left.",
           [({"path": path.path}, path.budget_left) for path in paths if path.budget_left is not None])  # fmt: skip
    family("path_last_word_seconds", "gauge", "Since anything came over the path; absent while it is down.",
           [({"path": path.path}, path.last_word_age_ms / 1000) for path in paths if path.is_up])  # fmt: skip


def _histogram(name: str, what: str, series: Iterable[tuple[Mapping[str, str], Histogram]]) -> list[str]:
    rows: list[str] = []
    for labels, found in series:
        total = 0
        for bound in (*BOUNDS_S, float("inf")):
            total += found.counts[bound]
            edge = "+Inf" if bound == float("inf") else f"{bound:g}"
            rows.append(f"heard_relay_{name}_bucket{_labels({**labels, 'le': edge})} {total}")
        rows.append(f"heard_relay_{name}_sum{_labels(labels)} {found.sum_s:.10g}")
        rows.append(f"heard_relay_{name}_count{_labels(labels)} {total}")
    return [f"# HELP heard_relay_{name} {what}", f"# TYPE heard_relay_{name} histogram", *rows] if rows else []


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
