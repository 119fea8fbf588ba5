"""Logging in to scripted servers: which mechanism, what is said, who may see it."""

from __future__ import annotations

import base64
import hmac
import threading

import pytest

USER, SECRET = "me@example.com", "pässw0rd/+ s3cr3t"
PASSWORD = {"user": USER, "pass": SECRET}
TOKEN = {"user": USER, "xoauth2": "ya29.t0k3n"}


def b64(text):
    return base64.b64encode(text.encode()).decode()


PLAIN = f"AUTH PLAIN {b64(f'{chr(0)}{USER}{chr(0)}{SECRET}')}"
XOAUTH2 = b64(f"user={USER}\x01auth=Bearer ya29.t0k3n\x01\x01")
CHALLENGE = b"<1896.697170952@\xff\0example.com>"
CRAM_MD5 = b64(f"{USER} {hmac.new(SECRET.encode(), CHALLENGE, 'md5').hexdigest()}")

LOGINS = {
    "PLAIN": f"C= {PLAIN}\nS: 235 welcome",
    "LOGIN": f"C= AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC= {b64(USER)}\nS: 334\nC= {b64(SECRET)}\n"
    "S: 235 welcome",
    "CRAM-MD5": f"C= AUTH CRAM-MD5\nS: 334 {base64.b64encode(CHALLENGE).decode()}\n"
    f"C= {CRAM_MD5}\nS: 235 welcome",
    "XOAUTH2": f"C= AUTH XOAUTH2 {XOAUTH2}\nS: 235 welcome",
    "EXTERNAL": f"C= AUTH EXTERNAL {b64(USER)}\nS: 235 welcome",
}


@pytest.fixture
def log_in(serve, connect_to, reactor, diary):
    """Log in with each of ``auths`` against ``transcript``, then quit."""

    def run(transcript, *auths, extensions=("AUTH PLAIN",), **options):
        def script(peer):
            peer.greet(*extensions)
            peer.play(transcript)
            peer.take_quit()

        connection = connect_to(serve(script), **options)
        connection.connect()
        for auth in auths:
            connection.login(auth, diary.callback("login"))
        connection.on("end", lambda: diary.entries.append(("was in", connection.authenticated)))
        connection.quit()
        reactor.run()
        assert diary.names() == ["connect", *["login"] * len(auths), "end", "was in"]

    return run


@pytest.fixture
def logged_in(log_in, diary):
    """Log in, and succeed."""

    def run(transcript, auth, **more):
        log_in(transcript, auth, **more)
        assert diary.of("login") == [(None, True)]
        assert diary.of("was in") == [(True,)]

    return run


@pytest.fixture
def refused(log_in, diary):
    """Log in, fail, and return the error."""

    def run(transcript, auth, **more):
        log_in(transcript, auth, **more)
        assert diary.of("was in") == [(False,)]
        err = diary.error("login")
        assert err.code == "EAUTH"
        return err

    return run


# -- the mechanisms --------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", LOGINS)
def test_what_each_mechanism_says(logged_in, mechanism):
    auth = TOKEN if mechanism == "XOAUTH2" else PASSWORD
    logged_in(LOGINS[mechanism], auth, extensions=[f"AUTH {mechanism}"], authMethod=mechanism)


def test_oauthbearer_names_the_place_of_the_server(serve, connect_to, reactor, diary):
    said = []

    def script(peer):
        peer.greet("AUTH XOAUTH2 OAUTHBEARER")
        said.append(peer.read_line())
        peer.send("235 welcome\r\n")
        peer.take_quit()

    server = serve(script)
    connection = connect_to(server)
    connection.connect()
    connection.login(TOKEN, diary.callback("login"))
    connection.quit()
    reactor.run()
    assert diary.of("login") == [(None, True)]
    response = base64.b64decode(said[0].removeprefix("AUTH OAUTHBEARER ")).decode()
    assert response == (
        f"n,a={USER},\x01host={server.host}\x01port={server.port}\x01auth=Bearer ya29.t0k3n\x01\x01"
    )


@pytest.mark.parametrize(
    "auth",
    [
        PASSWORD,
        {"credentials": PASSWORD},
        {"credentials": PASSWORD, "method": "PLAIN", "type": "login"},
        {**PASSWORD, "method": "plain"},
        {"user": "somebody", "pass": "else", "credentials": PASSWORD},
    ],
)
def test_both_forms_of_auth(logged_in, auth):
    logged_in(LOGINS["PLAIN"], auth)


