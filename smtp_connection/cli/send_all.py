"""``smtp-connection send-all``: a campaign on one machine, which can be killed at any moment."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import Reactor, SendInfo, SMTPError, SMTPPool
from ..ledger import Claim, Ledger
from ..ledger.entries import IN_DOUBT, REFUSED, SENDING, SENT, outcome
from . import exits
from .account import CannotDo
from .server import URL_VARIABLE, add_server_arguments, server_options
from .template import Template
from .terminal import complain

if TYPE_CHECKING:
    from ..types import Envelope

__all__ = ["add_parser"]

_DESCRIPTION = f"""\
Send a message to each recipient in a CSV file with a heading.  $name and ${{name}} in the template,
a message with headers, stand for what is in the column of that name; $$ is a $.

What was sent is written in the ledger: whenever this is ended, by Ctrl-C, kill -9 or a power
failure, the same command goes on, and nobody gets the message twice.  Who was refused for now gets
it the next time.  The server is that of --url or --host, else that of {URL_VARIABLE}, else the one
on this machine.

Exits with 0 if everybody has got the message, 67 if some were refused for good, 75 if some are
still to be sent to, 79 if some are in doubt (see the command ledger), else with the number of
sysexits.h that says what is wrong."""
_EXAMPLES = """\
example:
  %(prog)s recipients.csv template.eml --url smtps://me@smtp.example.com --password-env PASSWORD"""

