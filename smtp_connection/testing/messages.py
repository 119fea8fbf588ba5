"""What a server for tests has got: its messages and its sessions."""

from __future__ import annotations

import threading
import time
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from functools import cached_property

__all__ = ["Messages", "ReceivedMessage", "Session"]


class ReceivedMessage:
    """One message that the server has accepted.

    - ``mail_from`` (str): the sender of the envelope, ``''`` for the null sender
    - ``rcpt_tos`` (list of str): the recipients of the envelope that were accepted
    - ``content`` (bytes): the message, with lines that end with CRLF; the dots that SMTP doubles
      are single again (RFC 5321 section 4.5.2)
    - ``session`` (:class:`Session`): the session that it came in
    """

    def __init__(
        self, mail_from: str, rcpt_tos: list[str], content: bytes, session: Session
    ) -> None:
        self.mail_from = mail_from
        self.rcpt_tos = rcpt_tos
        self.content = content
        self.session = session

    @cached_property
    def message(self) -> EmailMessage:
        """The content, parsed (``email.message.EmailMessage``); its lines end with ``'\\n'``, as
        in a message that a program has made."""
        lines = self.content.replace(b"\r\n", b"\n")
        return BytesParser(EmailMessage, policy=default).parsebytes(lines)

    def __repr__(self) -> str:
        return (
            f"<ReceivedMessage from {self.mail_from!r} to {self.rcpt_tos},"
            f" {len(self.content)} bytes>"
        )


class Messages(list[ReceivedMessage]):
    """The messages that the server has accepted, in that order: a list.

    The server appends to it from a thread of its own, before it tells the client.
    """

    def __init__(self) -> None:
        super().__init__()
        self._arrival = threading.Condition()

    def append(self, message: ReceivedMessage) -> None:
        """Add ``message``, and wake up who waits for it."""
        with self._arrival:
            super().append(message)
            self._arrival.notify_all()

    def wait_for(self, count: int = 1, timeout: float = 10.0) -> list[ReceivedMessage]:
        """Wait until there are ``count`` messages, and return all that are there.

        For clients that deliver after the call that asked them to.  Raises ``TimeoutError`` if
        fewer have come within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        with self._arrival:
            while len(self) < count:
                if not self._arrival.wait(deadline - time.monotonic()):
                    raise TimeoutError(
                        f"waited {timeout:g} s for {count} message(s), but {len(self)} came"
                    )
            return list(self)


class Session:
    """One connection of a client, as the server has seen it.

    - ``commands`` (list of str): each command that the client has sent, as it sent it; what follows
      within a login, and the content of messages, is not among them
    - ``transcript`` (list of str): the commands and all replies, line by line, each behind ``C:``
      or ``S:`` and a blank
    - ``tls`` (bool): the session is inside TLS now
    - ``user`` (str or ``None``): who has logged in
    """

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.transcript: list[str] = []
        self.tls = False
        self.user: str | None = None

    def __repr__(self) -> str:
        return f"<Session {self.commands}>"
