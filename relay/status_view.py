"""What ``status`` and ``trace`` print: for a person at a terminal of 80 columns, with color or without."""

import datetime as dt
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from relay.path_health import PathReport
from relay.precedence import Precedence
from relay.status import LinkReport, StationStatus
from relay.survey_report import SurveyReport
from relay.tracing import AlertWay

_NOTABLE = ("duplicates_", "own_came_back", "chain_forks", "over_mtu", "sms_failed_", "short_burst_failed_", "tiny_gave_way",
            "tiny_not_sent", "trace_forgotten", "interface_down", "receipts_without_ride")  # fmt: skip
"""Counters of what is no refusal and still worth a look: a replay is answered with its receipt and stored once."""
_ROOM = {
    "alerts_only": "\nFULL: only alerts find room; restore a path, or give the spool more room",
    "disk_full": "\nTHE DISK IS FULL: only alerts are stored; free space on it",
    "none": "\nFULL: not even alerts find room; restore a path",
}
_MOST_LINKS = 20
"""Neighbors by name; a center that a thousand nodes dial says how many more there are."""


def status_view(known: StationStatus) -> RenderableType:
    """A station's whole status."""
    parts: list[RenderableType] = [
        Text(f"{known.name} ({known.role} at {known.site}, {known.node_id}), up {span(known.uptime_s)}", style="bold")
    ]
    if known.paths:
        parts.append(_paths(known.paths))
    parts += [_waiting(known), _spool(known)]
    if known.links:
        parts.append(_links(known.links))
    else:
        parts.append(Text("no neighbor can be spoken to now", style="yellow"))
    parts += [Text(line, style="yellow") for line in _refused(known)]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=number > 0, overflow="fold")
    return table


def _paths(paths: tuple[PathReport, ...]) -> Table:
    table = _table("paths", "path", "state", "rtt", "loss", "up/s", "down/s", "sent", "budget", "last")
    for path in paths:
        rtt = f"{path.rtt_ms:.0f}±{path.rtt_variation_ms:.0f} ms" if path.rtt_ms else "–"
        table.add_row(
            path.path, Text("up") if path.is_up else Text("DOWN", style="bold red"), rtt, f"{path.loss:.0%}",
            size(path.goodput_up_bytes_s) if path.goodput_up_bytes_s else "–",
            size(path.goodput_down_bytes_s) if path.goodput_down_bytes_s else "–", size(path.bytes_up), _budget(path),
            f"{path.last_word_age_ms / 1000:.1f} s" if path.is_up else "–",
        )  # fmt: skip
    return table


def _budget(path: PathReport) -> str:
    if path.budget_left is not None:
        return f"{path.budget_left:.0%} left"
    return f"{path.spent:.2f}" if path.is_metered else "free"


def _waiting(known: StationStatus) -> Text:
    counts = "  ".join(f"{precedence.name} {known.backlog[precedence]:,}" for precedence in Precedence)
    oldest = f"; the oldest alert for {span(known.oldest_waiting_s)}" if any(known.backlog[:2]) else ""
    return Text(f"waiting for a receipt: {counts}{oldest}", style="yellow" if any(known.backlog[:2]) else "")


def _spool(known: StationStatus) -> Text:
    line = f"spool: {size(known.spool_bytes)}"
    if known.spool_capacity_bytes:
        line += f" of {size(known.spool_capacity_bytes)}"
    gaps = ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in known.forgone[:8])
    more = "…" if len(known.forgone) > 8 else ""
    given_up = f"; gaps, numbers that will never come: {gaps}{more}" if gaps else "; no gaps"
    words = _ROOM.get(known.room, "")
    return Text(line + given_up + words, style="bold red" if words else "yellow" if gaps else "")


def _links(links: tuple[LinkReport, ...]) -> Table:
    table = _table("neighbors", "name", "role", "path", "dialed", "rtt", "last")
    for link in links[:_MOST_LINKS]:
        table.add_row(
            link.peer, link.role, link.path, "by us" if link.is_outgoing else "by it",
            f"{link.rtt_ms:.0f} ms" if link.rtt_ms else "–", f"{link.last_word_age_ms / 1000:.1f} s",
        )  # fmt: skip
    if len(links) > _MOST_LINKS:
        table.add_row(f"and {len(links) - _MOST_LINKS:,} more", "", "", "", "", "")
    return table


def _refused(known: StationStatus) -> Iterator[str]:
    refused = {
        name: count for name, count in known.counters.items() if name.startswith(("refused_", "sent_but_refused_"))
    }
    if refused:
        yield "refused: " + ", ".join(f"{name.replace('refused_', '', 1)} {count:,}" for name, count in refused.items())
    seen = {name: count for name, count in known.counters.items() if name.startswith(_NOTABLE)}
    if seen:
        yield "also seen: " + ", ".join(f"{name} {count:,}" for name, count in seen.items())
    for name, counts in list(known.conduct.items())[:_MOST_LINKS]:
        yield f"{name}: " + ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
    if known.left_without_receipt:
        yield "left without a receipt: " + ", ".join(
            f"{name} {count:,}" for name, count in known.left_without_receipt.items()
        )


def survey_view(report: SurveyReport) -> RenderableType:
    """What a survey found, and what it means."""
    table = _table(
        "measured", "path", "rtt", "p95", "jitter", "loss", "up kbit", "down kbit", "mtu", "parcel", "fail", "redial"
    )
    for found in report.paths:
        table.add_row(
            found.path, _ms(found.rtt_ms), _ms(found.rtt_p95_ms), _ms(found.jitter_ms),
            "–" if found.loss is None else f"{found.loss:.1%}", _goodput(found.goodput_up_kbit, found.is_up_faster),
            _goodput(found.goodput_down_kbit, found.is_down_faster), _number(found.ip_mtu_bytes), _number(found.largest_parcel_bytes),
            _ms(found.failover_ms), _ms(found.redial_ms),
        )  # fmt: skip
    words = [
        Text(f"• {line}", style="yellow" if "MISSES" in line or "not measured" in line else "") for line in report.words
    ]
    notes = "times in ms; >: faster than a survey can tell; fail: another path answers; redial: this one does again"
    return Group(table, Text(notes), *words)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _goodput(kbit: float | None, is_faster: bool) -> str:
    return f"> {_number(kbit)}" if is_faster else _number(kbit)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def size(size_bytes: float) -> str:
    """Bytes for people, in at most seven characters."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 999.5 or unit == "GB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" or size_bytes >= 99.5 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError("unreachable")


def span(seconds: int) -> str:
    """A duration for people, in its two largest units."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    said = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    found = [f"{count} {unit}" for count, unit in said if count]
    return " ".join(found[:2]) or "0 s"


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
