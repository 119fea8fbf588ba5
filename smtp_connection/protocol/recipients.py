"""What the server says of each recipient, and what errors report of that."""

from __future__ import annotations

from ..errors import SMTPError
from .replies import Reply

__all__ = ["Recipients"]


class Recipients:
    """Sorts the recipients of one message by the server's replies.

    - ``addresses`` (list of str): the recipients, as they were given
    - ``replies`` (list of Reply or None): the last word on each of the first of them; ``None`` if
      the connection ended before it came
    - ``accepted``, ``rejected`` (list of str): the recipients, as they were given
    - ``errors`` (list of SMTPError): one for each rejected recipient, in the same order, and
      ``places`` (list of int): where each of these is among the addresses
    """

    __slots__ = ("accepted", "addresses", "errors", "places", "rejected", "replies")

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.replies: list[Reply | None] = []
        self.accepted: list[str] = []
        self.rejected: list[str] = []
        self.errors: list[SMTPError] = []
        self.places: list[int] = []

    # -- the replies to RCPT ----------------------------------------------------------------------

    def judge(self, replies: list[Reply]) -> None:
        """Sort the next recipients, as many as there are ``replies``, by these replies to RCPT."""
        start = len(self.replies)
        self.replies += replies
        for place, reply in enumerate(replies, start):
            if reply.positive:
                self.accepted.append(self.addresses[place])
            else:
                self._reject(place, reply.failure("Recipient refused", "EENVELOPE", "RCPT TO"))

    def require_one(self) -> None:
        """Raise :class:`SMTPError` (``EENVELOPE``) unless at least one recipient is accepted."""
        if not self.accepted:
            refusal = SMTPError(
                "All recipients were refused",
                code="EENVELOPE",
                command="RCPT TO",
                response=self._spokesman().response,
            )
            raise self.reported_in(refusal)

    # -- the final replies ------------------------------------------------------------------------

    def judge_together(self, replies: list[Reply], lost: SMTPError | None) -> None:
        """Raise :class:`SMTPError` unless the one final reply of SMTP accepts the message.

        ``lost`` is the error with which the connection ended before that reply was there.
        """
        if lost is not None:
            raise self.reported_in(_unanswered(lost))
        if not replies[0].positive:
            raise self.reported_in(_verdict("Message failed", replies[0]))

    def judge_each(self, replies: list[Reply], lost: SMTPError | None) -> None:
        """Sort the accepted recipients once more by the final replies of LMTP, of which there is
        one for each, in their order (RFC 2033 section 4.2).

        ``lost`` is the error with which the connection ended before all of them were there.
        Raises :class:`SMTPError` if nobody is left.
        """
        told = self.replies
        pending = [place for place, reply in enumerate(told) if reply and reply.positive]
        self.accepted = []
        for place, reply in zip(pending, replies, strict=lost is None):
            recipient, told[place] = self.addresses[place], reply
            if reply.positive:
                self.accepted.append(recipient)
            else:
                self._reject(place, _verdict(f"Message failed for {recipient}", reply))
        if lost is not None:
            self._reject_unanswered(pending[len(replies) :], lost)
        if not self.accepted:
            failure = lost or SMTPError(
                "Message failed for every recipient",
                code="EMESSAGE",
                command="DATA",
                response=self._spokesman().response,
            )
            raise self.reported_in(failure)

    def _reject_unanswered(self, places: list[int], lost: SMTPError) -> None:
        # The server's last words, if they are a refusal, are about the first of these.
        response = lost.response
        for place in places:
            recipient = self.addresses[place]
            self.replies[place] = Reply(lost.responseCode or 0, response) if response else None
            text = f"No final reply for {recipient}"
            error = SMTPError(text, code=lost.code, command="DATA", response=response)
            self._reject(place, _unanswered(error))
            response = None

    # -- the errors -------------------------------------------------------------------------------

    def _reject(self, place: int, error: SMTPError) -> None:
        error.recipient = recipient = self.addresses[place]
        self.places.append(place)
        self.rejected.append(recipient)
        self.errors.append(error)

    def _spokesman(self) -> SMTPError:
        """Return the error whose reply speaks for the whole message: a temporary refusal, if there
        is one, because then another attempt may succeed."""
        temporary = (error for error in self.errors if 400 <= (error.responseCode or 0) < 500)
        return next(temporary, self.errors[-1])

    def reported_in(self, error: SMTPError) -> SMTPError:
        """Let ``error`` name the rejected recipients, if there are any, and be in doubt if one of
        them is; return ``error``."""
        if not self.rejected:
            return error
        if any(each.inDoubt for each in self.errors):
            _put_in_doubt(error)
        error.rejected = self.rejected
        error.rejectedErrors = self.errors
        return error


def _verdict(text: str, reply: Reply) -> SMTPError:
    """Return the error for a final reply that does not say that the message was accepted."""
    error = reply.failure(text, "EMESSAGE", "DATA")
    # Only 4xx and 5xx are refusals; any other reply leaves open what became of the message.
    error.inDoubt = not 400 <= reply.code < 600
    return error


def _unanswered(error: SMTPError) -> SMTPError:
    """Put ``error``, with which the connection ended, in doubt, unless it carries a refusal."""
    if error.response is None:
        _put_in_doubt(error)
    return error


def _put_in_doubt(error: SMTPError) -> None:
    error.inDoubt = True
    error.add_hint("the message had been sent to its end, so it may have been accepted")
