"""The command line: ``smtp-connection``, or ``python -m smtp_connection``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..errors import needs_extra
from . import exits, ledger, send, send_all
from .diagnosis import command as diagnosis
from .terminal import complain

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """Exits as sysexits.h has it where the arguments are wrong."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(exits.USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out ``arguments`` (by default those of the process); return the exit status."""
    parser: argparse.ArgumentParser = _Parser(
        prog="smtp-connection",
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
        epilog="example:\n  %(prog)s",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.set_defaults(command=_demo)
    send.add_parser(commands)
    diagnosis.add_parser(commands)
    send_all.add_parser(commands)
    ledger.add_parser(commands)
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.command(parsed)
    except BrokenPipeError:
        # Whoever read this has seen enough.  What is left in the buffer must not be tried again
        # when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        complain("interrupted")
        return exits.INTERRUPTED
    return status


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from .demo import run_demo
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] == "smtp_connection":
            raise
        complain(needs_extra("the demo", "demo"))
        return 1
    try:
        run_demo()
    except BrokenPipeError:
        raise
    except Exception as exc:
        complain(f"the demo failed: {exc or type(exc).__name__}")
        return 1
    return 0
