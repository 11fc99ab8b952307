"""One node floods: what another one's alerts feel of it, over emulated links. Needs root; about a minute and a half."""

from tests.benchmarks.figure import Figure
from tests.network import flood


def measure() -> list[Figure]:
    """Beside the same node before the flood: what other systems do under one is not their promise."""
    return flood.measure()
