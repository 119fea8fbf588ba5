"""The choice among the mechanisms, and what a login does whichever it is."""

from __future__ import annotations

import pytest

from smtp_connection.auth.credentials import Credentials
from smtp_connection.auth.login import choose_mechanism, login
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.session import Session
from tests.support.helpers import Talk, reply
from tests.support.login_talk import PASSWORD, TOKEN, log_in, session_with

SCRAM = ["SCRAM-SHA-1", "SCRAM-SHA-512", "SCRAM-SHA-256"]
ALL = ["LOGIN", "XOAUTH2", "CRAM-MD5", "PLAIN", "NTLM"]
BOTH = {**PASSWORD, "xoauth2": "token"}
FORBIDDEN = {**PASSWORD, "pass": "tanstaaf\u06271"}  # by SASLprep


@pytest.mark.parametrize(
    ("auth", "mechanisms", "options", "choice"),
    [
        (PASSWORD, ALL, {}, "CRAM-MD5"),
        (PASSWORD, ALL, {"secure": True}, "PLAIN"),
        (PASSWORD, ["LOGIN", "CRAM-MD5"], {"secure": True}, "LOGIN"),
        (PASSWORD, ["LOGIN", "PLAIN"], {}, "PLAIN"),
        (PASSWORD, ["cram-md5"], {"secure": True}, "CRAM-MD5"),
        (BOTH, ALL, {}, "XOAUTH2"),
        (BOTH, ["PLAIN"], {}, "PLAIN"),
        ({**PASSWORD, "domain": "D"}, ALL, {}, "NTLM"),
        ({**PASSWORD, "domain": "D"}, ["PLAIN"], {}, "PLAIN"),
        (PASSWORD, [*ALL, *SCRAM], {"secure": True}, "SCRAM-SHA-512"),
        (PASSWORD, [*ALL, *SCRAM], {}, "SCRAM-SHA-512"),
        (PASSWORD, ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"], {"secure": True}, "SCRAM-SHA-256"),
        (PASSWORD, ["PLAIN", "SCRAM-SHA-1"], {"secure": True}, "SCRAM-SHA-1"),
        (PASSWORD, ["PLAIN", "SCRAM-SHA-256-PLUS"], {"secure": True}, "PLAIN"),
        (FORBIDDEN, [*ALL, *SCRAM], {"secure": True}, "PLAIN"),
        (FORBIDDEN, [*ALL, *SCRAM], {}, "CRAM-MD5"),
        ({**PASSWORD, "user": "\u00ad"}, ["SCRAM-SHA-1", "LOGIN"], {"secure": True}, "LOGIN"),
        ({**PASSWORD, "pass": "gr\u00fc\u00dfe"}, SCRAM, {"secure": True}, "SCRAM-SHA-512"),
        (TOKEN, ["XOAUTH2", "OAUTHBEARER"], {}, "OAUTHBEARER"),
        (BOTH, [*ALL, *SCRAM, "OAUTHBEARER"], {}, "OAUTHBEARER"),
        (PASSWORD, ["EXTERNAL", "PLAIN"], {"secure": True}, "PLAIN"),
        (PASSWORD, ALL, {"auth_method": "LOGIN"}, "LOGIN"),
        (PASSWORD, [], {"auth_method": "LOGIN"}, "LOGIN"),
        ({**PASSWORD, "method": " login "}, ALL, {"auth_method": "PLAIN"}, "LOGIN"),
        ({**PASSWORD, "method": "X-Own"}, [], {"custom_auth": {"X-OWN": None}}, "X-OWN"),
        (BOTH, ALL, {"auth_method": "PLAIN"}, "PLAIN"),
        (PASSWORD, ["X-OWN"], {"custom_auth": {"X-OWN": None}}, "X-OWN"),
        (PASSWORD, ["X-OWN", "PLAIN"], {"custom_auth": {"X-OWN": None}}, "PLAIN"),
    ],
)
def test_the_choice(auth, mechanisms, options, choice):
    assert choose_mechanism(Credentials(auth), session_with(*mechanisms, **options)) == choice


@pytest.mark.parametrize(
    ("auth", "named", "announced", "choice"),
    [
        (PASSWORD, ("PLAIN", "SCRAM-SHA-1"), [*ALL, *SCRAM], "PLAIN"),
        (PASSWORD, ("SCRAM-SHA-1", "PLAIN"), [*ALL, *SCRAM], "SCRAM-SHA-1"),
        (PASSWORD, ("SCRAM-SHA-1", "PLAIN"), ALL, "PLAIN"),
        (FORBIDDEN, ("SCRAM-SHA-1", "PLAIN"), [*ALL, *SCRAM], "PLAIN"),
        (PASSWORD, ("XOAUTH2", "LOGIN"), ALL, "LOGIN"),
        (BOTH, ("XOAUTH2", "LOGIN"), ALL, "XOAUTH2"),
        (TOKEN, ("LOGIN", "OAUTHBEARER", "XOAUTH2"), ALL, "XOAUTH2"),
        (PASSWORD, ("X-OWN", "LOGIN"), ["X-OWN", *ALL], "X-OWN"),
        ({"user": "tim"}, ("LOGIN", "EXTERNAL"), ["EXTERNAL", *ALL], "EXTERNAL"),
    ],
)
def test_the_choice_among_those_that_are_named(auth, named, announced, choice):
    """These and no others, in this order; and what the caller names may show the password."""
    own = {"X-OWN": None}
    for given, options in (
        (auth, {"auth_method": named}),
        ({**auth, "method": list(named)}, {"auth_method": "GSSAPI"}),
    ):
        session = session_with(*announced, custom_auth=own, **options)
        session.stays_here = lambda: False
        assert choose_mechanism(Credentials(given), session) == choice


@pytest.mark.parametrize(
    ("auth", "named", "announced", "offer"),
    [
        (PASSWORD, ["LOGIN"], ["PLAIN"], "none of LOGIN that fits; it announces PLAIN"),
        (PASSWORD, ["LOGIN"], [], "none of LOGIN that fits; it announces none"),
        (
            PASSWORD,
            ["XOAUTH2", "SCRAM-SHA-1"],
            ["XOAUTH2", "PLAIN"],
            "none of XOAUTH2, SCRAM-SHA-1 that fits; it announces XOAUTH2, PLAIN",
        ),
    ],
)
def test_no_other_than_those_that_are_named(auth, named, announced, offer):
    talk = log_in(auth, mechanisms=announced, auth_method=tuple(named))
    assert talk.said == []
    assert str(talk.error) == f"The server announces {offer}"


def test_an_unknown_mechanism_among_several():
    """Misspelt, it would be passed over in silence."""
    talk = log_in({**PASSWORD, "method": ["SCRAM-256", "PLAIN"]})
    assert talk.said == []
    assert str(talk.error).startswith('Unknown authentication method "SCRAM-256"; known are PLAIN,')


# -- clear text -----------------------------------------------------------------------------------


def clear_session(*mechanisms):
    """A session in clear text with a server elsewhere."""
    session = session_with(*mechanisms)
    session.stays_here = lambda: False
    return session


@pytest.mark.parametrize(
    ("announced", "choice"),
    [
        (["PLAIN", "LOGIN", "CRAM-MD5"], "CRAM-MD5"),
        (["PLAIN", "CRAM-MD5", "SCRAM-SHA-1"], "SCRAM-SHA-1"),
    ],
)
def test_in_clear_text_nothing_shows_the_password(announced, choice):
    assert choose_mechanism(Credentials(PASSWORD), clear_session(*announced)) == choice


@pytest.mark.parametrize(
    ("announced", "shows"),
    [
        (["PLAIN", "LOGIN"], "PLAIN and LOGIN"),
        (["LOGIN", "GSSAPI"], "LOGIN"),
    ],
)
def test_a_password_is_not_shown_unless_the_caller_says_so(announced, shows):
    talk = Talk(login(PASSWORD, clear_session(*announced)))
    assert talk.said == []
    assert str(talk.error) == (
        f"No login in clear text: {shows} would show the password to anybody on the way; use secure"
        " or requireTLS, or name the mechanism with authMethod"
    )
    assert (talk.error.code, talk.error.command) == ("EAUTH", "API")


def test_over_tls_or_on_this_machine_the_password_may_be_shown():
    session = clear_session("PLAIN")
    session.secure = True
    assert choose_mechanism(Credentials(PASSWORD), session) == "PLAIN"
    session = clear_session("LOGIN", "PLAIN")
    session.stays_here = lambda: True
    assert choose_mechanism(Credentials(PASSWORD), session) == "PLAIN"


@pytest.mark.parametrize("named", ["PLAIN", ["LOGIN", "PLAIN"]])
def test_what_the_caller_names_may_show_the_password(named):
    session = clear_session("PLAIN")
    assert choose_mechanism(Credentials({**PASSWORD, "method": named}), session) == "PLAIN"


def test_a_refused_login_is_final():
    """No other mechanism is tried with the same password: servers count failures."""
    talk = log_in(PASSWORD, "535 5.7.8 no", mechanisms=["LOGIN", "PLAIN", "CRAM-MD5"])
    assert len(talk.said) == 1
    assert talk.error.permanent


@pytest.mark.parametrize(
    ("auth", "mechanisms", "offer"),
    [
        (PASSWORD, [], "it announces none"),
        (PASSWORD, ["GSSAPI", "X-OWN"], "it announces GSSAPI, X-OWN"),
        (PASSWORD, ["XOAUTH2"], "it announces XOAUTH2"),
        (TOKEN, ["PLAIN", "LOGIN"], "it announces PLAIN, LOGIN"),
        (None, [], "it announces none"),
    ],
)
def test_no_choice_sends_no_credential(auth, mechanisms, offer):
    talk = log_in(auth, mechanisms=mechanisms)
    assert talk.said == []
    assert str(talk.error) == (
        f"The server announces no authentication mechanism that fits; {offer}"
    )
    assert talk.error.command == "API"


@pytest.mark.parametrize(
    ("announced", "options", "hint"),
    [
        (["STARTTLS"], {}, "only after STARTTLS)"),
        (["STARTTLS"], {"ignore_tls": True}, "only after STARTTLS: try without ignoreTLS)"),
        ([], {"ignore_tls": True}, "only after STARTTLS: try without ignoreTLS)"),
        (["STARTTLS"], {"ignore_tls": True, "secure": True}, ""),
        (["STARTTLS", "AUTH GSSAPI"], {"ignore_tls": True}, ""),
    ],
)
def test_no_mechanism_because_of_clear_text(announced, options, hint):
    session = Session("me", **options)
    session.capabilities = Capabilities(
        reply("\r\n".join(["250-mx", *(f"250-{each}" for each in announced), "250 HELP"]))
    )
    talk = Talk(login(PASSWORD, session))
    assert talk.said == []
    assert talk.error.code == "EAUTH"
    assert ("this connection is in clear text" in str(talk.error)) is bool(hint)
    assert str(talk.error).endswith(hint)


def test_an_unknown_mechanism():
    talk = log_in({**PASSWORD, "method": "gssapi"}, mechanisms=["GSSAPI"])
    assert talk.said == []
    assert str(talk.error) == (
        'Unknown authentication method "GSSAPI"; known are PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-1,'
        " SCRAM-SHA-256, SCRAM-SHA-512, XOAUTH2, OAUTHBEARER, EXTERNAL, NTLM"
    )


@pytest.mark.parametrize("auth", [PASSWORD, {**PASSWORD, "method": "PLAIN"}])
def test_no_password_in_clear_text_after_a_refused_upgrade(auth):
    session = session_with("PLAIN")
    session.upgrade_refused = True
    talk = Talk(login(auth, session))
    assert talk.said == []
    assert talk.error.code == "EAUTH"
    assert "the server refused STARTTLS" in str(talk.error)


@pytest.mark.parametrize("answer", ["235 welcome", "250 ok", "200 ok"])
def test_any_2xx_is_a_welcome(answer):
    assert log_in(PASSWORD, answer).value is True


@pytest.mark.parametrize(("lmtp", "hello"), [(False, "EHLO me"), (True, "LHLO me")])
def test_ehlo_after_the_login(lmtp, hello):
    session = session_with("PLAIN", ehlo_after_auth=True, lmtp=lmtp)
    talk = Talk(login(PASSWORD, session), "235 ok", "250-mx\r\n250-DSN\r\n250 SIZE 1000")
    assert talk.said[1:] == [hello]
    assert talk.value is True
    assert dict(session.capabilities) == {"DSN": "", "SIZE": "1000"}


def test_ehlo_after_the_login_that_is_refused():
    session = session_with("PLAIN", ehlo_after_auth=True)
    talk = Talk(login(PASSWORD, session), "235 ok", "503 once is enough")
    assert talk.value is True
    assert dict(session.capabilities) == {"AUTH": "PLAIN"}


def test_no_ehlo_after_a_login_that_fails():
    talk = log_in(PASSWORD, "535 no", ehlo_after_auth=True)
    assert len(talk.said) == 1
