"""A network with latency: a relay to the server that hands on everything after a while, each way.

Its arguments are the port of the server and the seconds.  It prints the port that it listens on,
and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys

from .task import HOST


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write what is read, in its order, ``delay`` seconds later."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                writer.close()
                return
            writer.write(data)

    delivery = asyncio.create_task(deliver())
    try:
        while data := await reader.read(65536):
            under_way.put_nowait((loop.time() + delay, data))
    except ConnectionError:
        pass  # the other side hears of it as of an end
    under_way.put_nowait((loop.time() + delay, b""))
    await delivery


async def _serve(port: int, delay: float) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(HOST, port)
        await asyncio.gather(_pump(reader, there[1], delay), _pump(there[0], writer, delay))

    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    server = await asyncio.start_server(relay, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
