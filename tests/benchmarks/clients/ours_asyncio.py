"""smtp_connection.aio: one asyncio task for each connection that is open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from smtp_connection import __version__
from smtp_connection.aio import SMTPConnection

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out


async def _in_turn(task: Task, message: bytes) -> None:
    """Have ``at_once`` connections open until all have been."""
    envelope = {"from": SENDER, "to": task.recipient_list}

    async def worker(numbers: Iterator[int]) -> None:
        for _ in numbers:
            async with SMTPConnection(host=HOST, port=task.port, name=CLIENT_NAME) as connection:
                for _ in range(task.messages):
                    await connection.send(envelope, message)

    numbers = iter(range(task.connections))
    await asyncio.gather(*(worker(numbers) for _ in range(task.at_once)))


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    asyncio.run(_in_turn(task, message))


if __name__ == "__main__":
    carry_out(_perform, __version__)
