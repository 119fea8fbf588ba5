"""Any ``Message`` to the bytes that go over the wire."""

from __future__ import annotations

import copy
import io
import re
from email.generator import BytesGenerator
from email.message import Message
from email.policy import SMTPUTF8, EmailPolicy, Policy
from typing import Any

from .addresses import addresses_in
from .mail import NO_CONTROLS, is_line, mail_error, shown, wrong_value

__all__ = ["serialize"]

_WRITTEN_HEADER = re.compile(rb"[!-9;-~]+:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n")


def serialize(message: Message) -> bytes:
    """Return what goes over the wire for ``message``: CRLF line ends, no Bcc, no Resent-Bcc.

    Headers are ASCII unless an address is not, which has no ASCII form (RFC 6532).  The caller's
    object is left as it is.  Raises ``SMTPError`` with the code ``'EMESSAGE'``, and the cause
    chained, if the email package cannot write the message, or would write a header that breaks out
    of its field.
    """
    if not isinstance(message, Message):
        raise wrong_value("message", message, "an email.message.Message")
    buffer = io.BytesIO()
    try:
        twin = _twin(message)
        del twin["Bcc"], twin["Resent-Bcc"]
        policy = _wire_policy(twin)
        _check_headers(twin, policy)
        BytesGenerator(buffer, mangle_from_=False, policy=policy).flatten(twin)
    except Exception as error:
        raise mail_error(f"The message cannot be written: {error}") from error
    wire = buffer.getvalue()
    if not wire.count(b"\r\n") == wire.count(b"\n") == wire.count(b"\r"):
        wire = re.sub(rb"\r\n?|\n", b"\r\n", wire)
    return wire


def _twin(message: Message) -> Message:
    """Copy the tree of parts: the generator writes a boundary into each part that has none."""
    twin = copy.copy(message)
    if message.is_multipart():
        parts: list[Any] = list(message.get_payload())
        twin.set_payload([_twin(part) for part in parts])
    return twin


def _wire_policy(message: Message) -> Policy[Any]:
    utf8 = False
    for name, value in message.raw_items():
        if name.lower().removeprefix("resent-") in ("from", "sender", "reply-to", "to", "cc"):
            try:
                utf8 = utf8 or not all(map(str.isascii, addresses_in(value)))
            except ValueError:
                pass  # an explicit envelope may come with a header that nobody can read
    policy = message.policy
    if isinstance(policy, EmailPolicy):
        return policy.clone(linesep="\r\n", utf8=utf8)
    # The older policy has no form for such addresses; it would encode them beyond recognition.
    return SMTPUTF8.clone(refold_source="none") if utf8 else policy.clone(linesep="\r\n")


def _check_headers(message: Message, policy: Policy[Any]) -> None:
    """Raise ``ValueError`` for a header that would be written as more than one (CVE-2024-6923), or
    that some reader could take for more than one: not all agree on what ends a line."""
    for part in message.walk():
        for name, value in part.raw_items():
            written = policy.fold_binary(name, value)
            if not _WRITTEN_HEADER.fullmatch(written):
                raise ValueError(f"the header {shown(name)} would end before its value does")
            # Bytes that are not UTF-8 are those of another charset.
            if not is_line(re.sub("[\r\n]", "", written.decode("utf-8", "replace"))):
                takes = f"takes text {NO_CONTROLS}"
                raise ValueError(f"the header {shown(name)} {takes}; got {shown(str(value))}")
        boundary = part.get_boundary("") if part.is_multipart() else ""
        if not is_line(boundary):
            raise ValueError(f"a boundary is text {NO_CONTROLS}; got {shown(boundary)}")
