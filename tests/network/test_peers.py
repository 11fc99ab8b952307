"""The comparison is fair only if each peer works: every message is acknowledged while all paths are up."""

import msgspec
import pytest

from tests.network import measure, namespaces
from tests.network.peers import compare

SCENARIO = msgspec.structs.replace(measure.SCENARIO, nodes=1)


@pytest.mark.slow
@pytest.mark.parametrize("peer", compare.PEERS)
def test_peer_works_on_the_bench_and_the_cut_is_real(peer: str) -> None:
    if not namespaces.can_make() or not compare.is_possible(peer):
        pytest.skip(f"needs root, `ip`, /dev/net/tun and {compare.PEERS[peer]}")
    outcome = compare.run(peer, SCENARIO, measure.DEAD, 1, messages_per_s=10, seconds=2, patience_s=3)
    assert outcome.whole_run == 60
    assert outcome.whole_run - outcome.sent >= 35, "those before the cut"
    assert all(outcome.bytes_by_link[link] >= 0 for link in ("wifi", "lte", "sat"))
    assert outcome.bytes_by_link["wifi"] > 0 or outcome.bytes_by_link["lte"] > 0
