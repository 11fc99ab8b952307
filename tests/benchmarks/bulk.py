"""A clip over emulated links: what it leaves to alerts, its share of a link, several links together. Needs root; under four minutes."""

from tests.benchmarks.figure import Figure
from tests.network import bulk


def measure() -> list[Figure]:
    """Ours alone: no peer on this bench stops a transfer for a message."""
    return bulk.measure()
