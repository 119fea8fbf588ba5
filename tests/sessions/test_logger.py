"""The option ``logger``: what a session writes, and that nobody works for a level that is off."""

from __future__ import annotations

import logging

import pytest

from smtp_connection import SMTPConnection
from smtp_connection.driver.trace import Trace
from smtp_connection.net.transport import Transport
from tests.support.sessions import ENVELOPE, PASSWORD

CONTENT = "a line of the message"
SESSION = ["220-a\r\n220 b", "250 c", "250 d", "250 e", "354 f", "250 g", "221 h"]
TRAFFIC = [
    "S: 220-a\n220 b",
    "C: EHLO me",
    "S: 250 c",
    "C: MAIL FROM:<a@example.com>",
    "S: 250 d",
    "C: RCPT TO:<b@example.com>",
    "S: 250 e",
    "C: DATA",
    "S: 354 f",
    f"D: {CONTENT}\r\n.",
    "S: 250 g",
    "C: QUIT",
    "S: 221 h",
]
with_any_traffic = pytest.mark.parametrize(
    "options", [{}, {"debug": True}, {"transactionLog": True}], ids=str
)


@pytest.fixture
def session(by_hand, diary):
    """Hold a session with one message over a connection with these options; return it."""

    def run(**options):
        connection, peer = by_hand(**{"debug": False, **options})
        connection.connect()
        connection.send(ENVELOPE, CONTENT)
        connection.quit()
        for reply in SESSION:
            peer.feed(f"{reply}\r\n")
        assert diary.names()[-2:] == ["connect", "end"]
        return connection

    return run


class Keeper(logging.Handler):
    """Keeps the records."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def records(caplog):
    """What the logger ``smtp_connection`` of the standard library gets, at the level DEBUG."""
    caplog.set_level(logging.DEBUG, "smtp_connection")
    keeper = Keeper()
    logger = logging.getLogger("smtp_connection")
    logger.addHandler(keeper)
    yield keeper.records
    logger.removeHandler(keeper)


def texts(records, level):
    return [record.getMessage() for record in records if record.levelno == level]


class Calls:
    """A logger of somebody's own, without levels, which notes how it is called."""

    def __init__(self):
        self.calls = []

    def debug(self, text, *args, **more):
        self.calls.append(("debug", text, args, more))

    def info(self, text, *args, **more):
        self.calls.append(("info", text, args, more))

    def warning(self, text, *args, **more):
        self.calls.append(("warning", text, args, more))

    def error(self, text, *args, **more):
        self.calls.append(("error", text, args, more))


# -- what is logged --------------------------------------------------------------------------------


def test_true_is_the_standard_logger(session, records):
    connection = session(logger=True, debug=True)

    assert {record.name for record in records} == {"smtp_connection"}
    assert {record.sid for record in records} == {connection.id}
    assert texts(records, logging.DEBUG) == TRAFFIC
    assert texts(records, logging.INFO) == ["Connected to the peer"]
    assert len(records) == len(TRAFFIC) + 1


def test_each_connection_has_a_sid_of_its_own(session, records):
    first, second = session(logger=True), session(logger=True)
    assert first.id != second.id
    assert [record.sid for record in records] == [first.id, second.id]


@pytest.mark.parametrize("debug", [False, True])
def test_the_transaction_log_has_no_content(session, records, debug):
    session(logger=True, transactionLog=True, debug=debug)
    assert texts(records, logging.DEBUG) == [text for text in TRAFFIC if text[:2] != "D:"]
    assert CONTENT not in repr([record.getMessage() for record in records])


def test_without_debug_only_the_connection_is_logged(session, records):
    session(logger=True)
    assert [record.levelno for record in records] == [logging.INFO]


def test_false_is_no_logger(session, records):
    session(logger=False, debug=True)
    assert records == []


def test_an_object_is_called_as_a_logger(session):
    logger = Calls()
    connection = session(logger=logger, debug=True)

    sid = {"extra": {"sid": connection.id}}
    assert logger.calls[0][0] == "info"
    assert ("debug", "C: %s", ("DATA",), sid) in logger.calls
    assert all(more == sid for _, _, _, more in logger.calls)
    assert [text % args for level, text, args, _ in logger.calls if level == "debug"] == TRAFFIC


