"""An SMTP server that throws messages away, for what Postfix's ``smtp-sink`` cannot do or where it
is not to be had.

It prints the port that it listens on, and ends when its standard input does; then it prints what it
has counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
from collections import Counter

from .task import HOST

__all__ = ["Sink"]

_END = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """One session."""

    def __init__(self, settings: argparse.Namespace, counter: Counter[str]) -> None:
        self._settings = settings
        self._counter = counter
        self._context: ssl.SSLContext | None = None
        if settings.certificate:
            self._context = settings.context
        self._transport: asyncio.Transport
        self._buffer = b""
        self._in_message = False
        self._upgrade: asyncio.Task[None] | None = None
        self._upgrading = False
        more = b"250-2.0.0 Ok: one line of many, as long as lines are\r\n"
        self._queued = more * (settings.reply_lines - 1) + b"250 2.0.0 Ok: queued\r\n"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._upgrade is None:
            self._counter["sessions"] += 1
            transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        if self._upgrading:
            # Decrypted already, but the new transport is not known yet.
            self._buffer += data
            return
        buffer = self._buffer + data
        replies = []
        while True:
            if self._in_message:
                end = buffer.find(_END)
                if end < 0:
                    buffer = buffer[-len(_END) + 1 :]
                    break
                buffer = buffer[end + len(_END) :]
                self._in_message = False
                self._counter["messages"] += 1
                replies.append(self._queued)
                continue
            end = buffer.find(b"\n")
            if end < 0:
                break
            verb = buffer[:8].upper()
            buffer = buffer[end + 1 :]
            if verb.startswith(b"DATA"):
                replies.append(b"354 Go ahead\r\n")
                self._in_message = True
                buffer = b"\r\n" + buffer  # an empty message has no line in front of its dot
            elif verb.startswith(b"QUIT"):
                replies.append(b"221 Bye\r\n")
                self._transport.write(b"".join(replies))
                self._transport.close()
                return
            elif verb == b"STARTTLS":
                self._start_tls()
                buffer = b""
                break
            else:
                replies.append(self._announcement() if verb.startswith(b"EHLO") else b"250 Ok\r\n")
        self._buffer = buffer
        if replies:
            self._transport.write(b"".join(replies))

    def _announcement(self) -> bytes:
        lines = [b"250-sink"]
        if self._settings.pipelining:
            lines.append(b"250-PIPELINING")
        if self._context is not None and self._upgrade is None:
            lines.append(b"250-STARTTLS")
        return b"\r\n".join([*lines, b"250 8BITMIME"]) + b"\r\n"

    def _start_tls(self) -> None:
        # Paused first: what comes behind the reply is the handshake.
        self._transport.pause_reading()
        self._transport.write(b"220 Go ahead\r\n")
        self._upgrading = True
        self._upgrade = asyncio.ensure_future(self._secure())

    async def _secure(self) -> None:
        assert self._context is not None
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(self._transport, self, self._context, server_side=True)
        except OSError:
            return  # the client has gone away
        assert isinstance(secured, asyncio.Transport)
        self._transport = secured
        self._upgrading = False
        if secured.get_extra_info("ssl_object").session_reused:
            self._counter["resumed"] += 1
        self.data_received(b"")


async def _serve(settings: argparse.Namespace) -> Counter[str]:
    counter: Counter[str] = Counter(messages=0, sessions=0, resumed=0)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    server = await loop.create_server(lambda: Sink(settings, counter), HOST, 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()
    return counter


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sink", description=__doc__)
    parser.add_argument("--no-pipelining", dest="pipelining", action="store_false")
    parser.add_argument("--certificate", metavar="FILE", help="PEM, with the key; offer STARTTLS")
    parser.add_argument("--reply-lines", type=int, default=1, metavar="N")
    settings = parser.parse_args()
    if settings.certificate:
        settings.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        settings.context.load_cert_chain(settings.certificate)
    print(json.dumps(asyncio.run(_serve(settings))))


if __name__ == "__main__":
    main()