_CHUNK = 500  # rows that are claimed together, and the most that wait in the pool


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``send-all`` to the commands."""
    parser = commands.add_parser(
        "send-all",
        help="send a message to each recipient in a file, and to nobody twice",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipients", type=Path, metavar="RECIPIENTS.CSV")
    parser.add_argument("template", type=Path, metavar="TEMPLATE.EML")
    parser.add_argument(
        "--column", default="email", help="has the addresses (default: %(default)s)"
    )
    parser.add_argument(
        "--campaign",
        metavar="NAME",
        help="what the ledger knows it by: another one is sent to everybody (default: the name of"
        " the template's file)",
    )
    parser.add_argument(
        "--ledger", metavar="PLACE", help="a file or a URL (default: the name of the campaign, .db)"
    )
    parser.add_argument(
        "--connections", type=int, default=5, metavar="N", help="at a time (default: %(default)s)"
    )
    parser.add_argument("--rate", type=int, default=0, metavar="N", help="messages a second")
    parser.add_argument("--dry-run", action="store_true", help="print the first message alone")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_server_arguments(parser)
    parser.set_defaults(command=_run, timeout=None)


def _run(arguments: argparse.Namespace) -> int:
    campaign = arguments.campaign or arguments.template.stem
    try:
        template = Template(arguments.template.read_bytes())
        rows = _Rows(arguments.recipients, arguments.column, template)
        if arguments.dry_run:
            return _show(template, rows, campaign)
        options = {
            **server_options(arguments),
            "maxConnections": arguments.connections,
            "rateLimit": arguments.rate,
        }
        with Reactor() as reactor, Ledger(arguments.ledger or f"{campaign}.db") as ledger:
            sending = _Sending(ledger, SMTPPool(options, reactor=reactor), rows, template, campaign)
            sending.run()
    except CannotDo as exc:
        complain(str(exc))
        return exits.USAGE
    except ModuleNotFoundError as exc:
        complain(str(exc))
        return exits.CONFIG
    except (TypeError, ValueError, OSError) as exc:
        complain(str(exc))
        return exits.status_of(exc)
    return sending.report(as_json=arguments.json)


class _Row(NamedTuple):
    number: int
    recipient: str
    values: dict[str, str]


class _Rows:
    """The rows of the file, each recipient once."""

    def __init__(self, path: Path, column: str, template: Template) -> None:
        self._path = path
        self._column = column
        with path.open(newline="", encoding="utf-8-sig") as file:
            columns = csv.DictReader(file).fieldnames or []
        if column not in columns:
            raise CannotDo(f"{path} has no column {column!r}, but {_listed(columns)}: see --column")
        missing = sorted(template.names - set(columns))
        if missing:
            raise CannotDo(
                f"the template names {_listed(missing)}; {path} has the columns {_listed(columns)}"
            )

    def __iter__(self) -> Iterator[_Row]:
        seen = set()
        with self._path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                recipient = (row[self._column] or "").strip()
                if not recipient:
                    complain(f"row {number} has no address, and is left out")
                elif recipient.casefold() not in seen:
                    seen.add(recipient.casefold())
                    values = {name: value or "" for name, value in row.items() if name is not None}
                    yield _Row(number, recipient, values)


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names)


def _show(template: Template, rows: _Rows, campaign: str) -> int:
    row = next(iter(rows), None)
    if row is None:
        raise CannotDo("there are no recipients")
    print(f"To: <{row.recipient}>\n", flush=True)
    sys.stdout.buffer.write(template.fill(row.values, row.recipient, campaign).as_bytes())
    return exits.OK


def _concerns_all(error: SMTPError) -> bool:
    """Whether ``error`` says nothing about the message, so that the next ones would fail, too."""
    if error.code == "EAUTH":
        return True
    return error.responseCode is None and not (error.permanent or error.inDoubt)


class _Sending:
    """Reads rows, claims them and hands them to the pool, never more than it can send soon."""

    def __init__(
        self, ledger: Ledger, pool: SMTPPool, rows: _Rows, template: Template, campaign: str
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._rows: Iterator[_Row] = iter(rows)
        self._template = template
        self._campaign = campaign
        self._reading = False
        self._ended = False  # there are no more rows, or none are to be sent
        self._failure: SMTPError | None = None
        self._counts = dict.fromkeys((SENT, REFUSED, SENDING, IN_DOUBT), 0)
        self._before = 0
        self._progress = _Progress(self._counts, pool)

    def run(self) -> None:
        """Send all; what is wrong with the connection ends it, and so does Ctrl-C."""
        self._pool.on("error", lambda error: None)  # it is the failure of a message as well
        reactor = self._pool.reactor
        self._read()
        with self._progress:
            try:
                reactor.run()
            except KeyboardInterrupt:
                complain("interrupted: what is being sent is finished (Ctrl-C again: it is not)")
                self._end(drain=False)
                try:
                    reactor.run()
                except KeyboardInterrupt:
                    self._pool.close({"force": True})
                    reactor.run()

    def _read(self) -> None:
        if not self._reading and not self._ended and self._pool.pendingCount() < _CHUNK:
            self._reading = True
            self._pool.reactor.run_in_thread(self._next_claims, self._claimed)

    def _next_claims(self) -> list[tuple[_Row, Claim]]:
        rows = list(islice(self._rows, _CHUNK))
        claims = self._ledger.claim_all(
            (f"{self._campaign}: {row.recipient}", [row.recipient]) for row in rows
        )
        return list(zip(rows, claims, strict=True))

    def _claimed(
        self, claims: list[tuple[_Row, Claim]] | None, error: BaseException | None
    ) -> None:
        self._reading = False
        if error is not None:
            self._end(drain=False)
            raise error
        if not claims and not self._ended:
            self._end(drain=True)
        for row, claim in claims or ():
            if not self._ended:
                self._send(row, claim)
        self._read()

    def _send(self, row: _Row, claim: Claim) -> None:
        self._before += len(claim.settled)
        self._counts[IN_DOUBT] += len(claim.in_doubt)
        if not claim.recipients:
            return
        envelope: Envelope = {
            "from": self._template.sender,
            "to": claim.recipients,
            "beforeCommit": claim.before_commit,
        }
        try:
            message = self._template.fill(row.values, row.recipient, self._campaign)
        except ValueError as exc:
            complain(f"row {row.number} is left out: {exc}")
            self._counts[SENDING] += 1
            return
        self._pool.send(envelope, message, partial(self._sent, claim))

    def _sent(self, claim: Claim, err: SMTPError | None, info: SendInfo | None) -> None:
        claim.settle(err, info)
        for recipient, (state, words) in outcome(claim.recipients, err, info).items():
            self._counts[state] += 1
            if state == REFUSED:
                complain(f"{recipient} was refused: {words}")
        if err is not None and _concerns_all(err):
            self._fail(err)
        self._read()

    def _fail(self, error: SMTPError) -> None:
        if self._failure is None:
            self._failure = error
            self._end(drain=False)

    def _end(self, *, drain: bool) -> None:
        self._ended = True
        self._pool.close({"drain": drain})

    def report(self, *, as_json: bool) -> int:
        """Print what has become of all; return the exit status."""
        counts = {**self._counts, "sent before": self._before}
        if as_json:
            print(json.dumps(counts))
        else:
            print("; ".join(f"{state} {count:,}" for state, count in counts.items()))
        if self._failure is not None:
            complain(self._failure.message)
        if self._counts[IN_DOUBT]:
            return exits.IN_DOUBT
        if self._failure is not None:
            return exits.status_of(self._failure)
        if self._counts[SENDING] or not self._ended:
            return exits.TEMPORARY
        return exits.SOME_REFUSED if self._counts[REFUSED] else exits.OK


class _Progress:
    """Says every now and then how far it has come: on a terminal in one line, else in a line of
    its own."""

    def __init__(self, counts: dict[str, int], pool: SMTPPool) -> None:
        self._counts = counts
        self._pool = pool
        self._on_terminal = sys.stderr.isatty()
        self._every = 1.0 if self._on_terminal else 10.0
        self._timer = pool.reactor.timer(self._show).unref()

    def __enter__(self) -> _Progress:
        self._timer.start(self._every)
        return self

    def _show(self) -> None:
        rate = f"{self._pool.stats().rate:,.0f} a second"
        text = "; ".join([f"{state} {count:,}" for state, count in self._counts.items()] + [rate])
        end = "" if self._on_terminal else "\n"
        print(f"\r{text}   " if self._on_terminal else text, end=end, file=sys.stderr, flush=True)
        self._timer.start(self._every)

    def __exit__(self, *exc_info: object) -> None:
        self._timer.cancel()
        if self._on_terminal:
            print(file=sys.stderr)
