"""The console bench's center, a process of its own: holds many open incidents, and stores another alert for each line on stdin.

Prints its address, then for each line the incident's number and the wall time, ns, at which its alert was durable.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import cast

from command_center.accounts import UserRole
from relay.clock import SimulatedClock, SystemClock
from relay.precedence import Precedence
from tests.command_center.house import House, Node, running_center

BATCH = 250
CAMERAS_OF_A_NODE = 500


async def main(state_dir: Path, count: int) -> None:
    clock = SystemClock()
    # The house's clock is only read here, never moved.
    async with running_center(state_dir, clock=cast("SimulatedClock", clock)) as house:
        await house.add_user("okafor", UserRole.DISPATCHER)
        node = await _fill(house, count)
        print(house.center.url, flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        for number in range(1, 1_000_000):
            if not await reader.readline():
                return
            await house.deliver(node, node.alert(camera=f"new{number}", precedence=Precedence.FLASH))
            print(count + number, time.time_ns(), flush=True)


async def _fill(house: House, count: int) -> Node:
    node = house.node("node-0")
    for start in range(0, count, BATCH):
        if start % CAMERAS_OF_A_NODE == 0:
            node = house.node(f"node-{start // CAMERAS_OF_A_NODE}")
        urgency = Precedence.FLASH if start % 1000 == 0 else Precedence.IMMEDIATE
        await house.deliver(
            node, *(node.alert(camera=f"c{start + at}", precedence=urgency) for at in range(min(BATCH, count - start)))
        )
    return house.node("node-new")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
