"""pycurl: libcurl, in C, one connection after the other, and without PIPELINING."""

from __future__ import annotations

import io

import pycurl

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    for _ in range(task.connections):
        curl = pycurl.Curl()
        # What follows the slash is the name for EHLO.
        curl.setopt(pycurl.URL, f"smtp://{HOST}:{task.port}/{CLIENT_NAME}")
        curl.setopt(pycurl.MAIL_FROM, f"<{SENDER}>")
        curl.setopt(pycurl.MAIL_RCPT, [f"<{recipient}>" for recipient in task.recipient_list])
        curl.setopt(pycurl.UPLOAD, 1)
        curl.setopt(pycurl.WRITEFUNCTION, lambda reply: None)
        if task.starttls:
            curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL)
            curl.setopt(pycurl.CAINFO, task.ca_file)
        for _ in range(task.messages):
            with open(task.message_file, "rb") if task.from_file else io.BytesIO(message) as source:
                curl.setopt(pycurl.READDATA, source)
                curl.setopt(pycurl.INFILESIZE_LARGE, task.size)
                curl.perform()
        curl.close()


if __name__ == "__main__":
    carry_out(_perform, pycurl.version_info()[1])
