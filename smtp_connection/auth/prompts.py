"""What a server says to a login: prompts, challenges, the verdict (RFC 4954 section 4)."""

from __future__ import annotations

import base64
import binascii

from ..errors import SMTPError
from ..protocol.replies import Reply
from ..protocol.steps import Command, Dialogue

__all__ = [
    "b64",
    "cancel_prompt",
    "cancelled",
    "challenge_in",
    "conclude",
    "expect_prompt",
    "expect_success",
]


def b64(data: str | bytes) -> str:
    """Return ``data``, text as UTF-8, in base64."""
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode("ascii")


def challenge_in(reply: Reply) -> bytes | None:
    """Return the challenge in ``reply``, a 334, or ``None`` if it is not base64."""
    try:
        return base64.b64decode(reply.text[4:].strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None


def expect_prompt(reply: Reply, command: str) -> None:
    """Raise :class:`SMTPError` unless ``reply`` asks for something."""
    if reply.code != 334:
        raise reply.failure("Invalid login", "EAUTH", command)


def expect_success(reply: Reply, command: str) -> None:
    """Raise :class:`SMTPError` unless ``reply`` accepts the login."""
    if not reply.positive:
        raise reply.failure("Invalid login", "EAUTH", command)


def conclude(reply: Reply, command: str) -> Dialogue[None]:
    """Take ``reply`` for the verdict."""
    yield from cancel_prompt(reply)
    expect_success(reply, command)


def cancel_prompt(reply: Reply) -> Dialogue[None]:
    """Cancel if the server still asks for something: it would read the next command, whatever that
    is, as the answer."""
    if reply.code == 334:
        yield Command("*")


def cancelled(reply: Reply, text: str, command: str) -> Dialogue[SMTPError]:
    """Cancel, because there is no answer to ``reply``; the value is the error to raise."""
    yield from cancel_prompt(reply)
    return reply.failure(text, "EAUTH", command)
