"""SCRAM, fed by hand: the vectors of the RFCs, another implementation as the server, and what a
server may not do."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import pytest

from smtp_connection.auth import scram
from smtp_connection.auth.credentials import Credentials
from smtp_connection.auth.scram import scram_login
from smtp_connection.protocol.steps import Abandon, Compute
from tests.support.helpers import Talk, reply
from tests.support.login_talk import log_in
from tests.support.scram_server import ScramServer

PENCIL = {"user": "user", "pass": "pencil"}
SHOWN_SECRET = "/* secret */"

VECTORS = {
    # RFC 5802 section 5
    "sha1": (
        "fyko+d2lbbFgONRv9qkxdawL",
        "3rfcNHYJY1ZVvWVs7j",
        "s=QSXCR+Q6sek8bf92,i=4096",
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    # RFC 7677 section 3
    "sha256": (
        "rOprNGfwEbeRWgbNEkqO",
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plain(line: str) -> str:
    return base64.b64decode(line.split()[-1]).decode()


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """No keys are known from other tests."""
    scram._keys.clear()
    yield
    scram._keys.clear()


def talk_of(digest, *answers, auth=PENCIL, nonce=None):
    """Log in with the nonce of the vector."""
    return Talk(scram_login(Credentials(auth), digest, nonce or VECTORS[digest][0]), *answers)


def first_of(digest):
    """The server's first message in the vector."""
    nonce, more, parameters, _, _ = VECTORS[digest]
    return f"334 {b64(f'r={nonce}{more},{parameters}')}"


def last_of(digest):
    """The server's last message in the vector."""
    return b64(f"v={VECTORS[digest][4]}")


@pytest.mark.parametrize("digest", VECTORS)
def test_the_vectors_of_the_rfcs(digest):
    nonce, more, _, proof, _ = VECTORS[digest]
    talk = talk_of(digest, first_of(digest), f"334 {last_of(digest)}", "235 welcome")
    assert talk.error is None
    start, compute, final, end = talk.said
    mechanism = digest.upper().replace("SHA", "SHA-")
    assert start.startswith(f"AUTH SCRAM-{mechanism} ")
    assert plain(start) == f"n,,n=user,r={nonce}"
    assert compute == "Compute"
    assert plain(final) == f"c=biws,r={nonce}{more},p={proof}"
    assert end == ""
    assert talk.shown == [f"AUTH SCRAM-{mechanism} {SHOWN_SECRET}", SHOWN_SECRET, ""]
    assert not [step for step in talk.steps if getattr(step, "reveals", None)]


# -- another implementation is the server ---------------------------------------------------------


class WithServer(Talk):
    """A talk with a server, which speaks where the answer is ``"first"`` or ``"final"``."""

    def __init__(self, dialogue, server):
        self._server = server
        super().__init__(dialogue, "first", "final", "235 welcome")

    def _feed(self, dialogue, answer):
        if answer in ("first", "final"):
            answer = getattr(self._server, answer)(self.said[-1])
        return super()._feed(dialogue, answer)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize(
    ("user", "password"),
    [("tim", "tanstaaf"), ("a=b,c", "p,w=d"), ("gr\u00fc\u00dfe", "gru\u0308\u00dfe\u2168\u00ad")],
    ids=ascii,
)
def test_a_server_of_others_agrees(mechanism, user, password):
    digest = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
    dialogue = scram_login(Credentials({"user": user, "pass": password}), digest)
    assert WithServer(dialogue, ScramServer(mechanism, user, password)).error is None


def test_nonces_are_new_each_time():
    starts = {plain(log_in(PENCIL, "535 no", mechanisms=["SCRAM-SHA-1"]).said[0]) for _ in range(9)}
    assert len(starts) == 9
    assert {len(start) for start in starts} == {len("n,,n=user,r=") + 32}


# -- what a server may not do ---------------------------------------------------------------------

