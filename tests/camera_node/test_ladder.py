"""The ladder of qualities: down at once, up with patience, never swinging."""

from camera_node.live.ladder import CHANNEL_DEAD_AFTER_MS, CLIMB_AFTER_MS, Ladder, LineReport, Rung


def ladder(*, has_channel: bool = True, is_connected: bool = True) -> Ladder:
    return Ladder(has_channel=has_channel, main_kbps=2500, sub_kbps=200, now_ms=0, is_connected=is_connected)


def report(loss: float = 0.0, *, rtt_ms: float | None = 20.0, age_ms: int = 500, sent_kbps: float = 2500) -> LineReport:
    return LineReport(loss=loss, rtt_ms=rtt_ms, age_ms=age_ms, sent_kbps=sent_kbps)


def test_one_bad_report_is_not_yet_a_bad_line_and_two_are() -> None:
    line = ladder()
    assert line.video_report(report(0.15), 1000) is Rung.MAIN
    assert line.video_report(report(0.15), 2000) is Rung.SUB
    assert "15%" in line.why


def test_line_that_loses_most_goes_down_at_once_and_skips_what_does_not_fit() -> None:
    line = ladder()
    assert line.video_report(report(0.94), 1000) is Rung.STILLS, "150 of 2500 kbit/s arrive: less than the small stream"


def test_client_without_data_channel_keeps_the_smallest_stream() -> None:
    line = ladder(has_channel=False)
    for second in range(1, 20):
        line.video_report(report(0.94), second * 1000)
    assert line.rung is Rung.SUB


def test_line_that_fills_up_is_bad_before_it_loses_anything() -> None:
    line = ladder()
    line.video_report(report(rtt_ms=40), 1000)
    line.video_report(report(rtt_ms=700), 2000)
    assert line.video_report(report(rtt_ms=900), 3000) is Rung.SUB
    assert "filling up" in line.why


def test_silence_of_the_viewer_goes_down() -> None:
    line = ladder()
    assert line.video_report(report(age_ms=3000), 6000) is Rung.MAIN
    assert line.video_report(report(age_ms=5000), 7000) is Rung.STILLS


def test_good_line_climbs_after_a_while_and_a_failed_climb_doubles_the_while() -> None:
    line = ladder()
    line.video_report(report(0.2), 1000)
    line.video_report(report(0.2), 2000)
    now_ms, waits = 2000, []
    for _ in range(3):
        began_ms = now_ms
        while line.rung is Rung.SUB:
            now_ms += 1000
            line.video_report(report(sent_kbps=200), now_ms)
        waits.append(now_ms - began_ms)
        for _ in range(2):
            now_ms += 1000
            line.video_report(report(0.2), now_ms)
        assert line.rung.value == "sub"
    assert waits == [CLIMB_AFTER_MS, 2 * CLIMB_AFTER_MS, 4 * CLIMB_AFTER_MS]


def test_climb_that_held_takes_the_patience_back() -> None:
    line = ladder()
    now_ms = 0
    for _ in range(2):
        for _ in range(2):
            now_ms += 1000
            line.video_report(report(0.2), now_ms)
        while line.rung is not Rung.MAIN:
            now_ms += 1000
            line.video_report(report(), now_ms)
    for _ in range(40):
        now_ms += 1000
        line.video_report(report(), now_ms)
    line.video_report(report(0.2), now_ms + 1000)
    line.video_report(report(0.2), now_ms + 2000)
    began_ms = now_ms = now_ms + 2000
    while line.rung is Rung.SUB:
        now_ms += 1000
        line.video_report(report(), now_ms)
    assert now_ms - began_ms == CLIMB_AFTER_MS


def test_between_good_and_bad_nothing_moves() -> None:
    line = ladder()
    line.video_report(report(0.2), 1000)
    line.video_report(report(0.2), 2000)
    for second in range(3, 120):
        assert line.video_report(report(0.05), second * 1000) is Rung.SUB


def test_stills_climb_when_they_come_fast_and_fall_to_the_relay_when_none_comes() -> None:
    line = ladder()
    line.video_report(report(0.95), 1000)
    now_ms = 1000
    for _ in range(30):
        now_ms += 1000
        assert line.still_arrived(15_000, 900, now_ms) is Rung.STILLS, "133 kbit/s don't carry 200"
    assert line.still_is_late(CHANNEL_DEAD_AFTER_MS, now_ms) is Rung.STILLS
    assert line.still_is_late(CHANNEL_DEAD_AFTER_MS + 1, now_ms) is Rung.RELAY_STILLS
    assert line.still_arrived(15_000, 900, now_ms) is Rung.STILLS
    rungs = [line.still_arrived(15_000, 100, now_ms + second * 1000) for second in range(1, 30)]
    assert rungs[0] is Rung.STILLS
    assert rungs[-1] is Rung.SUB, "1200 kbit/s do"


def test_without_a_connection_only_the_relay_is_left() -> None:
    assert ladder(is_connected=False).rung is Rung.RELAY_STILLS
    line = ladder()
    assert line.disconnected("the connection broke", 1000) is Rung.RELAY_STILLS
    assert line.why == "the connection broke"
