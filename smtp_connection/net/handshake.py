"""The way of a connected socket into TLS.

Three facts about Python's ``ssl`` module rule this file:

- ``wrap_socket()`` moves the descriptor to a new socket object before it checks that the peer is
  still there and that the name is valid.  If a check fails, the caller's own object has lost the
  descriptor, and nobody has the new one.
- A handshake on a non-blocking socket stops with an exception that says whether it has to read or
  to write next.  Only that may be watched: a socket that is ready for the other would wake the
  reactor up again and again.
- If the peer does not speak TLS, OpenSSL reads what the peer says and discards it.  An error text
  that is to quote it needs a look at the first bytes before OpenSSL reads them.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from ..errors import SMTPError
from ..reactor.guard import guarded
from ..reactor.handles import Handle
from .errors import speaks_no_tls, tls_error

__all__ = ["Explain", "Handshake", "no_hint", "wrap"]

# Enough to recognize what a server that does not speak TLS says first.
_LOOK = 256

Explain = Callable[[bytes], str]
"""Takes the first bytes of a peer that does not speak TLS; returns a hint, ``''`` for none."""


def no_hint(first_bytes: bytes) -> str:
    """Return no hint; an :data:`Explain`."""
    return ""


def wrap(
    sock: socket.socket,
    context: ssl.SSLContext,
    servername: str,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    """Return the socket that replaces ``sock``, its TLS handshake not yet begun.

    ``servername`` is the name to ask for and to find in the certificate, ``''`` for none; the dot
    that an absolute name may end with belongs in neither (RFC 6066 section 3).  ``session`` is one
    of ``context`` to offer.  Raises
    :class:`SMTPError` (``ETLS``) if the name is invalid or the peer is gone.  Then ``sock`` either
    still has its descriptor or is closed.
    """
    name = servername.removesuffix(".") or None
    try:
        return context.wrap_socket(
            sock, server_hostname=name, do_handshake_on_connect=False, session=session
        )
    except (OSError, ValueError) as exc:
        _close_orphan(exc)
        raise tls_error(exc, None, servername) from exc
    except BaseException as exc:
        _close_orphan(exc)
        raise


def _close_orphan(exc: BaseException) -> None:
    """Close the socket that ``wrap_socket()`` has made and not returned because of ``exc``.

    Only its stack frame still knows that socket.
    """
    traceback = exc.__traceback__
    while traceback is not None:
        orphan = traceback.tb_frame.f_locals.get("self")
        if isinstance(orphan, ssl.SSLSocket):
            orphan.close()
        traceback = traceback.tb_next


class Handshake:
    """Drives the handshake of one non-blocking socket on the reactor.

    To cancel it, close the handle of the socket.
    """

    __slots__ = ("_broke", "_ended", "_explain", "_first_bytes", "_handle", "_servername", "_tls")

    def __init__(
        self,
        handle: Handle,
        tls: ssl.SSLSocket,
        servername: str,
        ended: Callable[[SMTPError | None], object],
        broke: Callable[[BaseException], object],
        explain: Explain = no_hint,
    ) -> None:
        """``ended(error)`` is called once, perhaps by :meth:`go_on`; ``None`` means success.
        ``broke(exc)`` is called instead for an exception that nobody has foreseen.

        ``explain`` may add a hint to the error if the peer does not speak TLS.
        """
        self._handle = handle
        self._tls = tls
        self._servername = servername
        self._ended = ended
        self._broke = broke
        self._explain = explain
        self._first_bytes = b""

    def broke(self, exc: BaseException) -> None:
        """Give up, because ``exc`` was raised; the reactor raises it."""
        self._broke(exc)

    @guarded
    def go_on(self) -> None:
        """Go on with the handshake until it has to wait, or is over."""
        tls, handle = self._tls, self._handle
        try:
            if not self._first_bytes:
                self._first_bytes = self._peek()
            tls.do_handshake()
        except ssl.SSLWantReadError:
            handle.set_reader(self.go_on)
            handle.set_writer(None)
        except ssl.SSLWantWriteError:
            handle.set_writer(self.go_on)
            handle.set_reader(None)
        except (OSError, ValueError) as exc:
            error = tls_error(exc, tls, self._servername)
            if speaks_no_tls(exc):
                error.add_hint(self._explain(self._first_bytes))
            self._end(error)
        else:
            self._end(None)

    def _peek(self) -> bytes:
        # What arrives between this look and the reading that OpenSSL does is missed.
        try:
            # Not the method of SSLSocket, which would decrypt.
            return socket.socket.recv(self._tls, _LOOK, socket.MSG_PEEK)
        except OSError:
            return b""

    def _end(self, error: SMTPError | None) -> None:
        self._handle.set_reader(None)
        self._handle.set_writer(None)
        self._ended(error)
