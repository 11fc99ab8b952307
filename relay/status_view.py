"""What ``status`` and ``trace`` print: for a person at a terminal of 80 columns, with color or without."""

import datetime as dt

from relay.tracing import AlertWay


def way_lines(way: AlertWay) -> list[str]:
    """How an alert went through a station, one line a moment, in order."""
    moments: list[tuple[int, str]] = []
    for leg in way.legs:
        carrier = ", ".join(word for word in (leg.carrier, leg.provider) if word)
        over = f"{leg.path} ({carrier})" if carrier else leg.path
        sent = leg.sent_after_ms or 0
        again = f", {leg.tries} times" if leg.tries > 1 else ""
        moments.append((sent, f"sent to {leg.to} over {over}{again}"))
        if leg.answered_after_ms is not None:
            what = "its receipt came" if leg.answer == "receipt" else "stored there"
            moments.append(
                (sent + leg.answered_after_ms, f"{what}: {leg.to} over {leg.path}, {leg.answered_after_ms} ms")
            )
        else:
            moments.append((sent, f"no answer yet from {leg.to} over {leg.path}"))
    if way.heard_after_ms is not None:
        moments.append((way.heard_after_ms, "heard: the command center has it"))
    whence = f"came from {way.came_from} over {way.came_over}" if way.came_from else "raised here"
    at = ""
    if way.durable_at_wall_ms is not None:
        moment = dt.datetime.fromtimestamp(way.durable_at_wall_ms / 1000, tz=dt.UTC)
        at = f" at {moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"Z (clock {way.clock_quality})"
    lines = [f"alert {way.alert}", f"{whence}; durable at {way.station}{at}"]
    return lines + [f"{'+' + str(after) + ' ms':>12}  {what}" for after, what in sorted(moments, key=lambda m: m[0])]
