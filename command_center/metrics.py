"""Counts and latencies, in Prometheus' text format. May be called from any thread."""

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

_BUCKETS_MS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 15000.0, 60000.0)


class Metrics:
    """What happened since the process started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._buckets: defaultdict[str, Counter[float]] = defaultdict(Counter)
        self._sums: defaultdict[str, float] = defaultdict(float)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a count."""
        with self._lock:
            self._counts[name] += by

    def observe_ms(self, hop: str, value_ms: float, times: int = 1) -> None:
        """Note one latency of a hop, or several that are the same."""
        at = bisect_left(_BUCKETS_MS, value_ms)
        bound = _BUCKETS_MS[at] if at < len(_BUCKETS_MS) else float("inf")
        with self._lock:
            self._buckets[hop][bound] += times
            self._sums[hop] += value_ms * times

    def observe_all_ms(self, hop: str, values_ms: Sequence[float]) -> None:
        """Note many latencies of a hop."""
        with self._lock:
            buckets = self._buckets[hop]
            for value_ms in values_ms:
                at = bisect_left(_BUCKETS_MS, value_ms)
                buckets[_BUCKETS_MS[at] if at < len(_BUCKETS_MS) else float("inf")] += 1
            self._sums[hop] += sum(values_ms)

    def __getitem__(self, name: str) -> int:
        with self._lock:
            return self._counts[name]

    def snapshot(self) -> dict[str, int]:
        """A copy of the counts, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def text(self, gauges: dict[str, float]) -> str:
        """The exposition format 0.0.4; ``gauges`` are figures that hold now."""
        lines = ["# TYPE heard_events_total counter"]
        with self._lock:
            lines += [f'heard_events_total{{event="{name}"}} {value}' for name, value in sorted(self._counts.items())]
            lines.append("# TYPE heard_hop_ms histogram")
            for hop, buckets in sorted(self._buckets.items()):
                total = 0
                for bound in (*_BUCKETS_MS, float("inf")):
                    total += buckets[bound]
                    label = "+Inf" if bound == float("inf") else f"{bound:g}"
                    lines.append(f'heard_hop_ms_bucket{{hop="{hop}",le="{label}"}} {total}')
                lines += [
                    f'heard_hop_ms_sum{{hop="{hop}"}} {self._sums[hop]}',
                    f'heard_hop_ms_count{{hop="{hop}"}} {total}',
                ]
        for name, gauge in sorted(gauges.items()):
            lines += [f"# TYPE heard_{name} gauge", f"heard_{name} {gauge:g}"]
        return "\n".join(lines) + "\n"
