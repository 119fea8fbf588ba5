"""One session of the server for tests: aiosmtpd's, behind a gate where faults happen.

Everything that the client says passes :meth:`Conversation.hear` line by line, when the server is
about to read it, and everything that the server says passes :meth:`Conversation.push`.  So a fault
happens when its command is reached, whatever else has arrived in the same piece, and aiosmtpd never
sees a command that a fault has answered.

This module needs the extra ``testing``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, NoReturn

from aiosmtpd.smtp import SMTP, AuthResult, TLSSetupException

from .faults import Faults
from .messages import Messages, ReceivedMessage, Session

__all__ = ["Conversation", "Deaf", "Handler"]

_log = logging.getLogger("smtp_connection.testing")


class _Lines(asyncio.StreamReader):
    """Hands out the lines that the server is to see."""

    def __init__(self, conversation: Conversation, **options: Any) -> None:
        super().__init__(**options)
        self._conversation = conversation

    async def readuntil(self, separator: Any = b"\n") -> bytes:
        while True:
            try:
                line = await super().readuntil(separator)
            except asyncio.IncompleteReadError:
                self._conversation.end()
            if await self._conversation.hear(line):
                return line


class Conversation(SMTP):
    """One session, from the greeting on."""

    def __init__(
        self,
        handler: Handler,
        tls: SSLContext | None,
        record: Session,
        faults: Faults,
        greeting: str | None,
    ) -> None:
        """``tls`` is for STARTTLS; ``greeting`` takes the place of the server's own."""
        loop = asyncio.get_running_loop()
        super().__init__(
            handler,
            hostname="localhost",
            tls_context=tls,
            auth_require_tls=tls is not None,
            authenticator=handler.authenticate,
            enable_SMTPUTF8=True,
            loop=loop,
        )
        # The reader that aiosmtpd has made hands out every line.
        self._lines = _Lines(self, loop=loop, limit=self.line_length_limit)
        asyncio.StreamReaderProtocol.__init__(
            self, self._lines, client_connected_cb=self._cb_client_connected, loop=loop
        )
        self.record = record
        self._faults = faults
        self._command = "CONNECT"
        self._expects = "command"  # or "answer", in a login, or "message"
        self._substitute = greeting
        self._in_reply = False
        self._received = 0
        self._is_cut = False
        self._client_left: asyncio.Future[None] = loop.create_future()

    # -- the way in -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # After STARTTLS, this is called a second time.
        self.record.tls = transport.get_extra_info("ssl_object") is not None

    def data_received(self, data: bytes) -> None:
        if self._is_cut:
            return
        before = self._received
        self._received += len(data)
        cut = self._faults.take("cut", command=self._command, amount=self._received)
        if cut is None:
            super().data_received(data)
            return
        self._is_cut = True
        super().data_received(data[: max(0, int(cut.amount) - before)])
        self._lines.feed_eof()

    def eof_received(self) -> bool:
        # aiosmtpd would drop what it has not read yet.  A client may hang up behind its message.
        self._leave()
        self._lines.feed_eof()
        return not self.record.tls

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        super().connection_lost(error)

    def _leave(self) -> None:
        if not self._client_left.done():
            self._client_left.set_result(None)

    async def hear(self, line: bytes) -> bool:
        """Take a line of the client; return whether aiosmtpd is to see it."""
        if self._expects != "command":
            return True
        text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        self.record.commands.append(text)
        self.record.transcript.append(f"C: {text}")
        reply = await self.misbehave(text.partition(" ")[0].upper())
        if reply is not None:
            await self._say(reply)
        return reply is None

    async def misbehave(self, command: str) -> str | None:
        """Let the fault happen that there is upon ``command``.

        Return the reply that is to be said while the command is not carried out; ``None``: it is.
        """
        self._command = command
        fault = self._faults.take("drop", "reply", "silence", command=command)
        if fault is None:
            return None
        if fault.kind == "drop":
            self.end(abruptly=True)
        if fault.kind == "silence":
            await asyncio.wait((self._client_left,))
            self.end(abruptly=True)
        if fault.reply[0] in "23":
            self._substitute = fault.reply
            return None
        return fault.reply

    def end(self, abruptly: bool = False) -> NoReturn:
        """Close the connection, and leave the coroutine that handles the session."""
        if isinstance(self.transport, asyncio.WriteTransport):
            if abruptly or self._is_cut:
                self.transport.abort()
            else:
                self.transport.close()
        raise asyncio.CancelledError

    # -- the way out ----------------------------------------------------------------------------

    async def push(self, status: str | bytes) -> None:
        """Say what aiosmtpd says: one reply, or one line of it."""
        text = status if isinstance(status, str) else status.decode()
        self._expects = _AFTER.get(text[:3], "command")
        if self._substitute is not None and (text[:3] != "334" or self._substitute[0] == "3"):
            if _goes_on(text):
                return
            text, self._substitute = self._substitute, None
        await self._say(text)

    async def _say(self, text: str) -> None:
        if not self._in_reply:
            fault = self._faults.take("delay", command=self._command)
            if fault is not None:
                await asyncio.wait((self._client_left,), timeout=fault.amount)
        self._in_reply = _goes_on(text)
        self.record.transcript += [f"S: {line}" for line in text.split("\r\n")]
        await super().push(text)
        if text.startswith("421"):
            self.end()


