"""A camera that tells two alerts a second over a satellite gets its clips home all the same, and its alerts wait no longer for them: real kernel, real time."""

from pathlib import Path

import msgspec
import pytest

from tests.benchmarks.figure import percentile
from tests.network import bulk, namespaces, scenario
from tests.network.scenario import Carrier


@pytest.mark.slow
@pytest.mark.parametrize("carrier", scenario.CARRIERS)
async def test_a_clip_has_half_of_a_satellite_beside_two_alerts_a_second_and_these_keep_their_bound(
    carrier: Carrier, tmp_path: Path
) -> None:
    if not namespaces.can_make():
        pytest.skip("needs root, `ip` and /dev/net/tun")
    link = msgspec.structs.replace(bulk.SATELLITE, carrier=carrier)
    fed = await bulk.feed((link,), tmp_path, has_alerts=True)
    print(fed)
    assert len(fed.alert_ms) >= 20, "alerts were told all the while"
    assert fed.content_bytes_s >= 0.5 * link.both["rate_kbit"] * 125
    assert percentile(list(fed.alert_ms), 0.95) <= bulk.ALERT_MS + bulk.SATELLITE_MS
