"""What the package takes for sockets, TLS contexts and the module ``socket``."""

from __future__ import annotations

import errno
import socket
import ssl
from selectors import EVENT_WRITE
from typing import Any

from .network import Network, Pipe
from .streams import Stream

_RECORD = 16384
HELLO = b"\x16\x03\x01 hello "
"""What stands for each side's part of the handshake; ten bytes, like the first of TLS."""


class VirtualSocket(socket.socket):
    """A socket without a system below it."""

    family = socket.AF_INET

    def __init__(self, network: Network, stream: Stream | None = None) -> None:
        # Not the parent's, which would open a descriptor.
        self.network = network
        self.stream = stream
        self._failure = self._attempts = 0
        self._open()

    def _open(self) -> None:
        self._number = self.network.open(self)
        self.network.judge.opened(self)

    def fileno(self) -> int:
        return self._number

    def __repr__(self) -> str:
        return f"<virtual socket {self._number}>"

    def readiness(self) -> int:
        if self.stream is not None:
            return self.stream.readiness()
        return EVENT_WRITE if self._failure else 0

    def setblocking(self, flag: bool) -> None:
        self._check()
        self.network.strike("setblocking")

    def _check(self) -> None:
        if self._number < 0:
            raise OSError(errno.EBADF, "the socket is closed")

    def setsockopt(self, *args: Any) -> None:
        self._check()
        self.network.strike("setsockopt")
        if self.network.chance.happens(0.005):
            raise OSError(errno.EINVAL, "the socket is shut down")

    def getpeername(self) -> Any:
        self.network.strike("getpeername")
        if self.stream is None or self.stream.broken is not None:
            raise OSError(errno.ENOTCONN, "not connected")
        return "127.0.0.1", 25

    def _connected(self) -> Stream:
        self._check()
        if self.stream is None:
            raise OSError(errno.ENOTCONN, "not connected")
        return self.stream

    # -- connecting -----------------------------------------------------------------------------

    def bind(self, address: Any) -> None:
        self._check()
        if self.network.chance.happens(0.1):
            raise OSError(errno.EADDRNOTAVAIL, "no such address here")

    def connect_ex(self, address: Any) -> int:
        self._check()
        self.network.strike("connect")
        self._attempts += 1
        outcome, delay = self.network.dial()
        if outcome == 0 and delay == 0:
            self._answered(self._attempts, 0)
            return 0
        if delay == 0:
            assert outcome is not None  # silence takes its time
            return outcome
        if outcome is not None:
            self.network.later(delay, self._answered, self._attempts, outcome)
        return errno.EINPROGRESS

    def _answered(self, attempt: int, problem: int) -> None:
        if self._number < 0 or attempt != self._attempts:
            return
        if problem:
            self._failure = problem
        else:
            self.stream = self.network.accept().stream

    def getsockopt(self, *args: Any) -> int:  # type: ignore[override]
        self._check()
        self.network.strike("getsockopt")
        failure, self._failure = self._failure, 0
        return failure

    # -- bytes ----------------------------------------------------------------------------------

    def recv(self, size: int, flags: int = 0) -> bytes:
        stream = self._connected()
        self.network.strike("recv")
        chance = self.network.chance
        if size > 1 and chance.happens(0.03):
            size = 1 + chance.below(8)
        data = stream.take(size, peek=bool(flags and flags & socket.MSG_PEEK))
        if data and not flags and not isinstance(self, VirtualTLSSocket):
            stream.note_read(data)
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        stream = self._connected()
        chance = self.network.chance
        if chance.happens(0.5):
            self.network.strike("send")
        taken = stream.put(data)
        stream.note_sent(bytes(data[:taken]))
        self.network.strike("send", done=True)
        return taken

    def shutdown(self, how: int) -> None:
        self.network.strike("shutdown")
        self._connected().shut_down()

    def detach(self) -> int:
        number, self._number = self._number, -1
        return number

    def close_as_owner(self) -> None:
        """Close it, as whoever has handed it over may do, without a word to those who watch it."""
        self.network.judge.reactor.virtual_selector.forget(self._number)
        self.close()

    def close(self) -> None:
        if self._number < 0:
            return
        self.network.judge.closed(self, self._number)
        del self.network.endpoints[self._number]
        self._number = -1
        if self.stream is not None and self.stream.broken is None:
            self.stream.shut_down()
        self.network.strike("close", done=True)


