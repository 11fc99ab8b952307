"""Who is wired to whom: the addresses, the emulator's plan, and the routes that keep a pinned path on its own link.

Each link is a point-to-point network of its own, 10.71.n.2 (near) to 10.71.n.1 (far). A station that listens has a service
address on its loopback, the same over every link. On the near side each link has a routing table with a default route
over it and an ``unreachable`` one behind that: without the latter a pinned path leaves by another uplink as soon as its
own goes down.
"""

from typing import Final

from tests.network.emulator import End, LinkPlan
from tests.network.namespaces import ip
from tests.network.scenario import Carrier, LinkWanted, Scenario

_SCHEME: Final[dict[Carrier, str]] = {"zeromq": "tcp", "tls": "tls"}
PORTS: Final[dict[Carrier, int]] = {"zeromq": 5701, "tls": 5702}
SERVICE: Final = {
    "center": "10.99.0.1", "relay": "10.99.0.2", "site": "10.99.0.3", "region": "10.99.0.4", "east": "10.99.0.5",
    "west": "10.99.0.6",
}  # fmt: skip


def endpoint_of(station: str, carrier: Carrier) -> str:
    """Where a carrier reaches a station, over any link."""
    return f"{_SCHEME[carrier]}://{SERVICE[station]}:{PORTS[carrier]}"


def listening(scenario: Scenario, station: str) -> dict[Carrier, str]:
    """Where a station listens: for each carrier of the ways that lead to it, at all its addresses."""
    carriers: set[Carrier] = {link.carrier for link in scenario.link if link.far == station}
    return {carrier: f"{_SCHEME[carrier]}://0.0.0.0:{PORTS[carrier]}" for carrier in sorted(carriers)}


def device_of(link: LinkWanted) -> str:
    """The interface that the near station's path is pinned to."""
    return f"{link.name}0"


def link_plans(scenario: Scenario, namespaces: dict[str, str]) -> tuple[LinkPlan, ...]:
    """The emulator's part."""
    return tuple(
        LinkPlan(
            name=link.name,
            near=End(namespace=namespaces[link.near], device=device_of(link), address=f"10.71.{number}.2"),
            far=End(namespace=namespaces[link.far], device=f"far-{link.name}", address=f"10.71.{number}.1"),
            portal=End(namespace=namespaces["portal"], device=f"cap-{link.name}", address=f"10.71.{number}.1")
            if link.has_portal
            else None,
            up=link.impairment("up"),
            down=link.impairment("down"),
        )
        for number, link in enumerate(scenario.link, start=1)
    )


def give_service_addresses(namespaces: dict[str, str]) -> None:
    """The addresses that stations listen on. A portal answers at all of them."""
    for place, namespace in namespaces.items():
        for address in SERVICE.values() if place == "portal" else filter(None, [SERVICE.get(place)]):
            ip("address", "add", f"{address}/32", "dev", "lo", inside=namespace)


def route(scenario: Scenario, namespaces: dict[str, str]) -> None:
    """Pin each link's traffic to it; call when the emulator has made the devices."""
    for number, link in enumerate(scenario.link, start=1):
        inside, device, table = namespaces[link.near], device_of(link), str(100 + number)
        via, source = f"10.71.{number}.1", f"10.71.{number}.2"
        ip("route", "add", "default", "via", via, "dev", device, "src", source, "table", table, inside=inside)
        ip("route", "add", "unreachable", "default", "metric", "9999", "table", table, inside=inside)
        ip("rule", "add", "pref", str(1000 + number), "from", source, "lookup", table, inside=inside)
        ip("rule", "add", "pref", str(1100 + number), "oif", device, "lookup", table, inside=inside)
        ip("route", "add", "default", "via", via, "dev", device, "metric", str(100 * number), inside=inside)
