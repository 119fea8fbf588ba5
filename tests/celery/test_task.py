"""The task, carried out where it is called: what follows from each outcome of a message."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.exceptions import MaxRetriesExceededError

from smtp_connection import SMTPError
from smtp_connection.celery import make_send_task
from smtp_connection.celery.outcomes import Backoff
from smtp_connection.ledger import Ledger
from tests.support.manual import ROOT


def message(name: str, *recipients: str) -> dict[str, Any]:
    envelope = {"from": "me@x.org", "to": list(recipients) or ["a@x.org"]}
    return {"name": name, "envelope": envelope, "message": "Subject: hi\n\nhello\n"}


class Told:
    """Who was told what."""

    def __init__(self) -> None:
        self.rejected: list[tuple[str, dict[str, str]]] = []
        self.in_doubt: list[tuple[str, list[str]]] = []
        self.alarms: list[SMTPError] = []


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def place(tmp_path: Any) -> str:
    return str(tmp_path / "sent.db")


@pytest.fixture
def make_task(smtp_server: Any, told: Told, place: str) -> Iterator[Callable[..., Any]]:
    """Make a task that sends to the server; one that comes again does so at once."""

    def make(url: str | None = None, **options: Any) -> Any:
        app = Celery("tests", broker="memory://", set_as_current=False)
        app.conf.task_always_eager = True
        return make_send_task(
            app,
            url or f"smtp://{smtp_server.host}:{smtp_server.port}",
            ledger=place,
            on_rejected=lambda *told_: told.rejected.append(told_),
            on_in_doubt=lambda *told_: told.in_doubt.append(told_),
            on_login_refused=told.alarms.append,
            **options,
        )

    yield make
    signals.worker_shutdown.send(sender=None)


def counts(place: str) -> dict[str, int]:
    with Ledger(place) as ledger:
        return {state: count for state, count in ledger.counts().items() if count}


def test_a_batch_is_sent(make_task, smtp_server, place):
    task = make_task(options={"maxConnections": 1})  # several send in no certain order
    batch = [message("one"), message("two", "a@x.org", "b@x.org")]
    assert task.delay(batch).get() == {"sent": 3, "refused": 0, "in doubt": 0}
    assert [each.rcpt_tos for each in smtp_server.messages] == [["a@x.org"], ["a@x.org", "b@x.org"]]
    # It comes again, because a worker was killed before it was acknowledged.
    assert task.delay(batch).get() == {"sent": 3, "refused": 0, "in doubt": 0}
    assert len(smtp_server.messages) == 2
    assert counts(place) == {"sent": 3}


def test_who_is_refused_for_good_is_told(make_task, smtp_server, told, place):
    smtp_server.reject("b@x.org", "550 5.1.1 no such user")
    task = make_task()
    batch = [message("one", "a@x.org", "b@x.org")]
    assert task.delay(batch).get() == {"sent": 1, "refused": 1, "in doubt": 0}
    reason = "Recipient refused: 550 5.1.1 no such user"
    assert told.rejected == [("one", {"b@x.org": reason})]
    assert counts(place) == {"sent": 1, "refused": 1}


def test_what_is_refused_for_now_comes_again(make_task, smtp_server, told, place):
    smtp_server.reply("RCPT", "451 4.7.1 greylisted", times=1)
    assert make_task().delay([message("one"), message("two")]).get()["refused"] == 0
    assert [each.rcpt_tos for each in smtp_server.messages] == [["a@x.org"], ["a@x.org"]]
    assert counts(place) == {"sent": 2}
    assert told.rejected == []


def test_what_is_refused_too_often_fails(make_task, smtp_server, place):
    smtp_server.reject("a@x.org", "451 4.7.1 never")
    with pytest.raises((SMTPError, MaxRetriesExceededError), match=r"451 4\.7\.1 never"):
        make_task(max_retries=3).delay([message("one")]).get()
    with Ledger(place) as ledger:
        (entry,) = ledger.entries()
    assert (entry.state, entry.attempt) == ("sending", 4)


def test_what_is_in_doubt_is_told_and_not_sent_again(make_task, smtp_server, told, place):
    smtp_server.drop_after(".")
    task = make_task()
    assert task.delay([message("one")]).get() == {"sent": 0, "refused": 0, "in doubt": 1}
    assert task.delay([message("one")]).get() == {"sent": 0, "refused": 0, "in doubt": 1}
    assert told.in_doubt == [("one", ["a@x.org"])] * 2
    assert counts(place) == {"in doubt": 1}
    assert len(smtp_server.messages) <= 1


def test_a_wrong_password_is_one_alarm(make_task, smtp_server, told, place):
    smtp_server.auth("me", "right")
    url = f"smtp://me:wrong@{smtp_server.host}:{smtp_server.port}"
    task = make_task(url, max_retries=2)
    for name in ("one", "two"):
        with pytest.raises((SMTPError, MaxRetriesExceededError), match="Invalid login"):
            task.delay([message(name)]).get()
    (alarm,) = told.alarms
    assert alarm.code == "EAUTH"
    assert counts(place) == {"sending": 2, "refused": 1}
    with Ledger(place) as ledger:
        (entry,) = ledger.entries("refused")
    assert entry.message == f"login at {smtp_server.host}"
    assert entry.response.startswith("Invalid login: 535")
    # Once for each attempt of a task, not once for each message.
    logins = [each for each in smtp_server.sessions if "AUTH PLAIN" in str(each.transcript)]
    assert len(logins) <= 6


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("hello", "the task takes a message or a list of messages; got 'hello'"),
        ([{"name": "one"}], "a dict with 'name', 'envelope' and 'message'; got"),
        ([{**message("one"), "envelope": {}}], "the envelope of 'one' takes a dict with 'from'"),
    ],
)
def test_what_is_no_message_is_said(make_task, given, text):
    with pytest.raises(TypeError, match=text):
        make_task().delay(given).get()


def test_the_wait_grows_and_stays_below_the_visibility_time_out():
    backoff = Backoff(10, 1800, 600)
    for retries, longest in [(0, 10), (1, 20), (4, 160), (5, 300), (500, 300)]:
        waits = [backoff.wait(retries, None) for _ in range(100)]
        assert all(longest * 0.75 <= wait <= longest for wait in waits)
        assert len(set(waits)) > 1


def test_a_server_that_names_a_time_gets_it():
    error = SMTPError("no", response="451 4.7.1 Greylisted, please try again in 5 minutes")
    assert 225 <= Backoff(10, 1800, 3600).wait(0, error) <= 300


def test_without_the_extra_it_says_what_to_install():
    program = (
        "import sys; sys.modules['celery'] = None\n"
        "from smtp_connection.celery import make_send_task\n"
        "make_send_task(None, 'smtp://x', ledger='x.db')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert done.stderr.splitlines()[-1].startswith(
        "ModuleNotFoundError: make_send_task() needs the extra 'celery'"
    )
