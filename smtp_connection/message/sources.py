"""Where the content of a message comes from: one class for each kind of source.

A source is pulled: ``next_piece()`` returns the next bytes, ``b''`` if there are none yet (``wake``
is called as soon as there are), or ``None`` at the end.  If the source fails, it raises the reason.
A source is read no faster than the server takes the message, so memory stays flat at any size.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import socket
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..reactor.handles import Handle
from ..reactor.loop import Reactor
from ..reactor.threads import Job
from .encoder import size_to_declare, wire_size

__all__ = [
    "PIECE",
    "Convert",
    "EmitterSource",
    "FileSource",
    "IterableSource",
    "PipeSource",
    "Source",
    "ThreadSource",
    "UnsendableError",
    "WholeSource",
    "as_bytes",
    "file_source",
    "has_utf8_headers",
    "stream_source",
]

PIECE = 48 * 1024
"""Bytes that are read, encoded and handed to the socket at a time.

From 128 KiB on, the C library of Linux gives memory back to the system at once, and the page faults
that follow cost more than all the encoding.  A piece and its copy stay below that."""

# Bytes that a thread reads at a time.  Each time costs two switches between threads.
_READ_AHEAD = 256 * 1024

# Bytes that are collected from an iterable of small pieces before they are encoded and sent.
_WORTH_SENDING = 32 * 1024

# What an empty piece counts for, bytes.
_EMPTY_COUNTS = 64


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


def has_utf8_headers(message: bytes) -> bool:
    """Return whether the headers of ``message`` are UTF-8, and not ASCII alone."""
    if message.isascii():
        return False
    if not re.match(rb"[!-9;-~]+[ \t]*:", message):
        return False  # there are none
    end = re.search(rb"\n\r?\n|\r\n?\r", message)
    headers = message[: end.start()] if end else message
    if headers.isascii():
        return False
    try:
        codecs.utf_8_decode(headers, "strict", False)  # it may end within a character
    except UnicodeDecodeError:
        return False  # another charset: there is no extension that allows it, or forbids it
    return True


class UnsendableError(Exception):
    """What a source has read cannot be sent, although it can be read; the text says why."""


Convert = Callable[[Any], bytes]
"""Makes bytes of what a stream gives, or raises ``TypeError``."""


class Source:
    """A source that needs neither a start nor an end; the others override these methods.

    - ``lazy`` (bool): asking for a piece runs code of the caller's and makes nobody wait, so it is
      asked for the first one only if somebody gets the message
    - ``is_whole`` (bool): all of it is there, so that it need not be started
    - ``clean`` (bool): in the last piece, all line breaks are CRLF, and no line begins with a dot
    """

    lazy = False
    clean = False

    @property
    def is_whole(self) -> bool:
        return False

    def known_size(self) -> int:
        """Return the size to declare with SIZE (RFC 1870), bytes; 0 if it is not known yet."""
        return 0

    def wire_size(self) -> int | None:
        """Return how many bytes it takes on the wire, dots and the final one included, if all of
        it is there; else ``None``."""
        return None

    def is_international(self) -> bool:
        """Return whether all of it is there, and its headers need SMTPUTF8."""
        return False

    def is_8bit(self) -> bool:
        """Return whether it is known to have bytes above 127 in its content."""
        return False

    def again(self) -> Source | None:
        """Return another source of the same content, if that can be; else ``None``."""
        return None

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        """Begin; ``wake`` is called, on the reactor, when ``next_piece()`` is worth calling."""

    def next_piece(self) -> bytes | None:
        """Return the next bytes, ``b''`` if there are none yet, or ``None`` at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the source, at its end or before; a file that the caller opened stays open."""


class WholeSource(Source):
    """Bytes that are there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def is_whole(self) -> bool:
        return True

    def known_size(self) -> int:
        return size_to_declare(self._data)

    def wire_size(self) -> int | None:
        return wire_size(self._data)

    def is_international(self) -> bool:
        return has_utf8_headers(self._data)

    def again(self) -> Source:
        return WholeSource(self._data)

    def next_piece(self) -> bytes | None:
        start = self._position
        if start >= len(self._data):
            return None
        self._position = start + PIECE
        return self._data[start : start + PIECE]