def test_a_text_with_percent_signs_is_logged_as_it_is(by_hand, diary):
    logger = Calls()
    connection, peer = by_hand(logger=logger)
    connection.connect()
    peer.feed("554 100%s full\r\n")

    shown = [text % args for _, text, args, _ in logger.calls]
    assert "S: 554 100%s full" in shown
    assert shown[-1] == diary.error().message


@with_any_traffic
def test_close_is_told_of(by_hand, records, options):
    """A logger at INFO loses nothing when somebody turns ``debug`` on."""
    connection, peer = by_hand(**{"debug": False, "logger": True, **options})
    connection.connect()
    peer.feed("220 ready\r\n")
    connection.close()
    peer.settle()

    assert texts(records, logging.INFO)[1:] == ["Closing connection to the server"]


def test_the_end_of_an_idle_session_is_told_of(by_hand, diary, records):
    connection, peer = by_hand(debug=False, logger=True)
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    peer.feed("421 4.4.2 idle for too long\r\n")

    assert diary.names() == ["connect", "end"]
    told = ["The server closed the connection: 421 4.4.2 idle for too long"]
    assert texts(records[1:], logging.INFO) == told
    assert len(records) == 2


# -- errors ----------------------------------------------------------------------------------------


def test_what_ends_the_connection_is_an_error(by_hand, diary, records):
    connection, peer = by_hand(debug=False, logger=True)
    logged = []
    connection.on("error", lambda err: logged.append(records[-1].getMessage()))
    connection.connect()
    peer.feed("554 no\r\n")

    assert diary.names() == ["error", "end"]
    assert (records[-1].levelno, records[-1].sid) == (logging.ERROR, connection.id)
    # Before anybody hears of it.
    assert logged == [diary.error().message] == ["Invalid greeting: 554 no"]


def test_what_does_not_end_the_connection_is_no_error(by_hand, diary, records):
    connection, peer = by_hand(debug=False, logger=True)
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
    peer.feed("535 no\r\n")

    assert diary.error("login").code == "EAUTH"
    assert [record.levelno for record in records] == [logging.INFO]


def test_nothing_is_written_inside_a_call(by_hand, records):
    connection, peer = by_hand(debug=False, logger=True)
    connection.connect()
    connection.close()
    assert records == []
    peer.settle()
    assert texts(records, logging.INFO) == ["Closing connection to the server"]


# -- nothing is put into words that nobody reads ---------------------------------------------------


@pytest.fixture
def no_work(monkeypatch):
    """Fail whoever builds a log entry, describes a socket, or makes a log record."""

    def forbidden(*args, **more):
        raise AssertionError("it is formatted, though nobody reads it")

    monkeypatch.setattr("smtp_connection.driver.trace.LogEntry", forbidden)
    monkeypatch.setattr(Transport, "describe", forbidden)
    monkeypatch.setattr(logging.Logger, "makeRecord", forbidden)


@with_any_traffic
@pytest.mark.parametrize("logger", [None, True, "one of somebody's own"])
def test_nothing_is_formatted_when_the_level_is_off(no_work, by_hand, caplog, options, logger):
    caplog.set_level(logging.WARNING, "smtp_connection")
    if isinstance(logger, str):
        logger = logging.Logger(logger, logging.WARNING)
    connection, peer = by_hand(**{"debug": False, "logger": logger, **options})
    connection.remove_all_listeners("log")
    connection.connect()
    connection.send(ENVELOPE, CONTENT)
    connection.quit()
    for reply in SESSION:
        peer.feed(f"{reply}\r\n")
    assert connection.destroyed


class Undecodable(bytes):
    """Content that nobody may make a text of."""

    def decode(self, *args):
        raise AssertionError("it is decoded, though nobody reads it")


def test_content_that_nobody_reads_is_not_decoded(reactor):
    trace = Trace(
        reactor,
        lambda event, entry: None,
        lambda: False,
        traffic=True,
        content=True,
        logger=logging.Logger("apart", logging.INFO),
        sid="here",
    )
    trace.stream(Undecodable(b"gr\xfc\xdfe\r\n"))
    assert reactor.next_timeout() is None


def test_the_level_may_change_later(session, caplog, records):
    session(logger=True)
    assert len(records) == 1
    caplog.set_level(logging.ERROR, "smtp_connection")
    session(logger=True)
    assert len(records) == 1


@pytest.mark.parametrize("value", ["yes", 1, object(), Trace])
def test_what_is_no_logger(value):
    with pytest.raises(TypeError, match="'logger' takes True, False or an object with debug"):
        SMTPConnection(logger=value)
