"""TLS beside ZeroMQ on the same bad links. Needs root; about three minutes."""

from tests.benchmarks.figure import Figure
from tests.network import carriers


def measure() -> list[Figure]:
    """The peer is the default carrier, at the same time."""
    return carriers.measure()