@pytest.mark.parametrize("prompt", ["334", "334 VXNlcm5hbWU6", "334 what is it?", "334 \xe4"])
def test_any_334_is_a_prompt(logged_in, prompt):
    transcript = LOGINS["LOGIN"].replace("334 VXNlcm5hbWU6", prompt)
    logged_in(transcript, PASSWORD, extensions=["AUTH LOGIN"])


def test_a_server_that_asks_for_plain_once_more_gets_an_empty_line(logged_in):
    logged_in(f"C: {PLAIN}\nS: 334\nC=\nS: 235 welcome", PASSWORD)


# -- the choice ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("announced", "auth", "options", "mechanism"),
    [
        ("AUTH PLAIN LOGIN", PASSWORD, {}, "PLAIN"),
        ("AUTH LOGIN PLAIN", PASSWORD, {}, "PLAIN"),
        ("AUTH LOGIN", PASSWORD, {}, "LOGIN"),
        ("AUTH=LOGIN", PASSWORD, {}, "LOGIN"),
        ("auth gssapi login", PASSWORD, {}, "LOGIN"),
        ("AUTH PLAIN LOGIN CRAM-MD5", PASSWORD, {}, "CRAM-MD5"),
        ("AUTH PLAIN LOGIN CRAM-MD5", PASSWORD, {"authMethod": "login"}, "LOGIN"),
        ("AUTH PLAIN LOGIN", {**PASSWORD, "method": "LOGIN"}, {"authMethod": "PLAIN"}, "LOGIN"),
        ("AUTH PLAIN", {**PASSWORD, "method": "CRAM-MD5"}, {}, "CRAM-MD5"),
        ("8BITMIME", {**PASSWORD, "method": "PLAIN"}, {}, "PLAIN"),
        ("AUTH PLAIN XOAUTH2", {**PASSWORD, **TOKEN}, {}, "XOAUTH2"),
        ("AUTH PLAIN", {**PASSWORD, **TOKEN}, {}, "PLAIN"),
        ("AUTH PLAIN XOAUTH2", {**PASSWORD, **TOKEN}, {"authMethod": "PLAIN"}, "PLAIN"),
        ("AUTH XOAUTH2", {"user": USER, "oauth2": "ya29.t0k3n"}, {}, "XOAUTH2"),
        ("8BITMIME", {**TOKEN, "method": "XOAuth2"}, {}, "XOAUTH2"),
    ],
)
def test_which_mechanism_is_used(logged_in, announced, auth, options, mechanism):
    logged_in(LOGINS[mechanism], auth, extensions=[announced], **options)


@pytest.mark.parametrize(
    ("announced", "auth", "text"),
    [
        ("8BITMIME", PASSWORD, "announces none"),
        ("AUTH", PASSWORD, "announces none"),
        ("AUTH GSSAPI SCRAM-SHA-1-PLUS", PASSWORD, "GSSAPI, SCRAM-SHA-1-PLUS"),
        ("AUTH PLAIN", {**PASSWORD, "method": ["LOGIN"]}, "none of LOGIN that fits"),
        ("AUTH XOAUTH2", PASSWORD, "announces XOAUTH2"),
        ("AUTH PLAIN", TOKEN, "announces PLAIN"),
        ("AUTH PLAIN", {**PASSWORD, "method": "GSSAPI"}, 'Unknown authentication method "GSSAPI"'),
        ("AUTH PLAIN", {"user": USER}, 'Missing credentials for "PLAIN"'),
        ("AUTH PLAIN", {"pass": SECRET}, 'Missing credentials for "PLAIN"'),
        ("AUTH LOGIN", {"user": USER, "pass": ""}, 'Missing credentials for "LOGIN"'),
        ("AUTH CRAM-MD5", {}, 'Missing credentials for "CRAM-MD5"'),
        ("AUTH PLAIN", None, 'Missing credentials for "PLAIN"'),
        ("AUTH XOAUTH2", {**PASSWORD, "method": "XOAUTH2"}, 'Missing credentials for "XOAUTH2"'),
        ("AUTH XOAUTH2", {"xoauth2": "ya29.t0k3n"}, 'Missing credentials for "XOAUTH2"'),
        ("AUTH PLAIN", {"user": USER, "pass": f"{SECRET}\0"}, "NUL"),
        ("AUTH XOAUTH2", {"user": f"{USER}\x01", "xoauth2": "t"}, "a control character"),
        ("AUTH PLAIN", "me:s3cr3t", "auth is a dict"),
        ("AUTH PLAIN", {"user": USER, "pass": b"s3cr3t"}, "auth 'pass' is a string"),
    ],
)
def test_a_login_that_is_impossible_says_nothing_to_the_server(refused, announced, auth, text):
    err = refused("", auth, extensions=[announced])
    assert text in err.message
    assert (err.command, err.response) == ("API", None)
    assert "s3cr3t" not in err.message
    assert "t0k3n" not in err.message


