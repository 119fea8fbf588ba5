"""Every mechanism against the servers that have it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
import trustme

from smtp_connection import Reactor, SMTPConnection

from . import dovecot, exim, postfix
from .running import MEMBER, PASSWORD, USER, Site, open_folder

pytestmark = pytest.mark.real_servers


class Kind(NamedTuple):
    """One server.

    - ``start``: runs it
    - ``mechanisms``: what it has
    - ``usual``, ``in_clear_text``: what is used with a password over TLS, and without
    - ``resumes``: whether it takes up TLS sessions; for Dovecot, each process of which serves one
      connection, each session is somebody else's
    """

    start: Callable[[Site], AbstractContextManager[int]]
    mechanisms: tuple[str, ...]
    usual: str
    in_clear_text: str
    resumes: bool = True


KINDS = {
    "Dovecot": Kind(dovecot.submission, dovecot.MECHANISMS, *["SCRAM-SHA-256"] * 2, resumes=False),
    "Postfix-Cyrus": Kind(postfix.with_cyrus, postfix.CYRUS_MECHANISMS, *["SCRAM-SHA-512"] * 2),
    "Postfix-Dovecot": Kind(
        postfix.with_dovecot, postfix.DOVECOT_MECHANISMS, *["SCRAM-SHA-256"] * 2
    ),
    "Exim": Kind(exim.running, exim.MECHANISMS, "PLAIN", "CRAM-MD5"),
}

WITH_PASSWORD = [
    (name, mechanism)
    for name, kind in KINDS.items()
    for mechanism in kind.mechanisms
    if mechanism not in ("OAUTHBEARER", "XOAUTH2", "EXTERNAL")
]
WITH_TOKEN = [
    (name, mechanism)
    for name, kind in KINDS.items()
    for mechanism in kind.mechanisms
    if mechanism in ("OAUTHBEARER", "XOAUTH2")
]
WITH_CERTIFICATE = [name for name, kind in KINDS.items() if "EXTERNAL" in kind.mechanisms]

RIGHT = {"user": USER, "pass": PASSWORD}
WRONG = {"user": USER, "pass": "wrong"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def issuer() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def servers(folder: Path, issuer: trustme.CA) -> Iterator[Callable[[str], int]]:
    """Return a function that starts the server of a kind, unless it is running, and returns its
    port."""
    certificate, ca = folder / "server.pem", folder / "ca.pem"
    issuer.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    issuer.cert_pem.write_to_path(str(ca))
    certificate.chmod(0o644)
    failed: dict[str, BaseException] = {}
    running: dict[str, int] = {}
    with ExitStack() as stack:

        def server(name: str) -> int:
            if name in failed:
                raise failed[name]
            if name not in running:
                own = folder / name.lower()
                own.mkdir()
                try:
                    started = stack.enter_context(KINDS[name].start(Site(own, certificate, ca)))
                except BaseException as exc:
                    failed[name] = exc
                    raise
                running[name] = started
            return running[name]

        yield server


class Session:
    """One connection: logs in as often as it is told, and sends a message behind that.

    - ``outcomes``: what each of it came to, an error or ``None``
    - ``commands``: what was said, without secrets
    - ``resumed``: whether a TLS session was taken up again; ``None`` in clear text
    """

    def __init__(self, port: int, ca: bytes, *logins: dict[str, Any], **options: Any) -> None:
        self.outcomes: list[Any] = []
        self.commands: list[str] = []
        self.resumed: bool | None = None
        self._logins = list(logins)
        tls = {"ca": ca, **options.pop("tls", {})}
        with Reactor() as reactor:
            self.connection = SMTPConnection(
                {
                    "host": "127.0.0.1",
                    "port": port,
                    "requireTLS": not options.get("ignoreTLS"),
                    "tls": tls,
                    "debug": True,
                    **options,
                },
                reactor=reactor,
            )
            self.connection.on("log", self._note)
            self.connection.connect(self._connected)
            reactor.run()

    def _note(self, entry: Any) -> None:
        if entry.type == "client":
            self.commands.append(entry.message)

    def _connected(self, err: Any) -> None:
        assert err is None
        if self.connection.tls is not None:
            self.resumed = self.connection.tls.resumed
        self._log_in()

    def _log_in(self) -> None:
        self.connection.login(self._logins.pop(0), self._logged_in)

    def _logged_in(self, err: Any) -> None:
        self.outcomes.append(err)
        if self._logins:
            self._log_in()
            return
        if err is None:
            envelope = {"from": "tim@mail.test", "to": "somebody@example.com"}
            message = "Subject: hello\r\n\r\nhello\r\n"
            self.connection.send(envelope, message, lambda err, info: self.outcomes.append(err))
        self.connection.quit()

    @property
    def mechanisms(self) -> list[str]:
        """The mechanisms that were used, in order."""
        return [command.split()[1] for command in self.commands if command.startswith("AUTH ")]


@pytest.fixture
def session(name: str, servers: Callable[[str], int], issuer: trustme.CA) -> Callable[..., Session]:
    """Have a session with the server called ``name``: ``session(login, ...)``."""
    port = servers(name)

    def run(*logins: dict[str, Any], **options: Any) -> Session:
        return Session(port, issuer.cert_pem.bytes(), *logins, **options)

    return run


@pytest.mark.parametrize(("name", "mechanism"), WITH_PASSWORD)
def test_a_login_with_a_password(session, mechanism):
    done = session({**RIGHT, "method": mechanism})
    assert done.outcomes == [None, None]
    assert done.mechanisms == [mechanism]


@pytest.mark.parametrize(("name", "mechanism"), WITH_PASSWORD)
def test_a_wrong_password_and_then_the_right_one(session, mechanism):
    done = session({**WRONG, "method": mechanism}, {**RIGHT, "method": mechanism})
    refused, *then = done.outcomes
    assert (refused.code, refused.responseCode) == ("EAUTH", 535)
    assert then == [None, None]


@pytest.mark.parametrize("name", KINDS)
def test_the_choice_over_tls(session, name):
    assert session(RIGHT).mechanisms == [KINDS[name].usual]


@pytest.mark.parametrize("name", KINDS)
def test_the_choice_in_clear_text(session, name):
    # On the way to another machine PLAIN would show the password to others; here it would not.
    hidden = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"]
    done = session({**RIGHT, "method": hidden}, ignoreTLS=True)
    assert done.outcomes == [None, None]
    assert done.mechanisms == [KINDS[name].in_clear_text]


@pytest.mark.parametrize("name", KINDS)
def test_a_tls_session_is_taken_up_again_or_refused(session, name):
    session(RIGHT)
    done = session(RIGHT)
    assert done.resumed is KINDS[name].resumes
    assert done.outcomes == [None, None]


def token(**claims: Any) -> str:
    now = int(time.time())
    whole = {"sub": USER, "iat": now - 60, "exp": now + 600, **claims}
    return jwt.encode(whole, dovecot.TOKEN_KEY, algorithm="HS256")


@pytest.mark.parametrize(("name", "mechanism"), WITH_TOKEN)
def test_a_login_with_a_token(session, mechanism):
    done = session({"user": USER, "xoauth2": token(), "method": mechanism})
    assert done.outcomes == [None, None]


@pytest.mark.parametrize("name", sorted({name for name, _ in WITH_TOKEN}))
def test_of_the_two_with_a_token_the_standard_is_chosen(session):
    assert session({"user": USER, "xoauth2": token()}).mechanisms == ["OAUTHBEARER"]


@pytest.mark.parametrize(("name", "mechanism"), WITH_TOKEN)
def test_a_token_that_has_expired_and_then_a_new_one(session, mechanism):
    auth = {"user": USER, "method": mechanism}
    old = {**auth, "xoauth2": token(exp=int(time.time()) - 5)}
    refused, *then = session(old, {**auth, "xoauth2": token()}).outcomes
    assert (refused.code, refused.responseCode) == ("EAUTH", 535)
    assert refused.status == {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}[mechanism]
    assert then == [None, None]


class Generator:
    """Gives a token that has expired, and a good one if asked for a new one."""

    def getToken(self, callback):
        self._give(callback, exp=int(time.time()) - 5)

    def generateToken(self, callback):
        self._give(callback)

    def _give(self, callback, **claims):
        from smtp_connection.protocol.bearer import bearer_response

        callback(None, bearer_response(USER, token(**claims), "refused"))


@pytest.mark.parametrize(("name", "mechanism"), WITH_TOKEN)
def test_a_generator_is_asked_for_a_new_token(session, mechanism):
    done = session({"user": USER, "xoauth2": Generator(), "method": mechanism})
    assert done.outcomes == [None, None]
    assert done.mechanisms == [mechanism] * 2


@pytest.fixture
def member(issuer):
    """The client's certificate, as TLS options."""
    made = issuer.issue_cert(MEMBER, common_name=MEMBER)
    return {
        "cert": made.cert_chain_pems[0].bytes(),
        "key": made.private_key_pem.bytes(),
    }


