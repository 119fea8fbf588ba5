"""Who signs, and what a signature says: the field DKIM-Signature (RFC 6376 section 3.5)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from .keys import SigningKey
from .relaxed import fields_of, relaxed_field

__all__ = ["DEFAULT_FIELDS", "DomainKey", "Signer", "signed_data"]

DEFAULT_FIELDS = (
    *("from", "sender", "reply-to", "subject", "date", "message-id", "to", "cc", "mime-version"),
    *("content-type", "content-transfer-encoding", "content-id", "content-description"),
    *("resent-date", "resent-from", "resent-sender", "resent-to", "resent-cc"),
    *("resent-message-id", "in-reply-to", "references", "list-id", "list-help"),
    *("list-unsubscribe", "list-unsubscribe-post", "list-subscribe", "list-post", "list-owner"),
    *("list-archive", "otp-token"),
)
"""The fields that are signed where they are there: those of RFC 6376 section 5.4.1, and more, as in
nodemailer."""

_WIDTH = 76


class DomainKey:
    """A key, and where a receiver finds its public half: ``selector._domainkey.domain`` in DNS."""

    __slots__ = ("domain", "key", "selector")

    def __init__(self, domain: str, selector: str, key: SigningKey) -> None:
        self.domain = domain
        self.selector = selector
        self.key = key


class Signer:
    """Signs with one key or several; ``names`` are the fields to sign, in small letters.

    From is signed in any case, and once more often than it is there, so that nobody can add another
    one (RFC 6376 section 8.15).  ``clock`` tells the time, in seconds since 1970.
    """

    __slots__ = ("_clock", "_keys", "_names")

    def __init__(
        self,
        keys: Sequence[DomainKey],
        names: Iterable[str] = DEFAULT_FIELDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._names = [name.encode() for name in names]
        if b"from" not in self._names:
            self._names.insert(0, b"from")
        self._clock = clock

    def signatures(self, headers: bytes, body_hash: bytes) -> bytes:
        """Return a field DKIM-Signature for each key, to be put in front of ``headers``, which end
        with a line break.

        Raises ``ValueError`` for a line in them that is no header.
        """
        fields = fields_of(headers)
        present = [name for name, _ in fields]
        signed = [
            name
            for each in self._names
            for name in [each] * (present.count(each) + (each == b"from"))
        ]
        bh = base64.b64encode(body_hash).decode()
        now = int(self._clock())
        return b"".join(self._signature(key, fields, signed, bh, now) for key in self._keys)

    def _signature(
        self,
        key: DomainKey,
        fields: list[tuple[bytes, bytes]],
        signed: list[bytes],
        body_hash: str,
        now: int,
    ) -> bytes:
        tags = ["v=1", f"a={key.key.algorithm}", "c=relaxed/relaxed", f"d={key.domain}"]
        tags += ["q=dns/txt", f"s={key.selector}", f"t={now}", f"bh={body_hash}"]
        *names, last = [name.decode() for name in signed]
        listed = [f"{name}:" for name in names] + [f"{last};"]
        unsigned = _folded([f" {tag};" for tag in tags] + [f" h={listed[0]}", *listed[1:]])
        unsigned += b"\r\n b="
        signature = base64.b64encode(key.key.sign(signed_data(fields, signed, unsigned))).decode()
        first, rest = signature[: _WIDTH - len(" b=")], signature[_WIDTH - len(" b=") :]
        step = _WIDTH - len(" ")
        lines = [first, *(rest[start : start + step] for start in range(0, len(rest), step))]
        return b"DKIM-Signature:" + unsigned + "\r\n ".join(lines).encode() + b"\r\n"


def _folded(parts: list[str]) -> bytes:
    """Return ``parts`` joined, with a line break between two where the line would become too long;
    blanks may stand between any two of them (RFC 6376 section 3.2)."""
    text, room = "", _WIDTH - len("DKIM-Signature:")
    for part in parts:
        if len(part) > room:
            text, room, part = f"{text}\r\n", _WIDTH, f" {part.lstrip()}"
        text, room = text + part, room - len(part)
    return text.encode()


def signed_data(
    fields: list[tuple[bytes, bytes]], signed: Iterable[bytes], unsigned: bytes
) -> bytes:
    """Return what is signed (RFC 6376 section 3.7): the fields named in ``signed``, of those with
    one name the last one first, and the field DKIM-Signature with the value ``unsigned``, whose
    ``b=`` is empty."""
    left: dict[bytes, Iterator[bytes]] = {}
    lines = []
    for name in signed:
        if name not in left:
            left[name] = iter([value for other, value in reversed(fields) if other == name])
        value = next(left[name], None)
        if value is not None:  # else the signature says that there is none
            lines.append(relaxed_field(name, value) + b"\r\n")
    return b"".join(lines) + relaxed_field(b"dkim-signature", unsigned)
