"""The dict that describes a mail.  It is read once; envelope and message are two views of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..options.names import NameTable
from .addresses import Group, Mailbox, envelope_of, mailboxes, read_addresses
from .checks import (
    Prepared,
    flag_of,
    header_pairs,
    mail_error,
    named_values,
    refuse_own_header,
    wrong_value,
)
from .content import Access

if TYPE_CHECKING:
    from ..options.dkim import DKIMOptions

__all__ = ["ADDRESS_FIELDS", "CONTENT_FIELDS", "FIELDS", "Mail"]

ADDRESS_FIELDS = {
    "from": "From",
    "sender": "Sender",
    "to": "To",
    "cc": "Cc",
    "bcc": "Bcc",
    "replyTo": "Reply-To",
}
FIELDS = {
    **ADDRESS_FIELDS,
    "subject": "Subject",
    "date": "Date",
    "messageId": "Message-ID",
    "inReplyTo": "In-Reply-To",
    "references": "References",
    "xMailer": "X-Mailer",
}
_FIELD_OF_HEADER = {name.lower(): field for field, name in FIELDS.items()}

CONTENT_FIELDS = (
    *("text", "watchHtml", "amp", "html", "icalEvent", "alternatives", "attachments"),
)
"""The fields from which parts are made, in the order of the parts."""

_FLAGS = ("disableFileAccess", "disableUrlAccess", "attachDataUrls", "keepBcc")
_ENVELOPE = ("dsn", "requireTLSExtensionEnabled")

# What of a mail is about its envelope, and may stand beside a message that is finished.
_BESIDE_RAW = ("from", "sender", "to", "cc", "bcc", "envelope", *_ENVELOPE)

_NAMES = NameTable(
    "field",
    (
        *(*FIELDS, *CONTENT_FIELDS, *_FLAGS, *_ENVELOPE),
        *("headers", "list", "priority", "raw", "envelope"),
        *("encoding", "textEncoding", "baseBoundary", "boundaryPrefix", "dkim"),
    ),
    {
        "newline": "every line ends with CRLF, as SMTP has it",
        "normalizeHeaderKey": "names of headers are written as they are given",
        "otp": "give the OTP-Token header in 'headers'",
        "auth": "log in on the connection",
        "maxRecipients": "count them yourself, in compose(mail).envelope['to']",
    },
)


class Mail:
    """A mail as a dict describes it, in the words of nodemailer's message fields, which the manual
    lists.  ``None`` and ``False`` stand for absent.

    - ``fields`` (dict): the values that are given, under these names, without ``headers``
    - ``headers`` (list of pairs): name and text of each header that is no field
    - ``is_empty`` (bool): whether nothing at all is given
    - ``access`` (Access): what its contents may be read from
    - ``dkim`` (DKIMOptions or None): how it is signed, if it says so itself
    """

    __slots__ = ("_addresses", "access", "dkim", "fields", "headers", "is_empty")

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Read ``given``, and leave it as it is.

        Raises ``SMTPError`` (``'EMESSAGE'``) for a name that is unknown and for a header that
        cannot be sent.
        """
        named = named_values(_NAMES, "mail", given)
        self.fields = {name: value for name, value in named.items() if value is not False}
        # Not among the fields: there is a private key in it.
        dkim = self.fields.pop("dkim", None)
        self.is_empty = not self.fields
        for name in (*_FLAGS, "requireTLSExtensionEnabled"):
            flag_of(name, self.fields.get(name))
        self.dkim = _dkim_options(dkim) if dkim else None
        self.restrict({})
        self.headers: list[tuple[str, str]] = []
        self._addresses: dict[str, list[Mailbox | Group]] = {}
        self._read_headers()
        if "raw" in self.fields:
            self._check_raw()

    def restrict(self, rules: Mapping[str, bool]) -> None:
        """Set the flags that ``rules`` sets for every mail: no mail can unset one."""
        self.fields.update((name, True) for name, is_set in rules.items() if is_set)
        self.access = Access(
            files="disableFileAccess" not in self.fields, urls="disableUrlAccess" not in self.fields
        )
        if self.dkim is not None and self.dkim.folder is not None:
            self.access.check_path("dkim.cacheDir", self.dkim.folder)

    def _read_headers(self) -> None:
        moved: dict[str, list[str]] = {}
        for name, text in header_pairs("headers", self.fields.pop("headers", {})):
            field = _FIELD_OF_HEADER.get(name.lower())
            if field is None:
                refuse_own_header("headers", name)
                self.headers.append((name, text))
            elif field not in self.fields:  # a field wins over its header, as in nodemailer
                plain = "".join(text.split("\r\n")) if isinstance(text, Prepared) else text
                moved.setdefault(field, []).append(plain)
        for field, texts in moved.items():
            self.fields[field] = texts if len(texts) > 1 else texts[0]

    def _check_raw(self) -> None:
        # and 'dkim', which is no field any more
        beside = {*_BESIDE_RAW, *_FLAGS, "raw"}
        others = sorted(set(self.fields) - beside) or [name for name, _ in self.headers]
        if others:
            text = f"'raw' is a finished message, to which {others[0]!r} cannot be added"
            raise mail_error(f"{text}; beside it there may be {', '.join(map(repr, _BESIDE_RAW))}")

    def addresses(self, field: str, code: str = "EMESSAGE") -> list[Mailbox | Group]:
        """Return the addresses of one of ``ADDRESS_FIELDS``, which are parsed only once.

        Raises ``SMTPError`` with ``code`` for an address that cannot be read, or that can be read
        in more than one way, and for a second ``sender``.
        """
        entries = self._addresses.get(field)
        if entries is None:
            value = self.fields.get(field)
            entries = read_addresses(field, value, code)
            if field == "sender" and len(mailboxes(entries)) > 1:
                raise wrong_value(field, value, "one address", code)
            self._addresses[field] = entries
        return entries

    # -- the envelope -----------------------------------------------------------------------------

    def envelope(self) -> dict[str, Any]:
        """Return ``{'from': address, 'to': [address, ...]}`` and what else the mail asks for: the
        field ``envelope``, or see :func:`envelope_of`.

        Raises ``SMTPError`` (``'EENVELOPE'``) as :meth:`addresses` does, and if nobody has sent it.
        """
        given = self.fields.get("envelope")
        if given is not None:
            return {**self._asked_for(), **_own_envelope(given)}
        found = envelope_of(
            [box.address for box in mailboxes(self.addresses(field, "EENVELOPE"))]
            for field in ("sender", "from", "to", "cc", "bcc")
        )
        if not found["from"]:
            text = "No sender: the mail has no 'from'; the null sender needs an envelope with ''"
            raise mail_error(text, "EENVELOPE")
        return {**self._asked_for(), **found}

    @property
    def says_nobody(self) -> bool:
        """Whether it says nothing of who sends it, or gets it."""
        return not any(field in self.fields for field in (*ADDRESS_FIELDS, "envelope"))

    def completed(self, envelope: Any) -> Any:
        """Return ``envelope`` with what the mail asks for of ``dsn`` and
        ``requireTLSExtensionEnabled``, unless that is in it already."""
        asked = self._asked_for()
        return {**asked, **envelope} if asked and isinstance(envelope, Mapping) else envelope

    def _asked_for(self) -> dict[str, Any]:
        return {name: self.fields[name] for name in _ENVELOPE if name in self.fields}


