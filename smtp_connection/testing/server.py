"""The mail server that tests use: real, on a free port, and wrong where it is told to be."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from .extra import needing_extra
from .faults import Faults, checked_reply
from .loopback import LoopbackServer, Welcome
from .messages import Messages, Session
from .tls import ServerTLS

if TYPE_CHECKING:
    from .conversation import Handler

__all__ = ["SMTPServer"]


class SMTPServer(Faults):
    """A mail server on a free port of 127.0.0.1, on a thread of its own, for tests.

    It is there from :meth:`start` to :meth:`stop`; a ``with`` statement calls both.  It accepts all
    mail of everybody, until it is told otherwise; what it is told concerns the sessions under way,
    too, except for TLS.  Its methods may be called from any thread, before and after ``start()``.

    - ``host``, ``port``: where it listens
    - ``messages`` (:class:`Messages`): the messages that it has accepted
    - ``sessions`` (list of :class:`Session`): everybody who has connected, in that order
    - ``tls`` (:class:`ServerTLS`): switches TLS on, and has the certificate of the authority

    Faults happen in the order in which they were asked for.  Of those that fit, the first one
    happens ``times`` times, then the next one; a fault without ``times`` happens until
    :meth:`reset`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.host = "127.0.0.1"
        self.messages = Messages()
        self.sessions: list[Session] = []
        self.tls = ServerTLS()
        self._credentials: dict[str, str] = {}
        self._refusals: dict[str, str] = {}
        self._listener = LoopbackServer(self._welcome, self.host)
        self._handler: Handler

    @property
    def port(self) -> int:
        """The port; 0 before the first start."""
        return self._listener.port

    @property
    def url(self) -> str:
        """``smtp://host:port``, ``smtps://`` where TLS is implicit, with the user and the password
        where there is a login."""
        scheme = "smtps" if self.tls.mode == "implicit" else "smtp"
        login = ""
        for user, password in list(self._credentials.items())[:1]:
            login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
        return f"{scheme}://{login}{self.host}:{self.port}"

    def start(self) -> None:
        """Listen.

        Raises ``ModuleNotFoundError`` without the extra ``testing``, and ``RuntimeError`` if the
        server has been started already.
        """
        with needing_extra():
            from .conversation import Handler
        self._handler = Handler(self.messages, self._credentials, self._refusals)
        self._listener.start()

    def stop(self) -> None:
        """Close the port and all connections, whatever their clients do; repeated calls do
        nothing."""
        self._listener.stop()
        self.tls.clean_up()

    def __enter__(self) -> SMTPServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def auth(self, user: str, password: str) -> None:
        """Offer PLAIN and LOGIN, let ``user`` log in, and take mail only after a login.

        Another user or password gets 535.  With STARTTLS, there is a login only inside TLS.
        """
        for value in (user, password):
            if not isinstance(value, str):
                raise TypeError(f"user and password are strings, not {value!r}")
        self._credentials[user] = password

    def reject(self, recipient: str, reply: str = "550 5.1.1 No such user here") -> None:
        """Say ``reply``, which is 4xx or 5xx, to RCPT with this address (in any case)."""
        if checked_reply(reply)[0] not in "45":
            raise ValueError(f"{reply!r} rejects nobody: such a reply is 4xx or 5xx")
        self._refusals[recipient.lower()] = checked_reply(reply)

    def reset(self) -> None:
        """Forget all faults and rejected recipients; messages, users and TLS stay."""
        super().reset()
        self._refusals.clear()

    def _welcome(self) -> Welcome | None:
        from .conversation import Conversation, Deaf

        record = Session()
        self.sessions.append(record)
        fault = self.take("drop", "reply", "silence", command="CONNECT")
        if fault is not None and fault.kind == "drop":
            return None
        if fault is not None and fault.kind == "silence":
            return Deaf(), None
        context = self.tls.server_context
        implicit = self.tls.mode == "implicit"
        conversation = Conversation(
            self._handler,
            None if implicit else context,
            record,
            self,
            fault.reply if fault is not None else None,
        )
        return conversation, context if implicit else None
