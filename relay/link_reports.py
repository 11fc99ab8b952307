"""What is told of the links: each dialed path, up or down, and every session whose other end is known. Reads, and changes nothing."""

from collections.abc import Sequence

from relay.budget import Purse, share_left
from relay.ids import AUTHORITY
from relay.links import Link, Links
from relay.path import PathFacts
from relay.path_health import PathReport
from relay.status import LinkReport


def health_of(links: Links, purse: Purse, paths: Sequence[PathFacts], now_ms: int) -> tuple[PathReport, ...]:
    """Each of these dialed paths, up or down."""
    up = {link.session.facts.name: link for link in links if link.is_known and link.session.is_outgoing}
    return tuple(_of_path(links, purse, facts, up.get(facts.name), now_ms) for facts in paths)


def _of_path(links: Links, purse: Purse, facts: PathFacts, link: Link | None, now_ms: int) -> PathReport:
    meter, uses = links.meter_of(facts.name), purse.uses(facts.name, now_ms)
    return PathReport(
        path=facts.name, carrier=facts.kind, provider=facts.provider, interface=facts.interface,
        is_up=link is not None, is_metered=facts.is_metered, rtt_ms=meter.rtt_ms,
        rtt_variation_ms=meter.rtt_variation_ms, loss=meter.loss, goodput_up_bytes_s=meter.goodput_up_bytes_s,
        goodput_down_bytes_s=meter.goodput_down_bytes_s(now_ms), bytes_up=meter.bytes_up,
        bytes_down=meter.bytes_down, spent=purse.spent(facts.name, now_ms), budget_left=share_left(uses),
        budgets=uses, last_word_age_ms=max(0, now_ms - link.last_heard_ms) if link is not None else 0,
    )  # fmt: skip


def report(links: Links, now_ms: int) -> tuple[LinkReport, ...]:
    """Every session whose other end is known."""
    return tuple(
        LinkReport(peer=link.peer.name, role=link.peer.role.name.lower(), path=link.path,
                   is_outgoing=link.session.is_outgoing, rtt_ms=link.meter.rtt_ms,
                   last_word_age_ms=max(0, now_ms - link.last_heard_ms))
        for link in links if link.peer is not None and link.is_known
    )  # fmt: skip


def bulk_travels_bytes(links: Links) -> float:
    """What of a clip is on the way up when every link that carries it is full, as far as that is measured."""
    return sum(link.pace.window_bytes(link.meter.least_rtt_ms) for link in links.towards(AUTHORITY) if link.is_paced)
