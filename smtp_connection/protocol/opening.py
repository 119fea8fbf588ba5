"""How a session begins: greeting, EHLO, HELO or LHLO, and STARTTLS.

Dialogues do no I/O: they yield what to do next (see ``steps``) and receive the result.
"""

from __future__ import annotations

from ..errors import SMTPError
from .capabilities import Capabilities
from .hints import about_banner, about_lhlo, about_lmtp
from .replies import Reply
from .session import Session
from .steps import AwaitGreeting, Command, Dialogue, StartTLS

__all__ = ["open_session", "say_hello_again"]


def open_session(session: Session) -> Dialogue[None]:
    """Receive the greeting, introduce the client, and upgrade to TLS where the options ask for it
    or the server offers it.

    Raises :class:`SMTPError`; every failure ends the connection.
    """
    greeting = yield AwaitGreeting()
    if greeting.code == 421:
        text = "The server closed the connection instead of greeting"
        raise greeting.failure(text, "ECONNECTION", "CONN")
    if greeting.code != 220:
        hint = about_banner(greeting.text)
        text = f"Invalid greeting ({hint})" if hint else "Invalid greeting"
        raise greeting.failure(text, "EPROTOCOL", "CONN")
    yield from _introduce(session, greeting.text)
    if session.secure or session.ignore_tls:
        return
    if session.require_tls or "STARTTLS" in session.capabilities:
        yield from _upgrade(session, greeting.text)


def say_hello_again(session: Session) -> Dialogue[None]:
    """EHLO or LHLO after a login: some servers announce certain extensions only then.

    A server that refuses it (RFC 4954 does not ask for it) has still what it announced before.
    """
    reply = yield Command(_hello(session))
    if reply.positive:
        session.capabilities = Capabilities(reply)


def _hello(session: Session) -> str:
    return f"{'LHLO' if session.lmtp else 'EHLO'} {session.name}"


def _introduce(session: Session, greeting: str) -> Dialogue[None]:
    """EHLO (RFC 5321 section 4.1.1.1), or HELO for servers that do not know it; LMTP has LHLO
    alone (RFC 2033 section 4.1)."""
    hello = _hello(session)
    verb = hello[:4]
    reply = yield Command(hello)
    if reply.positive:
        session.capabilities = Capabilities(reply)
        return
    if session.lmtp:
        raise _refused(verb, reply, about_lhlo(reply.code))
    if session.require_tls and not session.secure:
        text = "EHLO refused, and with HELO there is no STARTTLS, which is required"
        raise reply.failure(text, "ECONNECTION", verb)
    helo = yield Command(f"HELO {session.name}")
    if not helo.positive:
        raise _refused("HELO", helo, about_lmtp(greeting, reply, helo))
    session.capabilities = Capabilities()


def _refused(verb: str, reply: Reply, hint: str) -> SMTPError:
    text = f"{verb} refused ({hint})" if hint else f"{verb} refused"
    return reply.failure(text, "EPROTOCOL", verb)


def _upgrade(session: Session, greeting: str) -> Dialogue[None]:
    """STARTTLS (RFC 3207); after it, nothing counts that was said in clear text."""
    if "STARTTLS" not in session.capabilities:
        text = "STARTTLS is required, and the server does not offer it"
        raise SMTPError(text, code="ETLS", command="STARTTLS")
    reply = yield Command("STARTTLS")
    if not reply.positive:
        if session.opportunistic_tls:
            session.upgrade_refused = True
            return
        raise reply.failure("STARTTLS refused", "ETLS", "STARTTLS")
    yield StartTLS()
    session.secure = True
    session.capabilities = Capabilities()
    yield from _introduce(session, greeting)
