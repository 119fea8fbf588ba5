"""``ledger``: what a ledger holds, and what becomes of that which is in doubt."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone

from ..ledger import Entry, Ledger
from ..ledger.entries import IN_DOUBT, STATES
from . import exits
from .terminal import Terminal, complain

__all__ = ["add_parser"]

_PLACE = "SMTP_CONNECTION_LEDGER"

_DESCRIPTION = f"""\
Show how many entries of a ledger are in each state, list them, and decide what becomes of those
that are in doubt: whose final dot was sent perhaps, by a program that died before it heard the
answer.

PLACE is the path of a file, or a URL redis://, rediss://, unix:// or postgresql://; without it, it
is taken from the variable {_PLACE}, where a password is better kept."""
_EXAMPLES = """\
examples:
  %(prog)s sent.db
  %(prog)s sent.db --list "in doubt"
  %(prog)s sent.db --decide sent --message "invoice 4711" --recipient me@example.com
  %(prog)s sent.db --decide resend"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``commands``."""
    parser = commands.add_parser(
        "ledger",
        help="show a ledger, and decide what is in doubt",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("place", nargs="?", metavar="PLACE")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", dest="state", choices=STATES, help="list the entries in a state")
    what.add_argument(
        "--decide",
        choices=("sent", "resend", "drop"),
        help="of what is in doubt: it was sent; send it again, perhaps twice; never send it",
    )
    parser.add_argument("--message", metavar="NAME", help="only the entries of this message")
    parser.add_argument("--recipient", metavar="ADDRESS", help="only those of this recipient")
    parser.add_argument("--json", action="store_true", help="print JSON, a line for each entry")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    place = arguments.place or os.environ.get(_PLACE)
    if not place:
        complain(f"which ledger? Name it, or set {_PLACE}")
        return exits.USAGE
    if "://" not in place and not os.path.exists(place):
        complain(f"there is no ledger {place}")
        return exits.NO_INPUT
    try:
        ledger = Ledger(place)
    except (ValueError, ModuleNotFoundError) as exc:
        complain(str(exc))
        return exits.CONFIG
    except Exception as exc:  # of the library that reaches the place
        complain(f"the ledger cannot be opened: {exc}")
        return exits.NO_INPUT
    with ledger:
        if arguments.decide is not None:
            return _decide(ledger, arguments)
        if arguments.state is None and not (arguments.message or arguments.recipient):
            _count(ledger, as_json=arguments.json)
        else:
            _list(_chosen(ledger, arguments.state, arguments), as_json=arguments.json)
    return exits.OK


def _chosen(ledger: Ledger, state: str | None, arguments: argparse.Namespace) -> Iterator[Entry]:
    for entry in ledger.entries(state, arguments.message):
        if arguments.recipient in (None, entry.recipient):
            yield entry


def _count(ledger: Ledger, *, as_json: bool) -> None:
    counts = ledger.counts()
    if as_json:
        print(json.dumps(counts))
        return
    for state, count in counts.items():
        print(f"{state:8}  {count:>9,}")


def _list(entries: Iterator[Entry], *, as_json: bool) -> None:
    if as_json:
        for entry in entries:
            print(json.dumps(entry._asdict()))
        return
    rows = [("message", ["recipient", "state", "since", "response"])]
    for entry in entries:
        when = datetime.fromtimestamp(entry.updated, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
        rows.append((entry.message, [entry.recipient, entry.state, when, entry.response]))
    Terminal().table(rows)


def _decide(ledger: Ledger, arguments: argparse.Namespace) -> int:
    decided = 0
    for entry in list(_chosen(ledger, IN_DOUBT, arguments)):
        decided += ledger.decide(entry.message, entry.recipient, arguments.decide)
    print(json.dumps({"decided": decided}) if arguments.json else f"{decided:,} decided")
    return exits.OK if decided else exits.DATA_ERROR
