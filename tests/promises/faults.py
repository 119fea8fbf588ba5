"""Whole conversations with a server that is cut at every byte that it sends.

A conversation is STARTTLS, a login, three queued messages for several recipients each, and QUIT;
one recipient is refused, and one message.  The same without TLS, as LMTP, and with servers that do
not take the envelopes that ride behind a message.  Whatever the server does then, and wherever it
does:

- every callback is called exactly once, and ``'end'`` is emitted exactly once and last
- what is reported agrees with what the server knows, see :meth:`Session._truth`
- nothing is written after ``'end'``, and nothing is left: no descriptor, timer, job or thread

``python -m tests.promises.faults`` runs all of it.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import select
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, groupby, islice
from typing import Any, NamedTuple

import trustme

from smtp_connection import Reactor, SMTPConnection, SMTPError
from tests.support.cut_server import (
    ENDINGS,
    HONEST,
    MESSAGES,
    Cut,
    CutServer,
    Talk,
    Verdict,
    content_of,
)
from tests.support.helpers import Clock, open_files

TALKS = {
    "smtp": Talk(),
    "lmtp": Talk(lmtp=True),
    "starttls": Talk(tls=True),
    "inside-tls": Talk(tls=True, inside=True),
    **{early: Talk(early=early) for early in ("haraka", "keeps", "waits")},
}


def ways_of(talk: str) -> tuple[bool, ...]:
    """Return whether the server announces PIPELINING: both, or only that, if that is the point."""
    return (True, False) if TALKS[talk].early == "takes" else (True,)


_MESSAGES_DUE = {f"message {number}": recipients for number, recipients in MESSAGES.items()}
_DUE = ["connect", "login", *_MESSAGES_DUE, "end"]
OUTCOMES = ("delivered", "refused", "failed", "in doubt")

_HOST = "mx.example.com"
_AT_ONCE = 200
_LONGER_THAN_ANY_TIME_OUT = 1000.0
_LONGER_THAN_A_CLOSE = 6.0  # seconds; the next time-out of the client is 30
_MOST_TIME_OUTS = 10
_MOST_SHOWN = 20
_MOST_TURNS = 20_000


class Case(NamedTuple):
    """One conversation; its text names it on the command line."""

    talk: str
    pipelining: bool
    cut: Cut | None

    @property
    def conversation(self) -> str:
        """Whatever the cut."""
        return f"{self.talk}/{'pipelining' if self.pipelining else 'stepwise'}"

    def __str__(self) -> str:
        if self.cut is None:
            return self.conversation
        ending, at, lazy = self.cut
        return f"{self.conversation}/{ending}/{'piece' if lazy else 'byte'}/{at}"

    @classmethod
    def parse(cls, text: str) -> Case:
        talk, how, *rest = text.split("/")
        cut = Cut(rest[0], int(rest[2]), rest[1] == "piece") if rest else None
        return cls(talk, how == "pipelining", cut)


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of the client and of the server."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    client, server = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(client)
    authority.issue_cert(_HOST, key_type=trustme.KeyType.ECDSA).configure_cert(server)
    return client, server


class Session:
    """One conversation: the client, what it reports, and its server."""

    def __init__(self, case: Case, clients: Reactor, servers: Reactor) -> None:
        talk = TALKS[case.talk]
        self.case = case
        self._ending = case.cut.ending if case.cut else ""
        client_context, server_context = contexts()
        self.server = CutServer(servers, talk, case.pipelining, case.cut, server_context)
        self.entries: list[tuple[str, SMTPError | None, Any]] = []
        connection = SMTPConnection(
            {
                "host": "127.0.0.1",
                "port": self.server.port,
                "name": "me",
                "lmtp": talk.lmtp,
                "requireTLS": talk.tls,
                "tls": {"context": client_context},
                "servername": _HOST,
                "maxResponseSize": 16384,
            },
            reactor=clients,
        )
        connection.on("error", lambda err: self.entries.append(("error", err, None)))
        connection.on("end", self._note_the_end)
        connection.connect(self._note("connect"))
        connection.login({"user": "me", "pass": "secret"}, self._note("login"))
        for number, recipients in MESSAGES.items():
            envelope = {"from": "a@example.com", "to": list(recipients)}
            connection.send(envelope, content_of(number), self._note(f"message {number}"))
        connection.quit()

    def _note(self, name: str) -> Any:
        return lambda err, value=None: self.entries.append((name, err, value))

    @property
    def ended(self) -> bool:
        """Whether the client has said that it is over."""
        return bool(self.entries) and self.entries[-1][0] == "end"

    def _note_the_end(self) -> None:
        self.entries.append(("end", None, None))
        self.server.client_is_done()

    # -- what must hold -------------------------------------------------------------------------

    def judge(self) -> tuple[list[str], Counter[str]]:
        """Return what is wrong, and how many recipients had which outcome."""
        wrong, outcomes = list(self.server.deviations), Counter[str]()
        if not self.server.hung_up:
            wrong.append("its side of the connection is open")
        called = [name for name, _, _ in self.entries]
        if [name for name in called if name != "error"] != _DUE or called.count("error") > 1:
            return [*wrong, f"it called {called}"], outcomes
        for name, err, info in self.entries:
            if err is not None:
                wrong += self._contradictions(name, err)
            for recipient in _MESSAGES_DUE.get(name, ()):
                outcome, error = _outcome(recipient, err, info)
                outcomes[outcome] += 1
                wrong += self._lies(int(name.split()[1]), recipient, outcome, error)
        return wrong, outcomes

    def _contradictions(self, name: str, err: SMTPError) -> Iterator[str]:
        """Yield in what ``err`` contradicts itself, or other errors."""
        permanent = 500 <= (err.responseCode or 0) < 600 and not err.inDoubt
        if err.permanent != permanent:
            yield f"{name}: permanent is {err.permanent}: {err!r}, {err.response!r}"
        if err.inDoubt and name in ("connect", "login"):
            yield f"{name} is in doubt: {err!r}"
        told = [error for entry, error, _ in self.entries if entry == "error"]
        # A verdict that is none leaves the connection as it is.
        if err.inDoubt and err.code != "EMESSAGE" and told != [err]:
            yield f"'error' does not tell what {name} does: {told}, {err!r}"

    def _lies(
        self, number: int, recipient: str, outcome: str, error: SMTPError | None
    ) -> Iterator[str]:
        allowed = self._truth(number, self.server.verdicts.get((number, recipient)))
        if outcome not in allowed:
            yield f"message {number} to {recipient}: {outcome}, not {allowed} ({error!r})"
        if error is not None and error.permanent and not self._may_be_refused(number):
            yield f"message {number} to {recipient}: permanent, but nobody has refused it"

    def _may_be_refused(self, number: int) -> bool:
        # Garbage can be anything, a refusal as well.
        return self.server.begun >= number or self._ending not in HONEST

    def _truth(self, number: int, verdict: Verdict | None) -> list[str]:
        """Return the outcomes that may be reported, knowing the server's ``verdict``."""
        if verdict is None:
            # The final dot has not arrived.
            allowed = ["failed", "refused"]
            if any(message == number for message, _ in self.server.verdicts):
                # It has, but this recipient had been refused: of SMTP's error, which is that of
                # the whole message, nobody can read that.
                allowed.append("in doubt")
            return allowed
        decided = "delivered" if verdict.accepted else "refused"
        if verdict.legible == len(verdict.reply):
            return [decided]
        if self._ending == "endless:replies":
            # It goes on saying 250, which is a verdict as well, wherever it begins.
            return ["delivered", "in doubt", "refused"]
        code_is_legible = verdict.legible >= 3
        if self._ending in HONEST:
            refused = code_is_legible and not verdict.accepted
            return [decided] if refused and self._ending != "silence" else ["in doubt"]
        # What follows may complete the line, if its beginning said enough.
        return [decided, "in doubt"] if code_is_legible else ["in doubt"]


