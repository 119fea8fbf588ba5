"""Mail whose envelope and message are one dict, as nodemailer's ``sendMail`` takes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import envelope_error, message_error
from ..options.names import folded
from .message import own_envelope

__all__ = ["envelope_and_message"]

# What of a mail is about its envelope, and may stand beside a message that is finished.
_ADDRESSES = ("from", "sender", "to", "cc", "bcc")


def envelope_and_message(mail: Any) -> tuple[Any, Any]:
    """Return the two first arguments of ``send`` for ``mail``.

    That is a dict to be composed; or one with the finished message as ``raw``: whatever ``send``
    takes for a message, or a dict of ``path`` or ``content``.  Either may have an ``envelope``.
    It may also be anything that ``send`` takes without an envelope, an ``EmailMessage`` say.

    Raises :class:`SMTPError`: ``EENVELOPE`` if there is no envelope, or none can be read from the
    mail, ``EMESSAGE`` for fields that are unknown, or do not belong beside ``raw``.
    """
    if not isinstance(mail, Mapping):
        if isinstance(mail, (str, bytes, bytearray)):
            raise envelope_error(
                "No envelope: a finished message is sent as {'envelope': {'from': ..., 'to': ...},"
                " 'raw': message}"
            )
        return own_envelope(mail)
    apart: dict[str, Any] = {"envelope": None, "raw": None}
    fields: dict[str, Any] = {}
    for name, value in mail.items():
        known = folded(name) if isinstance(name, str) else ""
        if known not in apart:
            fields[name] = value
        elif apart[known] is None:
            apart[known] = value
        else:
            raise message_error(f"field {known!r} is given twice, in two spellings")
    from ..mime.mail import Mail  # with the email package, which takes 30 ms

    envelope, raw, composed = apart["envelope"], apart["raw"], Mail(fields)
    if raw is None:
        return composed.envelope() if envelope is None else envelope, composed
    beside = sorted(set(composed.fields) - set(_ADDRESSES)) or [
        name for name, _ in composed.headers
    ]
    if beside:
        raise message_error(
            f"'raw' is a finished message, to which {beside[0]!r} cannot be added; beside it there"
            f" may be 'envelope', or {', '.join(map(repr, _ADDRESSES))}"
        )
    if envelope is None:
        envelope = own_envelope(raw)[0] if composed.is_empty else composed.envelope()
    return envelope, _described(raw) if isinstance(raw, Mapping) else raw


def _described(raw: Mapping[str, Any]) -> Any:
    """Return the message that is in the file ``path``, or is the ``content``."""
    from ..mime.content import content_of

    content = content_of("raw", raw)
    if content.held is not None:
        return content.held
    if content.path is None:
        return content.take()
    if content.size() is not None or not os.path.exists(content.path):
        content.open().close()  # what is wrong with a file is told before anything is sent
    return content.pieces()
