"""aiosmtplib with a pool as its users write one: some tasks, each with its own connection, take
messages out of a queue."""

from __future__ import annotations

import asyncio

import aiosmtplib

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out

_Mail = tuple[list[str], bytes]


async def _work(task: Task, queue: asyncio.Queue[_Mail]) -> None:
    client = aiosmtplib.SMTP(
        hostname=HOST, port=task.port, local_hostname=CLIENT_NAME, start_tls=False
    )
    async with client:
        while True:
            recipients, message = await queue.get()
            await client.sendmail(SENDER, recipients, message)
            queue.task_done()


async def _send_all(task: Task, message: bytes) -> None:
    queue: asyncio.Queue[_Mail] = asyncio.Queue()
    recipients = task.recipient_list
    workers = [asyncio.create_task(_work(task, queue)) for _ in range(task.connections)]
    left = task.total
    while left:
        count = min(task.queued, left)
        left -= count
        for _ in range(count):
            queue.put_nowait((recipients, message))
        await queue.join()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    asyncio.run(_send_all(task, message))


if __name__ == "__main__":
    carry_out(_perform, aiosmtplib.__version__)
