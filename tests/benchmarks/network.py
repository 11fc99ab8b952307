"""FLASH with one of three paths silently dead, over emulated links, beside other systems. Needs root; about six minutes."""

import msgspec

from tests.benchmarks.figure import Figure, percentile
from tests.network import measure as own
from tests.network.peers import compare

_SECONDS = 11.0
_SEED = 1


def measure() -> list[Figure]:
    """Ours, then each peer that is installed."""
    found = own.measure()
    flash_p99_ms = next(figure.value for figure in found if figure.name.startswith("FLASH p99"))
    bytes_alive = next(figure.value for figure in found if figure.name.startswith(f"on the wire over {own.LIVING}"))
    for peer, name in compare.PEERS.items():
        if compare.is_possible(peer):
            found += _beside(peer, name, flash_p99_ms, bytes_alive)
    return found


def _beside(peer: str, name: str, flash_p99_ms: float, bytes_alive: float) -> list[Figure]:
    scenario = msgspec.structs.replace(own.SCENARIO, nodes=1)
    outcome = compare.run(peer, scenario, own.DEAD, _SEED, messages_per_s=own.ALERTS_PER_S, seconds=_SECONDS)
    ours = "Heard's FLASH in the same run"
    return [
        Figure(name=f"{name}: p99, one of three dead", value=percentile(list(outcome.took_ms), 0.99), unit="ms", peer=ours,
               peer_value=flash_p99_ms, is_more_better=False),
        Figure(name=f"{name}: never acknowledged", value=outcome.lost, unit=f"of {outcome.sent}"),
        *(Figure(name=f"{name}: on the wire over {link}, both ways", value=size_bytes / outcome.whole_run,
                 unit="bytes a message", peer=f"Heard over {own.LIVING}", peer_value=bytes_alive)
          for link, size_bytes in outcome.bytes_by_link.items()),
    ]  # fmt: skip
