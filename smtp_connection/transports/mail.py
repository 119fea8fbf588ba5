"""A mail on its way through a transport: what plugins see of it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..abort import AbortSignal
from ..callbacks import arguments_taken
from ..emitter import NodeEmitter
from ..errors import SMTPError, message_error
from ..message.sources import as_bytes
from ..message.whole import envelope_and_message
from ..options.checks import Refusal
from ..options.names import folded
from ..options.transport import MOST_RECIPIENTS, most_recipients
from ..protocol.envelope import Envelope

if TYPE_CHECKING:
    from ..mime.compose import Composed
    from ..mime.mail import Mail
    from ..options.dkim import DKIMOptions

__all__ = ["OF_A_TRANSPORT", "MailMessage", "Outgoing", "merged"]

OF_A_TRANSPORT = ("signal", "auth", "maxRecipients")
"""What stands in a mail for the transport, and not for the message."""

_OWN_NAMES = {folded(name): name for name in OF_A_TRANSPORT}

_CONTENTS = ("text", "html", "watchHtml", "amp", "content", "raw")

_MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(?:\r?\n[ \t]+)?(<[^<>\s]+>)", re.I | re.M)
_LONGEST_HEAD = 64 * 1024


def merged(data: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` with what is missing from ``defaults``, whatever the spelling of the names;
    of ``headers``, each by itself."""
    given = {folded(name) for name in data if isinstance(name, str)}
    result = {
        **{name: value for name, value in defaults.items() if folded(str(name)) not in given},
        **{_OWN_NAMES.get(folded(str(name)), name): value for name, value in data.items()},
    }
    own, usual = data.get("headers"), defaults.get("headers")
    if isinstance(own, Mapping) and isinstance(usual, Mapping):
        names = {str(name).lower() for name in own}
        more = {name: value for name, value in usual.items() if str(name).lower() not in names}
        result["headers"] = {**own, **more}
    return result


class _Transformed:
    """A message that functions have changed, which is made anew each time that it is read."""

    __slots__ = ("_content", "_functions")

    def __init__(self, content: Composed, functions: list[Callable[..., Any]]) -> None:
        self._content = content
        self._functions = functions

    def __iter__(self) -> Iterator[Any]:
        stream = self._content.unsigned()
        for function in self._functions:
            stream = iter(function(stream))
        return stream


class Outgoing:
    """The composed message of a mail, as plugins of the step ``'stream'`` get it.

    - ``content``: what ``send`` of a connection gets
    """

    __slots__ = ("_content", "_dkim", "_envelope", "_functions", "_message_id")

    def __init__(self, envelope: dict[str, Any], content: Composed, message_id: str | None) -> None:
        self._envelope = envelope
        self._content = content
        self._message_id = message_id
        self._functions: list[Callable[..., Any]] = []
        self._dkim: DKIMOptions | None = None

    def getEnvelope(self) -> dict[str, Any]:
        """Return the envelope, ``{'from': ..., 'to': ...}`` and perhaps more."""
        return self._envelope

    def setEnvelope(self, envelope: Mapping[str, Any]) -> Outgoing:
        """Use another envelope."""
        self._envelope = dict(envelope)
        return self

    def messageId(self) -> str | None:
        """Return the Message-ID, in angle brackets, if it is known."""
        return self._message_id

    def processFunc(self, function: Callable[[Iterator[bytes]], Iterable[bytes]]) -> Outgoing:
        """Send what ``function(pieces)`` returns for the pieces of the message: an iterable of
        bytes.  Several functions are called in the order in which they were added."""
        arguments_taken(function)
        self._functions.append(function)
        return self

    transform = processFunc

    def createReadStream(self) -> Iterator[bytes]:
        """Return the pieces of the message, as they are sent.

        Whoever iterates over them waits for files and streams.  They are signed (DKIM) when all
        plugins are done.
        """
        stream = iter(_Transformed(self._content, self._functions))
        if self._dkim is None:
            return stream
        from ..mime.compose import signed

        return signed(map(as_bytes, stream), self._dkim)

    def sign(self, dkim: DKIMOptions | None) -> None:
        """Have it signed as the mail says or, if it says nothing, with ``dkim``."""
        self._dkim = self.mail.dkim or dkim

    @property
    def mail(self) -> Mail:
        """What it was composed of."""
        return self._content.mail

    @property
    def content(self) -> Any:
        """What ``send`` of a connection gets, which signs it itself if there is nothing else to
        sign it with than its own option."""
        if not self._functions:
            return self._content
        transformed = _Transformed(self._content, self._functions)
        own = self.mail.dkim
        if own is None:
            return transformed
        from ..message.signed import Signed

        return Signed(transformed, own)


