"""``python -m smtp_connection``."""

from __future__ import annotations

import base64
import re
import subprocess
import sys

import pytest

from smtp_connection import __version__
from smtp_connection.cli import demo
from smtp_connection.cli.main import main

_DEMO = [sys.executable, "-W", "error", "-m", "smtp_connection", "demo"]


@pytest.fixture(scope="module")
def shown() -> list[str]:
    """The lines that the demo prints."""
    done = subprocess.run(_DEMO, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def _position(lines: list[str], pattern: str) -> int:
    """Return where the one line is that matches ``pattern``."""
    (found,) = [number for number, line in enumerate(lines) if re.fullmatch(pattern, line)]
    return found


def test_the_demo_shows_the_conversation_the_info_and_the_stored_message(shown):
    order = [
        r" +\d+  socket  Connected to 127\.0\.0\.1:\d+",
        r" +\d+  client  STARTTLS",
        r" +\d+  socket  Connection upgraded: 127\.0\.0\.1:\d+ with TLS.*",
        r" +\d+  client  AUTH PLAIN /\* secret \*/",
        r" +\d+  client  MAIL FROM:<sender@example\.com> SIZE=\d+",
        r" +\d+  stream  From: sender@example\.com",
        r" +\d+  client  QUIT",
        r"    accepted: \['recipient@example\.com'\]",
        r"    Subject: Test Email",
        r"It is the message that was sent\.",
    ]
    positions = [_position(shown, pattern) for pattern in order]
    assert positions == sorted(positions)


def test_the_entries_of_the_demo_are_dated_and_aligned(shown):
    start, end = _position(shown, r" +ms  who +what"), _position(shown, r"info, .*")
    entries = shown[start + 1 : end - 1]
    dated = re.compile(r" *(\d+)  (?:server|client|stream|socket)  \S")
    times = [int(match[1]) for match in map(dated.match, entries) if match]
    assert times == sorted(times)
    for entry in entries:
        assert dated.match(entry) or not entry[:15].strip(), entry


def test_the_demo_does_not_show_the_password(shown):
    text = "\n".join(shown)
    assert "password" not in text
    assert base64.b64encode(b"\0username\0password").decode() not in text


@pytest.mark.parametrize("missing", ["aiosmtpd", "trustme"])
def test_without_the_extra_the_demo_says_what_to_install(missing):
    program = f"""
import sys
sys.modules[{missing!r}] = None
from smtp_connection.cli.main import main
sys.exit(main(["demo"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "smtp_connection: the demo needs the extra 'demo' of smtp_connection"
        " (in a checkout: pip install '.[demo]')\n"
    )


def _complaint(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.startswith("smtp_connection: ")
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (b"this is a test", b"this is no test", "text is 'Hello, this is no test email.', not"),
        (b"Test Email", b"Best Email", "Subject is 'Best Email', not 'Test Email'"),
        (b"To: recipient@", b"To: somebody@", "To is 'somebody@example.com', not"),
        (b"From: sender@", b"From: somebody@", "From is 'somebody@example.com', not"),
    ],
)
def test_a_message_that_comes_out_changed_is_a_failure(
    monkeypatch, capsys, before, after, complaint
):
    class Forger(demo.Mailbox):
        async def handle_DATA(self, server, session, envelope):
            envelope.content = envelope.content.replace(before, after)
            return await super().handle_DATA(server, session, envelope)

    monkeypatch.setattr(demo, "Mailbox", Forger)
    assert main(["demo"]) == 1
    assert complaint in _complaint(capsys)


@pytest.mark.parametrize(
    ("attribute", "value", "complaint"),
    [
        ("mail_from", "x@example.com", "sender is 'x@example.com', not 'sender@example.com'"),
        ("rcpt_tos", [], "recipients is [], not ['recipient@example.com']"),
    ],
)
def test_another_envelope_is_a_failure(monkeypatch, capsys, attribute, value, complaint):
    class Forger(demo.Mailbox):
        async def handle_DATA(self, server, session, envelope):
            setattr(envelope, attribute, value)
            return await super().handle_DATA(server, session, envelope)

    monkeypatch.setattr(demo, "Mailbox", Forger)
    assert main(["demo"]) == 1
    assert complaint in _complaint(capsys)


def test_a_message_that_is_accepted_and_lost_is_a_failure(monkeypatch, capsys):
    class Loser(demo.Mailbox):
        async def handle_DATA(self, server, session, envelope):
            return "250 Thank you"

    monkeypatch.setattr(demo, "Mailbox", Loser)
    assert main(["demo"]) == 1
    assert "the server has stored 0 messages instead of one" in _complaint(capsys)


def test_a_failure_of_the_client_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(demo, "_may_log_in", lambda *credentials: False)
    assert main(["demo"]) == 1
    assert "the demo failed: Invalid login: 535 5.7.8" in _complaint(capsys)


def test_a_failure_of_the_server_is_one_line(monkeypatch, capsys):
    # TEST-NET-1 (RFC 5737) belongs to no machine.
    monkeypatch.setattr(demo, "HOST", "192.0.2.1")
    assert main(["demo"]) == 1
    assert "192.0.2.1" in _complaint(capsys)


def test_a_reader_who_has_seen_enough_is_no_trouble():
    # A pipe whose other end is closed already.
    with subprocess.Popen(_DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        run.stdout.close()
        assert run.stderr.read() == ""
    assert run.returncode == 1


def test_an_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", interrupted)
    assert main(["demo"]) == 130
    assert _complaint(capsys) == "smtp_connection: interrupted\n"


def test_version(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"smtp_connection {__version__}\n"


def test_without_a_command_it_says_how_it_is_used(capsys):
    with pytest.raises(SystemExit) as exit:
        main([])
    assert exit.value.code == 64
    assert "usage: smtp-connection" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "send", "diagnose"])
def test_each_command_has_help_with_an_example(capsys, command):
    with pytest.raises(SystemExit) as exit:
        main([command, "--help"])
    assert exit.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: smtp-connection {command}" in shown
    assert re.search(rf"examples?:\n  smtp-connection {command}", shown)
