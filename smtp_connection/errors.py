"""The one exception of the package, and what builds the usual ones of its kind.

An error that comes from a reply is built by :meth:`protocol.replies.Reply.failure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .status import retry_after, split_status
from .text import escaped

__all__ = [
    "SMTPError",
    "auth_error",
    "envelope_error",
    "message_error",
    "needs_extra",
    "stream_error",
]


# With one of these codes and no reply, the caller's own input cannot be sent.
_REFUSED_HERE = ("EENVELOPE", "EMESSAGE", "EREQUIRETLS", "EFILEACCESS", "EURLACCESS")
_REFUSED_LINE = ("EPROTOCOL", "API")  # the argument of command()


class SMTPError(Exception):
    """Reports every failure of a connection, a login or a message.

    The attributes keep the names they have in Node, because programs test them:

    - ``code`` (str): ``'EAUTH'``, ``'EENVELOPE'``, ``'ECONNREFUSED'`` ...
    - ``command`` (str): the SMTP command that failed (``'MAIL FROM'``, ``'AUTH PLAIN'``);
      ``'CONN'`` for the connection itself, ``'API'`` for a call that could not be carried out
    - ``response`` (str): the server's last reply, with its code, lines joined by ``'\\n'``
    - ``responseCode`` (int): the number that ``response`` starts with
    - ``enhancedCode`` (str): the enhanced status code in ``response`` (RFC 3463): ``'5.1.1'``
    - ``retryAfter`` (int): after how many ms the server wants to see another attempt, if it refuses
      for now (4xx) and names a time in a known form
    - ``recipient`` (str): whom the refusal is about, if it is about one recipient
    - ``rejected``, ``rejectedErrors`` (list): the refused recipients and the error of each
    - ``message`` (str): the text, which ends with the server's own words; control characters are
      escaped, so that it can be shown (``response`` has them as they were sent)
    - ``inDoubt`` (bool): the message had been sent to its end when the connection ended, and the
      server's verdict did not arrive: whoever sends it again may send it twice
    - ``reason`` (str): why TLS failed, as Node's own code: ``'DEPTH_ZERO_SELF_SIGNED_CERT'``,
      ``'CERT_HAS_EXPIRED'``, ``'ERR_TLS_CERT_ALTNAME_INVALID'`` ...
    - ``permanent`` (bool): another attempt would fail, too
    - ``status``, ``scope`` (str): what the server says of an access token that it refuses (RFC 7628
      section 3.2.2): ``'invalid_token'``, and the scope that the token has to have

    An attribute that does not apply is ``None``.  The operating system's or the TLS library's own
    exception, where there is one, is the ``__cause__``.
    """

    status: str | None = None
    scope: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        command: str | None = None,
        response: str | None = None,
        responseCode: int | None = None,
        recipient: str | None = None,
        rejected: Sequence[str] | None = None,
        rejectedErrors: Sequence[SMTPError] | None = None,
    ) -> None:
        if response:
            message = f"{message}: {response}"
            if responseCode is None and response[:3].isascii() and response[:3].isdigit():
                responseCode = int(response[:3])
        message = escaped(message)
        super().__init__(message)
        self.message = message
        self.code = code
        self.command = command
        self.response = response
        self.responseCode = responseCode
        self.recipient = recipient
        self.rejected = None if rejected is None else list(rejected)
        self.rejectedErrors = None if rejectedErrors is None else list(rejectedErrors)
        self.inDoubt = False
        self.reason: str | None = None

    @property
    def permanent(self) -> bool:
        """Whether the server said so (5xx), or this side refused the envelope, the message or the
        command before it asked the server.  ``False`` for 4xx, and for failures of the
        connection."""
        if self.inDoubt:
            return False
        if self.response is None and self.responseCode is None:
            return self.code in _REFUSED_HERE or (self.code, self.command) == _REFUSED_LINE
        return 500 <= (self.responseCode or 0) < 600

    @property
    def enhancedCode(self) -> str | None:
        """The enhanced status code that the server's reply begins with (RFC 2034), for example
        ``'5.1.1'``; ``None`` where there is none."""
        return split_status(self.response)[0] if self.response else None

    @property
    def retryAfter(self) -> int | None:
        """After how many milliseconds the server wants to see another attempt.

        ``None`` unless the reply is a 4xx that names a time in a known form, as greylisting does.
        """
        if not self.response or not 400 <= (self.responseCode or 0) < 500:
            return None
        return retry_after(self.response)

    def copy(self) -> SMTPError:
        """Return a second error with the same attributes."""
        other = SMTPError(self.message)
        other.__dict__.update(self.__dict__)
        return other

    def toJSON(self) -> dict[str, Any]:
        """Return a dict for ``json.dumps`` with ``message``, ``code``, ``command``, ``response``
        and ``responseCode``."""
        names = ("message", "code", "command", "response", "responseCode")
        return {name: getattr(self, name) for name in names}

    def add_hint(self, hint: str) -> None:
        """Append ``hint``, unless it is empty, to the text, in parentheses."""
        if hint:
            self.reword(f"{self.message} ({hint})")

    def reword(self, message: str) -> None:
        """Let ``message`` be the text."""
        self.message = message
        self.args = (message,)

    def __repr__(self) -> str:
        return f"SMTPError({self.message!r}, code={self.code!r})"


# The command is 'API' where the caller's own input cannot be used, whatever the server says.


def auth_error(message: str, command: str = "API") -> SMTPError:
    """Return the error for a login that fails on this side of the connection."""
    return SMTPError(message, code="EAUTH", command=command)


def envelope_error(message: str, command: str = "API") -> SMTPError:
    """Return the error for an envelope that cannot be sent."""
    return SMTPError(message, code="EENVELOPE", command=command)


def message_error(message: str, command: str = "API") -> SMTPError:
    """Return the error for a message that cannot be sent."""
    return SMTPError(message, code="EMESSAGE", command=command)


def stream_error(message: str) -> SMTPError:
    """Return the error for a message whose source fails."""
    return SMTPError(message, code="ESTREAM", command="API")


def needs_extra(feature: str, extra: str) -> str:
    """Return the text that tells how to install what ``feature`` needs: the extra ``extra``."""
    return (
        f"{feature} needs the extra '{extra}' of smtp_connection"
        f" (in a checkout: pip install '.[{extra}]')"
    )