@pytest.mark.parametrize("name", WITH_CERTIFICATE)
def test_a_login_with_a_certificate(session, member):
    done = session({"user": MEMBER, "method": "EXTERNAL"}, tls=member)
    assert done.outcomes == [None, None]


@pytest.mark.parametrize("name", ["Dovecot"])
def test_a_certificate_tells_who_it_is(session, member):
    done = session({"method": "EXTERNAL"}, tls=member)
    assert done.outcomes == [None, None]
    assert done.commands[2:4] == ["EHLO " + done.connection.name, "AUTH EXTERNAL ="]


@pytest.mark.parametrize("name", WITH_CERTIFICATE)
def test_a_certificate_of_somebody_else(session, member):
    done = session({"user": "boss@example.com", "method": "EXTERNAL"}, tls=member)
    (refused,) = done.outcomes
    assert (refused.code, refused.responseCode) == ("EAUTH", 535)


@pytest.mark.parametrize("name", WITH_CERTIFICATE)
def test_a_certificate_is_still_known_when_tls_sessions_are_taken_up(session, member, name):
    login = {"user": MEMBER, "method": "EXTERNAL"}
    session(login, tls=member)
    done = session(login, tls=member)
    assert done.resumed is KINDS[name].resumes
    assert done.outcomes == [None, None]
