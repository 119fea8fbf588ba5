"""What servers quote of a command that carries a secret."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from smtp_connection.protocol.secrets import SECRET, Secrets, auth_shown, masked, secrets_in

PASSWORD = "pass-w0rd"


def b64(text):
    return b64encode(text.encode()).decode()


PLAIN = b64(f"\0me\0{PASSWORD}")
XOAUTH2 = b64("user=me\x01auth=Bearer ya29.t0k3n\x01\x01")


@pytest.mark.parametrize(
    ("line", "shown_as", "secrets"),
    [
        (f"AUTH PLAIN {PLAIN}", f"AUTH PLAIN {SECRET}", [PLAIN, PASSWORD]),
        (f"AUTH XOAUTH2 {XOAUTH2}", f"AUTH XOAUTH2 {SECRET}", [XOAUTH2, "ya29.t0k3n"]),
        (b64(PASSWORD), SECRET, [b64(PASSWORD), PASSWORD]),
        ("AUTH X-OWN  not-base64", f"AUTH X-OWN {SECRET}", ["not-base64"]),
        ("TlRMTVNTUAABAAAA", SECRET, ["TlRMTVNTUAABAAAA"]),  # bytes that are no text
        ("AUTH LOGIN", "AUTH LOGIN", []),
        ("", SECRET, []),
    ],
)
def test_a_secret_is_known_as_it_is_sent_and_as_it_is_meant(line, shown_as, secrets):
    assert secrets_in(line, shown_as) == secrets


@pytest.mark.parametrize("password", ["pw", "1234567", "password", "Authentication"])
def test_what_may_be_a_word_of_the_server_s_is_no_secret(password):
    """To mask it in "wrong password" would tell what the password is."""
    assert password not in secrets_in(
        f"AUTH PLAIN {b64(chr(0) + 'me' + chr(0) + password)}", SECRET
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("535 5.7.8 authentication failed", "535 5.7.8 authentication failed"),
        (f"500 what? AUTH PLAIN {PLAIN}", f"500 what? AUTH PLAIN {SECRET}"),
        (f"500 what? (command={PLAIN})", f"500 what? (command={SECRET})"),
        (f'500 "{PLAIN[:9]}...{PLAIN[-12:]}"', f'500 "{SECRET}...{SECRET}"'),
        (f"535 {PASSWORD} is wrong, {PASSWORD}!", f"535 {SECRET} is wrong, {SECRET}!"),
        (f"500-a\n500-{PLAIN}\n500 b", f"500-a\n500-{SECRET}\n500 b"),
        ("334 PDE4OTYuNjk3MTcwOTUyQGV4YW1wbGU+", "334 PDE4OTYuNjk3MTcwOTUyQGV4YW1wbGU+"),
        ("", ""),
    ],
)
def test_what_a_server_quotes(said, shown):
    assert masked(said, secrets_in(f"AUTH PLAIN {PLAIN}", f"AUTH PLAIN {SECRET}")) == shown


def test_the_challenge_of_ntlm_is_left_as_it_is():
    """It begins with what the command before it begins with."""
    secrets = secrets_in("AUTH NTLM TlRMTVNTUAABAAAAN4II4g==", f"AUTH NTLM {SECRET}")
    assert masked("334 TlRMTVNTUAACAAAADAAMADgAAAA=", secrets) == "334 TlRMTVNTUAACAAAADAAMADgAAAA="


@pytest.mark.parametrize("quoted", [PLAIN, f"{PLAIN} ", PLAIN[:8] + " ", "A", "A " * 4])
def test_a_reply_full_of_secrets_takes_linear_time(quoted):
    text = quoted * (2_000_000 // len(quoted))
    assert PLAIN[:8] not in masked(text, [PLAIN, PASSWORD])


# -- as long as the connection lasts --------------------------------------------------------------


def remembering(*secrets):
    known = Secrets()
    for secret in secrets:
        known.remember(secret)
    return known


def test_a_reply_without_a_secret_is_the_same_object():
    known = remembering(PLAIN, PASSWORD)
    for text in ("250 2.1.0 Ok", "250 2.0.0 Ok: queued as 4ZabcD1234", "250 Accepted", "x" * 500):
        for _ in range(2):
            assert known.masked(text) is text


def test_commands_of_several_logins_are_remembered():
    known = Secrets()
    known.learn(f"AUTH PLAIN {PLAIN}", f"AUTH PLAIN {SECRET}")
    known.learn(f"AUTH XOAUTH2 {XOAUTH2}", f"AUTH XOAUTH2 {SECRET}")
    assert known.masked(f"250 {PLAIN}, {XOAUTH2}") == f"250 {SECRET}, {SECRET}"


def test_what_was_harmless_before_a_secret_was_sent_is_searched_again():
    known = remembering(PASSWORD)
    assert known.masked("500 t0k3n-4567") == "500 t0k3n-4567"
    known.remember("t0k3n-4567")
    assert known.masked("500 t0k3n-4567") == f"500 {SECRET}"


def test_a_secret_that_is_part_of_a_later_one_does_not_uncover_it():
    known = remembering("pass-w0rd", "my-pass-w0rd-2")
    assert known.masked("535 my-pass-w0rd-2, pass-w0rd") == f"535 {SECRET}, {SECRET}"


def test_the_last_64_secrets_are_remembered():
    tokens = [f"t0k3n-{number:04}-{number:04}" for number in range(1000)]
    known = remembering(PASSWORD, *tokens[:-1], PASSWORD, tokens[-1])
    assert known.masked(" ".join(tokens)) == " ".join([*tokens[:-63], *[SECRET] * 63])
    assert known.masked(PASSWORD) == SECRET


def test_any_number_of_replies_takes_bounded_memory():
    known = remembering(PASSWORD)
    for number in range(1000):
        known.masked(f"250 queued as {number}")
    assert len(known._harmless) <= 64


@pytest.mark.parametrize("word", ["delivery", "Delivery", "DELIVERY"])
def test_a_word_that_is_part_of_a_password_is_the_server_s_own(word):
    """To mask it would tell a part of the password, in each reply of the session."""
    known = remembering(f"{word}2024!")
    assert known.masked(f"250 queued for {word}") == f"250 queued for {word}"
    assert known.masked(f"535 {word}2024! is wrong") == f"535 {SECRET} is wrong"
    assert remembering("xdElivery9!").masked("250 dElivery") == f"250 {SECRET}"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("AUTH PLAIN AHRpbQBz", "AUTH PLAIN /* secret */"),
        ("auth  x-own a b", "auth  x-own /* secret */"),
        ("AUTH LOGIN", "AUTH LOGIN"),
        ("AUTH", None),
        ("AUTHOR me", None),
        ("AHRpbQBz", None),
        ("", None),
    ],
)
def test_what_is_shown_of_a_login(line, shown):
    assert auth_shown(line) == shown


@pytest.mark.parametrize("before", range(3))
def test_what_a_document_in_base64_quotes(before):
    """Whatever stands before it, so that it begins at another bit."""
    document = b64("x" * (10 + before) + PASSWORD + "y" * 5)
    other = b64("x" * (10 + before) + "nothing else" + "y" * 5)
    said = f"334 {document}"
    assert masked(said, [PASSWORD]) == f"334 {SECRET}"
    assert masked(f"334 {other}", [PASSWORD]) == f"334 {other}"


@pytest.mark.parametrize("length", range(16, 24))
def test_what_only_looks_like_base64_is_shown(length):
    said = f"250 queued as {('4B2F3C9D0E1' * 3)[:length]}"
    assert masked(said, [PASSWORD]) == said


UNUSUAL = 'p\\ässw"rd'


@pytest.mark.parametrize(
    "quoted",
    [
        UNUSUAL,
        json.dumps(UNUSUAL)[1:-1],
        json.dumps(UNUSUAL, ensure_ascii=False)[1:-1],
        UNUSUAL.encode().decode("latin-1"),
    ],
)
def test_an_unusual_password_is_known_in_all_its_forms(quoted):
    assert masked(f"535 {quoted} is wrong", [UNUSUAL]) == f"535 {SECRET} is wrong"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"451 {PASSWORD[:3]}", f"451 {PASSWORD[:3]}"),
        (f"451 {PASSWORD[:4]}", f"451 {SECRET}"),
        (f"451 {PASSWORD[:-1]}", f"451 {SECRET}"),
        (f"{PASSWORD[-4:]} no", f"{SECRET} no"),
        (f"{PASSWORD[1:]}", SECRET),
        (f"451 {PASSWORD} {PASSWORD[:5]}", f"451 {SECRET} {SECRET}"),
        ("451 no", "451 no"),
        ("", ""),
    ],
)
def test_what_is_left_of_a_secret_where_the_rest_was_cut_off(said, shown):
    assert masked(said, [PASSWORD], cut=True) == shown


def test_a_secret_with_all_its_forms_counts_once():
    known = Secrets()
    for number in range(64):
        known.remember(f"{UNUSUAL}{number:02}")
    assert known.masked(f"535 {UNUSUAL}00") == f"535 {SECRET}"
    known.remember("one more secret")
    assert known.masked(f"535 {UNUSUAL}00") == f"535 {UNUSUAL}00"
