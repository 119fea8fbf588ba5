"""From a connected socket to one whose TLS handshake is over.

Three things about Python's ``ssl`` module rule this file:

- ``wrap_socket()`` moves the descriptor to a new object before it looks whether the peer is still
  there, and whether the name is one.  If it raises then, the old socket is empty, and nobody has
  the new one.
- A handshake on a non-blocking socket stops with a word for what it waits for.  It waits for one
  thing at a time, and only that may be watched: a socket that is ready for the other thing would
  wake the reactor up again and again.
- Where the peer does not speak TLS, OpenSSL swallows what it says.  An error that is to tell what
  that was needs a look at the first bytes before OpenSSL reads them.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from ..errors import SMTPError
from ..reactor.loop import Reactor
from .errors import speaks_no_tls, tls_error

__all__ = ["Explain", "Handshake", "no_hint", "wrap"]

# As much as it takes to recognize what a server of another protocol says first.
_LOOK = 256

Explain = Callable[[bytes], str]
"""Takes the first bytes of a peer that does not speak TLS; returns a hint, ``''`` for none."""


def no_hint(first_bytes: bytes) -> str:
    """Explain nothing (an :data:`Explain`)."""
    return ""


def wrap(sock: socket.socket, context: ssl.SSLContext, servername: str) -> ssl.SSLSocket:
    """Return what takes the place of ``sock``: the same connection, before its TLS handshake.

    ``servername`` is the name to ask for and to find in the certificate, ``''`` for none.  Raises
    :class:`SMTPError` (``ETLS``) if that is no name, or the peer is gone; by then the descriptor is
    closed, or still that of ``sock``.
    """
    try:
        return context.wrap_socket(
            sock, server_hostname=servername or None, do_handshake_on_connect=False
        )
    except (OSError, ValueError) as exc:
        _close_orphan(exc)
        raise tls_error(exc, None, servername) from exc


def _close_orphan(exc: Exception) -> None:
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
    """Drives the handshake of one non-blocking socket.

    It ends itself; whoever closes the socket before removes its reader and writer, which is all
    there is to cancel.
    """

    __slots__ = ("_ended", "_explain", "_first_bytes", "_reactor", "_servername", "_tls")

    def __init__(
        self,
        reactor: Reactor,
        tls: ssl.SSLSocket,
        servername: str,
        ended: Callable[[SMTPError | None], object],
        explain: Explain = no_hint,
    ) -> None:
        """``ended(error)`` is called once; ``explain`` adds to the error of a peer without TLS."""
        self._reactor = reactor
        self._tls = tls
        self._servername = servername
        self._ended = ended
        self._explain = explain
        self._first_bytes = b""

    def go_on(self) -> None:
        """Do what can be done without waiting, then wait, or call ``ended``."""
        tls, reactor = self._tls, self._reactor
        try:
            if not self._first_bytes:
                self._first_bytes = self._peek()
            tls.do_handshake()
        except ssl.SSLWantReadError:
            reactor.remove_writer(tls)
            reactor.add_reader(tls, self.go_on)
        except ssl.SSLWantWriteError:
            reactor.remove_reader(tls)
            reactor.add_writer(tls, self.go_on)
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
        self._reactor.remove_reader(self._tls)
        self._reactor.remove_writer(self._tls)
        self._ended(error)