def _with_memory_files_read(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` with what files in memory hold in their place: it may be wanted twice."""
    result = {name: _held(value) if name in _CONTENTS else value for name, value in data.items()}
    for name in ("attachments", "alternatives"):
        files = result.get(name)
        if isinstance(files, Mapping):
            result[name] = _with_memory_files_read(files)
        elif isinstance(files, (list, tuple)):
            result[name] = [
                _with_memory_files_read(each) if isinstance(each, Mapping) else each
                for each in files
            ]
    return result


def _held(value: Any) -> Any:
    if isinstance(value, (io.BytesIO, io.StringIO)) and not value.closed:
        return value.read()
    return _with_memory_files_read(value) if isinstance(value, Mapping) else value


class MailMessage:
    """A mail: what was given to ``sendMail``, and what has been made of it.

    - ``data`` (dict): the fields of the mail, with the transport's defaults; plugins of the step
      ``'compile'`` may change them
    - ``message`` (:class:`Outgoing` or None): the composed message, from the step ``'stream'`` on
    - ``mailer``: the transport, as ``createTransport`` returned it
    """

    __slots__ = ("data", "mailer", "message")

    def __init__(self, mailer: NodeEmitter, data: dict[str, Any]) -> None:
        self.mailer = mailer
        self.data = data
        self.message: Outgoing | None = None

    @property
    def signal(self) -> AbortSignal | None:
        """What may abort it."""
        return self.data.get("signal")

    @property
    def sent_to(self) -> dict[str, Any]:
        """Sender and recipients, for the ``info``."""
        assert self.message is not None
        parsed = Envelope.parse(self.message.getEnvelope())
        return {"from": parsed.sender, "to": list(parsed.recipients)}

    def compile(self, rules: Mapping[str, bool], most: int | None) -> None:
        """Compose the message; ``rules`` are flags for it, see :class:`.mime.mail.Mail`, and
        ``most`` is how many recipients it may have, 0 for any number, ``None`` if it may say so
        itself.

        Raises :class:`SMTPError` for fields that make no message, or no envelope.
        """
        from ..mime.compose import Composed

        self.data = _with_memory_files_read(self.data)
        fields = {name: value for name, value in self.data.items() if name not in OF_A_TRANSPORT}
        envelope, mail = envelope_and_message(fields)
        mail.restrict(rules)
        parsed = Envelope.parse(envelope)
        if most is None:
            most = _most_recipients(self.data.get("maxRecipients"))
        if most and len(parsed.recipients) > most:
            text = f"The mail has {len(parsed.recipients)} recipients, and may have {most}"
            raise SMTPError(f"{text} (maxRecipients)", code="EMAXRECIPIENTS", command="API")
        if "raw" in mail.fields:
            message_id = _own_message_id(mail.fields["raw"])
        else:
            message_id = _message_id(mail, parsed.sender)
        self.message = Outgoing(envelope, Composed(mail), message_id)


def _most_recipients(given: Any) -> int:
    try:
        return MOST_RECIPIENTS if given is None else most_recipients(given)
    except Refusal as refusal:
        raise message_error(refusal.text("field 'maxRecipients'", repr)) from refusal


def _message_id(mail: Mail, sender: str) -> str:
    """Return the Message-ID of ``mail``, which gets one if it has none."""
    from ..mime.headers import new_message_id, one_message_id

    given = mail.fields.get("messageId", "")
    if given == "":
        given = mail.fields["messageId"] = new_message_id(sender)
    return one_message_id("messageId", given)


def _own_message_id(raw: Any) -> str | None:
    """Return the Message-ID of a message that is finished, if one can look it up."""
    if callable(getattr(raw, "as_bytes", None)):
        return str(raw["Message-ID"] or "") or None
    if isinstance(raw, Mapping):
        raw = raw.get("content")
    if isinstance(raw, str):
        raw = raw[:_LONGEST_HEAD].encode("utf-8", "replace")
    if not isinstance(raw, bytes):
        return None
    head = re.split(rb"\r?\n\r?\n", raw[:_LONGEST_HEAD], maxsplit=1)[0]
    found = _MESSAGE_ID.search(head)
    return found[1].decode("ascii", "replace") if found else None
