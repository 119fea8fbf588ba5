"""Sends messages in a session without a connection: the test feeds the replies by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.protocol.session import Session
from smtp_connection.protocol.transaction import transaction
from tests.support.helpers import Clock, Talk, reply


class Letter:
    """Stands for a message; the dialogue never looks into it."""

    whole = True
    is_ascii = True
    lazy = False
    size = 123
    known = 0

    def known_size(self) -> int:
        return self.known


class Desk:
    """Sends one message in a session, fed by hand."""

    def __init__(self, *extensions: str, **options: Any) -> None:
        self.session = Session("me", **options)
        self.session.capabilities = Capabilities(
            reply("\r\n".join(["250-mx", *(f"250-{each}" for each in extensions), "250 HELP"]))
        )
        self.clock = Clock()
        self.message: Any = Letter()

    def send(self, *answers: Any, to: Sequence[str] | str = ("b@x.org",), **envelope: Any) -> Talk:
        """Send to ``to``, with more of an envelope; ``answers`` are those of :class:`Talk`."""
        parsed = Envelope.parse({"from": "a@x.org", "to": to, **envelope})
        return Talk(transaction(parsed, self.message, self.session, self.clock), *answers)

    def mail(self, **envelope: Any) -> str:
        """Return the MAIL command for ``envelope``."""
        command: str = self.send("550 no", **envelope).said[0]
        return command


class Answers:
    """The server's side of an envelope, in both ways of saying it."""

    def __init__(self, pipelining: bool, *extensions: str) -> None:
        self.pipelining = pipelining
        self.desk = Desk(*["PIPELINING"] * pipelining, *extensions)

    def send(
        self,
        mail: str,
        rcpts: Sequence[str] = (),
        data: str | None = None,
        *rest: Any,
        first: Sequence[str] = (),
        **envelope: Any,
    ) -> Talk:
        """Send, and answer MAIL, each RCPT, DATA and what follows; ``first`` are the replies to
        what is said before MAIL.  Step by step, a refusal may end all before DATA: no ``data``."""
        if self.pipelining:
            return self.desk.send(
                [*first, mail, *rcpts, data or "503 no valid recipients"], *rest, **envelope
            )
        answers = [*first, mail, *rcpts, *([data] if data else []), *rest]
        return self.desk.send(*answers, **envelope)
