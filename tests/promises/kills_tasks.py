"""The Celery application of :mod:`tests.promises.kills`; the environment says where things are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from celery import Celery

from smtp_connection.celery import make_send_task

__all__ = ["app", "batches", "send"]

app = Celery("kills", broker=os.environ["BROKER_URL"])
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_connection_retry_on_startup = True
# What a killed worker held comes back after this, instead of an hour.
app.conf.broker_transport_options = {"visibility_timeout": 5}

send = make_send_task(
    app,
    os.environ["SMTP_URL"],
    ledger=os.environ["LEDGER"],
    options={"maxConnections": 4},
    max_retries=1000,
    first_wait=0.2,
    longest_wait=1.0,
)


def batches(messages: int, size: int, refused_every: int) -> Iterator[list[dict[str, Any]]]:
    """Yield ``messages`` messages, ``size`` at a time, each named by its number."""
    for start in range(0, messages, size):
        yield [
            {
                "name": str(number),
                "envelope": {
                    "from": "me@x.org",
                    "to": ["nobody@x.org" if number % refused_every == 0 else "a@x.org"],
                },
                "message": f"Subject: {number}\n\nhello\n",
            }
            for number in range(start, min(start + size, messages))
        ]