def _outcome(recipient: str, err: SMTPError | None, info: Any) -> tuple[str, SMTPError | None]:
    if err is None and recipient in info.accepted:
        return "delivered", None
    detailed = err if err is not None else info
    if detailed.rejected and recipient in detailed.rejected:
        err = detailed.rejectedErrors[detailed.rejected.index(recipient)]
    assert err is not None, f"nothing is said about {recipient}"
    if err.inDoubt:
        return "in doubt", err
    return ("refused" if 400 <= (err.responseCode or 0) < 600 else "failed"), err


def let_all_end(sessions: list[Session], clients: Reactor, servers: Reactor, clock: Clock) -> None:
    """Turn both reactors until the clients have ended, without waiting for their time-outs, and
    until they have hung up; what is alive then is left over."""
    for _ in range(_MOST_TIME_OUTS):
        _settle(clients, servers)
        if all(session.ended for session in sessions):
            break
        clock.now += _LONGER_THAN_ANY_TIME_OUT
    clock.now += _LONGER_THAN_A_CLOSE
    _settle(clients, servers)


def _settle(clients: Reactor, servers: Reactor) -> None:
    """Turn both reactors until neither has anything to do but to wait."""
    for _ in range(_MOST_TURNS):
        clients.run_once(0)
        servers.run_once(0)
        # The second look waits a moment, for what is on its way through the system.
        if clients.next_timeout() != 0 and not any(
            select.select([clients, servers], [], [], wait)[0] for wait in (0, 0.002)
        ):
            return


class Report:
    """What came of some cases.

    - ``sessions``: how many, by conversation
    - ``outcomes``: how many recipients, by conversation and outcome
    - ``problems``: which case, and what is wrong
    """

    def __init__(self) -> None:
        self.sessions: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.problems: list[tuple[Case, str]] = []

    def note(self, session: Session) -> None:
        """Judge ``session``."""
        conversation = session.case.conversation
        wrong, outcomes = session.judge()
        self.sessions[conversation] += 1
        for outcome, count in outcomes.items():
            self.outcomes[conversation, outcome] += count
        self.problems += [(session.case, each) for each in wrong]

    def add(self, other: Report) -> None:
        """Add what ``other`` has."""
        self.sessions += other.sessions
        self.outcomes += other.outcomes
        self.problems += other.problems