NONCE = VECTORS["sha256"][0]


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (f"m=1,r={NONCE}def,s=QSXC,i=4096", "it asks for an extension of SCRAM"),
        (f"r={NONCE},s=QSXC,i=4096", "it does not go on with the client's nonce"),
        (f"r={NONCE[:-1]},s=QSXC,i=4096", "it does not go on with the client's nonce"),
        (f"r=x{NONCE}def,s=QSXC,i=4096", "it does not go on with the client's nonce"),
        ("r=,s=QSXC,i=4096", "it is not SCRAM"),
        (f"r={NONCE}d\u00e9f,s=QSXC,i=4096", "it is not SCRAM"),
        (f"r={NONCE}d f,s=QSXC,i=4096", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSXC", "it is not SCRAM"),
        (f"r={NONCE}def,i=4096,s=QSXC", "it is not SCRAM"),
        (f"r={NONCE}def,s=,i=4096", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSX!,i=4096", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSX,i=4096", "its salt is not base64"),
        (f"r={NONCE}def,s=QSXC,i=", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSXC,i=+4096", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSXC,i=04096", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSXC,i=4096x", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSXC,i=4096\n", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSXC,i=\u0664096", "it is not SCRAM"),
        (f"r={NONCE}def,s=QSXC,i=99999999999", "it is not SCRAM"),
        ("e=other-error", "it is not SCRAM"),
        ("", "it is not SCRAM"),
    ],
    ids=ascii,
)
def test_challenges_that_are_none(first, why):
    challenge = f"334 {b64(first)}"
    talk = talk_of("sha256", challenge, "501 cancelled")
    assert talk.said[1:] == ["*"]
    assert str(talk.error) == f"Invalid challenge, {why}: {challenge}"
    assert (talk.error.code, talk.error.command) == ("EAUTH", "AUTH SCRAM-SHA-256")


@pytest.mark.parametrize(
    "challenge", ["334 not base64!", "334 r=", "334 gr\u00fc\u00dfe", "334 //4="]
)
def test_challenges_that_are_no_text(challenge):
    talk = talk_of("sha256", challenge, "501 cancelled")
    assert talk.said[1:] == ["*"]
    assert str(talk.error).startswith("Invalid challenge, it is not ")


def counting(count):
    return f"334 {b64(f'r={NONCE}def,s=QSXC,i={count}')}"


@pytest.mark.parametrize("count", [1, 4095, 1_000_001, 9_999_999_999])
def test_counts_that_are_too_low_or_too_high(count):
    talk = talk_of("sha256", counting(count), "501 cancelled")
    assert talk.said[1:] == ["*"]
    text = f"Refused to iterate {count} times; 4096 to 1000000 are allowed"
    assert str(talk.error) == f"{text}: {counting(count)}"


@pytest.mark.parametrize("count", [4096, 1_000_000])
def test_counts_at_the_limits(count, monkeypatch):
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda digest, password, salt, count: b"k" * 32)
    assert talk_of("sha256", counting(count), "535 no").said[1] == "Compute"


def test_extensions_behind_the_count_are_ignored():
    talk = talk_of("sha256", f"334 {b64(f'r={NONCE}def,s=QSXC,i=4096,x=new')}", "535 no")
    assert talk.said[1] == "Compute"


@pytest.mark.parametrize("last", ["v=QUFB", "v=", "x", "", f"V{last_of('sha256')}"])
def test_a_server_that_does_not_know_the_password_is_told_to_stop(last):
    """It is another one than that of the account."""
    talk = talk_of("sha256", first_of("sha256"), f"334 {b64(last)}", "501 cancelled")
    assert talk.said[-1] == "*"
    assert str(talk.error).startswith("The server does not prove that it knows the password: 334")
    assert talk.error.code == "EAUTH"


@pytest.mark.parametrize("reply", ["235 {}", "235 2.7.0 {}"])
def test_the_proof_may_stand_behind_the_code(reply):
    """RFC 4954 has it in a 334; some servers do not."""
    talk = talk_of("sha256", first_of("sha256"), reply.format(last_of("sha256")))
    assert talk.error is None


@pytest.mark.parametrize("answers", [["235 welcome"], ["235 dj0="], ["334 ZT1vdGhlcg==", "235 ok"]])
def test_a_welcome_without_a_proof_ends_the_connection(answers):
    """The server believes that somebody has logged in, and may be anybody."""
    talk = talk_of("sha256", first_of("sha256"), *answers)
    assert isinstance(talk.error, Abandon)
    text = "The server accepts the login, but does not prove that it knows the password"
    assert str(talk.error) == f"{text}: {answers[-1]}"
    assert talk.error.error.code == "EAUTH"


def test_what_the_server_says_of_the_error():
    last = f"334 {b64('e=invalid-proof')}"
    talk = talk_of("sha256", first_of("sha256"), last, "535 5.7.8 no")
    assert talk.said[-1] == ""
    assert str(talk.error) == "Invalid login (invalid-proof): 535 5.7.8 no"
    assert talk.error.enhancedCode == "5.7.8"


