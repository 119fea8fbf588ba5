"""The command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import needs_extra

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out ``arguments`` (by default those of the process); return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m smtp_connection",
        description="SMTP client in callback style, on a selector-driven reactor.",
    )
    parser.add_argument("--version", action="version", version=f"smtp_connection {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo = commands.add_parser(
        "demo",
        help="send a message to a mail server that runs for as long as this takes",
        description=(
            "Start a mail server on a free loopback port, upgrade to TLS, log in, send a message,"
            " and show everything that is said.  Exits with 0 if the server has stored the message"
            " that was sent."
        ),
    )
    demo.set_defaults(command=_demo)
    command = parser.parse_args(arguments).command
    try:
        status: int = command()
    except BrokenPipeError:
        # Whoever read this has seen enough.  What is left in the buffer must not be tried again
        # when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _complain("interrupted", status=130)
    return status


def _demo() -> int:
    try:
        from .demo import run_demo
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] == "smtp_connection":
            raise
        return _complain(needs_extra("the demo", "demo"))
    try:
        run_demo()
    except BrokenPipeError:
        raise
    except Exception as exc:
        return _complain(f"the demo failed: {exc or type(exc).__name__}")
    return 0


def _complain(text: str, status: int = 1) -> int:
    print(f"smtp_connection: {' '.join(text.split())}", file=sys.stderr)
    return status
