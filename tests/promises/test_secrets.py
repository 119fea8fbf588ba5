"""A password or a token is on the wire, and nowhere else.

Every mechanism, at each of its steps, meets every way in which a login can end; then all that
anybody can read of it is searched: log events, loggers, errors with their tracebacks and causes,
and the ``repr`` of everything that the package has made.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import hmac
import logging
import select
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import spnego

from smtp_connection import SMTPConnection
from smtp_connection.xoauth2 import XOAuth2Generator
from tests.support.helpers import turn_until

USER = "canary@example.com"
SECRET = "CANARY+s3cr3t/passw0rd"  # the password, or the access token
CHALLENGE = b"<1896.697170952@example.com>"
DIGEST = hmac.new(SECRET.encode(), CHALLENGE, "md5").hexdigest()


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def core(text: str, shift: int) -> str:
    """What base64 makes of ``text``, wherever it stands in what is encoded: without the characters
    at both ends that depend on the neighbours."""
    return b64("x" * shift + text).rstrip("=")[(shift * 4 + 2) // 3 : -1]


FORMS = {SECRET, quote(SECRET, safe=""), DIGEST, *(core(SECRET, shift) for shift in range(3))}
FORMS |= {core(DIGEST, shift) for shift in range(3)}


def traces_of_secrets(*texts: object) -> list[str]:
    """The forms of the secret that ``texts`` show."""
    everything = "\n".join(map(str, texts))
    return [form for form in FORMS if form in everything]


# -- the mechanisms, at each of their steps ------------------------------------------------------


class Generator:
    """A generator of XOAUTH2 responses."""

    def getToken(self, callback: Callable[..., None]) -> None:
        callback(None, b64(f"user={USER}\x01auth=Bearer {SECRET}\x01\x01"))

    generateToken = getToken


def with_password(context: Any) -> None:
    """A handler that sends the password at once, then again, and is content."""
    encoded = b64(f"{USER}\0{context.auth['pass']}")
    context.sendCommand(f"AUTH X-OWN {encoded}", lambda: again(context))


def again(context: Any) -> None:
    context.sendCommand(b64(context.auth["pass"]), lambda err, reply: conclude(context, reply))


def conclude(context: Any, reply: Any) -> None:
    if reply.status == 235:
        context.resolve()
    else:
        context.reject(f"the server said {reply!r}")


class Login(NamedTuple):
    """How a login begins: ``prompts`` are what the server says until it comes to its end."""

    mechanism: str
    prompts: list[str | Callable[[bytes], str]]
    auth: dict[str, Any]
    sends_secret: bool = True


def challenge_of_ntlm(said: bytes) -> str:
    acceptor = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    return f"334 {b64(acceptor.step(base64.b64decode(said.split()[-1])))}"


def challenge_of_scram(said: bytes) -> str:
    nonce = base64.b64decode(said.split()[-1]).decode().rpartition("r=")[2]
    return f"334 {b64(f'r={nonce}server,s={b64(SALT)},i=4096')}"


SALT = b"the server's salt"
SALTED = hashlib.pbkdf2_hmac("sha256", SECRET.encode(), SALT, 4096)
KEYS = [SALTED, *(hmac.digest(SALTED, name, "sha256") for name in (b"Client Key", b"Server Key"))]
FORMS |= {form for key in KEYS for form in (b64(key), key.hex(), repr(key)[2:-1])}


def proofs_in(said: bytes) -> list[str]:
    """The answers of SCRAM in what the client has said, and the proofs in them: these are as good
    as the password's hash to whoever has heard the rest."""
    found = []
    for line in said.decode().splitlines():
        try:
            fields = base64.b64decode(line, validate=True).decode()
        except ValueError:
            continue
        found += [line, fields.rpartition("p=")[2]] if ",p=" in fields else []
    return found


