"""A message for more recipients than the server takes at once: several transactions, one result
(RFC 9422)."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import SMTPError, envelope_error
from ..message.message import Message
from ..records import SendInfo
from .capabilities import Capabilities
from .envelope import Envelope
from .recipients import Recipients
from .replies import Reply
from .session import Session
from .steps import Abandon, Dialogue, Ended, Unanswered

__all__ = ["Send", "in_parts", "parts_of"]

Send = Callable[[Envelope, Message, Recipients], Dialogue[SendInfo]]
"""One transaction; what the server says of the recipients is noted in the third argument."""


def parts_of(recipients: list[str], capabilities: Capabilities) -> list[list[int]]:
    """Return the places of ``recipients`` that the server takes in one transaction each."""
    most = capabilities.rcpt_max or len(recipients)
    most_domains = capabilities.rcpt_domain_max
    places = list(range(len(recipients)))
    domains = [address.rpartition("@")[2].lower() for address in recipients]
    if most_domains:
        # Those of one domain together, or every second of them would need a transaction.
        first: dict[str, int] = {}
        for place, domain in enumerate(domains):
            first.setdefault(domain, place)
        places.sort(key=lambda place: first[domains[place]])
    parts: list[list[int]] = []
    known: set[str] = set()
    for place in places:
        new = domains[place] not in known
        full = not parts or len(parts[-1]) >= most
        if full or (most_domains and new and len(known) >= most_domains):
            parts.append([])
            known = set()
        parts[-1].append(place)
        known.add(domains[place])
    return parts


def in_parts(
    send: Send, parts: list[list[int]], envelope: Envelope, message: Message, session: Session
) -> Dialogue[SendInfo]:
    """Send ``message`` once for each of ``parts``; the value tells what became of all.

    A failure that is not about recipients alone ends it: what has been accepted by then counts, and
    the others are rejected.  Raises :class:`SMTPError` if the message is accepted for nobody.
    """
    result = _Result(envelope.recipients)
    for number, content in enumerate(_copies(message, parts, envelope)):
        part, rest = parts[number], parts[number + 1 :]
        if session.is_full:
            result.not_tried(parts[number:], session.full_error())
            break
        recipients = Recipients([envelope.recipients[place] for place in part])
        lost: list[SMTPError] = []
        try:
            info = yield from _noting(send(envelope.part(part), content, recipients), lost)
        except Abandon as abandon:
            result.failed(part, recipients, abandon.error)
            result.not_tried(rest, abandon.error)
            value = result.info() if result.accepted_any else None
            raise Abandon(abandon.error if value else result.failure(), value) from None
        except (SMTPError, Unanswered, Ended) as exc:
            error = exc if isinstance(exc, SMTPError) else exc.error
            if number == 0 and (error.command == "MAIL FROM" or not recipients.replies):
                raise  # it is not about recipients
            result.failed(part, recipients, error)
            if lost or exc is not error or error.command != "RCPT TO":
                result.not_tried(rest, error)
                break
        else:
            result.sent(part, recipients, info)
            if lost:
                result.not_tried(rest, lost[0])
                break
    if not result.accepted_any:
        raise result.failure()
    return result.info()


def _copies(message: Message, parts: list[list[int]], envelope: Envelope) -> list[Message]:
    """Return a message for each of ``parts``."""
    copies = [message]
    for _ in parts[1:]:
        copy = message.again()
        if copy is None:
            raise envelope_error(
                f"the server takes at most {len(parts[0])} of these {len(envelope.recipients)}"
                " recipients for one message (LIMITS), and this message can be read only once",
                "RCPT TO",
            )
        copies.append(copy)
    return copies


def _noting(dialogue: Dialogue[SendInfo], lost: list[SMTPError]) -> Dialogue[SendInfo]:
    """Carry out ``dialogue``, and note in ``lost`` if the connection ends meanwhile."""
    try:
        step = next(dialogue)
        while True:
            try:
                answer = yield step
            except Exception as exc:
                if isinstance(exc, Unanswered):
                    lost.append(exc.error)
                step = dialogue.throw(exc)
            else:
                step = dialogue.send(answer)
    except StopIteration as stop:
        info: SendInfo = stop.value
        return info
    finally:
        dialogue.close()


class _Result:
    """What has become of each recipient."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses
        self._replies: list[Reply | None] = [None] * len(addresses)
        self._errors: dict[int, SMTPError] = {}  # by place
        self._failures: list[SMTPError] = []  # one for each part that has failed
        self._infos: list[SendInfo] = []
        self._accepted: set[int] = set()

    @property
    def accepted_any(self) -> bool:
        """Whether the message has been accepted for anybody."""
        return bool(self._accepted)

    def _note(self, part: list[int], recipients: Recipients) -> None:
        for number, reply in enumerate(recipients.replies):
            self._replies[part[number]] = reply
        for number, error in zip(recipients.places, recipients.errors, strict=True):
            self._errors[part[number]] = error

    def sent(self, part: list[int], recipients: Recipients, info: SendInfo) -> None:
        """The transaction for ``part`` has succeeded."""
        self._note(part, recipients)
        self._accepted.update(place for place in part if place not in self._errors)
        self._infos.append(info)

    def failed(self, part: list[int], recipients: Recipients, error: SMTPError) -> None:
        """The transaction for ``part`` has failed with ``error``."""
        self._failures.append(error)
        self._note(part, recipients)
        for place in part:
            if place not in self._errors:
                own = self._errors[place] = error.copy()
                own.recipient = self._addresses[place]
                own.rejected = own.rejectedErrors = None

    def not_tried(self, parts: list[list[int]], error: SMTPError) -> None:
        """The transactions for ``parts`` have not been begun, because of ``error``."""
        for place in (place for part in parts for place in part):
            address = self._addresses[place]
            text = f"Not sent to {address}, because of the transaction before: {error.message}"
            own = SMTPError(text, code=error.code, command=error.command, recipient=address)
            own.response, own.responseCode = error.response, error.responseCode
            own.__cause__ = error
            self._errors[place] = own

    def failure(self) -> SMTPError:
        """Return the error of a message that nobody gets."""
        failures = self._failures
        soft = (each for each in failures if not each.permanent)
        doubtful = (each for each in failures if each.inDoubt)
        error = next(doubtful, None) or next(soft, None) or failures[-1]
        error.rejected = [self._addresses[place] for place in sorted(self._errors)]
        error.rejectedErrors = [self._errors[place] for place in sorted(self._errors)]
        return error

    def info(self) -> SendInfo:
        """Return what has become of the message."""
        last = self._infos[-1]
        return SendInfo(
            accepted=[self._addresses[place] for place in sorted(self._accepted)],
            rejected=[self._addresses[place] for place in sorted(self._errors)],
            rejectedErrors=[self._errors[place] for place in sorted(self._errors)],
            response=last.response,
            envelopeTime=sum(info.envelopeTime for info in self._infos),
            messageTime=sum(info.messageTime for info in self._infos),
            messageSize=last.messageSize,
            ehlo=last.ehlo,
            serverMessageId=last.serverMessageId,
            addresses=self._addresses,
            replies=self._replies,
        )
