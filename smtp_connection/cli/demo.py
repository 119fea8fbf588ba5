"""A message on its way from a client to a server, with everything that is said.

The server is aiosmtpd, the certificate is made by trustme: this module needs the extra ``demo``.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP

from .. import Reactor, SendInfo, SMTPConnection, SMTPError, console
from ..testing.loopback import LoopbackServer, Welcome

__all__ = ["Mailbox", "run_demo"]

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

    def welcome() -> Welcome:
        server: asyncio.BaseProtocol = SMTP(
            mailbox,
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            auth_callback=_may_log_in,
            loop=asyncio.get_running_loop(),
        )
        return server, None

    with _quiet_loggers("mail.log", "asyncio"), LoopbackServer(welcome, HOST) as server:
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
