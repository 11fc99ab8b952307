"""A link emulator in user space, for kernels without netem: ``python -m tests.network.emulator PLAN_FILE``.

Each end of a link is a TUN device in the namespace of its station; this one process reads the packets at one end, passes
them through a ``Pipe`` and writes them at the other. A link may have a third end, a *portal*: while it is diverted, what
the near end sends goes there and not to the far end, as behind a hotel's login page. Everything can be changed while it
runs by a JSON datagram to a UNIX socket; ``bench.py`` is who does it.

One ``select`` loop: Python's ``epoll`` rounds its timeout to milliseconds, ``select`` waits microseconds.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from tests.network.namespaces import entered, ip
from tests.network.pipe import Impairment, Pipe, Tally
from tests.network.translation import Translation

_TUNSETIFF: Final = 0x400454CA
_TUNSETCARRIER: Final = 0x400454E2
_IFF_TUN_NO_PI: Final = 0x0001 | 0x1000
_BATCH: Final = 64
_PACKET_BYTES: Final = 65536

Direction = Literal["up", "down", "both"]


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Where a link comes out: a device in a namespace."""

    namespace: str
    device: str
    address: str


class LinkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A link: ``up`` is from near to far."""

    name: str
    near: End
    far: End
    portal: End | None = None
    up: Impairment = Impairment()
    down: Impairment = Impairment()
    mtu_bytes: int = 1500


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an emulator is started with."""

    socket: str
    seed: int
    links: tuple[LinkPlan, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True, tag="change"):
    """Replace some values of a link's impairment."""

    link: str
    direction: Direction = "both"
    to: dict[str, float | bool]


class Divert(msgspec.Struct, frozen=True, kw_only=True, tag="divert"):
    """Lead a link to its portal, or back to its far end."""

    link: str
    is_diverted: bool


class Forget(msgspec.Struct, frozen=True, kw_only=True, tag="forget"):
    """Let the link's address translation forget its connections."""

    link: str


class Reseed(msgspec.Struct, frozen=True, kw_only=True, tag="reseed"):
    """Let all links' chances begin anew, as if the emulator had been started with this seed."""

    seed: int


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """How does it stand? All the others are answered in the same way."""


