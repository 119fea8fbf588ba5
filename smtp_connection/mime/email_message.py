"""``Message`` objects of the email package: the envelope in their headers, and their bytes."""

from __future__ import annotations

import copy
import io
import os
import re
from collections.abc import Iterator
from email.errors import HeaderParseError, InvalidHeaderDefect
from email.generator import BytesGenerator
from email.header import Header, decode_header
from email.message import Message
from email.policy import EmailPolicy
from typing import Any

from ..text import undecoded, with_crlf
from .addresses import envelope_of, mailboxes, parse_addresses
from .checks import NO_CONTROLS, is_line, mail_error, shown, wrong_value
from .email_headers import written_header

__all__ = ["message_envelope", "segments", "serialize"]

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


_LARGE = 64 * 1024
"""Characters of a payload that is not written before it is its turn."""


def serialize(message: Message) -> bytes:
    """Return all of what goes over the wire for ``message``, see :func:`segments`."""
    wire = b"".join(
        each if isinstance(each, bytes) else undecoded(each) for each in segments(message)
    )
    return with_crlf(wire)


def segments(message: Message) -> list[bytes | str]:
    """Return what goes over the wire for ``message``, without Bcc and Resent-Bcc, in order: bytes,
    all line breaks of which are CRLF, and large payloads as the message holds them, text in which
    surrogates stand for bytes (PEP 383), with line breaks of any kind.

    What was parsed goes out as it came.  What a program has set is written here: in ASCII, unless
    an address is not, which has no ASCII form (RFC 6532).  The caller's object stays as it is.
    Raises ``SMTPError`` with the code ``'EMESSAGE'``, and the cause chained, if the message cannot
    be written, or would have a header that breaks out of its field.
    """
    if not isinstance(message, Message):
        raise wrong_value("message", message, "an email.message.Message")
    buffer = io.BytesIO()
    payloads = _Payloads()
    try:
        twin = _twin(message, payloads)
        del twin["Bcc"], twin["Resent-Bcc"]
        _check_boundaries(twin)
        policy = _MODERN if isinstance(message.policy, EmailPolicy) else _LEGACY
        BytesGenerator(buffer, mangle_from_=False, policy=policy).flatten(twin)
    except Exception as error:
        raise mail_error(f"The message cannot be written: {error}") from error
    return payloads.put_back(with_crlf(buffer.getvalue()))


class _Payloads:
    """Large payloads, for each of which a mark goes through the generator.

    That looks at each line of a payload, takes 45 ms for each MB, and holds it twice more.
    """

    def __init__(self) -> None:
        self._mark = os.urandom(16).hex()
        self._texts: list[str] = []

    def take_out(self, part: Message) -> None:
        """Put a mark in place of the payload of ``part``, if that is large."""
        # As the generator reads it: get_payload() would decode bytes.
        text: Any = getattr(part, "_payload", None)
        if not isinstance(text, str) or len(text) < _LARGE:
            return
        if not text.isascii():
            try:
                undecoded(text)
            except UnicodeEncodeError:
                return  # the generator says why
        part.set_payload(f"{self._mark}-{len(self._texts)}")
        self._texts.append(text)

    def put_back(self, wire: bytes) -> list[bytes | str]:
        """Return what was written, with the payloads in place of their marks."""
        if not self._texts:
            return [wire]
        found: list[bytes | str] = []
        for place, text in enumerate(self._texts):
            before, _, wire = wire.partition(f"{self._mark}-{place}".encode())
            found += [before, text]
        return [*found, wire] if wire else found


def _twin(message: Message, payloads: _Payloads) -> Message:
    """Return a copy of the tree of parts, from which large payloads are taken out.

    The generator writes a boundary into each part that has none, so it gets no object of the
    caller's.
    """
    twin = copy.copy(message)
    if message.is_multipart():
        parts: list[Any] = list(message.get_payload())
        twin.set_payload([_twin(part, payloads) for part in parts])
    else:
        payloads.take_out(twin)
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
