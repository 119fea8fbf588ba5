"""Logins whose server is the fuzzer: what several targets need."""

from __future__ import annotations

import re
from typing import Any

from smtp_connection.auth.login import login
from smtp_connection.errors import SMTPError
from smtp_connection.protocol.replies import Reply, ReplyParser
from smtp_connection.protocol.session import Session
from smtp_connection.protocol.steps import Abandon, Ask, Command, Compute, Unanswered

from .inputs import CONTROL

__all__ = ["Login"]

_MOST_COMMANDS = 8


class Login:
    """A login that has come to its end, or was cut off when the server said no more.

    - ``error`` (SMTPError or None): how it failed
    - ``abandoned`` (bool): the connection is not to be used any more
    - ``commands`` (list of str): what was said, line by line
    - ``answered`` (list): the replies to these
    """

    def __init__(self, auth: Any, mechanism: str) -> None:
        session = Session("me", secure=True)
        session.host = "mx.example.com"
        self._dialogue = login({**auth, "method": mechanism}, session)
        self._session = session
        self._step: Any = None
        self.error: SMTPError | None = None
        self.abandoned = self.over = False
        self.commands: list[str] = []
        self.answered: list[Reply] = []
        self._go_on(self._dialogue.send, None)

    def hear(self, said: bytes) -> None:
        """Let the server say ``said``, a line or several."""
        for reply in ReplyParser(1 << 20).feed(said + b"\r\n"):
            if not self.over:
                self.answered.append(reply)
                self._go_on(self._dialogue.send, reply)

    def end(self) -> None:
        """Let the server say no more; check what holds of every login."""
        if not self.over:
            gone = SMTPError("gone", code="ECONNECTION")
            self._go_on(self._dialogue.throw, Unanswered(gone, []))
        assert self.over
        assert self._session.authenticated == (self.error is None)
        if self.error is not None:
            assert self.error.code in ("EAUTH", "ECONNECTION")
        elif not self.answered[-1].positive:
            raise AssertionError(f"logged in, although the server said {self.answered[-1]!r}")
        waits = bool(self.answered) and self.answered[-1].code == 334
        left = len(self.answered) < len(self.commands)
        # Else the server would take the next command for an answer.
        assert not waits or left or self.abandoned or self.commands[-1] == "*"

    def _go_on(self, how: Any, what: Any) -> None:
        try:
            self._step = how(what)
            while not isinstance(self._step, Command):
                self._step = self._serve(self._step)
        except StopIteration:
            self.over = True
            return
        except SMTPError as error:
            self.over, self.error = True, error
            return
        except Abandon as abandon:
            self.over = self.abandoned = True
            self.error = abandon.error
            return
        except Unanswered as unanswered:
            self.over, self.error = True, unanswered.error
            return
        line = self._step.line
        assert not CONTROL.search(line)
        assert re.fullmatch("[!-~ ]*", line)
        self.commands.append(line)
        assert len(self.commands) <= _MOST_COMMANDS

    def _serve(self, step: Any) -> Any:
        if isinstance(step, Compute):
            return self._dialogue.send(step.function())
        assert isinstance(step, Ask)
        answers: list[tuple[Any, ...]] = []
        step.question(lambda *answer: answers.append(answer))
        ((error, value),) = answers
        return self._dialogue.throw(error) if error else self._dialogue.send(value)
