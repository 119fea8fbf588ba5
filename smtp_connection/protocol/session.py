"""What is known of the session with the server; the dialogues share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SMTPError, auth_error
from .capabilities import Capabilities

__all__ = ["Session"]


def _unknown() -> bool:
    """Before there is a connection, nothing is said."""
    return True


class Session:
    """The wishes of the caller, and what has been learnt from the server so far.

    - ``name`` (str): the name to greet with
    - ``lmtp``, ``ignore_tls``, ``require_tls``, ``opportunistic_tls`` (bool): the options
    - ``host`` (str), ``port`` (int): the server's place, as it was given
    - ``auth_method`` (str, tuple of str or None): the SASL mechanism to use, or those of which to
      use the first that fits
    - ``custom_auth`` (dict): handlers of the caller, by mechanism, upper case
    - ``ehlo_after_auth`` (bool): whether to ask again after a login what the server can do
    - ``before_commit`` (function or None): is asked before the final dot of each message is sent
    - ``secure`` (bool): whether TLS is on
    - ``stays_here`` (callable): whether what is said does not leave this machine
    - ``capabilities`` (Capabilities): what the server announced
    - ``upgrade_refused`` (bool): STARTTLS was refused and the session goes on in clear text
    - ``authenticated`` (bool): whether a login has succeeded
    - ``transaction_open`` (bool): whether the server holds a mail transaction
    - ``mails`` (int): how many transactions have been begun
    - ``rides`` (bool): whether commands may ride behind a message, as far as is known
    - ``proven`` (bool): the server has accepted a message
    - ``ahead`` (list of str): the commands of the next dialogue that have been sent already
    """

    __slots__ = (
        "ahead",
        "auth_method",
        "authenticated",
        "before_commit",
        "capabilities",
        "custom_auth",
        "ehlo_after_auth",
        "host",
        "ignore_tls",
        "lmtp",
        "mails",
        "name",
        "opportunistic_tls",
        "port",
        "proven",
        "require_tls",
        "rides",
        "secure",
        "stays_here",
        "transaction_open",
        "upgrade_refused",
    )

    def __init__(
        self,
        name: str,
        *,
        host: str = "",
        port: int = 0,
        lmtp: bool = False,
        ignore_tls: bool = False,
        require_tls: bool = False,
        opportunistic_tls: bool = False,
        auth_method: str | tuple[str, ...] | None = None,
        custom_auth: Mapping[str, Callable[..., Any]] | None = None,
        ehlo_after_auth: bool = False,
        before_commit: Callable[..., object] | None = None,
        pipeline_messages: bool = True,
        secure: bool = False,
    ) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.lmtp = lmtp
        self.ignore_tls = ignore_tls
        self.require_tls = require_tls
        self.opportunistic_tls = opportunistic_tls
        self.auth_method = auth_method
        self.custom_auth = custom_auth or {}
        self.ehlo_after_auth = ehlo_after_auth
        self.before_commit = before_commit
        self.secure = secure
        self.stays_here: Callable[[], bool] = _unknown
        self.capabilities = Capabilities()
        self.upgrade_refused = False
        self.authenticated = False
        self.transaction_open = False
        self.mails = 0
        self.rides = pipeline_messages and not lmtp
        self.proven = False
        self.ahead: list[str] = []

    @property
    def private(self) -> bool:
        """Whether nobody on the way can read what is said."""
        return self.secure or self.stays_here()

    def claim_ahead(self) -> list[str]:
        """Return the commands that have been sent already, whose replies are still to come."""
        ahead, self.ahead = self.ahead, []
        return ahead

    @property
    def is_full(self) -> bool:
        """Whether the server takes no further transaction in this session (RFC 9422)."""
        return 0 < self.capabilities.mail_max <= self.mails

    def full_error(self) -> SMTPError:
        """Return the error for what the session has no room for."""
        most = self.capabilities.mail_max
        text = f"The server takes at most {most} messages in a session (LIMITS MAILMAX)"
        return SMTPError(text, code="ECONNECTION", command="API")

    def require_upgraded(self) -> None:
        """Raise :class:`SMTPError` (``EAUTH``) if no credential may be sent: the server refused
        STARTTLS, and the session goes on in clear text."""
        if self.upgrade_refused:
            text = "No login: the server refused STARTTLS, so this connection is in clear text"
            raise auth_error(text)
