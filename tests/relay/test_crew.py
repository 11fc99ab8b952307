"""A crew stops together, and nobody is left behind who came while it stopped."""

import asyncio

from relay.crew import crew


async def test_what_is_started_while_a_crew_stops_does_not_keep_it() -> None:
    begun: list[str] = []
    is_running = asyncio.Event()

    async def for_ever(name: str) -> None:
        begun.append(name)
        is_running.set()
        await asyncio.get_running_loop().create_future()

    async with asyncio.timeout(10):
        async with crew() as members:

            async def member() -> None:
                try:
                    await for_ever("first")
                finally:
                    members.start(for_ever("late"), "late")  # as a parcel does that is read while the others stop

            members.start(member(), "member")
            await is_running.wait()
    assert begun == ["first"]