Order = Change | Divert | Forget | Reseed | Ask


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to any order."""

    error: str = ""
    up: dict[str, Tally] = {}
    down: dict[str, Tally] = {}

    def since(self, before: "Standing") -> "Standing":
        """What was tallied after an earlier answer."""
        return Standing(up={name: tally.since(before.up[name]) for name, tally in self.up.items()},
                        down={name: tally.since(before.down[name]) for name, tally in self.down.items()})  # fmt: skip


def open_tun(end: End, peer: End, mtu_bytes: int) -> int:
    """Make a point-to-point device inside a namespace; the descriptor works from anywhere."""
    with entered(end.namespace):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", end.device.encode(), _IFF_TUN_NO_PI))
        ip("link", "set", end.device, "addrgenmode", "none")  # no router solicitations in the tallies
        ip("link", "set", end.device, "mtu", str(mtu_bytes), "txqueuelen", "1000", "up")
        ip("address", "add", end.address, "peer", peer.address, "dev", end.device)
    return descriptor


class Link:
    """Two or three devices and the pipes between them."""

    def __init__(self, plan: LinkPlan, seed: int) -> None:
        self.plan = plan
        self.near = open_tun(plan.near, plan.far, plan.mtu_bytes)
        self.far = open_tun(plan.far, plan.near, plan.mtu_bytes)
        self.portal = open_tun(plan.portal, plan.near, plan.mtu_bytes) if plan.portal else None
        self.up = Pipe(plan.up, seed=f"{seed}:{plan.name}:up")
        self.down = Pipe(plan.down, seed=f"{seed}:{plan.name}:down")
        self.translation = Translation()
        self._is_diverted = False
        self._is_carrier_on = True
        self._set_carrier()

    @property
    def other_end(self) -> int:
        """Where what goes up comes out now."""
        return self.portal if self._is_diverted and self.portal is not None else self.far

    def reseed(self, seed: int) -> None:
        """Of both directions; never the same for two of them."""
        self.up.reseed(f"{seed}:{self.plan.name}:up")
        self.down.reseed(f"{seed}:{self.plan.name}:down")

    def divert(self, *, is_diverted: bool) -> None:
        """To the portal, or back."""
        if self.portal is None:
            raise ValueError(f"link {self.plan.name!r} has no portal: give it `has_portal = true`")
        self._is_diverted = is_diverted

    def change(self, direction: Direction, to: dict[str, float | bool]) -> None:
        """Replace some values of the impairment."""
        for pipe, name in ((self.up, "up"), (self.down, "down")):
            if direction in {name, "both"}:
                pipe.change(pipe.impairment.changed(to))
        self._set_carrier()

    def _set_carrier(self) -> None:
        is_on = not (self.up.impairment.is_down or self.down.impairment.is_down)
        if is_on != self._is_carrier_on:
            for descriptor in (self.near, self.far):
                fcntl.ioctl(descriptor, _TUNSETCARRIER, struct.pack("i", int(is_on)))
            self._is_carrier_on = is_on

    def read(self, descriptor: int, now_s: float) -> None:
        """Take what waits at one end."""
        is_outward = descriptor == self.near
        pipe = self.up if is_outward else self.down
        for _ in range(_BATCH):
            try:
                packet = os.read(descriptor, _PACKET_BYTES)
            except BlockingIOError:
                return
            if not is_outward and descriptor != self.other_end:
                continue  # the end that is not connected now
            if self.translation.passes(packet, is_outward=is_outward):
                pipe.offer(now_s, packet)
            else:
                pipe.tally.offered += 1
                pipe.tally.swallowed += 1

    def write(self, now_s: float) -> None:
        """Hand out what is due."""
        for pipe, descriptor in ((self.up, self.other_end), (self.down, self.near)):
            for packet in pipe.due(now_s):
                try:
                    os.write(descriptor, packet)
                except OSError:  # the device went away under it
                    pipe.tally.unwritable += 1
                else:
                    pipe.tally.passed += 1
                    pipe.tally.passed_bytes += len(packet)


class Emulator:
    """The loop."""

    def __init__(self, plan: Plan) -> None:
        self._links = {item.name: Link(item, plan.seed) for item in plan.links}
        self._readers = {descriptor: link for link in self._links.values()
                         for descriptor in (link.near, link.far, link.portal) if descriptor is not None}  # fmt: skip
        # A socket with a path: names in the abstract space belong to one network namespace.
        self._orders = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._orders.bind(plan.socket)
        self._orders.setblocking(False)

    def run(self) -> None:
        """Until the process is ended."""
        waiting: list[int | socket.socket] = [self._orders, *self._readers]
        pipes = [pipe for link in self._links.values() for pipe in (link.up, link.down)]
        while True:
            soonest_s = min((due_s for pipe in pipes if (due_s := pipe.next_due_s) is not None), default=None)
            wait_s = 1.0 if soonest_s is None else max(0.0, soonest_s - time.monotonic())
            for ready in select.select(waiting, (), (), wait_s)[0]:
                if isinstance(ready, socket.socket):
                    self._take_order()
                else:
                    self._readers[ready].read(ready, time.monotonic())
            now_s = time.monotonic()
            for link in self._links.values():
                link.write(now_s)

    def _take_order(self) -> None:
        data, sender = self._orders.recvfrom(_PACKET_BYTES)
        error = ""
        try:
            self._obey(msgspec.json.decode(data, type=Order))
        except (msgspec.DecodeError, ValueError, KeyError) as failure:
            error = repr(failure)
        standing = Standing(error=error, up={name: link.up.tally for name, link in self._links.items()},
                            down={name: link.down.tally for name, link in self._links.items()})  # fmt: skip
        with contextlib.suppress(OSError):  # whoever asked has gone
            self._orders.sendto(msgspec.json.encode(standing), sender)

    def _obey(self, order: Order) -> None:
        match order:
            case Change(link=name, direction=direction, to=to):
                self._links[name].change(direction, to)
            case Divert(link=name, is_diverted=is_diverted):
                self._links[name].divert(is_diverted=is_diverted)
            case Forget(link=name):
                self._links[name].translation.forget()
            case Reseed(seed=seed):
                for link in self._links.values():
                    link.reseed(seed)
            case Ask():
                pass


def tell(socket_file: Path, order: Order, *, timeout_s: float = 5.0) -> Standing:
    """Give a running emulator an order and wait for its answer.

    Raises:
        ValueError: it refused.
    """
    own_file = socket_file.with_name(f"ask-{time.monotonic_ns()}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        asking.bind(str(own_file))
        try:
            asking.settimeout(timeout_s)
            asking.connect(str(socket_file))
            asking.send(msgspec.json.encode(order))
            standing = msgspec.json.decode(asking.recv(1 << 20), type=Standing)
        finally:
            own_file.unlink()
    if standing.error:
        raise ValueError(f"the emulator refused {order}: {standing.error}")
    return standing


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    emulator = Emulator(plan)
    print("ready", flush=True)
    emulator.run()


if __name__ == "__main__":
    main()
