"""Whatever stands in an envelope, either it is refused with ``EENVELOPE``, or each of its addresses
makes one command, in which nothing else can be hidden."""

from __future__ import annotations

import re
from typing import Any

from smtp_connection import Reactor
from smtp_connection.errors import SMTPError
from smtp_connection.message.message import Message
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.protocol.replies import Reply
from smtp_connection.protocol.session import Session
from smtp_connection.protocol.steps import Pipeline
from smtp_connection.protocol.transaction import transaction

from .inputs import CONTROL, check_refusal, fields

_EXTENSIONS = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN", "REQUIRETLS")
_REACTOR = Reactor()
_PARAMETER = "(?:SMTPUTF8|REQUIRETLS|BODY|SIZE|RET|ENVID|NOTIFY|ORCPT)(?:=[!-<>-~]+)?"
_COMMAND = re.compile(f"(?:MAIL FROM|RCPT TO):<([^<>]*)>(?: {_PARAMETER})*")


def check(data: bytes) -> None:
    """(The invariant stands above.)"""
    given: Any = fields(data)
    try:
        envelope = Envelope.parse(given)
    except SMTPError as error:
        check_refusal(error, "EENVELOPE")
        return
    for announced in ((), _EXTENSIONS):
        _check_commands(envelope, announced)


def _check_commands(envelope: Envelope, announced: tuple[str, ...]) -> None:
    session = Session("me", secure=True)
    lines = ["250-server", *(f"250-{line}" for line in announced), "250 HELP"]
    session.capabilities = Capabilities(Reply(250, "\n".join(lines)))
    dialogue = transaction(envelope, Message("hi", _REACTOR), session, _REACTOR)
    try:
        step: Any = next(dialogue)
    except SMTPError as error:
        check_refusal(error, "EENVELOPE", "EMESSAGE", "EREQUIRETLS")
        return
    finally:
        dialogue.close()
    if not announced:
        _check_line(step.line, envelope.reverse_path)
        return
    assert isinstance(step, Pipeline)
    mail, *recipients, end = step.lines
    _check_line(mail, envelope.reverse_path)
    for line, address in zip(recipients, envelope.forward_paths, strict=True):
        _check_line(line, address)
    assert end == "DATA"


def _check_line(line: str, address: str) -> None:
    assert not CONTROL.search(line)
    found = _COMMAND.fullmatch(line)
    assert found is not None, line
    assert found[1] == address