@pytest.mark.parametrize("place", range(3))
def test_a_refusal_at_every_point(place):
    answers = [first_of("sha256"), f"334 {last_of('sha256')}"][:place]
    talk = talk_of("sha256", *answers, "535 5.7.8 no")
    assert str(talk.error) == "Invalid login: 535 5.7.8 no"
    assert (talk.error.command, talk.error.responseCode) == ("AUTH SCRAM-SHA-256", 535)


def test_a_server_that_wants_more_than_there_is_is_told_to_stop():
    answers = [first_of("sha256"), f"334 {last_of('sha256')}", "334 more", "501 cancelled"]
    talk = talk_of("sha256", *answers)
    assert talk.said[-1] == "*"
    assert str(talk.error) == "Invalid login: 334 more"


def test_a_system_without_the_hash(monkeypatch):
    def refuse(*args):
        raise ValueError("unsupported hash type sha256")

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", refuse)
    talk = talk_of("sha256", first_of("sha256"), "501 cancelled")
    assert talk.said[-1] == "*"
    assert str(talk.error) == f"This system has no SHA256 (FIPS?): {first_of('sha256')}"
    assert talk.error.__context__ is None, "whose frames would hold the password"


# -- user and password ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        (
            {"user": "tim\x07", "pass": "tanstaaf"},
            "auth 'user' cannot be used with SCRAM: it contains",
        ),
        (
            {"user": "tim", "pass": "CANARY\x07"},
            "auth 'pass' cannot be used with SCRAM: it contains",
        ),
        (
            {"user": "\u00ad", "pass": "tanstaaf"},
            "auth 'user' cannot be used with SCRAM: nothing is",
        ),
        ({"user": "tim"}, 'Missing credentials for "SCRAM-SHA-256": auth has no pass'),
        ({"pass": "tanstaaf"}, 'Missing credentials for "SCRAM-SHA-256": auth has no user'),
    ],
    ids=ascii,
)
def test_what_cannot_be_sent(auth, text):
    talk = log_in({**auth, "method": "SCRAM-SHA-256"}, mechanisms=["SCRAM-SHA-256"])
    assert talk.said == []
    assert str(talk.error).startswith(text)
    assert "CANARY" not in str(talk.error)
    assert talk.error.__suppress_context__ or talk.error.__context__ is None


# -- the keys -------------------------------------------------------------------------------------

SALT = "s=QSXCR+Q6sek8bf92,i=4096"


def computes(parameters, auth=PENCIL, nonce="abc"):
    """Log in, and return whether anything had to be computed."""
    challenge = f"334 {b64(f'r={nonce}def,{parameters}')}"
    return "Compute" in talk_of("sha256", challenge, "535 no", auth=auth, nonce=nonce).said


def test_keys_are_kept_for_each_salt_and_count():
    assert computes(SALT)
    assert not computes(SALT)
    assert not computes(SALT, nonce="xyz")
    assert not computes(SALT, {"user": "another", "pass": "pencil"}), "the user has no part in them"
    assert computes(SALT, {"user": "user", "pass": "pen"})
    assert computes("s=QSXCR+Q6sek8bf92,i=4097")
    assert computes("s=QSXCR+Q6sek8bf93,i=4096")
    assert not computes(SALT)


def test_the_oldest_of_too_many_keys_are_given_up(monkeypatch):
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda digest, password, salt, count: b"k" * 32)
    for count in range(5000, 5065):
        assert computes(f"s=QSXC,i={count}")
    assert len(scram._keys) == 64
    assert not computes("s=QSXC,i=5064")
    assert not computes("s=QSXC,i=5001")
    assert computes("s=QSXC,i=5000")


def test_logins_that_begin_together_derive_their_keys_once(monkeypatch):
    calls = []
    original = hashlib.pbkdf2_hmac

    def count(*args):
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", count)
    dialogues = [scram_login(Credentials(PENCIL), "sha256", NONCE) for _ in range(3)]
    for dialogue in dialogues:
        next(dialogue)
    steps = [dialogue.send(reply(first_of("sha256"))) for dialogue in dialogues]
    assert {type(step) for step in steps} == {Compute}
    keys = [step.function() for step in steps]
    assert len(calls) == 1
    assert keys[0] is keys[1] is keys[2]


def test_neither_keys_nor_passwords_are_shown():
    assert computes(SALT)
    ((place, keys),) = scram._keys.items()
    assert repr(keys) == "_Keys()"
    assert not [part for part in place if part in ("pencil", b"pencil")]
