"""The floor: a bare epoll loop that replays the bytes of the dialogue, and looks at no reply.

It knows from one session beforehand how many lines the server says to each command, and counts
line breaks. Nothing in Python that waits for the same replies can take much less.

A large message is sent piece by piece on a blocking socket, in pieces that stay in the processor's
cache from here to the kernel: with one connection there is nothing else to do meanwhile.
"""

from __future__ import annotations

import platform
import select
import socket
import time
from collections.abc import Callable
from functools import lru_cache

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out

_Step = tuple[bytes, int]
"""What to send, and how many lines come back."""

_LARGE = 1_000_000
_PIECE = 48 * 1024


@lru_cache(1)  # so that the measured run finds what the one to warm up has made
def _wire(message: bytes) -> bytes:
    lines = message.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
    return b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"


def _opening(task: Task) -> tuple[list[_Step], bool]:
    """Return the steps that open a session, and whether the server announces PIPELINING."""
    hello = f"EHLO {CLIENT_NAME}\r\n".encode()
    with socket.create_connection((HOST, task.port)) as probe, probe.makefile("rwb") as stream:
        greeting = _reply(stream.readline)
        stream.write(hello)
        stream.flush()
        announced = _reply(stream.readline)
        stream.write(b"QUIT\r\n")
        stream.flush()
        _reply(stream.readline)
    steps = [(b"", len(greeting)), (hello, len(announced))]
    return steps, any(b"PIPELINING" in line for line in announced)


def _reply(readline: Callable[[], bytes]) -> list[bytes]:
    lines = [readline()]
    while lines[-1][3:4] == b"-":
        lines.append(readline())
    return lines


def _transaction(task: Task, message: bytes, pipelining: bool) -> list[_Step]:
    commands = [
        f"MAIL FROM:<{SENDER}>\r\n".encode(),
        *(f"RCPT TO:<{recipient}>\r\n".encode() for recipient in task.recipient_list),
        b"DATA\r\n",
    ]
    if pipelining:
        envelope = [(b"".join(commands), len(commands))]
    else:
        envelope = [(command, 1) for command in commands]
    return [*envelope, (_wire(message), task.reply_lines)]


class _Connection:
    __slots__ = ("missing", "place", "sock", "unsent")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((HOST, port))
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.place = 0
        self.missing = 0
        self.unsent = memoryview(b"")


def _replay(steps: list[_Step], opened: dict[int, _Connection], poll: select.epoll) -> None:
    """Take every connection through ``steps``."""
    last = len(steps)
    waiting = len(opened)
    for connection in opened.values():
        data, connection.missing = steps[0]
        connection.place = 1
        if data:
            _send(connection, data, poll)
    while waiting:
        for descriptor, event in poll.poll():
            connection = opened[descriptor]
            if event & select.EPOLLOUT:
                _send(connection, connection.unsent, poll)
            if not event & select.EPOLLIN:
                continue
            received = connection.sock.recv(65536)
            if not received:
                if connection.missing:
                    raise ConnectionError("the server has closed the connection")
                poll.unregister(descriptor)  # it has said 221
                continue
            connection.missing -= received.count(b"\n")
            if connection.missing:
                continue
            if connection.place == last:
                waiting -= 1
                continue
            data, connection.missing = steps[connection.place]
            connection.place += 1
            sent = connection.sock.send(data)
            if sent < len(data):
                connection.unsent = memoryview(data)[sent:]
                poll.modify(descriptor, select.EPOLLIN | select.EPOLLOUT)


def _replay_in_pieces(steps: list[_Step], port: int) -> None:
    """Take one connection through ``steps``, and wait for each of them."""
    with socket.create_connection((HOST, port)) as sock:
        for data, missing in steps:
            with memoryview(data) as view:
                for start in range(0, len(data), _PIECE):
                    sock.sendall(view[start : start + _PIECE])
            while missing:
                received = sock.recv(65536)
                if not received:
                    raise ConnectionError("the server has closed the connection")
                missing -= received.count(b"\n")


def _send(connection: _Connection, data: bytes | memoryview, poll: select.epoll) -> None:
    sent = connection.sock.send(data)
    connection.unsent = memoryview(data)[sent:]
    more = select.EPOLLOUT if connection.unsent else 0
    poll.modify(connection.sock, select.EPOLLIN | more)


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    opening, pipelining = _opening(task)
    mail = _transaction(task, message, pipelining) * task.messages
    closing = [(b"QUIT\r\n", 1)]
    if task.size > _LARGE and task.at_once == 1:
        for _ in range(task.connections):
            _replay_in_pieces(opening + mail + closing, task.port)
        return
    with select.epoll() as poll:
        if not task.together:
            for start in range(0, task.connections, task.at_once):
                count = min(task.at_once, task.connections - start)
                opened = _open(count, task.port, poll)
                _replay(opening + mail + closing, opened, poll)
                _close(opened)
            return
        opened = _open(task.connections, task.port, poll)
        _replay(opening, opened, poll)
        if task.idle:
            watch.note_memory()
            watch.phase("idle")
            time.sleep(task.idle)
        else:
            watch.phase("mail")
            _replay(mail, opened, poll)
        watch.phase("close")
        _replay(closing, opened, poll)
        _close(opened)


def _open(count: int, port: int, poll: select.epoll) -> dict[int, _Connection]:
    opened = {}
    for _ in range(count):
        connection = _Connection(port)
        poll.register(connection.sock, select.EPOLLIN)
        opened[connection.sock.fileno()] = connection
    return opened


def _close(opened: dict[int, _Connection]) -> None:
    for connection in opened.values():
        connection.sock.close()


if __name__ == "__main__":
    carry_out(_perform, f"Python {platform.python_version()}")
