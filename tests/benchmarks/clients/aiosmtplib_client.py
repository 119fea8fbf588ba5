"""aiosmtplib: one asyncio task for each connection that is open."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiosmtplib

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out


def _client(task: Task, context: ssl.SSLContext | None) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=HOST,
        port=task.port,
        local_hostname=CLIENT_NAME,
        start_tls=task.starttls,
        tls_context=context,
    )


async def _send(client: aiosmtplib.SMTP, task: Task, message: bytes) -> None:
    recipients = task.recipient_list
    for _ in range(task.messages):
        if task.from_file:
            message = Path(task.message_file).read_bytes()
        await client.sendmail(SENDER, recipients, message)


async def _in_turn(task: Task, message: bytes) -> None:
    """Have ``at_once`` connections open until all have been."""
    context = ssl.create_default_context(cafile=task.ca_file) if task.starttls else None

    async def worker(numbers: Iterator[int]) -> None:
        for _ in numbers:
            async with _client(task, context) as client:
                await _send(client, task, message)

    numbers = iter(range(task.connections))
    await asyncio.gather(*(worker(numbers) for _ in range(task.at_once)))


async def _together(task: Task, message: bytes, watch: Stopwatch) -> None:
    clients = [_client(task, None) for _ in range(task.connections)]
    await asyncio.gather(*(client.connect() for client in clients))
    if task.idle:
        watch.note_memory()
        watch.phase("idle")
        await asyncio.sleep(task.idle)
    else:
        watch.phase("mail")
        await asyncio.gather(*(_send(client, task, message) for client in clients))
    watch.phase("close")
    await asyncio.gather(*(client.quit() for client in clients))


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    asyncio.run(_together(task, message, watch) if task.together else _in_turn(task, message))


if __name__ == "__main__":
    carry_out(_perform, aiosmtplib.__version__)
