"""The command line in this process: what it is given, what it says, and what it exits with."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from smtp_connection.cli.main import main


class Done(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


@pytest.fixture
def smtp(capfd, monkeypatch) -> Callable[..., Done]:
    """Run the command line: ``smtp('send', ..., stdin=b'...')``."""

    def run(*arguments: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main(arguments)
        except SystemExit as exc:
            status = exc.code
        return Done(status, *capfd.readouterr())

    return run


@pytest.fixture(autouse=True)
def no_server_of_this_machine(monkeypatch) -> None:
    """No variable of whoever runs the tests names a server."""
    monkeypatch.delenv("SMTP_URL", raising=False)
