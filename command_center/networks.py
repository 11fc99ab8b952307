"""What counts as one place where tries and connections are counted by where they come from."""

import ipaddress


def network_of(host: str) -> str:
    """An IPv4 address as it is; of an IPv6 address its network of 2^64, which one customer has to himself; anything else as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address) if address.is_loopback else str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def place_of(host: str) -> str:
    """The same; "" for this machine, where a proxy may stand for everybody."""
    network = network_of(host)
    return "" if network == "::1" or network.startswith("127.") else network
