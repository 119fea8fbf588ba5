"""A server that throws everything away, for Dovecot to hand on what it gets: ``relay.py PORT``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter

from tests.benchmarks.sink import Sink


async def _serve(port: int) -> None:
    settings = argparse.Namespace(certificate="", pipelining=True, reply_lines=1)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(settings, Counter()), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
