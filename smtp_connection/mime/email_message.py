"""``Message`` objects of the email package: the envelope in their headers, and their bytes."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator
from email.errors import HeaderParseError, InvalidHeaderDefect
from email.generator import BytesGenerator
from email.header import Header, decode_header
from email.message import Message
from email.policy import EmailPolicy
from typing import Any

from .addresses import envelope_of, mailboxes, parse_addresses
from .checks import NO_CONTROLS, is_line, mail_error, shown, wrong_value
from .email_headers import written_header

__all__ = ["message_envelope", "serialize"]

# The envelope.


def message_envelope(message: Message) -> dict[str, Any]:
    """Return ``{'from': address, 'to': [address, ...]}``, see :func:`envelope_of`.

    A message that was resent is taken by its Resent- headers (RFC 5322 3.6.6).  Raises
    ``SMTPError`` with the code ``'EENVELOPE'`` for an address that cannot be read, or that can be
    read in more than one way.
    """
    return envelope_of(_header_addresses(message))


def _header_addresses(message: Message) -> Iterator[list[str]]:
    """Yield the addresses of Sender, From, To, Cc and Bcc, or of their Resent- kind."""
    values: dict[str, list[Any]] = {}
    for name, value in message.raw_items():
        values.setdefault(name.lower(), []).append(value)
    prefix = "resent-" if any(name.startswith("resent-") for name in values) else ""
    for name in ("sender", "from", "to", "cc", "bcc"):
        header = prefix + name
        given = values.get(header, [])
        if len(given) > 1 and (prefix or name in ("sender", "from")):
            text = f"{header!r} is there {len(given)} times; give an envelope"
            raise mail_error(text, "EENVELOPE")
        try:
            addresses = [address for value in given for address in _addresses_in(value)]
        except (ValueError, HeaderParseError) as error:
            raise mail_error(f"{header!r}: {error}", "EENVELOPE") from error
        if name == "sender" and len(addresses) > 1:
            raise wrong_value(header, addresses, "one address", "EENVELOPE")
        yield addresses


def _addresses_in(value: Any) -> list[str]:
    """Read one header as a Message stores it: parsed, in a ``Header``, or as it was received.

    Raises ``ValueError``, with the reason, unless there is exactly one way to read it, and
    ``HeaderParseError`` for a ``Header`` that cannot be encoded.
    """
    if hasattr(value, "addresses"):
        # The email package has made this text out of the addresses, so both must agree.
        found = [box.address for box in mailboxes(parse_addresses(str(value)))]
        invalid = [defect for defect in value.defects if isinstance(defect, InvalidHeaderDefect)]
        if invalid or found != [address.addr_spec for address in value.addresses]:
            reason = invalid[0] if invalid else "it can be read in more than one way"
            raise ValueError(f"cannot rely on {shown(str(value))} ({reason})")
        return found
    if isinstance(value, Header):
        # If it has several pieces, only the encoded form tells names from addresses for certain.
        value = str(value) if len(decode_header(value)) == 1 else value.encode()
    if not isinstance(value, str):
        raise ValueError(f"cannot read {shown(value)} as addresses")
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", value).strip()
    return [box.address for box in mailboxes(parse_addresses(unfolded))]


# The bytes.


def serialize(message: Message) -> bytes:
    """Return what goes over the wire for ``message``: CRLF line ends, no Bcc, no Resent-Bcc.

    What was parsed goes out as it came.  What a program has set is written here: in ASCII, unless
    an address is not, which has no ASCII form (RFC 6532).  The caller's object stays as it is.
    Raises ``SMTPError`` with the code ``'EMESSAGE'``, and the cause chained, if the message cannot
    be written, or would have a header that breaks out of its field.
    """
    if not isinstance(message, Message):
        raise wrong_value("message", message, "an email.message.Message")
    buffer = io.BytesIO()
    try:
        twin = _twin(message)
        del twin["Bcc"], twin["Resent-Bcc"]
        _check_boundaries(twin)
        policy = _MODERN if isinstance(message.policy, EmailPolicy) else _LEGACY
        BytesGenerator(buffer, mangle_from_=False, policy=policy).flatten(twin)
    except Exception as error:
        raise mail_error(f"The message cannot be written: {error}") from error
    wire = buffer.getvalue()
    if not wire.count(b"\r\n") == wire.count(b"\n") == wire.count(b"\r"):
        wire = re.sub(rb"\r\n?|\n", b"\r\n", wire)
    return wire


def _twin(message: Message) -> Message:
    """Return a copy of the tree of parts.

    The generator writes a boundary into each part that has none, so it gets no object of the
    caller's.
    """
    twin = copy.copy(message)
    if message.is_multipart():
        parts: list[Any] = list(message.get_payload())
        twin.set_payload([_twin(part) for part in parts])
    return twin


def _check_boundaries(message: Message) -> None:
    for part in message.walk():
        boundary = part.get_boundary("") if part.is_multipart() else ""
        if not is_line(boundary):
            raise ValueError(f"a boundary is text {NO_CONTROLS}; got {shown(boundary)}")


class _WirePolicy(EmailPolicy):
    """Has the generator ask us how each header is written."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        return written_header(name, value, as_parsed=True)


class _LegacyPolicy(EmailPolicy):
    """The same for messages in which plain text may have been parsed, or set by a program."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        return written_header(name, value, as_parsed=False)


_MODERN = _WirePolicy(linesep="\r\n", cte_type="8bit")
_LEGACY = _LegacyPolicy(linesep="\r\n", cte_type="8bit")
