"""Where the content of a message comes from: one class for each kind of source.

A source is pulled: ``next_piece()`` returns bytes, ``b''`` if there is nothing yet (``wake`` is
called when there is) or ``None`` at the end, and raises whatever made the source fail.  It is read
no faster than the server takes the message, so memory stays flat at any size.
"""

from __future__ import annotations

import io
import os
import socket
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..reactor.loop import Reactor
from ..reactor.threads import Job

__all__ = [
    "PIECE",
    "EmitterSource",
    "FileSource",
    "IterableSource",
    "PipeSource",
    "Source",
    "ThreadSource",
    "WholeSource",
    "as_bytes",
    "file_source",
]

PIECE = 48 * 1024
"""Bytes that are read, encoded and handed to the socket at a time.

A piece and its copy stay below the 128 KiB from which on the C library of Linux gives memory back
to the system at once.  With larger pieces the page faults cost more than all the encoding."""

# What a thread reads at a time: each time costs two switches between threads.
_READ_AHEAD = 256 * 1024

# Of an iterable of small pieces, this much is collected before it is encoded and sent.
_WORTH_SENDING = 32 * 1024


def as_bytes(piece: object) -> bytes:
    """Return ``piece`` as bytes, a str as UTF-8; raise ``TypeError`` for anything else."""
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, str):
        return piece.encode()
    try:
        return bytes(memoryview(piece))  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"a message consists of bytes or str; got {type(piece).__name__}") from None


class Source:
    """The common part: nothing to start, nothing to close."""

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        """Begin; ``wake`` is called, on the reactor, when ``next_piece()`` is worth calling."""

    def next_piece(self) -> bytes | None:
        """Return the next bytes, ``b''`` if there are none yet, or ``None`` at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the source, whether it is at its end or not; what the caller opened stays
        open."""


class WholeSource(Source):
    """Bytes that are there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def next_piece(self) -> bytes | None:
        start = self._position
        if start >= len(self._data):
            return None
        self._position = start + PIECE
        return self._data[start : start + PIECE]


class IterableSource(Source):
    """Any iterable of bytes or str, advanced on the reactor's thread."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._iterator: Iterator[Any] | None = iter(iterable)

    def next_piece(self) -> bytes | None:
        collected = []
        size = 0
        while self._iterator is not None and size < _WORTH_SENDING:
            try:
                piece = as_bytes(next(self._iterator))
            except StopIteration:
                self._iterator = None
            else:
                collected.append(piece)
                size += len(piece)
        return b"".join(collected) or None

    def close(self) -> None:
        iterator, self._iterator = self._iterator, None
        close = getattr(iterator, "close", None)
        # A generator is closed, so that its "finally" runs now; a file in the guise of an iterable
        # is the caller's.
        if close is not None and hasattr(iterator, "send"):
            try:
                close()
            except Exception:
                pass  # it runs just now, or fails once more: what became of the message is known


