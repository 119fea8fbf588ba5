"""What each step waits for, as the texts of errors have it."""

from __future__ import annotations

import pytest

from smtp_connection.protocol.steps import (
    Ask,
    AwaitGreeting,
    Begin,
    Command,
    Pipeline,
    StartTLS,
    Transmit,
)


@pytest.mark.parametrize(
    ("line", "awaited"),
    [
        ("EHLO me", "EHLO"),
        ("HELO me", "HELO"),
        ("LHLO me", "LHLO"),
        ("STARTTLS", "STARTTLS"),
        ("MAIL FROM:<a@x.org> SIZE=10", "MAIL FROM"),
        ("RCPT TO:<a b:c@x.org> NOTIFY=NEVER", "RCPT TO"),
        ("DATA", "DATA"),
        (".", "."),
        ("RSET", "RSET"),
        ("NOOP", "NOOP"),
        ("QUIT", "QUIT"),
        ("AUTH LOGIN", "AUTH LOGIN"),
        ("AUTH", "AUTH"),
    ],
)
def test_a_command_waits_for_its_reply(line, awaited):
    assert Command(line).waiting_for(0, sent=True) == f"the reply to {awaited}"


@pytest.mark.parametrize(
    ("line", "awaited"),
    [
        ("AUTH PLAIN AHRpbQB0YW5zdGFhZg==", "AUTH PLAIN"),
        ("AHRpbQB0YW5zdGFhZg==", "AUTH"),
        ("*", "AUTH"),
        ("", "AUTH"),
    ],
)
def test_the_secrets_of_a_login_are_not_named(line, awaited):
    assert Command(line).waiting_for(0, sent=True) == f"the reply to {awaited}"


@pytest.mark.parametrize(
    ("answered", "awaited"),
    [(0, "RSET"), (1, "MAIL FROM"), (2, "RCPT TO"), (3, "RCPT TO"), (4, "DATA")],
)
def test_a_pipeline_waits_for_the_first_reply_that_is_missing(answered, awaited):
    lines = ["RSET", "MAIL FROM:<>", "RCPT TO:<b@x.org>", "RCPT TO:<c@x.org>", "DATA"]
    assert Pipeline(lines).waiting_for(answered, sent=True) == f"the reply to {awaited}"


@pytest.mark.parametrize(
    ("sent", "awaited"), [(False, "the end of the message"), (True, "the reply to the message")]
)
def test_a_message_is_sent_and_then_replied_to(sent, awaited):
    assert Transmit(None).waiting_for(0, sent=sent) == awaited


@pytest.mark.parametrize(
    ("step", "awaited"),
    [
        (AwaitGreeting(), "the greeting"),
        (StartTLS(), "the TLS handshake"),
        (Begin(None), "the message source"),
        (Ask(print), "an access token"),
    ],
    ids=["AwaitGreeting", "StartTLS", "Begin", "Ask"],
)
def test_the_other_steps_wait_for_one_thing_only(step, awaited):
    assert step.waiting_for(0, sent=True) == awaited