class IterableSource(Source):
    """Any iterable of bytes or str, advanced on the reactor's thread."""

    def __init__(self, iterable: Iterable[Any], convert: Convert = as_bytes) -> None:
        self._convert = convert
        self._iterator: Iterator[Any] | None = iter(iterable)
        # The pieces of a list are there; a generator runs for each of them.
        self.lazy = not isinstance(iterable, (list, tuple))
        self._wake_soon: Callable[[], None] = lambda: None

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        self._wake_soon = lambda: reactor.call_soon(wake)

    def next_piece(self) -> bytes | None:
        collected = []
        size = 0
        while self._iterator is not None and size < _WORTH_SENDING:
            try:
                piece = self._convert(next(self._iterator))
            except StopIteration:
                self._iterator = None
            else:
                collected.append(piece)
                # An iterable of empty pieces must come to an end here as well.
                size += len(piece) or _EMPTY_COUNTS
        data = b"".join(collected)
        if not data and self._iterator is not None:
            self._wake_soon()
            return b""
        return data or None

    def close(self) -> None:
        iterator = self._iterator
        close = getattr(iterator, "close", None)
        # A generator is closed, so that its "finally" runs now.  Any other iterator with a close()
        # may be a file, which belongs to the caller.
        if close is not None and hasattr(iterator, "send"):
            try:
                close()
            except Exception:
                # The generator is running at this moment, or its "finally" fails.  Neither changes
                # what became of the message.
                pass
        self._iterator = None


class FileSource(Source):
    """A file that can be read without waiting: in memory, or on disk."""

    def __init__(self, file: Any, convert: Convert = as_bytes, size: int = PIECE) -> None:
        """``size``: the bytes that a piece has."""
        self._file = file
        self._convert = convert
        self._size = size

    def next_piece(self) -> bytes | None:
        return self._convert(self._file.read(self._size)) or None


class ThreadSource(Source):
    """Any other object with ``read(n)``: reading may block, so a thread does it."""

    def __init__(self, file: Any, convert: Convert = as_bytes) -> None:
        self._convert = convert
        # read1() returns what has arrived; read() waits until the piece is full.
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
        self._job = self._reactor.job(
            lambda: self._convert(self._read(_READ_AHEAD)) or None, self._arrived
        )
        self._job.start()

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
    """A pipe, FIFO, terminal or socket, read when the selector reports that it is readable."""

    def __init__(self, file: Any, read: Callable[[int], Any], convert: Convert = as_bytes) -> None:
        self._file = file
        self._read = read
        self._convert = convert
        self._handle: Handle | None = None
        self._ready = False
        self._lost = False  # the owner has closed it

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        self._handle = reactor.handle(self._file, self._closed_by_owner)
        self._wake = wake
        self._ready = self._holds_bytes()
        self._watch()

    def _holds_bytes(self) -> bool:
        """Return whether a buffered reader has bytes in its buffer, which no selector sees."""
        if not isinstance(self._file, io.BufferedReader):
            return False
        # If the buffer is empty, peek() reads.  For this moment, reading must not wait.
        restore = _stop_waiting(self._file)
        try:
            return bool(self._file.peek(1))
        finally:
            restore()

    def _watch(self) -> None:
        if self._ready or self._handle is None:
            return
        try:
            self._handle.set_reader(self._readable)
        except PermissionError:
            self._ready = True  # epoll refuses a device that is always ready, such as /dev/zero

    def _readable(self) -> None:
        self._ready = True
        if self._handle is not None:
            self._handle.set_reader(None)
        self._wake()

    def _closed_by_owner(self) -> None:
        self._lost = True
        self._wake()

    def next_piece(self) -> bytes | None:
        if self._lost:
            raise OSError(errno.EBADF, "it was closed before its end")
        self._watch()
        if not self._ready:
            return b""
        self._ready = False
        try:
            piece = self._read(PIECE)
        except BlockingIOError:
            piece = None
        if piece is None:  # raw files return this instead of raising BlockingIOError
            self._watch()
            return b""
        return self._convert(piece) or None

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()


