"""The standard library's smtplib, one connection after the other: threads would only add to it."""

from __future__ import annotations

import platform
import smtplib
import ssl

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    recipients = task.recipient_list
    context = ssl.create_default_context(cafile=task.ca_file) if task.starttls else None
    for _ in range(task.connections):
        with smtplib.SMTP(HOST, task.port, local_hostname=CLIENT_NAME) as server:
            if context is not None:
                server.starttls(context=context)
            for _ in range(task.messages):
                if task.from_file:
                    with open(task.message_file, "rb") as file:
                        message = file.read()
                server.sendmail(SENDER, recipients, message)


if __name__ == "__main__":
    carry_out(_perform, f"Python {platform.python_version()}")
