"""A real mail server: aiosmtpd on a thread of its own, which notes what it gets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import trustme
from aiosmtpd.smtp import SMTP, Envelope, Session

from smtp_connection.cli.demo import Mailbox
from smtp_connection.testing.loopback import LoopbackServer, Welcome

LOGIN = {"user": "someone", "pass": "pa ss\u00e9"}


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a context for a server with ``certificate``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


class Recorder(Mailbox):
    """A mailbox that also notes the server's view of each session that delivers."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[Any] = []
        self.certificates: list[Any] = []
        self.login = LOGIN
        self.logins: list[tuple[str, bytes, bytes]] = []
        self.replies = ["250 2.0.0 stored"]
        self.refused: set[str] = set()

    def may_log_in(self, mechanism: str, user: bytes, password: bytes) -> bool:
        self.logins.append((mechanism, user, password))
        return (user, password) == (self.login["user"].encode(), self.login["pass"].encode())

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert server.transport is not None
        self.sessions.append(session)
        self.certificates.append(server.transport.get_extra_info("peercert"))
        await super().handle_DATA(server, session, envelope)
        return "\r\n".join(self.replies)


class Running(NamedTuple):
    """A server, and what it gets."""

    host: str
    port: int
    mailbox: Recorder


@contextmanager
def mail_server(
    protocol: type[SMTP] = SMTP,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    mailbox: Recorder | None = None,
    **options: Any,
) -> Iterator[Running]:
    """Run aiosmtpd; ``tls`` is for TLS from the first byte, ``tls_context`` for STARTTLS."""
    handler = mailbox or Recorder()

    def welcome() -> Welcome:
        conversation = protocol(
            handler,
            hostname="mail.test",
            auth_callback=handler.may_log_in,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
            **options,
        )
        return conversation, tls

    with LoopbackServer(welcome, host) as server:
        yield Running(host, server.port, handler)
