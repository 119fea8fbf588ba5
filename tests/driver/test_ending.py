"""What the end of a connection means for the operations that are not finished."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from smtp_connection.driver.ending import Ending
from smtp_connection.driver.queue import Connect, Operation, Operations, Quit, connection_error


@pytest.fixture
def told():
    return {}


@pytest.fixture
def operations(reactor):
    return Operations(reactor, lambda error: pytest.fail(f"reported: {error}"))


@pytest.fixture
def settle(reactor, operations, told):
    """Settle ``operations`` because of an ending, and return who was told what."""

    def run(ending, value=None, error=None):
        if ending.failed:
            ending.note_who_hears(operations, error)
        for _ in range(2):  # an interrupt may have come in between
            ending.settle(operations, value, error)
        operations.forget()
        while operations.tell_again():
            reactor.run_once(0)
        reactor.run_once(0)
        return told

    return run


def operation(told, name, kind=Operation):
    return kind(lambda err, value=None: told.setdefault(name, (err, value)))


def test_a_failure_is_that_of_the_operation_under_way_and_the_cause_of_the_others(
    operations, settle, told
):
    operations.current = operation(told, "first")
    operations.add(operation(told, "second"))
    failure = SMTPError("gone", code="ECONNRESET", response="451 later")
    ending = Ending(failure)
    settle(ending, error=failure)
    assert told["first"] == (failure, None)
    other = told["second"][0]
    assert other is not failure
    assert other.__cause__ is failure
    assert (other.code, other.response) == ("ECONNRESET", "451 later")
    assert ending.heard


@pytest.mark.parametrize("kind", ["in doubt", "refused"])
def test_only_one_message_is_in_doubt_or_refused(operations, settle, told, kind):
    operations.current = operation(told, "first")
    operations.add(operation(told, "second"))
    failure = SMTPError("gone", code="ECONNECTION", response="554 no")
    failure.inDoubt = kind == "in doubt"
    settle(Ending(failure), error=failure)
    other = told["second"][0]
    assert not other.inDoubt
    assert not other.permanent
    assert other.response is None


def test_a_refused_session_is_refused_to_all(operations, settle, told):
    operations.connecting = operation(told, "connect", Connect)
    operations.add(operation(told, "sent"))
    failure = SMTPError("no service", code="ECONNECTION", response="554 no")
    ending = Ending(failure)
    ending.opening = True
    settle(ending, error=failure)
    assert told["connect"] == (failure, None)
    assert told["sent"][0].permanent


def test_the_failure_of_one_message_is_no_failure_of_the_next(operations, settle, told):
    operations.current = operation(told, "first")
    operations.add(operation(told, "second"))
    failure = SMTPError("no such file", code="ESTREAM")
    settle(Ending(failure, own=True), error=failure)
    assert told["first"] == (failure, None)
    assert told["second"][0].code == "ECONNECTION"
    assert "the message before failed: no such file" in str(told["second"][0])


def test_a_verdict_that_was_heard_in_time_counts(operations, settle, told):
    operations.current = operation(told, "first")
    ending = Ending(SMTPError("gone", code="ECONNRESET"))
    settle(ending, value="info")
    assert told["first"] == (None, "info")
    assert not ending.heard, "the callback hears of a success"


def test_an_orderly_end_is_no_failure_of_those_behind_it(operations, settle, told):
    operations.current = Quit(None)
    operations.add(operation(told, "late"))
    settle(Ending(connection_error("closed"), text="closed"))
    assert (told["late"][0].code, told["late"][0].message) == ("ECONNECTION", "closed")


def test_a_failure_that_no_callback_hears_is_the_listeners(operations, settle):
    operations.current = Operation(None)
    ending = Ending(SMTPError("gone", code="ECONNRESET"))
    settle(ending, error=ending.error)
    assert not ending.heard
