"""A message on its way from a client to a server, with everything that is said.

The server is aiosmtpd, the certificate is made by trustme: this module needs the extra ``demo``.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP

from .. import Reactor, SendInfo, SMTPConnection, SMTPError, console

__all__ = ["LoopbackServer", "Mailbox", "run_demo"]

HOST = "127.0.0.1"
USER, PASSWORD = "username", "password"
MESSAGE = {
    "from": "sender@example.com",
    "to": "recipient@example.com",
    "subject": "Test Email",
    "text": "Hello, this is a test email.",
}

# Nobody needs that long on a loopback interface; a demo that hangs for minutes shows nothing.
_PATIENCE = 10_000


class LoopbackServer:
    """An asyncio server on a free port and on a thread of its own, for a ``with`` statement."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        host: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``protocol()`` makes the protocol of a connection; with ``tls`` it speaks TLS from the
        first byte."""
        self.host = host
        self.port = 0
        """Known once the ``with`` statement has been entered."""
        self._protocol = protocol
        self._tls = tls
        self._listening: Future[int] = Future()
        self._stop: Future[None] = Future()
        # aiosmtpd's own Controller connects to the port that it was told, and cannot with port 0.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="loopback server", daemon=True
        )

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(self._protocol, self.host, 0, ssl=self._tls)
        except OSError as exc:
            self._listening.set_exception(exc)
            return
        self._listening.set_result(server.sockets[0].getsockname()[1])
        await asyncio.wrap_future(self._stop)
        server.close()

    def __enter__(self) -> LoopbackServer:
        """Raises ``OSError`` if ``host`` is not an address of this machine."""
        self._thread.start()
        self.port = self._listening.result()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set_result(None)
        self._thread.join()


class Mailbox:
    """What aiosmtpd calls a handler: keeps the envelopes, with their content, as they arrive."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Accept one message."""
        self.envelopes.append(envelope)
        return "250 2.0.0 Message stored"


def run_demo() -> None:
    """Run the server, send it :data:`MESSAGE`, and print what happens as it happens.

    Raises :class:`SMTPError` or ``OSError`` if that fails, and ``RuntimeError`` if the server has
    stored anything but that message.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    mailbox = Mailbox()

    def protocol() -> asyncio.BaseProtocol:
        server: asyncio.BaseProtocol = SMTP(
            mailbox,
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            auth_callback=_may_log_in,
            loop=asyncio.get_running_loop(),
        )
        return server

    with _quiet_loggers("mail.log", "asyncio"), LoopbackServer(protocol, HOST) as server:
        _print(f"A mail server (aiosmtpd) listens on {server.host}, port {server.port}.\n")
        certificate = authority.cert_pem.bytes()
        info = _send({"host": server.host, "port": server.port, "tls": {"ca": certificate}})
    _print("\ninfo, as the callback of send() got it:\n")
    for name in info:
        _print(f"    {name}: {info[name]!r}")
    _print("\nThe message, as the server stored it:\n")
    for envelope in mailbox.envelopes:
        for line in envelope.content.decode("utf-8", "replace").splitlines():
            _print(f"    {line}".rstrip())
    _compare(mailbox.envelopes)
    _print("\nIt is the message that was sent.")


def _may_log_in(mechanism: str, user: bytes, password: bytes) -> bool:
    return (user, password) == (USER.encode(), PASSWORD.encode())


@contextmanager
def _quiet_loggers(*names: str) -> Iterator[None]:
    """Keep what these loggers say off the terminal, where nobody has configured logging."""
    # aiosmtpd 1.4 warns at each login that it uses a deprecated attribute of its own.
    handler = logging.NullHandler()
    for name in names:
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name in names:
            logging.getLogger(name).removeHandler(handler)


def _send(options: dict[str, Any]) -> SendInfo:
    """Connect, log in, send and quit, as a program would; show the log."""
    failures: list[SMTPError] = []
    infos: list[SendInfo] = []

    def sent(err: SMTPError | None, info: SendInfo | None) -> None:
        if err is not None:
            failures.append(err)
        elif info is not None:
            infos.append(info)

    with Reactor() as reactor:
        limits = {"connectionTimeout": _PATIENCE, "greetingTimeout": _PATIENCE}
        connection = SMTPConnection(
            {**options, **limits, "socketTimeout": _PATIENCE, "debug": True}, reactor=reactor
        )
        connection.on("log", console())
        connection.on("error", failures.append)
        connection.connect()
        connection.login({"user": USER, "pass": PASSWORD})
        connection.send({"from": MESSAGE["from"], "to": MESSAGE["to"]}, MESSAGE, sent)
        connection.quit()
        reactor.run()
    if failures:
        raise failures[0]
    return infos[0]


def _compare(envelopes: list[Any]) -> None:
    """Raise ``RuntimeError`` unless ``envelopes`` is :data:`MESSAGE` and nothing else."""
    if len(envelopes) != 1:
        raise RuntimeError(f"the server has stored {len(envelopes)} messages instead of one")
    (envelope,) = envelopes
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    body = message.get_body(("plain",))
    pairs = {
        "sender": (envelope.mail_from, MESSAGE["from"]),
        "recipients": (envelope.rcpt_tos, [MESSAGE["to"]]),
        "From": (message["From"], MESSAGE["from"]),
        "To": (message["To"], MESSAGE["to"]),
        "Subject": (message["Subject"], MESSAGE["subject"]),
        "text": (body and body.get_content().strip("\r\n"), MESSAGE["text"]),
    }
    for what, (stored, sent) in pairs.items():
        if stored != sent:
            raise RuntimeError(f"the message came out changed: {what} is {stored!r}, not {sent!r}")


def _print(line: str) -> None:
    print(line, flush=True)