class VirtualTLSSocket(VirtualSocket, ssl.SSLSocket):
    """The same over TLS, without any cryptography.

    A record counts once all of it has arrived; what is decrypted no selector sees any more.
    """

    def __init__(self, below: VirtualSocket, context: VirtualContext) -> None:
        self.network = below.network
        self.stream = below.stream
        self._failure = self._attempts = 0
        self._context_ = context
        self._unsent = HELLO
        self._heard = b""
        self._partial = b""
        self._decrypted = bytearray()
        self._is_strict = self.network.chance.happens(0.5)  # about the end of the stream
        self._take_over(below)

    def _take_over(self, below: VirtualSocket) -> None:
        self._number = below.detach()
        self.network.endpoints[self._number] = self
        self.network.judge.opened(self)
        self.network.strike("wrap")
        if self._context_.failure == "wrapping":
            self.network.judge.tally["TLS: wrapping"] += 1
            # It has the descriptor already, and nobody else knows of it.
            raise OSError(errno.ENOTCONN, "not connected")

    def do_handshake(self, block: bool = False) -> None:
        stream = self._connected()
        self.network.strike("handshake")
        if self._unsent:
            try:
                self._unsent = self._unsent[stream.put(self._unsent, said=False) :]
            except BlockingIOError:
                raise ssl.SSLWantWriteError from None
            if self._unsent:
                raise ssl.SSLWantWriteError
        while len(self._heard) < len(HELLO):
            self._heard += self._take_raw(stream, len(HELLO) - len(self._heard))
            if not HELLO.startswith(self._heard):
                error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
                error.reason = "WRONG_VERSION_NUMBER"
                raise error
        if self._context_.failure == "certificate":
            self.network.judge.tally["TLS: certificate"] += 1
            raise ssl.SSLCertVerificationError(1, "certificate verify failed")
        self.network.judge.tls_done = True
        self.network.judge.progress()

    @staticmethod
    def _take_raw(stream: Stream, size: int) -> bytes:
        try:
            data = stream.take(size)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None
        if not data:
            raise ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
        return data

    def recv(self, size: int = 1024, flags: int = 0) -> bytes:
        self.network.strike("TLS recv")
        if not self._decrypted:
            self._decrypt(self._connected())
        if not self._decrypted:
            return b""
        chance = self.network.chance
        if chance.happens(0.05):
            size = 1 + chance.below(8)
        data = bytes(self._decrypted[:size])
        del self._decrypted[:size]
        self._connected().note_read(data)
        return data

    def _decrypt(self, stream: Stream) -> None:
        if self._context_.failure == "record" and self.network.chance.happens(0.3):
            self.network.judge.tally["TLS: record"] += 1
            self.network.judge.stream_failed = True
            raise ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] bad record mac")
        sealed = stream.sealed
        try:
            data = stream.take(1 << 20)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None
        if sealed:
            self._decrypted += self._partial + data[:sealed]
            self._partial = data[sealed:]
        elif data:
            self._partial += data
            raise ssl.SSLWantReadError
        elif self._is_strict:
            self.network.judge.tally["TLS: cut without close_notify"] += 1
            raise self._cut_off()

    def _cut_off(self) -> ssl.SSLError:
        """Return what Python makes of the end of a stream that nobody has announced, unless it is
        told to make nothing of it."""
        if self.network.chance.happens(0.5):
            return ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
        error = ssl.SSLError(1, "[SSL: UNEXPECTED_EOF_WHILE_READING] unexpected eof while reading")
        error.reason = "UNEXPECTED_EOF_WHILE_READING"
        return error

    def pending(self) -> int:
        return len(self._decrypted)

    def send(self, data: Any, flags: int = 0) -> int:
        stream = self._connected()
        if self.network.chance.happens(0.5):
            self.network.strike("TLS send")
        if self.network.chance.happens(0.01):
            stream.put_off()
            stream.speak_below()
            raise ssl.SSLWantReadError
        try:
            taken = stream.put(data[:_RECORD])
        except BlockingIOError:
            raise ssl.SSLWantWriteError from None
        stream.note_sent(bytes(data[:taken]))
        self.network.strike("TLS send", done=True)
        return taken

    def unwrap(self) -> Any:
        self.network.strike("unwrap")
        stream = self._connected()
        if stream.broken is not None:
            raise OSError(stream.broken, "the stream broke")
        raise ssl.SSLWantReadError

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> Any:
        return "NONE", "TLSv1.3", 0


class VirtualContext(ssl.SSLContext):
    """Wraps virtual sockets; ``failure`` says what goes wrong with TLS."""

    failure = ""

    def __new__(cls) -> VirtualContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def wrap_socket(self, sock: Any, *args: Any, **kwargs: Any) -> Any:
        return VirtualTLSSocket(sock, self)


class _SocketClass:
    """What the package finds under the name ``socket.socket``."""

    recv = staticmethod(VirtualSocket.recv)
    shutdown = staticmethod(VirtualSocket.shutdown)

    def __init__(self, module: SocketModule) -> None:
        self._module = module

    def __call__(self, family: int, kind: int) -> VirtualSocket:
        assert self._module.network is not None
        self._module.network.strike("socket()")
        return VirtualSocket(self._module.network)


class SocketModule:
    """Stands for the module ``socket``, in the modules of the package, while a schedule runs."""

    def __init__(self) -> None:
        self.network: Network | None = None  # of the schedule that runs
        self.socket = _SocketClass(self)

    def __getattr__(self, name: str) -> Any:
        value = getattr(socket, name)  # constants, exceptions; nothing that does anything
        if not isinstance(value, (int, type)) and name != "inet_pton":
            raise AttributeError(f"the world has no socket.{name}")
        setattr(self, name, value)
        return value

    def set_wakeup_fd(self, number: int, *, warn_on_full_buffer: bool = True) -> int:
        """Stand for that of the module ``signal``."""
        assert self.network is not None
        before, self.network.wakeup = self.network.wakeup, number
        return before

    def socketpair(self) -> tuple[Pipe, Pipe]:
        assert self.network is not None
        one, other = Pipe(self.network), Pipe(self.network)
        one.other, other.other = other, one
        return one, other

    def getaddrinfo(self, host: str, port: int, **more: Any) -> list[Any]:
        assert self.network is not None
        self.network.strike("resolver")
        return self.network.resolve(host, port, more.get("flags", 0))
