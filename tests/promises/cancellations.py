"""Operations that are cancelled at random moments, with everybody's word compared at the end.

``python -m tests.promises.cancellations --count 10000``

Tasks use connections of ``smtp_connection.aio``, many at the same time, and are cancelled after a
random number of turns of the loop or milliseconds: by ``cancel()``, by ``wait_for``, by
``asyncio.timeout``, by a signal, some of them twice.  A strict server on the same loop takes its
time, and notes what it accepts.  Then

- what a task was told of its message is what the server knows: accepted, not accepted, or in doubt;
- no message arrives twice or mixed with another one, and the server got no command out of order;
- every reply reached the operation that had asked for it;
- no cancellation was lost, and nobody waits for ever.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from smtp_connection import AbortController, AbortSignal, SMTPError
from smtp_connection.aio import SMTPConnection

PATIENCE = 60.0
"""Seconds after which nobody waits any more."""


# -- the server ------------------------------------------------------------------------------------


class Records:
    """What all sessions of the server know.

    - ``accepted``: how often each mark was accepted
    - ``problems``: what no client may do
    - ``sessions``: those that are open
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.accepted: Counter[str] = Counter()
        self.problems: list[str] = []
        self.sessions: set[Session] = set()


class Session(asyncio.Protocol):
    """One session: strict in what it takes, slow in what it says."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._chance = records.chance
        self._pipelining = self._chance.random() < 0.5
        self._buffer = b""
        self._mark: str | None = None  # of the transaction under way
        self._recipients = 0
        self._in_data = False
        self._waiting: deque[tuple[float, bytes]] = deque()  # replies, and when they are due
        self._open = True

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._records.sessions.add(self)
        self._reply("220 strict")

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False
        self._records.sessions.discard(self)

    def hang_up(self) -> None:
        """End the session at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._open:
            if self._in_data:
                content, dot, rest = self._buffer.partition(b"\r\n.\r\n")
                if not dot:
                    return
                self._buffer, self._in_data = rest, False
                self._take(content.decode())
                continue
            line, end, rest = self._buffer.partition(b"\r\n")
            if not end:
                return
            self._buffer = rest
            self._command(line.decode())

    def _command(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "EHLO":
            self._reply(
                "250-strict\r\n250-PIPELINING\r\n250 AUTH PLAIN"
                if self._pipelining
                else "250-strict\r\n250 AUTH PLAIN"
            )
        elif verb == "AUTH":
            self._reply("235 in")
        elif verb == "VRFY":
            self._reply(f"252 {rest}")
        elif verb == "NOOP":
            self._reply("250 noop")
        elif verb == "RSET":
            self._mark, self._recipients = None, 0
            self._reply("250 reset")
        elif verb == "MAIL" and self._mark is None:
            self._mark = rest.partition("<")[2].partition("@")[0]
            self._reply("250 from")
        elif verb == "RCPT" and self._mark is not None:
            self._recipients += 1
            self._reply(f"250 {rest.partition('<')[2].partition('@')[0]}")
        elif verb == "DATA" and self._recipients:
            self._in_data = True
            self._reply("354 go")
        elif verb == "QUIT":
            self._reply("221 bye")
        else:
            self._records.problems.append(f"out of order: {line!r}")
            self._reply("503 no")

    def _take(self, content: str) -> None:
        mark, self._mark, self._recipients = self._mark, None, 0
        marks = {line for line in content.splitlines() if line}
        if marks != {f"X-Mark: {mark}"}:
            self._records.problems.append(f"the message of {mark} says {sorted(marks)[:3]}")
        if self._chance.random() < 0.9:
            self._records.accepted[str(mark)] += 1
            self._reply(f"250 {mark}", slow=True)
        else:
            self._reply("451 later", slow=True)

    def _reply(self, text: str, slow: bool = False) -> None:
        """Say ``text`` after what was said before, and perhaps some time later."""
        chance = self._chance
        delay = chance.choice((0, 0, 0, chance.random() * (0.04 if slow else 0.004)))
        self._waiting.append((asyncio.get_running_loop().time() + delay, f"{text}\r\n".encode()))
        if len(self._waiting) == 1:
            self._say_what_is_due()

    def _say_what_is_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._waiting[0][0] <= loop.time():
            self._say(self._waiting.popleft()[1])
        if self._waiting:
            loop.call_at(self._waiting[0][0], self._say_what_is_due)

    def _say(self, text: bytes) -> None:
        if self._chance.random() < 0.002:
            self._transport.close()  # as servers do
        elif not self._transport.is_closing():
            self._transport.write(text)
            if text.startswith(b"221"):
                self._transport.close()


@asynccontextmanager
async def serving(records: Records) -> AsyncIterator[int]:
    """Serve on a port of this machine, as long as the block lasts."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(records), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for session in list(records.sessions):
            session.hang_up()
        while records.sessions:
            await asyncio.sleep(0)
        await server.wait_closed()  # from Python 3.12 on, also until all sessions are over


# -- the operations --------------------------------------------------------------------------------


class Told:
    """What one task was told: ``end`` is ``'value'``, ``'cancelled'``, ``'timeout'`` or the code of
    an error."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.end = ""
        self.in_doubt = False
        self.cancellation_lost = False
        self.value: Any = None


Operation = Callable[[SMTPConnection, str, "AbortSignal | None"], Awaitable[Any]]
Work = Callable[["AbortSignal | None"], Awaitable[Any]]
"""An operation of one connection, to be called when somebody waits for it."""


def _envelope(mark: str, recipients: int = 1) -> dict[str, Any]:
    return {"from": f"{mark}@x.org", "to": [f"{mark}@x.org"] * recipients}


async def _send(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    return await connection.send(_envelope(mark), f"X-Mark: {mark}\r\n", signal=signal)


async def _send_much(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    content = f"X-Mark: {mark}\r\n" * 20_000
    return await connection.send(_envelope(mark, 3), content, signal=signal)


async def _send_pieces(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    pieces = (f"X-Mark: {mark}\r\n" for _ in range(3))
    return await connection.send(_envelope(mark), pieces, signal=signal)


async def _command(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    return await connection.command(f"VRFY {mark}", signal=signal)


async def _probe(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    return await connection.probe(_envelope(mark), signal=signal)


async def _login(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    return await connection.login({"user": mark, "pass": "secret"}, signal=signal)


async def _noop(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    return await connection.noop(signal=signal)


async def _reset(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    return await connection.reset(signal=signal)


async def _connect(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    return await connection.connect(signal=signal)


async def _quit(connection: SMTPConnection, mark: str, signal: AbortSignal | None) -> Any:
    return await connection.quit()


WEIGHTS: dict[Operation, int] = {
    _send: 8,
    _send_much: 1,
    _send_pieces: 2,
    _command: 3,
    _probe: 2,
    _login: 1,
    _noop: 1,
    _reset: 1,
}
SENDS = (_send, _send_much, _send_pieces)


# -- the cancellations -----------------------------------------------------------------------------


async def _moment(chance: random.Random) -> None:
    """Wait for a random time: some turns of the loop, or some milliseconds."""
    if chance.random() < 0.6:
        for _ in range(chance.choice((0, 1, 2, 3, 5, 8, 13, 21))):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(chance.random() * 0.02)


async def _carry_out(told: Told, work: Work, signal: AbortSignal | None = None) -> None:
    try:
        told.value = await work(signal)
        told.end = "value"
    except SMTPError as error:
        told.end, told.in_doubt = str(error.code), error.inDoubt


async def by_task(told: Told, work: Work, chance: random.Random) -> None:
    """Cancel the task, some of them twice."""

    async def until_cancelled() -> None:
        await _carry_out(told, work)
        await asyncio.Event().wait()  # a cancellation that was not raised before comes here

    task = asyncio.ensure_future(until_cancelled())
    for _ in range(chance.choice((1, 1, 2))):
        await _moment(chance)
        task.cancel()
    await asyncio.wait([task], timeout=PATIENCE)
    told.cancellation_lost = not task.done()
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE)
    told.end = told.end or "cancelled"


async def by_wait_for(told: Told, work: Work, chance: random.Random) -> None:
    """Let a time-out of ``wait_for`` pass, or not."""
    try:
        await asyncio.wait_for(_carry_out(told, work), chance.random() * 0.01)
    except asyncio.TimeoutError:
        told.end = told.end or "timeout"


async def by_timeout(told: Told, work: Work, chance: random.Random) -> None:
    """Let one of ``asyncio.timeout`` pass, or not."""
    try:
        async with asyncio.timeout(chance.random() * 0.01):
            await _carry_out(told, work)
    except asyncio.TimeoutError:
        told.end = told.end or "timeout"
    for _ in range(3):
        await asyncio.sleep(0)  # no cancellation strikes here that is over


async def by_signal(told: Told, work: Work, chance: random.Random) -> None:
    """Abort the operation."""
    controller = AbortController()
    task = asyncio.ensure_future(_carry_out(told, work, controller.signal))
    await _moment(chance)
    controller.abort()
    await asyncio.wait_for(task, PATIENCE)


CANCELLATIONS = [by_task, by_task, by_wait_for, by_signal]
if sys.version_info >= (3, 11):
    CANCELLATIONS.append(by_timeout)


# -- the whole -------------------------------------------------------------------------------------


class Trial:
    """Cancels ``count`` operations.

    - ``told``: what each task was told that wanted to send a message
    - ``ends``: how often each kind of operation ended in each way
    - ``problems``: what must not be
    """

    def __init__(self, count: int, seed: int, limit: float | None = None) -> None:
        """``limit`` is how long all of it may take, seconds."""
        self.told: list[Told] = []
        self.ends: Counter[str] = Counter()
        self.problems: list[str] = []
        self._chance = random.Random(seed)
        self._records = Records(self._chance)
        self._left = count
        self._limit = PATIENCE + count / 20 if limit is None else limit
        self._marks = map("m{}".format, itertools.count())

    def run(self) -> None:
        """Carry everything out, and judge."""
        try:
            asyncio.run(asyncio.wait_for(self._run(), self._limit))
        except asyncio.TimeoutError:
            self.problems.append("somebody waits for ever")
        self.problems += self._records.problems
        for told in self.told:
            self._judge(told)

    async def _run(self) -> None:
        async with serving(self._records) as port:
            await asyncio.gather(*(self._use_connections(port) for _ in range(8)))

    async def _use_connections(self, port: int) -> None:
        options = {"host": "127.0.0.1", "port": port, "name": "me", "socketCloseTimeout": 20}
        while self._left > 0:
            connection = SMTPConnection(options)
            connection.on("error", lambda: None)
            await self._connect(connection)
            while self._left > 0 and not connection.destroyed:
                works = (self._work(connection) for _ in range(self._chance.randint(1, 6)))
                await asyncio.gather(*works)
            if self._chance.random() < 0.3:
                await self._cancel(connection, "", _quit, by_task)
            elif self._chance.random() < 0.5:
                await connection.quit()
            connection.close()
            await connection.wait_closed()

    async def _connect(self, connection: SMTPConnection) -> None:
        if self._chance.random() < 0.1:
            await self._cancel(connection, "", _connect)
            if connection.destroyed or connection.stage == "connected":
                return
        try:
            await connection.connect()
        except SMTPError:
            pass  # the server has hung up

    async def _work(self, connection: SMTPConnection) -> None:
        (operation,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        mark = next(self._marks)
        told = await self._cancel(connection, mark, operation)
        if operation in SENDS:
            self.told.append(told)
        elif told.end == "value":
            self._check_reply(told)

    async def _cancel(
        self, connection: SMTPConnection, mark: str, operation: Operation, way: Any = None
    ) -> Told:
        self._left -= 1
        told = Told(mark)
        work = partial(operation, connection, mark)
        await (way or self._chance.choice(CANCELLATIONS))(told, work, self._chance)
        if told.cancellation_lost:
            self.problems.append(f"a cancellation was lost after {told.end!r}")
        state = "closed" if connection.destroyed else "open"
        self.ends[f"{told.end}{', in doubt' * told.in_doubt}; connection {state}"] += 1
        return told

    def _check_reply(self, told: Told) -> None:
        text = getattr(told.value, "text", None) or getattr(told.value, "response", None)
        if text is not None and not text.endswith(told.mark):
            self.problems.append(f"{told.mark} got the reply {text!r}")

    def _judge(self, told: Told) -> None:
        count = self._records.accepted[told.mark]
        if count > 1:
            self.problems.append(f"{told.mark} was accepted {count} times")
        if told.end == "value":
            if not count or not told.value.response.endswith(told.mark):
                self.problems.append(f"{told.mark} was told {told.value.response!r}")
        elif count and not told.in_doubt:
            self.problems.append(f"{told.mark} was accepted, and its task told {told.end!r}")


def main() -> int:
    """Run a trial from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="default: 10000")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    arguments = parser.parse_args()
    trial = Trial(arguments.count, arguments.seed)
    trial.run()
    for end, count in trial.ends.most_common():
        print(f"{count:8,}  {end}")
    accepted = sum(told.end == "value" for told in trial.told)
    doubts = sum(told.in_doubt for told in trial.told)
    print(f"{sum(trial.ends.values()):,} operations, of which {len(trial.told):,} were messages:")
    print(f"{accepted:,} accepted, {doubts:,} in doubt; {len(trial.problems)} problems")
    for problem in trial.problems[:20]:
        print(problem)
    return bool(trial.problems)


if __name__ == "__main__":
    sys.exit(main())
