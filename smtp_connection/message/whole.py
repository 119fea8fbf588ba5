"""Mail whose envelope and message are one dict, as nodemailer's ``sendMail`` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import envelope_error
from .message import own_envelope

__all__ = ["envelope_and_message"]


def envelope_and_message(mail: Any) -> tuple[Any, Any]:
    """Return the two first arguments of ``send`` for ``mail``.

    That is a dict to be composed; or one with the finished message as ``raw``; or anything else
    that ``send`` takes without an envelope, an ``EmailMessage`` say.

    Raises :class:`SMTPError`: ``EENVELOPE`` if there is no envelope, or none can be read from the
    mail, ``EMESSAGE`` for fields that are unknown, or do not belong beside ``raw``.
    """
    if not isinstance(mail, Mapping) and isinstance(mail, (str, bytes, bytearray)):
        raise envelope_error(
            "No envelope: a finished message is sent as {'envelope': {'from': ..., 'to': ...},"
            " 'raw': message}"
        )
    return own_envelope(mail)
