"""The window for bulk, over a link that is nothing but arithmetic: it fills the link and no more."""

import pytest

from relay.paths.ack_window import LEAST, MOST, AckWindow

CHUNK_BYTES = 4_200


def carry(
    window: AckWindow, *, rate_bytes_s: float, rtt_s: float, for_s: float, from_s: float = 0.0
) -> tuple[float, list[float]]:
    """Keep the window full for a while. Returns the used share of the link and each batch's wait in its queue."""
    now_s, free_at_s, carried = from_s, from_s, 0
    under_way: list[tuple[float, float]] = []
    waits: list[float] = []
    window.acked(sent_at_s=from_s - rtt_s, now_s=from_s)  # the knock
    while now_s < from_s + for_s:
        while len(under_way) < window.size:
            waits.append(max(0.0, free_at_s - now_s))
            free_at_s = max(now_s, free_at_s) + CHUNK_BYTES / rate_bytes_s
            under_way.append((free_at_s + rtt_s, now_s))
        acked_at_s, sent_at_s = under_way.pop(0)
        now_s = acked_at_s
        carried += CHUNK_BYTES
        window.acked(sent_at_s=sent_at_s, now_s=now_s)
    return carried / ((now_s - from_s) * rate_bytes_s), waits


@pytest.mark.parametrize(
    ("kbit_s", "rtt_s", "least_share"),
    [(256, 0.08, 0.85), (256, 0.6, 0.85), (2_000, 0.05, 0.9), (2_000, 0.6, 0.8), (20_000, 0.03, 0.9)],
)
def test_the_link_is_busy_and_its_queue_short(kbit_s: int, rtt_s: float, least_share: float) -> None:
    window = AckWindow()
    share, waits = carry(window, rate_bytes_s=kbit_s * 125, rtt_s=rtt_s, for_s=60)
    later = sorted(waits[len(waits) // 4 :])
    assert share >= least_share
    assert later[int(len(later) * 0.95)] <= 0.25
    assert LEAST <= window.size <= MOST


def test_what_a_clip_begins_with_is_not_held_up_by_it() -> None:
    """On a satellite, whose 36 batches take ``bulk_pace`` five round trips."""
    share, _ = carry(AckWindow(), rate_bytes_s=250_000, rtt_s=0.6, for_s=3)
    assert share > 0.4


def test_a_link_that_becomes_thin_is_given_less() -> None:
    window = AckWindow()
    carry(window, rate_bytes_s=2_500_000, rtt_s=0.05, for_s=20)
    assert window.size > 20
    carry(window, rate_bytes_s=32_000, rtt_s=0.05, for_s=30, from_s=30)
    assert window.size <= 3
