"""One non-blocking byte stream, in clear text or over TLS, on the reactor.

The facts
---------

**A send takes what fits into the system's buffer.**  The rest has to wait until the socket is
writable.  An idle socket is writable all the time, so it is watched for writing only while
something waits.  Over TLS a send takes one record, 16 KiB at most, and a send that could not be
completed must be repeated with the same bytes.

**TLS reads and writes on its own account.**  A selector does not see what is decrypted already, so
one event may stand for several reads.  A read may have to wait until something can be written, and
a write until something can be read.  Python before 3.13 reports a reset over TLS as an end.

**A failed write is not the last thing that the peer says.**  A server that refuses a client says
why and hangs up without listening: the write fails, and the reason is still there to be read.  What
a read reports after that is accidental: another error, or only the end of the stream.

**close() may destroy what was sent.**  If not all of the peer's words have been read, or more of
them arrive, the system answers with a reset, and the peer may lose what we said last.
``shutdown()`` only announces the end of our side, but for all processes that share the connection:
a forked child that calls it ends the stream of its parent, too.

**The system's buffer may be large.**  It may take megabytes at once and need minutes to hand them
on, and a socket is writable only when a third of that is gone.  Over TLS a record counts as sent
when all of it is taken.  The system tells what it still holds, but nobody of its becoming less.

**Readiness is only a hint.**  A socket that is reported as readable may have nothing to read.

The strategy
------------

- ``write()`` sends at once.  What the system does not take waits, in order and without a copy, and
  the owner is told when all of it is gone (``drained``).
- As long as the system holds much of what was written, it is asked every 0.25 seconds how much that
  is: so it is known when the peer last took something, at most 0.25 seconds late.
- In clear text one event is one read, so that no connection starves the others.  Over TLS it is as
  many reads as it takes to empty what is decrypted.
- After a failed write nothing more is written.  The peer's last words are read and handed on, and
  then the error of that write is reported, whatever the reads came to.
- ``close(linger)`` announces the end of our side, throws away what still arrives, and waits for the
  end of the peer's side for ``linger`` seconds.  It drops the socket at once if it has no time for
  that, or if that is of no use: before TLS is up, after a failed write, if the end of the peer's
  side is there already, and in a forked child.
- The handle of the socket is closed before the socket.  A socket that was handed over may be closed
  by its owner at any time: the next call to the system then fails, or the reactor finds it out
  (``handles.py``).

Who may call what
-----------------

All methods are called on the reactor's thread; the owner may call them from its own methods.  The
owner's methods are only ever called from the reactor, never from inside a method that the owner has
called.  ``connection_lost`` is called once and comes last; after ``close()`` nothing is called.  No
exception of the operating system or of the TLS library leaves this module: the owner is given an
:class:`SMTPError` instead.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..errors import SMTPError
from ..reactor.guard import guarded
from ..reactor.loop import Reactor
from ..reactor.timers import Timer
from ..records import TLSInfo
from .errors import sent_chain, socket_error, tls_session_error, told
from .handshake import Explain, Handshake, no_hint, wrap
from .send_queue import queued_bytes

if TYPE_CHECKING:
    from .resumption import Resumption

__all__ = ["Transport", "TransportOwner"]

# More than a reply ever needs; a larger buffer costs more to allocate than a second read does.
_READ_SIZE = 16 * 1024

# What the system may hold for the peer without being late: a command that is not acknowledged yet.
_BACKLOG = 4096

# How often the system is asked what it still holds, seconds.
_ASK_EVERY = 0.25


class TransportOwner(Protocol):
    """Who is told what happens on a transport."""

    def data_received(self, data: bytes) -> None:
        """``data`` has arrived; never empty."""

    def drained(self) -> None:
        """The system has taken everything that was written, after some of it had to wait."""

    def connection_lost(self, error: SMTPError | None) -> None:
        """The peer has closed its side (``None``) or the stream has failed.  Called once."""

    def broke(self, exc: BaseException) -> None:
        """``exc``, which nobody has foreseen, was raised while something was read or written; the
        reactor raises it."""

    def discreet(self, text: str) -> str:
        """Return what may be shown of ``text``, the words of the peer, of which something may be
        cut off at both ends."""


class _Nobody:
    """The owner of a transport that is closed: neither of them has to keep the other."""

    def data_received(self, data: bytes) -> None:
        """Ignore ``data``."""

    def drained(self) -> None:
        """Do nothing."""

    def connection_lost(self, error: SMTPError | None) -> None:
        """Do nothing."""

    def broke(self, exc: BaseException) -> None:
        """Do nothing."""

    def discreet(self, text: str) -> str:
        """Show nothing."""
        return ""


_NOBODY = _Nobody()


class Transport:
    """Owns a connected, non-blocking socket."""

    __slots__ = (
        "_closed",
        "_dropped",
        "_handle",
        "_handshaking",
        "_linger_timer",
        "_must_read",
        "_owner",
        "_progress",
        "_queued",
        "_reactor",
        "_resumption",
        "_servername",
        "_sock",
        "_tls",
        "_unsent",
        "_write_error",
        "last_sent",
        "uncertain",
    )

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        owner: TransportOwner,
        *,
        handed_over: bool = False,
    ) -> None:
        """``handed_over``: the socket is also somebody else's, who may close it at any time.

        Raises ``ValueError`` if it is closed already.
        """
        self._reactor = reactor
        self._handle = reactor.handle(sock, self._lost if handed_over else None)
        self._sock = sock
        self._owner = owner
        self._tls: ssl.SSLSocket | None = None
        # Whoever handed it over may have left the handshake to us; it has no version until then.
        if isinstance(sock, ssl.SSLSocket) and sock.version() is not None:
            self._tls = sock
        self._unsent: list[memoryview] = []
        self._dropped = 0  # bytes that were written, and never will be sent
        self._write_error: SMTPError | None = None
        self._closed = False
        self._handshaking = False
        self._must_read = False  # before TLS can write
        self._servername = ""
        self._resumption: Resumption | None = None
        self._linger_timer: Timer | None = None
        self.last_sent = reactor.now
        """When the system last took something, on the reactor's clock, seconds."""
        self.uncertain = False
        """Whether an exception that nobody has foreseen came in the middle of something, so that
        more may have been sent than is known."""
        self._queued = 0  # what the system held for the peer when it was last asked
        self._progress: Timer | None = None  # until it is asked again

    def start(self) -> None:
        """Begin to read.  Raises ``OSError`` for what cannot be watched."""
        if self._tls is None:
            self._handle.set_reader(self._readable)
        else:
            self._handle.set_reader(self._tls_readable)
            # Whoever handed the socket over may have read a part of a record.
            self._reactor.call_soon(self._tls_readable)

    # -- facts --------------------------------------------------------------------------------

    @property
    def secure(self) -> bool:
        """Whether a TLS handshake has succeeded on the socket in use."""
        return self._tls is not None and not self._closed

    @property
    def lacks_handshake(self) -> bool:
        """Whether the socket has been wrapped in TLS, and the handshake is still to come."""
        return self._tls is None and isinstance(self._sock, ssl.SSLSocket)

    @property
    def is_drained(self) -> bool:
        """Whether the system has taken everything that was written."""
        return not self._unsent and self._write_error is None

    @property
    def unsent(self) -> int:
        """How many bytes of what was written the system has not taken; if the stream has failed, or
        is closed, it never will."""
        return sum(map(len, self._unsent)) + self._dropped

    @property
    def peer_address(self) -> str | None:
        """The peer's IP address; ``None`` if it has none, as on a Unix socket, or is gone."""
        if self._sock.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        try:
            return str(self._sock.getpeername()[0])
        except OSError:
            return None

    def describe(self) -> str:
        """Return the peer's address and, over TLS, its version and cipher, for the log."""
        try:
            peer = self._sock.getpeername()
        except OSError:
            peer = None
        text = str(peer or "the peer")
        if isinstance(peer, tuple):
            text = f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
        if self._tls is not None and self.secure:
            cipher = self._tls.cipher()
            text += f" with {self._tls.version()}" + (f", {cipher[0]}" if cipher else "")
        return text

    def tls_info(self) -> TLSInfo | None:
        """Return what the TLS handshake has agreed on; ``None`` where there is no TLS."""
        tls = self._tls
        if tls is None or not self.secure:
            return None
        cipher, resumed = tls.cipher(), bool(tls.session_reused)
        # Where a session is taken up again, the server sends no certificate.
        earlier = self._resumption.certificates if resumed and self._resumption else None
        return TLSInfo(
            version=tls.version() or "",
            cipher=cipher[0] if cipher else "",
            chain=told(earlier) if earlier else sent_chain(tls),
            resumed=resumed,
        )

    def last_taken(self) -> float:
        """Return when the system, or the peer, last took something of what was written, on the
        reactor's clock, seconds.

        The system tells how much the peer has left to take, but not when it last took some.  That
        is found out by asking every 0.25 seconds, and here, and counts as taken just then.
        """
        queued = queued_bytes(self._sock)
        if queued < self._queued and self._queued > _BACKLOG:
            self.last_sent = self._reactor.now
        self._queued = queued
        return self.last_sent

    def _watch_progress(self) -> None:
        """Ask again and again what the system holds, as long as that is much."""
        if self._progress is None:
            self._progress = self._reactor.timer(self._ask)
        if not self._progress.active:
            self._queued = queued_bytes(self._sock)
            self._progress.start(_ASK_EVERY)

    @guarded
    def _ask(self) -> None:
        self.last_taken()
        if self._queued > _BACKLOG and self._progress is not None:
            self._progress.start(_ASK_EVERY)

    # -- reading ------------------------------------------------------------------------------

    def broke(self, exc: BaseException) -> None:
        """Take note that ``exc`` was raised in the middle of something."""
        self.uncertain = True
        self._owner.broke(exc)

    # What "guarded" does, without the call: this is what happens most often.
    def _readable(self) -> None:
        try:
            try:
                data = self._sock.recv(_READ_SIZE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                self._lose(self._write_error or socket_error(exc, "Connection failed"))
                return
            if data:
                self._owner.data_received(data)
            else:
                self._lose(self._write_error)
        except BaseException as exc:
            self.broke(exc)
            raise

    @guarded
    def _tls_readable(self) -> None:
        tls = self._tls
        assert tls is not None
        if self._must_read:
            self._must_read = False
            self._handle.set_writer(self._go_on_writing)
        # A selector cannot see what the TLS layer has decrypted already.
        while True:
            try:
                data = tls.recv(_READ_SIZE)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLWantWriteError:
                self._handle.set_writer(self._go_on_writing)
                return
            except ssl.SSLError as exc:
                self._lose(self._write_error or self._session_error(exc, tls))
                return
            except OSError as exc:
                self._lose(self._write_error or socket_error(exc, "Connection failed"))
                return
            if not data:
                self._lose(self._write_error)
                return
            self._owner.data_received(data)
            if self._tls is not tls or self._closed or not tls.pending():
                return

    def _session_error(self, exc: ssl.SSLError, tls: ssl.SSLSocket) -> SMTPError:
        return tls_session_error(exc, tls, self._servername, self._owner.discreet)

    # -- writing ------------------------------------------------------------------------------

    def write(self, data: bytes) -> bool:
        """Send ``data``; return whether the system has taken all of it.  If it has not, ``drained``
        is called when it has."""
        if self._closed or self._write_error is not None:
            self._dropped += len(data)
            return self.is_drained
        if self._unsent:
            self._unsent.append(memoryview(data))
            return False
        try:
            sent = self._sock.send(data)
            self.last_sent = self._reactor.now
        except OSError as exc:
            self._not_sent(exc)
            sent = 0
        if len(data) > _BACKLOG:
            self._watch_progress()
        if sent < len(data):
            self._keep(memoryview(data)[sent:])
            return self.is_drained
        return True

    def _keep(self, rest: memoryview) -> None:
        if self._write_error is not None:
            self._dropped += len(rest)
            return
        self._unsent.append(rest)
        if self._tls is not None:
            self._flush()
        if self._unsent and not self._must_read:
            self._handle.set_writer(self._writable)

    def _not_sent(self, exc: OSError) -> None:
        """Take note of why the system has taken nothing."""
        if isinstance(exc, ssl.SSLWantReadError):
            self._must_read = True
        elif isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLWantWriteError):
            assert self._tls is not None
            self._write_failed(self._session_error(exc, self._tls))
        elif not isinstance(exc, (BlockingIOError, InterruptedError, ssl.SSLWantWriteError)):
            self._write_failed(socket_error(exc, "Connection failed"))

    def _flush(self) -> None:
        # TLS takes one record at a time, so this goes on for as long as something is taken.
        unsent = self._unsent
        while unsent:
            try:
                sent = self._sock.send(unsent[0])
                self.last_sent = self._reactor.now
            except OSError as exc:
                self._not_sent(exc)
                return
            if not sent:
                return
            if sent < len(unsent[0]):
                unsent[0] = unsent[0][sent:]
            else:
                del unsent[0]

    @guarded
    def _writable(self) -> None:
        if self._tls is not None and self._unsent:
            # The queue was full.  TLS reports a record that is sent, and not its parts.
            self.last_sent = self._reactor.now
        self._go_on_writing()

    @guarded
    def _go_on_writing(self) -> None:
        waiting = bool(self._unsent)
        self._flush()
        if self._must_read:
            # The socket is writable all the time, and that is of no use now.
            self._handle.set_writer(None)
        if self._unsent or self._closed:
            return
        if waiting and self._write_error is None:
            self._owner.drained()
        if not self._unsent:  # since the owner has heard of it: a large message goes on
            self._handle.set_writer(None)
        if self._tls is not None and not self._closed:
            self._tls_readable()

    def _write_failed(self, error: SMTPError) -> None:
        # The peer may have said why before it hung up: what is left to read is read first.
        self._write_error = error
        self._drop_unsent()
        self._handle.set_writer(None)
        self._reactor.call_soon(self._read_last_words)

    def _drop_unsent(self) -> None:
        while self._unsent:
            self._dropped += len(self._unsent.pop())

    @guarded
    def _read_last_words(self) -> None:
        while not self._closed:
            try:
                data = self._sock.recv(_READ_SIZE)
            except OSError:
                data = b""
            if data:
                self._owner.data_received(data)
            else:
                self._lose(self._write_error)

    # -- TLS ----------------------------------------------------------------------------------

    def start_tls(
        self,
        context: ssl.SSLContext,
        servername: str,
        done: Callable[[], object],
        explain: Explain = no_hint,
        resumption: Resumption | None = None,
    ) -> None:
        """Begin the handshake; ``done()`` is called when it has succeeded.

        A failure, also of the certificate, comes as ``connection_lost`` with the code ``ETLS``.
        If the peer does not speak TLS, ``explain`` is called with its first bytes, as far as they
        are known, and what it returns becomes part of the text.  ``resumption`` may know a session
        to offer; then a failure that is not the certificate's has the code ``ECONNECTION``.
        """
        self._handshaking = True
        self._resumption = resumption
        self._handle.set_reader(None)
        session = resumption.offered if resumption is not None else None
        try:
            tls = self._sock = self._handle.file = wrap(self._sock, context, servername, session)
        except SMTPError as error:
            self._reactor.call_soon(self._lose, error)
        else:
            self._shake_hands(tls, servername, done, explain)

    def finish_tls(self, servername: str, done: Callable[[], object]) -> None:
        """Begin the handshake that the socket lacks, with the context and the name that its first
        owner has given it; ``done()`` and failures are as with :meth:`start_tls`.

        ``servername`` is for the texts of errors.
        """
        assert isinstance(self._sock, ssl.SSLSocket)
        self._handshaking = True
        self._handle.set_reader(None)
        self._shake_hands(self._sock, servername, done, no_hint)

    def _shake_hands(
        self, tls: ssl.SSLSocket, servername: str, done: Callable[[], object], explain: Explain
    ) -> None:
        self._servername = servername

        def ended(error: SMTPError | None) -> None:
            if error is not None:
                distrusted = isinstance(error.__cause__, ssl.SSLCertVerificationError)
                if self._resumption and self._resumption.offered and not distrusted:
                    # Not the verdict on TLS: another attempt may well succeed.
                    error.code = "ECONNECTION"
                    error.add_hint("an earlier TLS session was offered; the next time it is not")
                self._reactor.call_soon(self._lose, error)
                return
            self._tls = tls
            self._handshaking = False
            self._reactor.call_soon(self._secured, tls, done)

        Handshake(self._handle, tls, servername, ended, self.broke, explain).go_on()

    @guarded
    def _secured(self, tls: ssl.SSLSocket, done: Callable[[], object]) -> None:
        if self._closed:
            return
        # Not earlier: the owner must learn of TLS before it gets what the server says first.
        self._handle.set_reader(self._tls_readable)
        done()
        if not self._closed:
            self._tls_readable()

    def keep_session(self) -> None:
        """Remember the TLS session, if there is one; the server has said something over TLS."""
        if self._resumption is not None and self._tls is not None and not self._closed:
            self._resumption.opened(self._tls)

    # -- the end ------------------------------------------------------------------------------

    @guarded
    def _lost(self) -> None:
        if self._closed:
            self._drop()
        else:
            exc = OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._lose(self._write_error or socket_error(exc, "Connection failed"))

    @guarded
    def _lose(self, error: SMTPError | None) -> None:
        if not self._closed:
            owner = self._owner
            try:
                self._drop()
            finally:
                owner.connection_lost(error)

    def close(self, linger: float = 0) -> None:
        """Close our side; the owner hears no more.  Idempotent.

        The peer has ``linger`` seconds to close its own; what it still says is thrown away.
        Without that time, or before TLS is up, the socket is dropped at once.
        """
        timer = self._linger_timer
        if timer is not None:
            # An interrupt may have kept it from dropping the socket when it was due.
            timer.start(max(0.0, timer.deadline - self._reactor.time()))
            return
        # If it is closed already, an interrupt has kept the socket from being dropped.
        pointless = self._closed or self._handshaking or self._write_error is not None
        # The parent of a forked child still uses the connection: the child says nothing on it.
        if linger <= 0 or pointless or self._reactor.is_parents:
            self._drop()
            return
        # Over TLS the peer may wait for our notice.
        if self._tls is None and self._at_end():
            self._drop()
            return
        self._closed = True
        self._owner = _NOBODY
        self._drop_unsent()
        if self._progress is not None:
            self._progress.cancel()
        self._handle.set_writer(None)
        self._handle.set_reader(self._discard)
        try:
            waits = self._announce_end()
        except BaseException:
            self._drop()
            raise
        if waits:
            self._linger_timer = self._reactor.timer(self._drop)
            self._linger_timer.start(linger)
        else:
            self._drop()

    def hang_up(self) -> None:
        """Announce the end of our side, and drop the socket without waiting for the peer.

        Needs no reactor that runs; may be called from any thread.
        """
        pointless = self._handshaking or self._write_error is not None
        try:
            if not (self._closed or pointless or self._reactor.is_parents):
                self._announce_end()
        finally:
            self._drop()

    def read_now(self) -> None:
        """Hand on what has arrived, without waiting for the reactor to say so."""
        if self._closed:
            return
        if self._tls is not None:
            self._tls_readable()
        elif not self._handshaking:
            self._readable()

    def _announce_end(self) -> bool:
        """Say that nothing more will come; return whether the peer may still be there."""
        try:
            if self._tls is not None:
                self._tls.unwrap()
        except (OSError, ValueError):
            pass  # our notice is on its way, and the peer's own is not waited for
        try:
            # Not the method of SSLSocket, which would forget that it is one.
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
        except OSError:
            return False
        return True

    def _at_end(self) -> bool:
        """Throw away a piece of what has arrived; return whether it was the end of the peer's
        side, which is often there behind the reply to QUIT."""
        try:
            # Below the TLS layer: nobody wants to decrypt it any more.
            return not socket.socket.recv(self._sock, _READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True

    def _discard(self) -> None:
        try:
            over = self._at_end()
        except BaseException:
            self._drop()
            raise
        if over:
            self._drop()

    def _drop(self) -> None:
        self._closed = True
        if self._handshaking and self._resumption is not None:
            self._resumption.failed()
        self._owner = _NOBODY
        self._drop_unsent()
        try:
            for timer in (self._linger_timer, self._progress):
                if timer is not None:
                    timer.cancel()
            self._linger_timer = self._progress = None
            self._handle.close()
            self._sock.close()
        except BaseException:
            self._reactor.call_soon(self._drop)  # it may have been interrupted
            raise
