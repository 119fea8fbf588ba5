"""The programs of the page about asyncio, and how much glue they save."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest

from tests.docs.test_hosting import BEFORE, lines_in
from tests.support.manual import PROGRAMS, TEXTS

# What made a future of a callback, where asyncio hosted the reactor.
FUTURES = """
    def into(future):
        def callback(err, result=None):
            if future.done():
                return
            if err:
                future.set_exception(err)
            else:
                future.set_result(result)
        return callback
"""


@pytest.fixture
def run_aio(smtp_server, run_text) -> Any:
    """Run the text of a program: ``printed = run_aio(text)``; each further argument is a pair of
    what is to be replaced and what takes its place."""

    def run(text: str, *replacements: tuple[str, str]) -> str:
        replacements += ("'smtp.example.com'", f"'{smtp_server.host}'"), ("localhost", "127.0.0.1")
        for old, new in replacements:
            text = text.replace(old, new)
        text, count = re.subn(r"'port': \d+", f"'port': {smtp_server.port}", text)
        assert count == 1
        done = run_text(text)
        assert (done.returncode, done.stderr) == (0, "")
        return str(done.stdout)

    return run


def test_aio(run_aio, smtp_server):
    assert run_aio(PROGRAMS["aio"]) == "['b@x.org']\n"
    assert smtp_server.sessions[0].commands[-1] == "QUIT"


def test_with_coroutines(run_aio, smtp_server):
    assert run_aio(PROGRAMS["with-coroutines"]) == ""
    assert len(smtp_server.messages) == 1


def test_aio_many(run_aio, smtp_server):
    smtp_server.reject("user7@x.org", "550 5.1.1 unknown")
    assert run_aio(PROGRAMS["aio-many"]) == "user7@x.org EENVELOPE not sent\n"
    assert len(smtp_server.messages) == 99
    assert len(smtp_server.sessions) == 5


def test_aio_events(run_aio):
    assert run_aio(PROGRAMS["aio-events"]).startswith("The server announces PIPELINING, ")


def test_aio_timeout(run_aio):
    assert run_aio(PROGRAMS["aio-timeout"]) == "250 2.0.0 Message stored\n"


@pytest.mark.parametrize(
    ("silent_after", "seconds", "printed"),
    [
        ("DATA", 0.2, "Not sent: it is safe to send it again\n"),
        (".", 3, "It may have arrived\n"),  # in which it is to come so far
    ],
)
def test_aio_timeout_passes(run_aio, smtp_server, silent_after, seconds, printed):
    smtp_server.silent(silent_after)
    hurry = [("30)", f"{seconds})"), ("'port': 25", "'socketCloseTimeout': 1, 'port': 25")]
    assert run_aio(PROGRAMS["aio-timeout"], *hurry) == printed


def test_the_glue_that_is_saved():
    hosting, futures = lines_in(BEFORE["asyncio"]), lines_in(textwrap.dedent(FUTURES))
    says = TEXTS["asyncio"].partition(".. aio glue begins")[2].partition(".. aio glue ends")[0]
    assert [int(number) for number in re.findall(r"\b\d+", says)] == [
        hosting + futures,
        hosting,
        futures,
    ]
    assert "attach" not in PROGRAMS["aio"]
