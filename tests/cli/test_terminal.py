"""Colours and tables on a terminal, plain text everywhere else."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys

import pytest

from tests.support.mail_server import mail_server

ROWS = [("port", ["25", "587"]), ("TLS", ["-", "TLSv1.3"])]

PROGRAM = f"""
import sys
if {{without_rich}}:
    sys.modules["rich"] = sys.modules["rich.console"] = None
from smtp_connection.cli.terminal import Terminal
terminal = Terminal()
terminal.print(terminal.style("bad", "error"))
terminal.table({ROWS!r})
"""


def _shown(program: str, **environment: str) -> str:
    """Run ``program`` on a terminal of its own, and return what it shows there."""
    outer, inner = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "60", **environment}
    if "NO_COLOR" not in environment:
        env.pop("NO_COLOR", None)
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=inner, stderr=inner, env=env
    ) as running:
        os.close(inner)
        while select.select([outer], [], [], 30)[0]:
            try:
                piece = os.read(outer, 4096)
            except OSError:  # how Linux tells of the end
                break
            if not piece:
                break
            shown += piece
    os.close(outer)
    assert running.returncode == 0, shown
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture
def on_terminal():
    """Print a text in a colour, and a table."""

    def run(*, without_rich: bool = False, **environment: str) -> str:
        return _shown(PROGRAM.format(without_rich=without_rich), **environment)

    return run


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_with_rich_there_are_colours_and_a_drawn_table(on_terminal):
    shown = on_terminal()
    assert re.match(r"\x1b\[[0-9;]*mbad\x1b\[0m\n", shown)
    assert "\u2502 TLS  \u2502 -  \u2502 TLSv1.3 \u2502" in _plain(shown)


def test_nobody_gets_colours_who_does_not_want_them(on_terminal):
    assert on_terminal(NO_COLOR="1").startswith("bad\n")


def test_without_rich_it_is_plain_text(on_terminal):
    assert on_terminal(without_rich=True) == "bad\n  port  25  587\n  TLS   -   TLSv1.3\n"


def test_in_a_pipe_it_is_plain_text():
    program = PROGRAM.format(without_rich=False)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "bad\n  port  25  587\n  TLS   -   TLSv1.3\n"


BAR = """
import io, sys
if {without_rich}:
    sys.modules["rich"] = sys.modules["rich.progress"] = None
from smtp_connection.cli.main import main
sys.stdin = io.TextIOWrapper(io.BytesIO(b"Subject: x\\n\\n" + b"x" * 70 * 20000))
text = ["--from", "a@example.com", "--to", "b@example.com", "--text", "-"]
sys.exit(main(["send", "--host", "127.0.0.1:{port}", *text]))
"""


@pytest.mark.parametrize(
    ("without_rich", "end"), [(True, "] 100%"), (False, "1.5/1.5 MB")], ids=["plain", "rich"]
)
def test_a_large_message_has_a_progress_bar(without_rich, end):
    with mail_server() as server:
        shown = _shown(BAR.format(without_rich=without_rich, port=server.port))
    assert end in _plain(shown)
