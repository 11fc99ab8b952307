"""A path leaves by the interface that it is pinned to, and a silent cut of one uplink is noticed and mended while the other goes on.

Over either carrier that can be pinned, in network namespaces.
"""

import asyncio
import contextlib
import ipaddress
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from relay.path import Lane

SERVICE = "10.231.9.9"
_TAG = f"{os.getpid() % 10_000}"
NODE, CENTER = f"hn{_TAG}", f"hc{_TAG}"


def ip(*words: str, inside: str = "") -> None:
    subprocess.run(["ip", *(("-n", inside) if inside else ()), *words], check=True, capture_output=True, timeout=10)


@pytest.fixture
def two_uplinks() -> Iterator[None]:
    """A node with two uplinks to one service address; what the main table says is the first one."""
    if os.geteuid() != 0 or shutil.which("ip") is None or subprocess.run(["ip", "netns", "add", NODE]).returncode:
        pytest.skip("needs root and network namespaces")
    try:
        ip("netns", "add", CENTER)
        ip("address", "add", f"{SERVICE}/32", "dev", "lo", inside=CENTER)
        for name in (NODE, CENTER):
            ip("link", "set", "lo", "up", inside=name)
            subprocess.run(["ip", "netns", "exec", name, "sh", "-c",
                            "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done"], check=True)  # fmt: skip
        for n in (1, 2):
            ip("link", "add", f"up{n}", "netns", NODE, "type", "veth", "peer", "name", f"down{n}", "netns", CENTER)
            for name, device, host in ((NODE, f"up{n}", 1), (CENTER, f"down{n}", 2)):
                ip("address", "add", f"10.231.{n}.{host}/24", "dev", device, inside=name)
                ip("link", "set", device, "up", inside=name)
            ip("route", "add", SERVICE, "via", f"10.231.{n}.2", "dev", f"up{n}", "table", f"10{n}", inside=NODE)
            ip("rule", "add", "pref", f"110{n}", "oif", f"up{n}", "lookup", f"10{n}", inside=NODE)
        ip("route", "add", SERVICE, "via", "10.231.1.2", inside=NODE)
        yield
    finally:
        for name in (NODE, CENTER):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


class End:
    """A ``path_end`` in a namespace."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until_it_says(self, what: str, timeout_s: float) -> tuple[float, str]:
        """The time and text of the next line with ``what`` in it."""
        assert self._process.stdout is not None
        passed: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    line = (await self._process.stdout.readline()).decode()
                    assert line, f"it ended: {passed}"
                    at, text = line.strip().split(" ", 1)
                    if text.startswith(what):
                        return float(at), text
                    passed.append(text)
        except TimeoutError:
            raise AssertionError(f"waited {timeout_s} s in vain for {what!r}, heard {passed}") from None


@contextlib.asynccontextmanager
async def end(namespace: str, *words: str) -> AsyncIterator[End]:
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, sys.executable, "-m", "tests.relay.path_end", *words,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield End(process)
    finally:
        process.kill()
        await process.wait()


_KNOCK = """
import errno, socket, sys
with socket.socket() as knocking:
    knocking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
    knocking.settimeout(0.5)
    try:
        knocking.connect((sys.argv[2], 9))
    except ConnectionRefusedError:
        print("no")
    except TimeoutError:
        print("nothing")
"""


async def says_no(interface: str) -> bool:
    """Whether a packet from an uplink is answered: by a reset, where nobody listens."""
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", NODE, sys.executable, "-c", _KNOCK, interface, SERVICE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said in {b"no\n", b"nothing\n"}, said
    return said == b"no\n"


def plain(address: str) -> str:
    """An IPv4 address, also where it was mapped into IPv6."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


pytestmark = [
    pytest.mark.usefixtures("two_uplinks"),
    pytest.mark.parametrize("scheme", ["tcp", "tls"], ids=["zeromq", "tls"]),
]


@pytest.mark.parametrize(("interface", "source"), [("", "10.231.1.1"), ("up1", "10.231.1.1"), ("up2", "10.231.2.1")])
async def test_path_leaves_by_the_interface_that_it_is_pinned_to(scheme: str, interface: str, source: str) -> None:
    async with end(CENTER, "listen", f"{scheme}://0.0.0.0:5701") as listener:
        await listener.until_it_says("listening", 20)
        async with end(NODE, "dial", f"{scheme}://{SERVICE}:5701", *([interface] if interface else [])) as dialer:
            lanes = set()
            for _ in Lane:
                _, text = await listener.until_it_says("received", 20)
                _, lane, address = text.split()
                assert plain(address) == source, text
                lanes.add(lane)
            assert lanes == {lane.name for lane in Lane}
            await dialer.until_it_says("answered", 10)


async def test_path_pinned_to_an_interface_that_is_not_there_stays_down(scheme: str) -> None:
    async with end(CENTER, "listen", f"{scheme}://0.0.0.0:5701") as listener:
        await listener.until_it_says("listening", 20)
        async with end(NODE, "dial", f"{scheme}://{SERVICE}:5701", "wwan7") as dialer:
            with pytest.raises(AssertionError, match="in vain"):
                await dialer.until_it_says("opened", 2)


async def test_path_comes_up_when_the_interface_that_it_is_pinned_to_is_plugged_in(scheme: str) -> None:
    ip("link", "set", "up2", "name", "wwan7", inside=NODE)  # as a modem that is away
    async with (
        end(CENTER, "listen", f"{scheme}://0.0.0.0:5701") as listener,
        end(NODE, "dial", f"{scheme}://{SERVICE}:5701", "up2") as dialer,
    ):
        await listener.until_it_says("listening", 20)
        with pytest.raises(AssertionError, match="in vain"):
            await dialer.until_it_says("opened", 2)
        ip("link", "set", "wwan7", "name", "up2", inside=NODE)
        _, text = await listener.until_it_says("received", 30)
        assert plain(text.split()[2]) == "10.231.2.1"


async def test_silent_cut_is_noticed_and_mended_while_the_other_uplink_goes_on(scheme: str) -> None:
    async with end(CENTER, "listen", f"{scheme}://0.0.0.0:5701") as listener:
        await listener.until_it_says("listening", 20)
        async with (
            end(NODE, "dial", f"{scheme}://{SERVICE}:5701", "up1") as first,
            end(NODE, "dial", f"{scheme}://{SERVICE}:5701", "up2") as second,
        ):
            for dialer in (first, second):
                for _ in Lane:
                    await dialer.until_it_says("answered", 20)
            assert await says_no("up1"), "whoever has no such port says so"
            # Nothing comes back any more, and nobody says so: no reset, no ICMP, the link stays up.
            ip("route", "add", "blackhole", "10.231.1.1/32", inside=CENTER)
            assert not await says_no("up1"), "the cut happened"
            await first.until_it_says("closed", 12)
            ip("route", "delete", "blackhole", "10.231.1.1/32", inside=CENTER)
            await first.until_it_says("opened", 20)
            for _ in Lane:
                await first.until_it_says("answered", 20)
            with pytest.raises(AssertionError, match="in vain"):
                await second.until_it_says("closed", 0.2)
