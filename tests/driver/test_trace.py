"""Who follows the conversation hears of everything that it asked for, in order, and later."""

from __future__ import annotations

import logging

import pytest

from smtp_connection import LogEntry
from smtp_connection.driver.trace import Trace


class Audience:
    """A listener of ``'log'``, and a logger, whose entries are noted down."""

    def __init__(self, reactor):
        self.reactor = reactor
        self.listening = True
        self.events = []
        self.lines = []
        self.level = logging.DEBUG

    def trace(self, logger="own", traffic=True, content=True):
        return Trace(
            self.reactor,
            lambda event, entry: self.events.append((event, entry)),
            lambda: self.listening,
            traffic=traffic,
            content=content,
            logger=self if logger == "own" else logger,
            sid="c0ffee",
        )

    def heard(self):
        """Return the entries of the listener and the lines of the logger."""
        assert (self.events, self.lines) == ([], []), "not from inside the call"
        self.reactor.run()
        return self.events, self.lines

    # The logger:

    def isEnabledFor(self, level):
        return level >= self.level

    def debug(self, text, *args, extra):
        assert extra == {"sid": "c0ffee"}
        self.lines.append(("debug", text % args))

    def info(self, text, *args, extra):
        assert extra == {"sid": "c0ffee"}
        self.lines.append(("info", text % args))

    def error(self, text, *args, extra):
        assert extra == {"sid": "c0ffee"}
        self.lines.append(("error", text % args))


@pytest.fixture
def audience(reactor):
    return Audience(reactor)


def tell_all(trace):
    trace.socket(lambda: "Connected to 100% of mx.example.com")
    trace.server("220 ready")
    trace.client("EHLO me%s")
    trace.stream(b"Subject: hi\r\n")
    trace.failure(LookupError("it failed"))


EVENTS = [
    ("log", LogEntry("socket", "Connected to 100% of mx.example.com")),
    ("log", LogEntry("server", "220 ready")),
    ("log", LogEntry("client", "EHLO me%s")),
    ("log", LogEntry("stream", "Subject: hi")),
]
LINES = [
    ("info", "Connected to 100% of mx.example.com"),
    ("debug", "S: 220 ready"),
    ("debug", "C: EHLO me%s"),
    ("debug", "D: Subject: hi"),
    ("error", "it failed"),
]


def test_both_hear_of_everything(audience):
    tell_all(audience.trace())
    assert audience.heard() == (EVENTS, LINES)


def test_without_a_listener_only_the_logger_hears(audience):
    audience.listening = False
    tell_all(audience.trace())
    assert audience.heard() == ([], LINES)


def test_without_a_logger_only_the_listener_hears(audience):
    tell_all(audience.trace(logger=None))
    assert audience.heard() == (EVENTS, [])


def test_content_is_left_out_if_it_is_not_wanted(audience):
    tell_all(audience.trace(content=False))
    assert audience.heard() == (EVENTS[:3], LINES[:3] + LINES[4:])


def test_without_traffic_nothing_of_the_connection_is_an_event(audience):
    trace = audience.trace(traffic=False)
    trace.socket(lambda: "Connected")
    trace.failure(LookupError("it failed"))
    assert audience.heard() == ([], [("info", "Connected"), ("error", "it failed")])


@pytest.mark.parametrize(
    ("level", "lines"),
    [(logging.INFO, [LINES[0], LINES[4]]), (logging.ERROR, [LINES[4]]), (logging.CRITICAL, [])],
)
def test_the_level_of_the_logger_counts(audience, level, lines):
    audience.level = level
    audience.listening = False
    tell_all(audience.trace())
    assert audience.heard() == ([], lines)


def test_a_logger_that_knows_no_levels_gets_everything(audience):
    class Plain:
        debug = audience.debug
        info = audience.info
        warning = error = audience.error

    audience.listening = False
    tell_all(audience.trace(logger=Plain()))
    assert audience.heard() == ([], LINES)


def test_nothing_is_built_while_nobody_listens(audience):
    audience.listening = False
    trace = audience.trace(logger=None)
    trace.socket(pytest.fail)
    trace.stream(None)
    trace.client("NOOP")
    assert audience.heard() == ([], [])


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("grüße\r\n".encode(), "grüße"),
        (b"gr\xfc\xdfe\r\n", "grüße"),
        (b"two\r\nlines\r\n\r\n", "two\r\nlines\r\n"),
        (b".\r\n", "."),
    ],
)
def test_content_is_shown_as_text_without_its_last_line_break(audience, wire, text):
    audience.trace(logger=None).stream(wire)
    assert audience.heard()[0] == [("log", LogEntry("stream", text))]


def test_true_stands_for_the_logger_of_the_package(audience, caplog):
    audience.listening = False
    with caplog.at_level(logging.DEBUG, logger="smtp_connection"):
        tell_all(audience.trace(logger=True))
        audience.reactor.run()
    assert [(record.levelname.lower(), record.getMessage()) for record in caplog.records] == LINES
    assert {(record.name, record.sid) for record in caplog.records} == {
        ("smtp_connection", "c0ffee")
    }