def _dkim_options(given: Any) -> DKIMOptions:
    """Raises ``SMTPError`` (``'EMESSAGE'``) for what cannot be that."""
    from ..options.dkim import DKIMOptions  # of use to some

    try:
        return DKIMOptions.parse(given)
    except (TypeError, ValueError, ModuleNotFoundError) as exc:
        text = str(exc)
    # Not inside of the handler: nobody is to find the key in a context.
    raise mail_error(text)


def _own_envelope(given: Any) -> dict[str, Any]:
    """Read the field ``envelope``: addresses as the other fields have them, and further keys as
    ``send`` takes them."""
    if not isinstance(given, Mapping):
        raise wrong_value("envelope", given, "a dict of 'from', 'to', 'cc' and 'bcc'", "EENVELOPE")
    rest = dict(given)
    found: dict[str, list[str]] = {}
    for name in [*rest]:
        field = name.lower() if isinstance(name, str) else ""
        if field in ("from", "to", "cc", "bcc"):
            if field in found:
                raise mail_error(f"'envelope': {field!r} is given twice", "EENVELOPE")
            label = f"envelope.{field}"
            entries = read_addresses(label, rest.pop(name) or None, "EENVELOPE")
            found[field] = [box.address for box in mailboxes(entries)]
    if "from" not in found:
        raise mail_error("'envelope' has no 'from'; '' stands for the null sender", "EENVELOPE")
    lists = (found.get(field, []) for field in ("from", "to", "cc", "bcc"))
    return {**envelope_of([[], *lists]), **rest}
