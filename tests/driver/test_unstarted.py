"""A program that forgets ``run()`` is told so when it ends, and no other program is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import smtp_connection

WARNING = "RuntimeWarning: the program ends, and {} done nothing: the reactor was never run"

BEGINNING = """
import os, sys
from smtp_connection import Reactor, SMTPConnection, get_reactor, run
options = {"host": "127.0.0.1", "port": 1, "name": "me"}
connection = SMTPConnection(options)
"""


def run_program(program, *flags):
    """Return what ``program`` says on stderr."""
    folder = Path(smtp_connection.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, *flags, "-c", BEGINNING + program],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=folder,
    )
    assert done.stdout == ""
    return done.stderr


FORGETFUL = {
    "one": ("connection.connect()", "a connection has"),
    "with operations": (
        "connection.connect()\nconnection.login({})\nconnection.quit()",
        "a connection has",
    ),
    "three": (
        "all = [connection, *map(SMTPConnection, [options] * 2)]\nfor each in all: each.connect()",
        "3 connections have",
    ),
    "a reactor of its own": (
        "reactor = Reactor()\nown = SMTPConnection(options, reactor=reactor)\nown.connect()",
        "a connection has",
    ),
    "sys.exit()": ("connection.connect()\nsys.exit()", "a connection has"),
}


@pytest.mark.parametrize(("program", "which"), FORGETFUL.values(), ids=FORGETFUL)
def test_a_program_that_never_calls_run_gets_one_warning(program, which):
    (line,) = run_program(program).splitlines()
    assert WARNING.format(which) in line
    assert "call smtp_connection.run()" in line


SILENT = {
    "not connected": "",
    "run": "connection.on('error', lambda err: None)\nconnection.connect()\nrun()",
    "a turn": "connection.connect()\nget_reactor().run_once(0)",
    "closed": "connection.connect()\nconnection.close()",
    "gone": """
import gc
with Reactor() as reactor:
    connection = SMTPConnection(options, reactor=reactor)
    connection.connect()
del connection, reactor
gc.collect()
""",
    "a child": """
connection.connect()
child = os.fork()
if child:
    connection.close()
    os.waitpid(child, 0)
""",
}


@pytest.mark.parametrize("program", SILENT.values(), ids=SILENT)
def test_no_other_program_is_warned(program):
    assert run_program(program) == ""


def test_a_program_that_has_failed_says_only_why():
    said = run_program("connection.connect()\n1 / 0")
    assert said.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "RuntimeWarning" not in said


def test_the_warning_can_be_switched_off():
    assert run_program("connection.connect()", "-W", "ignore::RuntimeWarning") == ""
