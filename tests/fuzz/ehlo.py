"""Whatever a server announces, its capabilities are a mapping of upper-case keywords to text, and a
mechanism is chosen among what it announces, or none is, with ``EAUTH``."""

from __future__ import annotations

from smtp_connection.auth.credentials import Credentials
from smtp_connection.auth.login import choose_mechanism
from smtp_connection.errors import SMTPError
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.replies import Reply, ReplyParser
from smtp_connection.protocol.session import Session

_EVERYTHING = {"user": "me", "pass": "secret", "xoauth2": "token", "domain": "D"}


def check(data: bytes) -> None:
    """(The invariant stands above.)"""
    for reply in ReplyParser(1 << 20).feed(data + b"\r\n"):
        _check_reply(reply)


def _check_reply(reply: Reply) -> None:
    capabilities = Capabilities(reply)
    assert len(list(capabilities)) == len(capabilities) <= len(capabilities.lines)
    for keyword in capabilities:
        assert keyword == keyword.upper()
        assert keyword in capabilities
        assert keyword.lower() in capabilities or not keyword.isascii()
        assert capabilities[keyword] == capabilities[keyword].strip()
    assert capabilities.size is None or 0 < capabilities.size < 10**20
    assert capabilities.pipelining == ("PIPELINING" in capabilities)
    assert len(set(capabilities.auth)) == len(capabilities.auth)
    for mechanism in capabilities.auth:
        assert mechanism == mechanism.upper()
        assert not any(map(str.isspace, mechanism))
    for secure in (False, True):
        _check_choice(capabilities, secure)


def _check_choice(capabilities: Capabilities, secure: bool) -> None:
    session = Session("me", secure=secure, custom_auth={"X-OWN": print})
    session.capabilities = capabilities
    codes = set()
    for left_out in ("", "xoauth2", "domain", "pass"):
        auth = {key: value for key, value in _EVERYTHING.items() if key != left_out}
        try:
            chosen = choose_mechanism(Credentials(auth), session)
        except SMTPError as error:
            codes.add(error.code)
        else:
            assert chosen in capabilities.auth
    assert codes <= {"EAUTH"}
