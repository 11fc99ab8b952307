"""A captive portal's server: takes any TCP connection and answers whatever it hears with a login page."""

import asyncio

from tests.network.topology import PORTS

_PAGE = b"<html><body>Welcome to Harbour Hotel! Please accept our terms.</body></html>"
_RUBBISH = b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel/\r\nContent-Length: %d\r\n\r\n%s" % (len(_PAGE), _PAGE)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(5):
            await reader.read(4096)
            writer.write(_RUBBISH)
            await writer.drain()
            print("answered", flush=True)
            await reader.read(4096)
    except (OSError, TimeoutError):
        pass  # whoever called has gone, or says nothing
    finally:
        writer.close()


async def main() -> None:
    async with asyncio.TaskGroup() as group:
        for port in PORTS.values():
            server = await asyncio.start_server(_answer, "0.0.0.0", port)
            group.create_task(server.serve_forever(), name=f"portal {port}")
        print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
