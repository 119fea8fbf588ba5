"""An asyncio server on a free port, on a thread and an event loop of its own.

Tests stop it while clients still hang on it, in the middle of a handshake, or with data on the way.
So it closes everything itself: every accepted socket is known until it is closed, and
:meth:`LoopbackServer.stop` returns when none is open any more and no task is left.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import cast

__all__ = ["LoopbackServer", "Welcome"]

Welcome = tuple[asyncio.BaseProtocol, "ssl.SSLContext | None"]
"""The protocol of one connection, and the context for TLS from the first byte."""

_PAUSE = 0.5
"""Seconds to wait until sockets are closed, when the process has too many to accept another."""


class LoopbackServer:
    """Listens on a free port, while it is started; a ``with`` statement starts and stops it.

    - ``host``, ``port``: where; ``port`` is 0 before the first start
    """

    def __init__(self, welcome: Callable[[], Welcome | None], host: str) -> None:
        """Call ``welcome()`` for each client, on the thread of the server; ``None`` turns it
        away."""
        self.host = host
        self.port = 0
        self._welcome = welcome
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._sockets: set[socket.socket] = set()
        self._transports: dict[socket.socket, asyncio.WriteTransport] = {}
        self._arriving: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen.  Raises ``OSError`` if ``host`` is not an address of this machine, and
        ``RuntimeError`` if the server has been started already."""
        if self._thread is not None:
            raise RuntimeError("the server has been started already")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, 0), family=family, backlog=1024)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(listener, started), name="loopback server", daemon=True
        )
        self._thread.start()
        started.result()

    def stop(self) -> None:
        """Close the port and all connections; does nothing if the server is not started."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> LoopbackServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # -- on the thread of the server ------------------------------------------------------------

    def _run(self, listener: socket.socket, started: Future[None]) -> None:
        # Not the loop of the policy: aiosmtpd relies on how asyncio's own does TLS.
        self._loop = asyncio.SelectorEventLoop()
        self._loop.set_exception_handler(_complain)
        try:
            self._loop.run_until_complete(self._serve(listener, started))
        finally:
            self._loop.close()

    async def _serve(self, listener: socket.socket, started: Future[None]) -> None:
        self._stopping = asyncio.Event()
        self._loop.add_reader(listener, self._accept, listener)
        started.set_result(None)
        await self._stopping.wait()
        self._loop.remove_reader(listener)
        listener.close()
        await self._close_connections()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _close_connections(self) -> None:
        await self._turn()  # a task that is cancelled before it has begun closes nothing
        arriving = list(self._arriving)
        for task in arriving:
            task.cancel()
        await asyncio.gather(*arriving, return_exceptions=True)
        for transport in self._transports.values():
            # Up to Python 3.11.2, one with TLS that is closed has nothing to abort, and says so.
            with suppress(AttributeError):
                transport.abort()
        # An aborted transport closes its socket within a few turns of the loop.
        while any(sock.fileno() >= 0 for sock in self._sockets):
            await self._turn()
        self._sockets.clear()
        self._transports.clear()

    async def _turn(self) -> None:
        turned = self._loop.create_future()
        self._loop.call_soon(turned.set_result, None)
        await turned

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # too many open files
            self._loop.remove_reader(listener)
            self._loop.call_later(_PAUSE, self._accept_again, listener)
            return
        sock.setblocking(False)
        self._forget_closed()
        self._sockets.add(sock)
        task = self._loop.create_task(self._hold(sock))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def _accept_again(self, listener: socket.socket) -> None:
        if not self._stopping.is_set():
            self._loop.add_reader(listener, self._accept, listener)

    def _forget_closed(self) -> None:
        for sock in [sock for sock in self._sockets if sock.fileno() < 0]:
            self._sockets.discard(sock)
            self._transports.pop(sock, None)

    async def _hold(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            welcome = self._welcome()
        except BaseException:
            sock.close()
            raise
        if welcome is None:
            sock.close()
            return
        protocol, context = welcome
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=context
            )
        except OSError:
            return  # the client has broken off the handshake, or does not like the certificate
        self._transports[sock] = cast("asyncio.WriteTransport", transport)


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Report what has gone wrong, except for what clients do."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)
