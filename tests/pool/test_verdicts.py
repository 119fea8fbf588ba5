"""The table of what follows from an error, by itself."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from smtp_connection.pool.verdicts import TABLE, Stage, Verdict, again_after, row_for, verdict_on

OPENING, LOGIN, MESSAGE = Stage.OPENING, Stage.LOGIN, Stage.MESSAGE


def error(response=None, code="ECONNECTION", command="CONN", doubt=False):
    made = SMTPError("It failed", code=code, command=command, response=response)
    made.inDoubt = doubt
    return made


CASES = [
    # what, stage, error, the row
    ("a greeting of 421", OPENING, error("421 too many"), "too many connections"),
    ("a greeting of 554", OPENING, error("554 no", "EPROTOCOL"), "refused at the greeting"),
    ("421 to EHLO", OPENING, error("421 no", command="EHLO"), "too many connections"),
    ("EHLO refused", OPENING, error("550 no", "EPROTOCOL", "HELO"), "cannot be opened"),
    ("EHLO refused for now", OPENING, error("450 no", "EPROTOCOL", "HELO"), "not opened"),
    ("a wrong certificate", OPENING, error(code="ETLS"), "cannot be opened"),
    ("STARTTLS later", OPENING, error("454 later", "ETLS", "STARTTLS"), "not opened"),
    ("nobody listens", OPENING, error(code="ECONNREFUSED"), "not opened"),
    ("silence", OPENING, error(code="ETIMEDOUT"), "not opened"),
    ("no such name", OPENING, error(code="ENOTFOUND"), "not opened"),
    ("535", LOGIN, error("535 no", "EAUTH", "AUTH PLAIN"), "login refused"),
    ("534", LOGIN, error("534 no", "EAUTH", "AUTH PLAIN"), "login refused"),
    ("535, and hung up", LOGIN, error("535 no"), "login refused"),
    ("no mechanism", LOGIN, error(None, "EAUTH", "API"), "login refused"),
    ("454 to AUTH", LOGIN, error("454 later", "EAUTH", "AUTH"), "login refused for now"),
    ("no token", LOGIN, error(None, "EAUTH", "AUTH XOAUTH2"), "login refused for now"),
    ("dropped in AUTH", LOGIN, error(code="ECONNRESET"), "login refused for now"),
    ("421 to AUTH", LOGIN, error("421 later"), "too many connections"),
    ("432 to AUTH", LOGIN, error("432 later", "EAUTH", "AUTH"), "too many connections"),
    ("in doubt", MESSAGE, error(doubt=True), "in doubt"),
    ("in doubt, with 421", MESSAGE, error("421 bye", doubt=True), "in doubt"),
    ("aborted", MESSAGE, error(None, "EABORT", "API"), "aborted"),
    ("421", MESSAGE, error("421 bye"), "too many connections"),
    ("432", MESSAGE, error("432 4.3.2 no", "EMESSAGE", "DATA"), "too many connections"),
    ("454", MESSAGE, error("454 slower", "EENVELOPE", "MAIL FROM"), "throttled"),
    ("550", MESSAGE, error("550 no", "EENVELOPE", "RCPT TO"), "refused"),
    ("451", MESSAGE, error("451 later", "EENVELOPE", "RCPT TO"), "refused"),
    ("no recipients", MESSAGE, error(None, "EENVELOPE", "API"), "refused"),
    ("too large", MESSAGE, error(None, "EMESSAGE", "MAIL FROM"), "refused"),
    ("REQUIRETLS", MESSAGE, error(None, "EREQUIRETLS", "MAIL FROM"), "refused"),
    ("the source failed", MESSAGE, error(None, "ESTREAM", "API"), "source failed"),
    ("dropped", MESSAGE, error(), "dropped"),
    ("reset", MESSAGE, error(code="ECONNRESET"), "dropped"),
    ("timed out", MESSAGE, error(code="ETIMEDOUT"), "dropped"),
    ("250 in the message", MESSAGE, error("250 x", "EPROTOCOL", "DATA"), "dropped"),
]


@pytest.mark.parametrize(
    ("stage", "err", "row"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_which_row_applies(stage, err, row):
    assert row_for(err, stage).what == row


def test_every_row_applies_to_something():
    assert {row_for(err, stage) for _, stage, err, _ in CASES} == set(TABLE)


def test_for_each_stage_there_is_an_answer_to_everything():
    for stage in (OPENING, LOGIN, MESSAGE):
        assert [row for row in TABLE if row.stage == stage][-1].applies(SMTPError(""))


def test_nothing_in_doubt_goes_again():
    for code in (None, *range(200, 600)):
        err = error(None if code is None else f"{code} x", doubt=True)
        assert verdict_on(err, MESSAGE) == Verdict(again=False, leave=True)


def test_what_cannot_be_read_again_is_not_sent_again():
    for _, stage, err, _ in CASES:
        if stage == MESSAGE:
            assert not verdict_on(err, stage, replayable=False).again


def test_what_goes_again_was_refused_for_now_or_not_heard():
    for _, stage, err, _ in CASES:
        if stage == MESSAGE and verdict_on(err, stage).again:
            assert not err.inDoubt
            assert not err.permanent


@pytest.mark.parametrize(
    ("attempts", "most", "seconds"),
    [
        (0, 5, 0.05),
        (1, 5, 0.1),
        (4, 5, 0.8),
        (5, 5, None),
        (0, 0, None),
        (6, -1, 2.0),
        (10_000, -1, 2.0),
    ],
)
def test_after_how_long(attempts, most, seconds):
    assert again_after(attempts, most) == seconds