PASSWORD = {"user": USER, "pass": SECRET}
TOKEN = {"user": USER, "xoauth2": SECRET}
LOGINS = {
    "PLAIN": Login("PLAIN", [], PASSWORD),
    "PLAIN, prompted": Login("PLAIN", ["334"], PASSWORD),
    "LOGIN, at once": Login("LOGIN", [], PASSWORD, False),
    "LOGIN, the user": Login("LOGIN", ["334 VXNlcm5hbWU6"], PASSWORD, False),
    "LOGIN, the password": Login("LOGIN", ["334 VXNlcm5hbWU6", "334"], PASSWORD),
    "CRAM-MD5, at once": Login("CRAM-MD5", [], PASSWORD, False),
    "CRAM-MD5": Login("CRAM-MD5", [f"334 {b64(CHALLENGE)}"], PASSWORD),
    "XOAUTH2": Login("XOAUTH2", [], TOKEN),
    "XOAUTH2, explained": Login("XOAUTH2", ["334 eyJzdGF0dXMiOiI0MDAifQ=="], TOKEN),
    "OAUTHBEARER": Login("OAUTHBEARER", [], TOKEN),
    "OAUTHBEARER, explained": Login("OAUTHBEARER", ["334 eyJzdGF0dXMiOiI0MDAifQ=="], TOKEN),
    "SCRAM, at once": Login("SCRAM-SHA-256", [], PASSWORD, False),
    "SCRAM": Login("SCRAM-SHA-256", [challenge_of_scram], PASSWORD, False),
    "EXTERNAL": Login("EXTERNAL", [], PASSWORD, False),
    "generator": Login("XOAUTH2", [], {"xoauth2": Generator()}),
    "generator, again": Login("XOAUTH2", ["535 expired"], {"xoauth2": Generator()}),
    "NTLM, at once": Login("NTLM", [], {**PASSWORD, "domain": "CORP"}, False),
    "NTLM": Login("NTLM", [challenge_of_ntlm], {**PASSWORD, "domain": "CORP"}, False),
    "a handler": Login("X-OWN", [], PASSWORD),
    "a handler, again": Login("X-OWN", ["334 more"], PASSWORD),
}


# -- the ways in which it ends ---------------------------------------------------------------------


def saying(*replies: str) -> Callable[[Any, SMTPConnection, Any], None]:
    def end(peer: Any, connection: SMTPConnection, clock: Any) -> None:
        for reply in replies:
            peer.feed(f"{reply}\r\n")
            if not peer.heard():
                return

    return end


def last_line(said: bytes) -> str:
    return said.decode().rstrip("\r\n").splitlines()[-1]


def cut_in_two(said: bytes) -> str:
    """Some servers keep both ends of a long line."""
    line = last_line(said)
    return f"{line[: len(line) // 2]}...{line[-len(line) // 2 :]}"


def decoded(said: bytes) -> str:
    last_word = said.split()[-1]
    try:
        text = base64.b64decode(last_word, validate=True).decode()
    except ValueError:
        return "nothing"
    return text.replace("\0", " ").replace("\x01", " ")


def quoting(
    form: str, quote: Callable[[bytes], str] = last_line
) -> Callable[[Any, SMTPConnection, Any], None]:
    """Let the server quote what it was told last; ``{}`` stands for that."""

    def end(peer: Any, connection: SMTPConnection, clock: Any) -> None:
        peer.feed(form.format(quote(peer.said)))
        peer.hang_up()

    return end


def timing_out(peer: Any, connection: SMTPConnection, clock: Any) -> None:
    clock.ahead += 601
    peer.settle()


ENDINGS = {
    "welcome": saying("235 2.7.0 welcome"),
    "refused": saying("535 5.7.8 no", "535 5.7.8 no"),
    "asked for more": saying("334 more?", "334 more?", "501 cancelled"),
    "quoted": quoting('500 5.5.1 Command unrecognized: "{}"\r\n'),
    "quoted in several lines": quoting("500-what is\r\n500-{}\r\n500 ?\r\n"),
    "quoted in a prompt": quoting("334 {}\r\n"),
    "quoted in a last line": quoting("421 {}"),
    "quoted by one who can read": quoting("535 wrong: {}\r\n", decoded),
    "quoted in part": quoting('500 5.5.1 Command unrecognized: "{}"\r\n', cut_in_two),
    "421": saying("421 4.3.2 down"),
    "hung up": lambda peer, connection, clock: peer.hang_up(),
    "timed out": timing_out,
    "closed": lambda peer, connection, clock: connection.close(),
}


# -- what can be read ------------------------------------------------------------------------------