def run_together(cases: list[Case]) -> Report:
    """Run ``cases`` at the same time, on one reactor, and judge each."""
    report = Report()
    files, threads = open_files(), threading.active_count()
    clock = Clock()
    with Reactor(clock=clock) as clients, Reactor() as servers:
        sessions = [Session(case, clients, servers) for case in cases]
        let_all_end(sessions, clients, servers, clock)
        for session in sessions:
            report.note(session)
            session.server.close()
        left = {
            "watched descriptors": len(clients._handles),
            "timers": clients._timers.live,
            "jobs": len(clients._jobs.unfinished),
        }
    left["threads"] = threading.active_count() - threads
    left["descriptors"] = len(open_files() - files)
    wrong = [f"{count} {what} left" for what, count in left.items() if count]
    if not wrong or len(cases) == 1:
        report.problems += [(cases[0], each) for each in wrong]
        return report
    # Whose fault it is comes out when each is on its own.
    alone = Report()
    for case in cases:
        alone.add(run_together([case]))
    if not alone.problems:
        alone.problems += [(cases[0], f"with {len(cases) - 1} others: {each}") for each in wrong]
    return alone


def cases_of(talk: str, pipelining: bool, stride: int = 1) -> Iterator[Case]:
    """Yield the cases of one conversation: every byte and every piece with every ending.

    With ``stride`` it is every ``stride``-th byte, for each ending others.  Where the server says
    nothing after the cut, the outcome changes with the end of each piece, and with the end of the
    code in it: these bytes are taken as well, and every piece; where it goes on, every third piece.
    """
    clock = Clock()
    with Reactor(clock=clock) as clients, Reactor() as servers:
        uncut = Session(Case(talk, pipelining, None), clients, servers)
        let_all_end([uncut], clients, servers, clock)
    pieces = uncut.server.pieces
    ends = list(accumulate(pieces))
    turns = {*ends, *(end - size + 3 for size, end in zip(pieces, ends, strict=True) if size > 3)}
    for number, ending in enumerate(ENDINGS):
        at_bytes = set(range(number % stride, ends[-1] + 1, stride))
        every = 1 if ending in HONEST else min(stride, 3)
        if ending in HONEST:
            at_bytes |= turns
        for at in sorted(at_bytes):
            yield Case(talk, pipelining, Cut(ending, at))
        for at in range(number % every, len(pieces), every):
            yield Case(talk, pipelining, Cut(ending, at, lazy=True))


def run(cases: Iterable[Case], jobs: int = 1) -> Report:
    """Run ``cases``, some hundred at a time, on ``jobs`` processes."""
    report = Report()
    if jobs == 1:
        for batch in _batches(cases):
            report.add(run_together(batch))
    else:
        contexts()  # before the fork, so that all use the same certificate
        with multiprocessing.get_context("fork").Pool(jobs) as pool:
            for part in pool.imap_unordered(run_together, _batches(cases)):
                report.add(part)
    return report


def _batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    # By endings: where time is made to pass, timers that are left over would expire unseen.
    for _, alike in groupby(cases, key=lambda case: case.cut and case.cut.ending):
        while batch := list(islice(alike, _AT_ONCE)):
            yield batch


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.promises.faults")
    parser.add_argument("--talk", choices=TALKS, action="append", help="all by default")
    parser.add_argument("--stride", type=int, default=1, help="bytes from one cut to the next")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--only", metavar="CASE", help="run one case, as violations name it")
    arguments = parser.parse_args()
    if arguments.only:
        cases = [Case.parse(arguments.only)]
    else:
        cases = [
            case
            for talk in arguments.talk or TALKS
            for pipelining in ways_of(talk)
            for case in cases_of(talk, pipelining, arguments.stride)
        ]
    started = time.monotonic()
    report = run(cases, 1 if arguments.only else arguments.jobs)
    _print_table(cases, report)
    print(f"{len(cases)} sessions in {time.monotonic() - started:.1f} s, outcomes by recipient")
    for case, problem in report.problems[:_MOST_SHOWN]:
        print(f"{problem}\n    python -m tests.promises.faults --only {case}")
    print(f"{len(report.problems)} violations")
    return 1 if report.problems else 0


def _print_table(cases: list[Case], report: Report) -> None:
    print(
        f"{'conversation':22} positions  endings  sessions", *(f"{each:>10}" for each in OUTCOMES)
    )
    for conversation, sessions in report.sessions.items():
        cuts = [case.cut for case in cases if case.conversation == conversation and case.cut]
        positions = len({(cut.at, cut.lazy) for cut in cuts})
        endings = len({cut.ending for cut in cuts})
        counts = [f"{report.outcomes[conversation, each]:>10}" for each in OUTCOMES]
        print(f"{conversation:22} {positions:9}  {endings:7}  {sessions:8}", *counts)


if __name__ == "__main__":
    sys.exit(main())
