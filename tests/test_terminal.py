"""``console()``: what the table looks like, when it is colored, and what never gets into it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest

from smtp_connection import LogEntry, SMTPConnection, console
from tests.support.helpers import Clock


class Terminal(io.StringIO):
    """A text file that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The environment has nothing to say about colors, until the test says something."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch


def table(*entries, file=None, **options):
    """Return what is written of ``entries``, each a pair of type and message."""
    file = io.StringIO() if file is None else file
    listener = console(file, **options)
    for entry in entries:
        listener(LogEntry(*entry))
    return file.getvalue()


def test_entries_are_dated_and_aligned():
    clock, file = Clock(), io.StringIO()
    listener = console(file, clock=clock)
    for seconds, type, message in (
        (0, "socket", "Connected"),
        (0.0444, "server", "250-mx\n250-SIZE 1\n250 HELP"),
        (12.3, "client", "QUIT"),
        (0, "stream", ""),
    ):
        clock.now += seconds
        listener(LogEntry(type, message))
    assert file.getvalue() == (
        "   ms  who     what\n"
        "    0  socket  Connected\n"
        "   44  server  250-mx\n"
        "               250-SIZE 1\n"
        "               250 HELP\n"
        "12344  client  QUIT\n"
        "12344  stream\n"
    )


def test_nothing_is_written_before_the_first_entry():
    assert table() == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb", "a\\rb"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb\u2028c", "a\\u202eb\\u2028c"),
        ("\ud800", "\\ud800"),
        ("a\tb\0", "a\\tb\\x00"),
    ],
)
@pytest.mark.parametrize("type", ["stream", "client", "server"])
def test_control_characters_are_escaped(type, text, shown):
    """Message content is the only thing in the log that may have some."""
    assert table((type, text)).splitlines()[1][15:] == shown


def test_the_line_breaks_of_a_message_are_no_control_characters():
    assert table(("stream", "one\r\ntwo\r\n\r\nthree")).splitlines()[1:] == [
        "    0  stream  one",
        "               two",
        "",
        "               three",
    ]


def test_what_a_file_cannot_encode_is_escaped():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    console(file)(LogEntry("server", "250 Grüße €"))
    assert raw.getvalue().endswith(b"server  250 Gr\\xfc\\xdfe \\u20ac\n")


class Plain:
    """The least that a file may have."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def test_anything_with_write_will_do():
    file = Plain()
    console(file)(LogEntry("client", "NOOP"))
    assert file.text.endswith("client  NOOP\n")


def test_by_default_it_is_the_standard_output_of_that_time(capsys):
    listener = console()
    listener(LogEntry("client", "NOOP"))
    assert capsys.readouterr().out.endswith("client  NOOP\n")


def test_without_a_standard_output_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    console()(LogEntry("client", "NOOP"))


# -- colors ---------------------------------------------------------------------------------------

ALL = [
    ("client", "NOOP"),
    ("server", "250 ok\n250 more"),
    ("server", "550 no"),
    ("socket", "Closed"),
    ("stream", "Subject: hi"),
    ("other", "?"),
]


def test_a_terminal_gets_colors():
    lines = table(*ALL, file=Terminal()).splitlines()
    assert lines[0] == "   ms  who     what"
    codes = [re.fullmatch(r"\x1b\[(\d+)m[^\x1b]+\x1b\[0m", line)[1] for line in lines[1:]]
    assert codes == ["36", "32", "32", "31", "33", "2", "0"]


@pytest.mark.parametrize(
    ("name", "value", "colored"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)],
)
def test_the_environment_may_forbid_colors(environment, name, value, colored):
    environment.setenv(name, value)
    assert ("\x1b" in table(*ALL, file=Terminal())) is colored


def test_a_file_gets_colors_only_if_they_are_asked_for(environment):
    assert "\x1b" not in table(*ALL)
    environment.setenv("NO_COLOR", "1")
    assert "\x1b[36m" in table(*ALL, color=True)
    assert "\x1b" not in table(*ALL, file=Terminal(), color=False)


def test_the_old_console_of_windows_gets_none(environment):
    environment.setattr(sys, "platform", "win32")
    environment.delenv("TERM")
    environment.delenv("WT_SESSION", raising=False)
    assert "\x1b" not in table(*ALL, file=Terminal())
    environment.setenv("WT_SESSION", "x")
    assert "\x1b" in table(*ALL, file=Terminal())


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_a_real_terminal():
    program = "from smtp_connection import *; console()(LogEntry('client', 'NOOP'))"
    ours, theirs = os.openpty()
    try:
        subprocess.run([sys.executable, "-c", program], stdout=theirs, check=True)
        shown = os.read(ours, 1000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert re.search(r"what\r\n\x1b\[36m +\d+  client  NOOP\x1b\[0m\r\n$", shown)


# -- in a session ---------------------------------------------------------------------------------


def test_as_a_listener(serve, reactor):
    file = io.StringIO()

    def script(peer):
        peer.greet()
        peer.take_quit()

    server = serve(script)
    connection = SMTPConnection(host=server.host, port=server.port, debug=True, reactor=reactor)
    connection.on("log", console(file))
    connection.connect()
    connection.quit()
    reactor.run()
    who = [line[7:13] for line in file.getvalue().splitlines()]
    assert who == ["who   ", "socket", "server", "client", "server", "client", "server"]
