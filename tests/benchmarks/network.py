"""FLASH with one of three paths silently dead, over emulated links, beside other systems. Needs root; about eight minutes.

And what an alert takes whose only path an address translator has forgotten, for each of them.
"""

import msgspec

from tests.benchmarks.figure import Figure, percentile
from tests.network import measure as own
from tests.network.emulator import Forget
from tests.network.peers import compare

_SECONDS = 11.0
_SEED = 1
_PATIENCE_S = 20.0


def measure() -> list[Figure]:
    """Ours, then each peer that is installed."""
    found = own.measure()
    flash_p99_ms = next(figure.value for figure in found if figure.name.startswith("FLASH p99"))
    bytes_by_link = {
        link.name: figure.value for link in own.SCENARIO.link for figure in found
        if figure.name.startswith(f"on the wire over {link.name},")
    }  # fmt: skip
    forgotten_ms = own.forgotten_worst_ms()
    found.append(Figure(name="worst, the only path forgotten by a NAT", value=forgotten_ms, unit="ms"))
    for peer, name in compare.PEERS.items():
        if compare.is_possible(peer):
            found += _beside(peer, name, flash_p99_ms, bytes_by_link)
            found += _forgotten(peer, name, forgotten_ms)
    return found


def _beside(peer: str, name: str, flash_p99_ms: float, bytes_by_link: dict[str, float]) -> list[Figure]:
    scenario = msgspec.structs.replace(own.SCENARIO, nodes=1)
    outcome = compare.run(peer, scenario, own.DEAD, _SEED, messages_per_s=own.ALERTS_PER_S, seconds=_SECONDS)
    ours = "Heard's FLASH in the same run"
    return [
        Figure(name=f"{name}: p99, one of three dead", value=percentile(list(outcome.took_ms), 0.99), unit="ms", peer=ours,
               peer_value=flash_p99_ms, is_more_better=False),
        Figure(name=f"{name}: never acknowledged", value=outcome.lost, unit=f"of {outcome.sent}"),
        *(Figure(name=f"{name}: on the wire over {link}, both ways", value=size_bytes / outcome.whole_run,
                 unit="bytes a message", peer=f"Heard over {link}, FLASH", peer_value=bytes_by_link[link])
          for link, size_bytes in outcome.bytes_by_link.items()),
        Figure(name=f"{name}: on the wire in all, for each that was acknowledged",
               value=sum(outcome.bytes_by_link.values()) / (outcome.whole_run - outcome.lost), unit="bytes", peer="Heard, one copy over lte",
               peer_value=bytes_by_link[own.LIVING]),
    ]  # fmt: skip


def _forgotten(peer: str, name: str, ours_ms: float) -> list[Figure]:
    outcome = compare.run(peer, own.ONLY, "only", _SEED, messages_per_s=own.ONLY.alerts_per_s, seconds=own.ONLY.lasts_s,
                          patience_s=_PATIENCE_S, fault=Forget(link="only"))  # fmt: skip
    never_ms = (
        own.ONLY.lasts_s + _PATIENCE_S
    ) * 1000  # at least so long was waited for the first of those that never came
    worst_ms = never_ms if outcome.lost else max(outcome.took_ms)
    return [
        Figure(name=f"{name}: worst, the only path forgotten by a NAT", value=worst_ms, unit="ms", peer="Heard's in the same run",
               peer_value=ours_ms, is_more_better=False),
        Figure(name=f"{name}: not acknowledged {_PATIENCE_S:.0f} s after the last", value=outcome.lost, unit=f"of {outcome.sent}"),
    ]  # fmt: skip