class FileSource(Source):
    """What can be read at once without waiting: memory, and files on disk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def next_piece(self) -> bytes | None:
        return as_bytes(self._file.read(PIECE)) or None


class ThreadSource(Source):
    """Anything else with ``read(n)``: it may wait for who knows what, so a thread does."""

    def __init__(self, file: Any) -> None:
        # read1() returns what has arrived, read() waits until the piece is full.
        self._read: Callable[[int], Any] = getattr(file, "read1", file.read)
        self._job: Job | None = None
        self._piece: bytes | None = b""
        self._error: BaseException | None = None

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        self._reactor = reactor
        self._wake = wake
        self._read_ahead()

    def _read_ahead(self) -> None:
        self._piece = b""
        self._job = self._reactor.run_in_thread(
            lambda: as_bytes(self._read(_READ_AHEAD)) or None, self._arrived
        )

    def _arrived(self, piece: bytes | None, error: BaseException | None) -> None:
        self._job = None
        self._piece = piece
        self._error = error
        self._wake()

    def next_piece(self) -> bytes | None:
        if self._error is not None:
            raise self._error
        piece = self._piece
        if piece:
            self._read_ahead()
        return piece

    def close(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = None


class PipeSource(Source):
    """A pipe, FIFO, terminal or socket: read when the selector says that there is something."""

    def __init__(self, file: Any, read: Callable[[int], Any]) -> None:
        self._file = file
        self._read = read
        self._reactor: Reactor | None = None
        self._ready = False
        self._watched = False

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        self._reactor = reactor
        self._wake = wake
        self._ready = self._holds_bytes()
        self._watch()

    def _holds_bytes(self) -> bool:
        """Whether a buffered reader has bytes in its buffer, of which no selector knows."""
        if not isinstance(self._file, io.BufferedReader):
            return False
        # There is no asking without reading; so for this moment reading must not wait.
        sock = _socket_below(self._file.raw)
        if sock is not None:
            timeout = sock.gettimeout()
            sock.settimeout(0)
            try:
                return bool(self._file.peek(1))
            finally:
                sock.settimeout(timeout)
        blocking = os.get_blocking(self._file.fileno())
        os.set_blocking(self._file.fileno(), False)
        try:
            return bool(self._file.peek(1))
        finally:
            os.set_blocking(self._file.fileno(), blocking)

    def _watch(self) -> None:
        assert self._reactor is not None
        if self._ready or self._watched:
            return
        try:
            self._reactor.add_reader(self._file, self._readable)
            self._watched = True
        except PermissionError:
            self._ready = True  # epoll's word for a device that is always ready, /dev/null say

    def _readable(self) -> None:
        self._ready = True
        self._unwatch()
        self._wake()

    def _unwatch(self) -> None:
        if self._watched and self._reactor is not None:
            self._watched = False
            self._reactor.remove_reader(self._file)

    def next_piece(self) -> bytes | None:
        self._watch()
        if not self._ready:
            return b""
        self._ready = False
        try:
            piece = self._read(PIECE)
        except BlockingIOError:
            piece = None
        if piece is None:  # what raw files return instead of raising BlockingIOError
            self._watch()
            return b""
        return as_bytes(piece) or None

    def close(self) -> None:
        self._unwatch()


class EmitterSource(Source):
    """A Node-style stream: an emitter of ``'data'``, ``'end'`` and ``'error'``.

    It is listened to from the start, so that nothing is missed while the message waits its turn;
    ``pause()`` and ``resume()``, where it has them, keep it from running ahead of the server.
    """

    def __init__(self, emitter: Any, reactor: Reactor) -> None:
        self._emitter = emitter
        self._reactor = reactor
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._ended = False
        self._error: BaseException | None = None
        self._wake: Callable[[], None] = lambda: None
        self._listeners = {
            "data": lambda piece: self._from_any_thread(self._on_data, piece),
            "end": lambda *_: self._from_any_thread(self._on_end),
            "error": lambda error=None, *_: self._from_any_thread(self._on_error, error),
            "close": lambda *_: self._from_any_thread(self._on_close),
        }
        for event, listener in self._listeners.items():
            emitter.on(event, listener)
        self._flow("pause")

    def _from_any_thread(self, handler: Callable[..., None], *args: Any) -> None:
        if self._reactor.on_thread():
            handler(*args)
        else:
            self._reactor.call_soon_threadsafe(handler, *args)

    def _flow(self, method: str) -> None:
        function = getattr(self._emitter, method, None)
        paused = method == "pause"
        if callable(function) and paused != self._paused:
            self._paused = paused
            function()

    def _on_data(self, piece: object) -> None:
        if self._ended or self._error is not None:
            return
        try:
            data = as_bytes(piece)
        except (TypeError, UnicodeError) as exc:
            self._on_error(exc)
            return
        if data:
            self._pieces.append(data)
            self._buffered += len(data)
            if self._buffered >= PIECE:
                self._flow("pause")
            self._reactor.call_soon(self._wake)

    def _on_end(self) -> None:
        self._ended = True
        self._reactor.call_soon(self._wake)

    def _on_error(self, error: object) -> None:
        if self._ended or self._error is not None:
            return
        self._error = error if isinstance(error, BaseException) else RuntimeError(str(error))
        self._reactor.call_soon(self._wake)

    def _on_close(self) -> None:
        self._on_error(ConnectionError("the stream was closed before its end"))

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._flow("resume")

    def next_piece(self) -> bytes | None:
        if self._error is not None:
            raise self._error
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._buffered = 0
            if not self._ended:
                self._reactor.call_soon(self._flow, "resume")
            return data
        return None if self._ended else b""

    def close(self) -> None:
        self._wake = lambda: None
        self._ended = True
        remove = getattr(self._emitter, "remove_listener", None)
        if callable(remove):
            for event, listener in self._listeners.items():
                try:
                    remove(event, listener)
                except KeyError:
                    pass  # removed by somebody else; older pyee minds


def file_source(file: Any) -> Source:
    """Return the source that reads ``file``, an object with ``read(n)``, without ever waiting."""
    if isinstance(file, (io.BytesIO, io.StringIO)):
        return FileSource(file)
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (AttributeError, OSError, TypeError, ValueError):
        return ThreadSource(file)
    if stat.S_ISREG(mode):
        return FileSource(file)
    # Only of these is it known that a readable descriptor and bytes to be had are the same thing.
    # An HTTP response, say, has a descriptor too, and a buffer of its own in front of it; and TLS
    # has decrypted bytes of which no selector knows.
    buffered = type(file) is io.BufferedReader
    raw = file.raw if buffered else file
    if type(raw) is io.FileIO or type(_socket_below(raw)) is socket.socket:
        return PipeSource(file, file.read1 if buffered else file.read)
    return ThreadSource(file)


def _socket_below(raw: object) -> socket.socket | None:
    """Return the socket that ``raw``, the unbuffered file that makefile() makes, reads from."""
    return getattr(raw, "_sock", None) if type(raw) is socket.SocketIO else None