_AFTER = {"334": "answer", "354": "message"}
"""What the client says after such a reply, unless it says the next command."""


def _goes_on(text: str) -> bool:
    """Return whether another line of the same reply follows."""
    return text.rpartition("\n")[2][3:4] == "-"


class Deaf(asyncio.Protocol):
    """Never says a word."""


class Handler:
    """What aiosmtpd asks: who may log in, which recipients there are, and where messages go."""

    def __init__(
        self,
        messages: Messages,
        credentials: Mapping[str, str],
        refusals: Mapping[str, str],
    ) -> None:
        """- ``credentials``: the password of each user; while it is empty, there is no login
        - ``refusals``: the reply to each recipient who is not accepted, in lower case
        """
        self._messages = messages
        self._credentials = credentials
        self._refusals = refusals

    async def handle_EHLO(
        self, server: Conversation, session: Any, envelope: Any, name: str, lines: list[str]
    ) -> list[str]:
        """Announce what this server has."""
        session.host_name = name
        first, *others = lines
        if not self._credentials:
            others = [line for line in others if not line.startswith("250-AUTH")]
        return [first, "250-PIPELINING", *others]

    async def handle_AUTH(
        self, server: Conversation, session: Any, envelope: Any, args: list[str]
    ) -> str | None:
        """Carry out a login.  aiosmtpd would do so, too, but its log complains of itself."""
        if not self._credentials:
            return "503 5.5.1 There is no login here"
        method = server.auth_PLAIN if args[0] == "PLAIN" else server.auth_LOGIN
        result = await method(server, args)
        if result.success:
            session.authenticated = True
            return "235 2.7.0 Authentication successful"
        return None if result.handled else "535 5.7.8 Authentication credentials invalid"

    def authenticate(
        self, server: SMTP, session: Any, envelope: Any, mechanism: str, login: Any
    ) -> AuthResult:
        """Judge a user and a password."""
        assert isinstance(server, Conversation)
        user = login.login.decode("utf-8", "replace")
        password = self._credentials.get(user)
        right = password is not None and password.encode() == login.password
        if right:
            server.record.user = user
        return AuthResult(success=right, handled=False)

    async def handle_exception(self, error: Exception) -> str:
        """Return the reply to a command that has failed."""
        if not isinstance(error, TLSSetupException):  # the client has refused the certificate
            _log.error("a session has failed", exc_info=error)
        return f"451 4.3.0 The server for tests has failed: {type(error).__name__}"

    async def handle_MAIL(
        self, server: Conversation, session: Any, envelope: Any, sender: str, options: list[str]
    ) -> str:
        """Accept a sender, from those who have logged in."""
        if self._credentials and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = sender
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(
        self, server: Conversation, session: Any, envelope: Any, recipient: str, options: list[str]
    ) -> str:
        """Accept a recipient, or not."""
        refusal = self._refusals.get(recipient.lower())
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(recipient)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(self, server: Conversation, session: Any, envelope: Any) -> str:
        """Keep a message, unless a fault happens."""
        reply = await server.misbehave(".")
        if reply is not None:
            return reply
        sender = "" if envelope.mail_from == "<>" else envelope.mail_from
        recipients = list(envelope.rcpt_tos)
        self._messages.append(
            ReceivedMessage(sender, recipients, bytes(envelope.content), server.record)
        )
        return "250 2.0.0 Message stored"