@pytest.mark.parametrize("method", [None, "PLAIN"])
def test_no_login_in_clear_text_if_tls_was_refused(refused, method):
    err = refused(
        "C: STARTTLS\nS: 454 no",
        {**PASSWORD, "method": method},
        extensions=["STARTTLS", "AUTH PLAIN"],
        opportunisticTLS=True,
    )
    assert "STARTTLS" in err.message


# -- refusals --------------------------------------------------------------------------------------

REFUSALS = {
    "PLAIN": ("PLAIN", f"C: {PLAIN}\nS: 535 5.7.8 no"),
    "PLAIN, later": ("PLAIN", f"C: {PLAIN}\nS: 334\nC=\nS: 535 5.7.8 no"),
    "LOGIN, at once": ("LOGIN", "C: AUTH LOGIN\nS: 535 5.7.8 no"),
    "LOGIN, the user": ("LOGIN", "C: AUTH LOGIN\nS: 334\nC: \nS: 535 5.7.8 no"),
    "LOGIN, the password": ("LOGIN", "C: AUTH LOGIN\nS: 334\nC: \nS: 334\nC: \nS: 535 5.7.8 no"),
    "CRAM-MD5, at once": ("CRAM-MD5", "C: AUTH CRAM-MD5\nS: 535 5.7.8 no"),
    "CRAM-MD5": ("CRAM-MD5", "C: AUTH CRAM-MD5\nS: 334 PDFAeD4=\nC: \nS: 535 5.7.8 no"),
    "XOAUTH2": ("XOAUTH2", "C: AUTH XOAUTH2\nS: 535 5.7.8 no"),
    "XOAUTH2, explained": ("XOAUTH2", "C: AUTH XOAUTH2\nS: 334 eyJ9\nC=\nS: 535 5.7.8 no"),
}


