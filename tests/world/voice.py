"""How the server says things: whole or in part, in time or too late, or something else."""

from __future__ import annotations

import errno
import math
from typing import NamedTuple

from .chance import Chance
from .network import Network
from .plan import AT_THE_VERDICT, MAX_RESPONSE, Plan
from .streams import Stream

NEVER = math.inf

_SHAPES = (
    *[b"%d 2.0.0 well\r\n"] * 12,
    b"%d\r\n",
    b"%d lone line feed\n",
    b"%d-one\r\n%d two\r\n",
    b"%d-one\n%d-two\r\n%d caf\xe9\r\n",
    b"\r\n\n%d blank lines before\r\n",
)
_ODD_CODES = (0, 150, 299, 334, 354, 399, 600, 999)
_SURPLUS = (b"250 and more\r\n", b"550 no\r\n", b"250 a\r\n250 b\r\n", b"421 x\r\n")


class _Shapes(dict[int, tuple[bytes, ...]]):
    """The forms that the reply with some code may have; made when they are first asked for."""

    def __missing__(self, code: int) -> tuple[bytes, ...]:
        shapes = tuple(shape % ((code,) * shape.count(b"%d")) for shape in _SHAPES)
        self[code] = shapes
        return shapes


_REPLIES = _Shapes()


class Reply(NamedTuple):
    """A reply as the server means it: from where to where it goes, in all that it says.

    ``end`` is ``NEVER`` if it was cut off.
    """

    code: int
    start: int
    end: float
    recipient: str | None = None

    @property
    def positive(self) -> bool:
        return 200 <= self.code < 300


class Voice:
    """What a server says over one stream, with what its plan has gone wrong.

    - ``gone``: it neither speaks nor listens any more
    - ``ending``: it closes its side as soon as all is said
    - ``honest``: it has said nothing that nobody asked for
    - ``goodbye``: where the refusal starts with which it ends the session unasked
    """

    def __init__(self, network: Network, plan: Plan, stream: Stream) -> None:
        self._network = network
        self._chance: Chance = network.chance
        self._plan = plan
        self._stream = stream
        self.gone = self.ending = False
        self.honest = True
        self.goodbye = NEVER
        self._said = 0
        self._out: list[bytes] = []
        self._replies = 0
        self._fault_at = plan.fault_at

    def reply(self, code: int, recipient: str | None = None) -> Reply:
        """Say ``code``, if nothing goes wrong."""
        return self.reply_with(code, self._chance.pick(_REPLIES[code]), recipient)

    def reply_with(self, code: int, data: bytes, recipient: str | None = None) -> Reply:
        """The same, in the words ``data``."""
        number = self._replies
        self._replies = number + 1
        if number == self._fault_at and self._plan.fault:
            return self._misbehave(self._plan.fault, code, data, recipient)
        return self._say(code, data, recipient)

    def announce_verdicts(self) -> None:
        """The next replies are final ones."""
        if self._fault_at == AT_THE_VERDICT:
            self._fault_at = self._replies + self._chance.below(2 if self._plan.lmtp else 1)

    def _say(self, code: int, data: bytes, recipient: str | None = None) -> Reply:
        start = self._said
        if self.gone or self.ending:
            return Reply(code, start, NEVER, recipient)
        self._said = end = start + len(data)
        self._out.append(data)
        if self._plan.single_writes:
            self.flush()
        return Reply(code, start, end, recipient)

    def flush(self) -> None:
        """Send off what was said."""
        if self._out:
            self._stream.deliver(b"".join(self._out))
            self._out.clear()
        if self.ending and not self.gone:
            self.gone = True
            self._stream.finish()

    def say_unasked(self, data: bytes) -> None:
        """Say something that is no reply."""
        self.honest = False
        self._say(0, data)

    def _say_later(self, data: bytes) -> None:
        self._say(0, data)
        self.flush()

    def refuse_and_leave(self, code: int) -> Reply:
        """Refuse the message that is just being sent."""
        reply = self.reply(code)
        self.flush()
        self._stream.finish()
        return reply

    # -- what goes wrong --------------------------------------------------------------------------

    def _misbehave(self, fault: str, code: int, data: bytes, recipient: str | None) -> Reply:
        self._network.judge.tally["server: " + fault] += 1
        if fault in ("fin", "reset"):
            return self._break_off(fault, code, data, recipient)
        if fault == "stall":
            self.gone = True
            if self._chance.happens(0.3):
                self._network.later(self._plan.pause, self._stream.finish)
            return Reply(code, self._said, NEVER, recipient)
        if fault == "421":
            reply = self._say(421, self._chance.pick(_REPLIES[421]), recipient)
            self.ending = True
            return reply
        if fault == "too large":
            reply = self._say(code, b"%d-" % code + b"x" * MAX_RESPONSE + b"\r\n", recipient)
            self.flush()
            self.gone = True
            return reply._replace(end=NEVER)
        if fault == "odd code":
            # No success may be made of a refusal or a question: that would be a lie.
            code = self._chance.pick((0, 150, 600, 999) if code >= 300 else _ODD_CODES)
            data = b"what a nice day\r\n" if not code else b"%d odd\r\n" % code
        elif fault == "late":
            self.flush()
            self._stream.hold(self._plan.pause)
        reply = self._say(code, data, recipient)
        if fault == "goodbye":
            self._network.later(self._chance.delay() * 4, self._say_goodbye)
        elif fault not in ("odd code", "late"):
            self._lie(fault)
        return reply

    def _break_off(self, fault: str, code: int, data: bytes, recipient: str | None) -> Reply:
        """Say a part of the reply, or all of it, and hang up."""
        length = self._chance.pick((0, 0, len(data), self._chance.below(len(data) + 1)))
        reply = self._say(code, data[:length], recipient)
        if length < len(data):
            reply = reply._replace(end=NEVER)
        self.flush()
        self.gone = True
        if fault == "fin":
            self._stream.finish()
        else:
            error = self._chance.pick((errno.ECONNRESET, errno.EPIPE, errno.EHOSTUNREACH))
            self._stream.reset(error, at_once=self._chance.happens(0.5))
        return reply

    def _say_goodbye(self) -> None:
        if not self.gone and not self.ending:
            self.goodbye = self._said
            self._say(421, b"421 4.3.2 good night\r\n")
            self.ending = True
            self.flush()

    def _lie(self, fault: str) -> None:
        chance = self._chance
        if fault == "trickle":
            self.honest = False
            for _ in range(60):
                self._network.later(chance.below(30), self._say_later, b"2")
            return
        more = chance.pick(_SURPLUS)
        if fault == "garbage":
            more = bytes(chance.below(256) for _ in range(1 + chance.below(40)))
        if chance.happens(0.5):
            self.say_unasked(more)
        else:
            self.honest = False
            self._network.later(chance.delay(), self._say_later, more)
