"""What the outcome of a message makes of its entries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from smtp_connection import SendInfo, SMTPError
from smtp_connection.ledger.entries import IN_DOUBT, REFUSED, SENDING, SENT, outcome


def failure(response: str = "", recipient: str | None = None, **more: str) -> SMTPError:
    more.setdefault("code", "EENVELOPE")
    return SMTPError("Refused", response=response or None, recipient=recipient, **more)


def send_info(accepted: list[str], response: str, refusals: Sequence[SMTPError] = ()) -> SendInfo:
    rejected = [str(each.recipient) for each in refusals]
    return SendInfo(accepted, rejected, list(refusals), response, 1, 2, 3, [])


def test_what_was_accepted_is_sent():
    info = send_info(accepted=["a@x.org"], response="250 2.0.0 queued")
    assert outcome(["a@x.org"], None, info) == {"a@x.org": (SENT, "250 2.0.0 queued")}


def test_each_recipient_has_an_outcome_of_its_own():
    info = send_info(
        accepted=["a@x.org"],
        response="250 ok",
        refusals=[
            failure("550 5.1.1 no such user", "b@x.org"),
            failure("451 4.7.1 later", "c@x.org"),
        ],
    )
    found = outcome(["a@x.org", "b@x.org", "c@x.org"], None, info)
    assert found == {
        "a@x.org": (SENT, "250 ok"),
        "b@x.org": (REFUSED, "Refused: 550 5.1.1 no such user"),
        "c@x.org": (SENDING, "Refused: 451 4.7.1 later"),
    }


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (failure("554 5.6.0 spam", code="EMESSAGE"), REFUSED),
        (failure("451 4.3.0 later", code="EMESSAGE"), SENDING),
        (failure(code="EENVELOPE"), REFUSED),
        (failure(code="ECONNECTION"), SENDING),
        # The password is wrong, and nobody has been refused.
        (failure("535 5.7.8 wrong", code="EAUTH"), SENDING),
        (failure("554 5.7.1 not you", code="ECONNECTION"), SENDING),
    ],
    ids=lambda value: value if isinstance(value, str) else value.code,
)
def test_what_a_failure_means(error, state):
    assert outcome(["a@x.org"], error, None) == {"a@x.org": (state, error.message)}


def test_what_is_in_doubt_stays_so():
    error = failure(code="ECONNECTION")
    error.inDoubt = True
    assert outcome(["a@x.org"], error, None) == {"a@x.org": (IN_DOUBT, "Refused")}


def test_a_refusal_stays_with_its_recipient():
    error = failure(code="ECONNECTION")
    error.inDoubt = True
    error.rejectedErrors = [failure("550 5.1.1 no", "b@x.org")]
    found = outcome(["a@x.org", "b@x.org"], error, None)
    assert {recipient: state for recipient, (state, _) in found.items()} == {
        "a@x.org": IN_DOUBT,
        "b@x.org": REFUSED,
    }


def test_something_must_have_come_of_it():
    with pytest.raises(TypeError, match="an error or an info; got None for both"):
        outcome(["a@x.org"], None, None)


def test_who_was_not_sent_to_is_not_settled():
    info = send_info(accepted=["a@x.org"], response="250 ok")
    ((state, words),) = outcome(["A <a@x.org>"], None, info).values()
    assert (state, words) == (
        IN_DOUBT,
        "it is not among the recipients that the message was sent to",
    )