@pytest.mark.parametrize(("mechanism", "transcript"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_login_can_be_followed_by_another(log_in, diary, mechanism, transcript):
    first = TOKEN if mechanism == "XOAUTH2" else PASSWORD
    second = {**PASSWORD, "method": "PLAIN"}
    log_in(
        f"{transcript}\n{LOGINS['PLAIN']}",
        {**first, "method": mechanism},
        second,
        extensions=[f"AUTH {mechanism} PLAIN"],
    )

    (err, result), success = diary.of("login")
    assert (err.code, err.command) == ("EAUTH", f"AUTH {mechanism}")
    assert (err.response, err.responseCode) == ("535 5.7.8 no", 535)
    assert result is None
    assert success == (None, True)
    assert diary.of("was in") == [(True,)]


CANCELLED = {
    "PLAIN": f"C: {PLAIN}\nS: 334\nC=\nS: 334 more?",
    "LOGIN": "C: AUTH LOGIN\nS: 334\nC: \nS: 334\nC: \nS: 334 more?",
    "CRAM-MD5": "C: AUTH CRAM-MD5\nS: 334 PDFAeD4=\nC: \nS: 334 more?",
    "CRAM-MD5, no challenge": "C: AUTH CRAM-MD5\nS: 334 this is not base64",
    "XOAUTH2": "C: AUTH XOAUTH2\nS: 334 e30=\nC=\nS: 334 more?",
}


@pytest.mark.parametrize("name", CANCELLED)
def test_a_server_that_asks_for_more_does_not_get_the_next_command_for_an_answer(
    log_in, diary, name
):
    mechanism = name.partition(",")[0]
    auth = TOKEN if mechanism == "XOAUTH2" else PASSWORD
    log_in(
        f"{CANCELLED[name]}\nC= *\nS: 501 cancelled\n{LOGINS['PLAIN']}",
        {**auth, "method": mechanism},
        {**PASSWORD, "method": "PLAIN"},
    )

    (err, _), success = diary.of("login")
    assert err.code == "EAUTH"
    assert success == (None, True)


def test_a_refused_login_without_a_callback_is_an_error_event(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet("AUTH PLAIN")
        peer.play("C: AUTH PLAIN\nS: 535 no\nC: RSET\nS: 250 ok")
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    connection.login(PASSWORD)
    connection.reset(diary.callback("reset"))
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "error", "reset", "end"]
    assert diary.error().code == "EAUTH"
    assert diary.of("reset") == [(None, True)]


# -- access tokens on demand -----------------------------------------------------------------------


class Generator:
    """Gives the first token, and after that the second; notes who asked."""

    def __init__(self, give=lambda callback, token: callback(None, token)):
        self.give = give
        self.asked = []

    def getToken(self, callback):
        self.asked.append("get")
        self.give(callback, "Zmlyc3Q=")

    def generateToken(self, callback):
        self.asked.append("generate")
        self.give(callback, "c2Vjb25k")


class PythonicGenerator:
    def __init__(self):
        inner = Generator()
        self.get_token = inner.getToken
        self.generate_token = inner.generateToken


def from_a_thread(callback, token):
    threading.Thread(target=callback, args=(None, token)).start()


def twice(callback, token):
    callback(None, token)
    callback(None, "dHdpY2U=")
    callback("too late")


def with_more(callback, token):
    callback(None, token, "accessToken")


def with_false(callback, token):
    callback(False, token)


def with_an_empty_text(callback, token):
    callback("", token)


FIRST = "C= AUTH XOAUTH2 Zmlyc3Q="
SECOND = "C= AUTH XOAUTH2 c2Vjb25k"
ASK = {"extensions": ["AUTH XOAUTH2"]}


@pytest.mark.parametrize(
    "generator",
    [
        Generator(),
        PythonicGenerator(),
        Generator(from_a_thread),
        Generator(twice),
        Generator(with_more),
        Generator(with_false),
        Generator(with_an_empty_text),
    ],
    ids=[
        *("Node's spelling", "Python's spelling", "from a thread", "twice", "more arguments"),
        *("False is no error", "an empty text is no error"),
    ],
)
@pytest.mark.parametrize(
    "transcript",
    [
        f"{FIRST}\nS: 235 welcome",
        f"{FIRST}\nS: 535 expired\n{SECOND}\nS: 235 welcome",
        f"{FIRST}\nS: 334 e30=\nC=\nS: 535 expired\n{SECOND}\nS: 235 welcome",
    ],
    ids=["at once", "after 535", "after 334"],
)
def test_a_token_generator_is_asked_and_asked_again(logged_in, generator, transcript):
    logged_in(transcript, {"xoauth2": generator}, **ASK)


def test_a_generator_may_answer_later(reactor, logged_in):
    generator = Generator(lambda callback, token: reactor.call_later(0.01, callback, None, token))
    logged_in(f"{FIRST}\nS: 235 welcome", {"xoauth2": generator}, **ASK)
    assert generator.asked == ["get"]


def test_two_refused_tokens_are_enough(refused):
    generator = Generator()
    transcript = f"{FIRST}\nS: 535 expired\n{SECOND}\nS: 334 e30=\nC=\nS: 535 no"
    err = refused(transcript, {"xoauth2": generator}, **ASK)
    assert (err.command, err.response) == ("AUTH XOAUTH2", "535 no")
    assert generator.asked == ["get", "generate"]


def raising(callback, token):
    raise RuntimeError("no network")


def giving(*answer):
    return lambda callback, token: callback(*answer)


@pytest.mark.parametrize(
    ("give", "text"),
    [
        (raising, "no network"),
        (giving(ValueError("no network")), "no network"),
        (giving("no network"), "no network"),
        (giving(None, "no base64!"), "no base64 string"),
        (giving(None, "Zmlyc3Q=\r\nQUIT"), "no base64 string"),
        (giving(None, b"Zmlyc3Q="), "no base64 string"),
        (giving(None, ""), "no base64 string"),
        (giving(), "no base64 string"),
    ],
)
def test_a_generator_that_has_no_token(refused, give, text):
    err = refused("", {"xoauth2": Generator(give)}, **ASK)
    assert text in err.message
    assert err.command == "AUTH XOAUTH2"


def test_the_cause_of_a_missing_token_is_chained(refused):
    cause = ValueError("no network")
    assert refused("", {"xoauth2": Generator(giving(cause))}, **ASK).__cause__ is cause


def test_what_has_no_methods_is_no_generator(refused):
    assert "getToken" in refused("", {"xoauth2": object()}, **ASK).message


@pytest.mark.parametrize("name", ["getToken", "get_token", "generateToken", "generate_token"])
def test_a_generator_that_would_have_to_be_awaited_is_refused_at_once(by_hand, reactor, name):
    async def give(callback):
        callback(None, "Zmlyc3Q=")

    generator = Generator()
    setattr(generator, name, give)
    connection, _ = by_hand()
    connection.connect()
    with pytest.raises(TypeError) as caught:
        connection.login({"user": "me", "xoauth2": generator}, pytest.fail)
    assert str(caught.value) == (
        "auth 'xoauth2' is an access token or an object with getToken(callback), which calls"
        f" callback(err, token); the {name}() of Generator is an 'async def' function, which nobody"
        " would await"
    )
    connection.close()
    reactor.run()


def test_a_generator_that_only_looks_like_one_fails_at_once(refused):
    async def give(callback):
        callback(None, "Zmlyc3Q=")

    generator = Generator()
    generator.getToken = lambda callback: give(callback)
    assert refused("", {"xoauth2": generator}, **ASK).message == (
        "No access token: what was to call its callback has returned a coroutine, which nobody"
        " would await"
    )


def test_a_generator_that_never_answers_does_not_outlive_close(by_hand, diary):
    asked = []
    connection, peer = by_hand()
    connection.connect()
    connection.login(
        {"xoauth2": Generator(lambda callback, token: asked.append(callback))},
        diary.callback("login"),
    )
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH XOAUTH2\r\n")
    connection.close()
    peer.settle()
    asked[0](None, "Zmlyc3Q=")
    peer.settle()

    assert diary.names() == ["connect", "login", "end"]
    assert diary.error("login").code == "ECONNECTION"
    assert peer.heard() == b"EHLO me\r\n"


def test_a_generator_may_close_the_connection(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    generator = Generator(lambda callback, token: (connection.close(), callback(None, token)))
    connection.login({"xoauth2": generator}, diary.callback("login"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH XOAUTH2\r\n")

    assert diary.names() == ["connect", "login", "end"]
    assert diary.error("login").code == "ECONNECTION"


# -- secrets ---------------------------------------------------------------------------------------


class ListLogger:
    """A logger that writes nothing but a list."""

    def __init__(self):
        self.lines = []

    def debug(self, text, *args, **more):
        self.lines.append(text % args)

    info = warning = error = debug


@pytest.mark.parametrize("final", ["235 welcome", "535 no"])
@pytest.mark.parametrize(
    ("mechanism", "auth"),
    [
        ("PLAIN", PASSWORD),
        ("LOGIN", PASSWORD),
        ("CRAM-MD5", PASSWORD),
        ("XOAUTH2", TOKEN),
        ("XOAUTH2", {"xoauth2": Generator(giving(None, XOAUTH2))}),
    ],
    ids=["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "generator"],
)
def test_no_secret_gets_into_the_log(log_in, diary, mechanism, auth, final):
    logger = ListLogger()
    transcript = LOGINS[mechanism].rpartition("\n")[0] + f"\nS: {final}"
    if "xoauth2" in auth and auth is not TOKEN and final == "535 no":
        transcript = f"{transcript}\n{transcript}"  # the generator is asked again
    log_in(transcript, auth, extensions=[f"AUTH {mechanism}"], logger=logger)

    shown = [message for _, message in diary.log] + logger.lines + [repr(diary.entries)]
    secrets = [SECRET, "ya29.t0k3n", CRAM_MD5, PLAIN[len("AUTH PLAIN ") :], XOAUTH2]
    secrets += [b64(SECRET), b64("ya29.t0k3n")]
    for secret in secrets:
        assert not any(secret in text for text in shown)
    assert any("/* secret */" in text for text in logger.lines)
    assert any("/* secret */" in command for command in diary.commands())


# -- credentials among the options -----------------------------------------------------------------


CALLS = {
    "login()": lambda connection, callback: connection.login(),
    "login(callback)": lambda connection, callback: connection.login(callback),
    "login(None, callback)": lambda connection, callback: connection.login(None, callback),
    "login(callback=callback)": lambda connection, callback: connection.login(callback=callback),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_option_auth_is_used_by_a_login_without_one(by_hand, diary, call):
    connection, peer = by_hand(auth=PASSWORD)
    connection.connect()
    call(connection, diary.callback("login"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
    assert peer.heard().decode().splitlines() == ["EHLO me", PLAIN]
    peer.feed("235 welcome\r\n")
    assert connection.authenticated
    assert diary.of("login") in ([(None, True)], [])
    assert SECRET not in repr(connection.options) + repr(diary.log)


def test_what_is_given_to_login_wins(by_hand, diary):
    connection, peer = by_hand(auth={"user": "other", "pass": "other"})
    connection.connect()
    connection.login(PASSWORD)
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
    assert peer.heard().decode().splitlines()[-1] == PLAIN


def test_nobody_logs_in_only_because_there_is_an_option(by_hand):
    connection, peer = by_hand(auth=PASSWORD)
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
    assert peer.heard() == b"EHLO me\r\n"


def test_without_any_credentials_a_login_fails(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.login(diary.callback("login"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
    assert diary.error("login").code == "EAUTH"
    assert "Missing credentials" in diary.error("login").message
    assert peer.heard() == b"EHLO me\r\n"