class Keeper:
    """A logger of somebody's own."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, text: str, *args: object, **more: object) -> None:
        self.lines.append(f"{text % args} {more}")

    info = warning = error = debug


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and all that it is chained to, whether or not a traceback shows it."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


def readable_in(error: BaseException) -> list[str]:
    shown = traceback.format_exception(error)
    for each in chain(error):
        shown += [str(each), repr(each), repr(each.args), repr(vars(each))]
    return shown


@pytest.fixture
def own_objects():
    """A function that returns the ``repr`` of each object of the package's classes that the test
    has made."""
    gc.freeze()  # what there is by now is not looked at
    yield lambda: [
        repr(each)
        for each in gc.get_objects()
        if type(each).__module__.startswith("smtp_connection.")
    ]
    gc.unfreeze()


@pytest.fixture
def log_in(own_objects, by_hand, diary, tmp_path, monkeypatch):
    """Begin a login; return the connection and the peer, which has heard all so far (``said``)."""
    accounts = tmp_path / "accounts"
    accounts.write_text(f"CORP:{USER}:{SECRET}\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(accounts))

    def begin(login: Login, **options: Any) -> tuple[SMTPConnection, Any]:
        connection, peer = by_hand(customAuth={"X-OWN": with_password}, **options)
        connection.connect()
        connection.login({**login.auth, "method": login.mechanism}, diary.callback("login"))
        peer.feed("220 ready\r\n")
        peer.feed(f"250-scripted\r\n250 AUTH {login.mechanism}\r\n")
        peer.said = peer.heard()
        for prompt in login.prompts:
            peer.feed((prompt if isinstance(prompt, str) else prompt(peer.said)) + "\r\n")
            turn_until(connection.reactor, lambda: select.select([peer.sock], [], [], 0)[0])
            peer.said += peer.heard()
        return connection, peer

    return begin


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
def test_nobody_can_read_it_but_the_server(
    log_in, own_objects, diary, movable_clock, caplog, capfd, login, end
):
    caplog.set_level(logging.DEBUG)
    keeper = Keeper()
    for options in ({"logger": True}, {"debug": False, "transactionLog": True, "logger": keeper}):
        connection, peer = log_in(login, **options)
        assert bool(traces_of_secrets(peer.said.decode())) == login.sends_secret
        assert not traces_of_secrets(*own_objects())
        end(peer, connection, movable_clock)
        peer.settle()
        connection.close()
        peer.settle()

        records = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        errors = [entry[1] for entry in diary.entries if len(entry) > 1 and entry[1]]
        shown = [*records, *keeper.lines, *map(repr, diary.log), connection.lastServerResponse]
        shown += [text for error in errors for text in readable_in(error)]
        shown += [repr(connection), repr(vars(connection)), repr(dict(connection.options))]
        everything = [*shown, *own_objects(), *capfd.readouterr()]
        assert not traces_of_secrets(*everything)
        proofs = proofs_in(peer.said)
        assert len(proofs) == 2 * (login is LOGINS["SCRAM"])
        assert not [proof for proof in proofs if proof in "\n".join(map(str, everything))]
        assert "/* secret */" in repr(diary.log) or not login.sends_secret
        assert len(diary.of("login")) == 1
        diary.entries.clear()
        diary.log.clear()


# -- long after the login --------------------------------------------------------------------------


def remainder_of(quote: str, peer: Any) -> None:
    peer.feed(f"451 {quote}")
    peer.hang_up()


QUOTED_LATER = {
    "to MAIL": lambda quote, peer: peer.feed(f"550 {quote}\r\n"),
    "to RCPT": lambda quote, peer: (peer.feed("250 ok\r\n"), peer.feed(f"550 {quote}\r\n")),
    "in several lines": lambda quote, peer: peer.feed(f"550-{quote}\r\n550 no\r\n"),
    "in the end": lambda quote, peer: peer.feed(f"421 {quote}\r\n"),
    "in a line that has no end": remainder_of,
    "to nothing": lambda quote, peer: peer.feed(f"250 ok\r\n250 ok\r\n250 {quote}\r\n"),
}


@pytest.mark.parametrize("quote", [last_line, cut_in_two, decoded])
@pytest.mark.parametrize("answer", QUOTED_LATER.values(), ids=QUOTED_LATER)
@pytest.mark.parametrize(
    "mechanism", ["PLAIN", "LOGIN, the password", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER"]
)
def test_it_is_not_shown_when_the_server_quotes_it_later(
    log_in, own_objects, diary, caplog, mechanism, answer, quote
):
    caplog.set_level(logging.DEBUG)
    connection, peer = log_in(LOGINS[mechanism], logger=True)
    quoted = quote(peer.said)
    assert traces_of_secrets(peer.said.decode())
    peer.feed("235 welcome\r\n")
    for _ in range(3):
        connection.reset()
        peer.settle()
        peer.feed("250 reset\r\n")
    connection.send({"from": "a@x.org", "to": "b@x.org"}, "hi", diary.callback("sent"))
    peer.settle()
    answer(quoted, peer)
    peer.settle()
    connection.close()
    peer.settle()

    (error,) = diary.of("sent")[0][:1]
    shown = [*map(repr, diary.log), connection.lastServerResponse, *readable_in(error)]
    shown += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    assert not traces_of_secrets(*shown, *own_objects())


# -- before anything is sent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mechanism", "auth"),
    [
        ("PLAIN", {"user": USER, "pass": f"{SECRET}\ud800"}),
        ("PLAIN", {"user": f"{SECRET}\ud800", "pass": SECRET}),
        ("PLAIN", {"user": USER, "pass": f"{SECRET}\0"}),
        ("XOAUTH2", {"user": USER, "xoauth2": f"{SECRET}\ud800"}),
        ("XOAUTH2", {"user": USER, "xoauth2": f"{SECRET}\x01"}),
        ("XOAUTH2", {"xoauth2": SECRET}),
        ("OAUTHBEARER", {"user": USER, "xoauth2": f"{SECRET}\x01"}),
        ("SCRAM-SHA-256", {"user": USER, "pass": f"{SECRET}\x07"}),
        ("SCRAM-SHA-256", {"user": f"{SECRET}\x07", "pass": SECRET}),
        ("X-OTHER", {"user": USER, "pass": SECRET}),
    ],
)
def test_no_error_about_credentials_holds_them(by_hand, diary, mechanism, auth):
    """Not even where a traceback would not show it: other tools look deeper."""
    connection, peer = by_hand()
    connection.connect()
    connection.login({**auth, "method": mechanism}, diary.callback("login"))
    peer.feed("220 ready\r\n")
    peer.feed(f"250-scripted\r\n250 AUTH {mechanism}\r\n")

    assert diary.error("login").code == "EAUTH"
    assert not traces_of_secrets(*readable_in(diary.error("login")))
    assert b"AUTH" not in peer.heard()
    connection.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda connection: connection.connect(PASSWORD),
        lambda connection: connection.login(print, PASSWORD),
        lambda connection: SMTPConnection(auth=[SECRET]),
        lambda connection: SMTPConnection(auth=SECRET),
        lambda connection: SMTPConnection(password=SECRET),
        lambda connection: SMTPConnection(f"http://{USER}:{SECRET}@localhost"),
        lambda connection: SMTPConnection(f"smtp:/{USER}:{SECRET}@localhost"),
        lambda connection: SMTPConnection(f"smtp://{USER}:{SECRET}"),
        lambda connection: SMTPConnection(f"smtp://{USER}:{SECRET}/@localhost"),
        lambda connection: SMTPConnection(f"smtp://{USER}:{SECRET}@localhost/path"),
        lambda connection: SMTPConnection(f"smtp://{USER}:{SECRET}@localhost?frob=1"),
        lambda connection: SMTPConnection(f"smtp://localhost?auth={SECRET}"),
        lambda connection: SMTPConnection(customAuth={"pass": SECRET}),
        lambda connection: SMTPConnection(customAuth=[SECRET]),
        lambda connection: SMTPConnection(proxy=f"http://{USER}:{SECRET}"),
        lambda connection: SMTPConnection(tls={"passphrase": [SECRET]}),
        lambda connection: XOAuth2Generator(refreshToken=[SECRET]),
    ],
)
def test_what_is_given_in_the_wrong_place_is_not_shown(reactor, call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call(SMTPConnection(reactor=reactor))
    assert not traces_of_secrets(*readable_in(caught.value))


def test_nothing_that_holds_a_secret_shows_it(own_objects, reactor):
    generator = XOAuth2Generator(
        {"user": USER, "refreshToken": SECRET, "clientSecret": SECRET, "accessToken": SECRET}
    )
    connection = SMTPConnection(
        proxy=f"http://{USER}:{quote(SECRET, safe='')}@proxy",
        customAuth={"X-OWN": partial(with_password, SECRET)},
        tls={"passphrase": SECRET},
        reactor=reactor,
    )
    connection.connect()
    connection.login({**PASSWORD, "xoauth2": generator}, lambda err: None)
    assert len(own_objects()) > 10
    assert not traces_of_secrets(*own_objects(), repr(vars(connection)))
    connection.close()
    reactor.run()