class EmitterSource(Source):
    """A Node-style stream: an emitter of ``'data'``, ``'end'`` and ``'error'``.

    Its listeners are added at once, so that nothing is lost while the message waits for its turn.
    If it has ``pause()`` and ``resume()``, these keep it from running ahead of the server.
    """

    def __init__(self, emitter: Any, reactor: Reactor, convert: Convert = as_bytes) -> None:
        self._convert = convert
        self._emitter = emitter
        self._reactor = reactor
        # What was emitted, on whatever thread, and has not been looked at.
        self._emitted: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._ended = False
        self._error: BaseException | None = None
        self._wake: Callable[[], None] = lambda: None
        self._listeners = {
            "data": lambda piece: self._take(self._on_data, piece),
            "end": lambda *_: self._take(self._on_end),
            "error": lambda error=None, *_: self._take(self._on_error, error),
            "close": lambda *_: self._take(self._on_close),
        }
        try:
            for event, listener in self._listeners.items():
                emitter.on(event, listener)
            self._set_paused(True)
        except BaseException:
            self.close()
            raise

    def _take(self, handler: Callable[[Any], None], value: Any = None) -> None:
        # First of all: nothing that is raised here must leave a hole in the message.
        self._emitted.append((handler, value))
        if self._reactor.on_thread():
            self._look()
        else:
            self._reactor.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        try:
            while self._emitted:
                handler, value = self._emitted.popleft()
                handler(value)
        except BaseException as exc:
            self._interrupted(exc)
            raise

    def _interrupted(self, exc: BaseException) -> None:
        """Let the message go no further.  The emitter, or ``run()``, hears of ``exc`` itself."""
        error = RuntimeError(f"{type(exc).__name__} was raised in the middle of it")
        error.__cause__ = exc
        self._on_error(error)

    def _resume(self) -> None:
        try:
            self._set_paused(False)
        except BaseException as exc:
            self._interrupted(exc)
            raise

    def _set_paused(self, paused: bool) -> None:
        method = getattr(self._emitter, "pause" if paused else "resume", None)
        if callable(method) and paused != self._paused:
            self._paused = paused
            method()

    def _on_data(self, piece: object) -> None:
        if self._ended or self._error is not None:
            return
        try:
            data = self._convert(piece)
        except (TypeError, UnicodeError) as exc:
            self._on_error(exc)
            return
        if data:
            self._pieces.append(data)
            self._buffered += len(data)
            if self._buffered >= PIECE:
                self._set_paused(True)
            self._reactor.call_soon(self._wake)

    def _on_end(self, _: object) -> None:
        self._ended = True
        self._reactor.call_soon(self._wake)

    def _on_error(self, error: object) -> None:
        if self._ended or self._error is not None:
            return
        self._error = error if isinstance(error, BaseException) else RuntimeError(str(error))
        self._reactor.call_soon(self._wake)

    def _on_close(self, _: object) -> None:
        self._on_error(ConnectionError("the stream was closed before its end"))

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._set_paused(False)

    def next_piece(self) -> bytes | None:
        if self._error is not None:
            raise self._error
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._buffered = 0
            if not self._ended:
                self._reactor.call_soon(self._resume)
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
                    pass  # somebody else has removed it, which pyee may refuse to ignore


def file_source(file: Any, convert: Convert = as_bytes, size: int = PIECE) -> Source:
    """Return a source that reads ``file``, an object with ``read(n)``, and never blocks the
    reactor.  ``size``: the bytes that a piece has if it comes from a disk."""
    if isinstance(file, (io.BytesIO, io.StringIO)):
        return FileSource(file, convert)
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (AttributeError, OSError, TypeError, ValueError):
        return ThreadSource(file, convert)
    if stat.S_ISREG(mode):
        return FileSource(file, convert, size)
    # With exactly these types, there are bytes to read whenever the descriptor is readable.  Others
    # can hold bytes that no selector sees: an HTTP response has a buffer in front of its
    # descriptor, and a TLS socket has bytes that are already decrypted.
    buffered = type(file) is io.BufferedReader
    raw = file.raw if buffered else file
    if type(raw) is io.FileIO or type(_socket_below(raw)) is socket.socket:
        return PipeSource(file, file.read1 if buffered else file.read, convert)
    return ThreadSource(file, convert)


def stream_source(stream: Any, reactor: Reactor, convert: Convert = as_bytes) -> Source | None:
    """Return a source that reads ``stream``: an emitter, what has ``read(n)``, or a socket;
    ``None`` if it is nothing of that kind.
    """
    if callable(getattr(stream, "on", None)):
        return EmitterSource(stream, reactor, convert)
    if callable(getattr(stream, "read", None)):
        return file_source(stream, convert)
    if isinstance(stream, socket.socket):
        return PipeSource(stream, stream.recv, convert)
    return None


def _socket_below(raw: object) -> socket.socket | None:
    """Return the socket that ``raw``, the unbuffered file that makefile() makes, reads from."""
    return getattr(raw, "_sock", None) if type(raw) is socket.SocketIO else None


def _stop_waiting(file: io.BufferedReader) -> Callable[[], None]:
    """Keep reading from ``file`` from blocking; return the function that restores what was set."""
    sock = _socket_below(file.raw)
    if sock is not None:
        timeout = sock.gettimeout()
        sock.settimeout(0)
        return lambda: sock.settimeout(timeout)
    descriptor = file.fileno()
    blocking = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    return lambda: os.set_blocking(descriptor, blocking)
