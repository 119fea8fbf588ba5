"""Where a password comes from, and what TLS is asked for."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import types

import pytest

from smtp_connection.cli import account
from smtp_connection.cli.account import CannotDo, add_account_arguments, options_of


@pytest.fixture
def options():
    """Return the options that arguments stand for: ``options('-u', 'me', host='mx.test')``."""
    parser = argparse.ArgumentParser()
    add_account_arguments(parser)

    def read(*arguments, host="smtp.example.com", port=587):
        return options_of(parser.parse_args(arguments), host, port)

    return read


def _fake_keyring(monkeypatch, get_password):
    monkeypatch.setitem(sys.modules, "keyring", types.SimpleNamespace(get_password=get_password))


@pytest.mark.parametrize(
    ("arguments", "host", "port", "expected"),
    [
        ((), "smtp.example.com", 587, {}),
        (("-u", "me"), "smtp.example.com", 587, {"secure": False, "requireTLS": True}),
        (("-u", "me"), "smtp.example.com", 465, {}),
        (("-u", "me"), "localhost", 25, {}),
        (("--tls", "implicit"), "smtp.example.com", 587, {"secure": True}),
        (("--tls", "none"), "smtp.example.com", 25, {"secure": False, "ignoreTLS": True}),
        (("--insecure",), "smtp.example.com", 25, {"tls": {"rejectUnauthorized": False}}),
        (("--name", "me.example.com"), "smtp.example.com", 25, {"name": "me.example.com"}),
        (("--auth-method", "LOGIN"), "smtp.example.com", 25, {"authMethod": "LOGIN"}),
    ],
)
def test_a_password_goes_over_tls_unless_somebody_says_otherwise(
    options, monkeypatch, arguments, host, port, expected
):
    monkeypatch.setenv("PW", "secret")
    given = ("--password-env", "PW") if "-u" in arguments else ()
    found = options(*arguments, *given, host=host, port=port)
    assert found.pop("auth", {"user": "me", "pass": "secret"}) == {"user": "me", "pass": "secret"}
    assert found == expected


def test_a_command_prints_the_password_in_its_first_line(options):
    command = f'{sys.executable} -c "print(chr(112)+chr(119)); print(1)"'
    assert options("-u", "me", "--password-command", command)["auth"]["pass"] == "pw"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("", "there is no command"),
        ("/no/such/program", "/no/such/program"),
        (f'{sys.executable} -c "raise SystemExit(3)"', "ended with exit status 3"),
        (f'{sys.executable} -c ""', "printed no password"),
    ],
)
def test_a_command_that_tells_no_password(options, command, says):
    with pytest.raises(CannotDo, match=f"--password-command: .*{says}"):
        options("-u", "me", "--password-command", command)


def test_the_keyring_is_asked_for_the_host_or_for_the_service(options, monkeypatch):
    asked = []
    _fake_keyring(monkeypatch, lambda service, user: asked.append((service, user)) or "kept")
    assert options("-u", "me", "--keyring")["auth"]["pass"] == "kept"
    assert options("-u", "me", "--keyring", "mail")["auth"]["pass"] == "kept"
    assert asked == [("smtp.example.com", "me"), ("mail", "me")]


def test_a_keyring_that_has_no_password(options, monkeypatch):
    _fake_keyring(monkeypatch, lambda service, user: None)
    with pytest.raises(CannotDo, match=r"no password of me for smtp\.example\.com"):
        options("-u", "me", "--keyring")


def test_a_keyring_that_fails(options, monkeypatch):
    def locked(service, user):
        raise RuntimeError("it is locked")

    _fake_keyring(monkeypatch, locked)
    with pytest.raises(CannotDo, match="it is locked"):
        options("-u", "me", "--keyring")


def test_without_the_extra_the_keyring_says_what_to_install(options, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(CannotDo, match=r"the extra 'keyring'"):
        options("-u", "me", "--keyring")


def test_the_terminal_is_asked_otherwise(options, monkeypatch):
    asked = []
    monkeypatch.setattr(account, "_has_terminal", lambda: True)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: asked.append(prompt) or "typed")
    assert options("-u", "me")["auth"]["pass"] == "typed"
    assert asked == ["Password of me at smtp.example.com: "]


def test_without_a_terminal_it_says_what_to_use(options, monkeypatch):
    monkeypatch.setattr(account, "_has_terminal", lambda: False)
    with pytest.raises(CannotDo, match="--password-env, --password-command or --keyring"):
        options("-u", "me")


def test_a_file_of_certificates_that_cannot_be_used_is_named(options, tmp_path):
    (tmp_path / "no.pem").write_text("nothing")
    with pytest.raises(CannotDo, match=r"tls option 'ca' \(file '.*no\.pem'\)"):
        options("--ca", os.fspath(tmp_path / "no.pem"))
