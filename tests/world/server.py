"""A small SMTP and LMTP server that knows what it has accepted."""

from __future__ import annotations

import base64
from collections.abc import Callable

from .chance import Chance
from .judge import Judge
from .messages import Mail
from .network import Network
from .plan import Plan
from .sockets import HELLO
from .streams import Stream
from .voice import NEVER, Reply, Voice

_RIGHT_TOKEN = base64.b64encode(b"user=me\1auth=Bearer right\1\1")
_RIGHT = (base64.b64encode(b"\0me\0right"), base64.b64encode(b"right"), _RIGHT_TOKEN)


class Server:
    """One session.

    - ``verdicts``: for each message of which the end was received, or which was refused before,
      the final replies
    - ``taken``, ``refused``: for each message, the recipients that RCPT was accepted for, or not
    - ``senders_refused``: the messages whose MAIL was refused, and not because it came too early
    - ``granted``: where the replies end that let an operation succeed, by its kind
    """

    def __init__(self, network: Network, plan: Plan, mails: dict[int, Mail]) -> None:
        self._chance: Chance = network.chance
        self._judge: Judge = network.judge
        self._plan = plan
        self._mails = mails
        self.stream = Stream(network, self, split=plan.split, short=plan.short)
        self.voice = Voice(network, plan, self.stream)
        self.verdicts: dict[int, list[Reply]] = {}
        self.taken: dict[int, list[str]] = {}
        self.refused: dict[int, list[str]] = {}
        self.senders_refused: set[int] = set()
        self.granted: dict[str, list[float]] = {"connect": [], "login": [], "reset": []}
        self._buffer = b""
        self._state: Callable[[], bool] = self._take_command
        self._answer: Callable[[bytes], None] | None = None  # to a challenge
        self._secure = self._injected = False
        self._mail = 0  # the number of the one that MAIL has begun, 0 if there is none
        self._kept = False  # the transaction of that mail, although it was refused
        self._too_early = 0  # bytes of commands that it will not take yet
        self._proven = False  # it has accepted a message
        self._reset_refused = False  # so that MAIL, if it was pipelined, may come at a wrong time
        if plan.secure:
            self._state = self._take_hello
        else:
            self._greet()

    @property
    def honest(self) -> bool:
        """Whether it has said nothing that nobody asked for."""
        return self.voice.honest

    @property
    def ended(self) -> bool:
        """Whether it has ended the session, or may have said that it does."""
        return self.stream.server_gone or self.voice.goodbye < NEVER or not self.honest

    # -- what arrives -----------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """(streams.Server)"""
        if self.voice.gone:
            return
        self._buffer += data
        while self._buffer and not self.voice.gone and self._state():
            pass
        self.voice.flush()

    def client_closed(self) -> None:
        """(streams.Server)"""
        if not self._plan.lingers and not self.stream.server_gone:
            self.voice.gone = True
            self.stream.finish()

    def _take_command(self) -> bool:
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            return False
        self._buffer = rest
        self._judge.heard(line)
        if self._injected:
            self._judge.fail(f"{line!r}, after somebody has put clear text before the handshake")
        answer, too_early = self._answer, self._too_early > 0
        self._too_early -= len(line) + 2
        if answer is not None:
            self._answer = None
            answer(line)
        elif too_early and line != b"QUIT":
            self._judge.tally["server: 503 to early commands"] += 1
            self.voice.reply(503)
        else:
            _COMMANDS.get(line[:4], Server._unknown)(self, line)
        if self._buffer and self.honest and self._state == self._take_command:
            may_follow = self._plan.pipelining and line[:4] in (b"RSET", b"MAIL", b"RCPT")
            if not may_follow:
                self._judge.fail(f"{self._buffer!r} was sent without waiting after {line!r}")
        return True

    # -- the session ------------------------------------------------------------------------------

    def _no(self) -> bool:
        return self._chance.happens(self._plan.refusals)

    def _refuse(self, *codes: int) -> Reply:
        reply = self.voice.reply(self._chance.pick(codes or (421, 450, 451, 500, 550, 554)))
        if reply.code == 421:
            self.voice.ending = True
        return reply

    def _reply_or_refuse(self, code: int) -> Reply:
        return self._refuse() if self._no() else self.voice.reply(code)

    def _grant(self, kind: str, reply: Reply) -> None:
        if reply.positive:
            self.granted[kind].append(reply.end)

    def _greet(self) -> None:
        if self._chance.happens(self._plan.refusals / 4):
            self._refuse(554, 421, 450)
        else:
            self.voice.reply(220)
        self.voice.flush()

    def _unknown(self, line: bytes) -> None:
        if self.honest:
            self._judge.fail(f"the server does not understand {line!r}")
        self.voice.reply(500)

    def _hello(self, line: bytes) -> None:
        plan = self._plan
        if (line[:4] == b"LHLO") is not plan.lmtp:
            self._judge.fail(f"{line!r} to a server that is none for it")
        if self._no():
            self._refuse()
            return
        lines = plan.announced
        if plan.starttls and not self._secure:
            lines = [*lines, b"STARTTLS"]
        data = b"\r\n250-".join([b"250-hello", *lines[:-1]]) + b"\r\n250 " + lines[-1] + b"\r\n"
        self._grant("connect", self.voice.reply_with(250, data))

    def _old_hello(self, line: bytes) -> None:
        self._grant("connect", self._reply_or_refuse(250))

    def _quit(self, line: bytes) -> None:
        if self._buffer and self.honest:
            self._judge.fail("something was sent after QUIT")
        self._reply_or_refuse(221)
        self.voice.ending = True

    # -- TLS --------------------------------------------------------------------------------------

    def _start_tls(self, line: bytes) -> None:
        if not self._plan.starttls or self._secure:
            self._judge.fail("STARTTLS was not announced")
        if not self._reply_or_refuse(220).positive:
            return
        if self._plan.tls_fault.endswith("injection"):
            # Somebody in between puts clear text behind the 220, right there or a moment later.
            self._injected = True
            self._judge.tally["TLS: clear text behind the 220"] += 1
            if self._plan.tls_fault == "late injection":
                self.voice.flush()
            self.voice.say_unasked(b"250 injected\r\n")
        self.granted["connect"].clear()
        self._state = self._take_hello

    def _take_hello(self) -> bool:
        if len(self._buffer) < len(HELLO):
            return False
        if not self._buffer.startswith(HELLO):
            if self.honest:
                self._judge.fail("clear text where the handshake should be")
            self.voice.gone = True
            return False
        self._buffer = self._buffer[len(HELLO) :]
        self._state = self._take_command
        fault = self._plan.tls_fault
        if fault in ("no hello", "clear text", "fin"):
            self._judge.tally["TLS: " + fault] += 1
            self.voice.gone = True
            if fault == "clear text":
                self.stream.deliver(b"220 no TLS here\r\n")
            elif fault == "fin":
                self.stream.finish()
            return False
        self._secure = True
        self.stream.deliver(HELLO)
        if self._plan.secure:
            self._greet()
        return True

    # -- logging in -------------------------------------------------------------------------------

    def _log_in(self, line: bytes) -> None:
        mechanism, _, response = line[5:].partition(b" ")
        if self._no():
            self._refuse()
        elif mechanism == b"OWN":
            self._grant("login", self.voice.reply(235))
        elif mechanism == b"LOGIN":
            self._ask(lambda user: self._ask(self._judge_password))
        elif mechanism == b"XOAUTH2" and response != _RIGHT_TOKEN:
            self._ask(lambda line: self._judge_password(b""))
        elif response:
            self._judge_password(response)
        else:
            self._refuse()

    def _ask(self, answer: Callable[[bytes], None]) -> None:
        if self.voice.reply(334).code == 334:
            self._answer = answer

    def _judge_password(self, response: bytes) -> None:
        if response not in _RIGHT or self._no():
            self.voice.reply(535)
            return
        reply = self.voice.reply(235)
        self._grant("login", reply)
        if reply.code == 334:
            self._answer = lambda line: self._judge_password(b"")

    # -- messages ---------------------------------------------------------------------------------

    def _begin_mail(self, line: bytes) -> None:
        number = int(line[len(b"MAIL FROM:<m") : line.index(b"@")])
        if self._mail and self.honest and not (self._reset_refused or self._kept):
            self._judge.fail(f"{line!r} within the transaction of mail {self._mail}")
        if self._mail:
            self.voice.reply(503)
        elif self._reply_or_refuse(250).positive:
            self._mail = number
            self.taken[number] = []
            self.refused[number] = []
        else:
            self.senders_refused.add(number)

    def _take_recipient(self, line: bytes) -> None:
        recipient = line[len(b"RCPT TO:<") : line.index(b">")].decode()
        if not self._mail or self._reset_refused:
            self.voice.reply(503)
            return
        if self._kept:
            self.voice.reply(self._chance.pick((250, 503)))  # into the transaction of another
            return
        if self.honest and recipient not in self._mails[self._mail].recipients:
            self._judge.fail(f"mail {self._mail} is not for {recipient}")
        taken = self._reply_or_refuse(250).positive
        (self.taken if taken else self.refused)[self._mail].append(recipient)

    def _data(self, line: bytes) -> None:
        number = self._mail
        if self._kept and self._chance.happens(0.5):
            self.voice.reply(503)
            return
        if self._kept:
            self._judge.tally["server: 354 that belongs to nobody"] += 1
        for_nobody = not number or not self.taken[number]
        if for_nobody and (self._plan.lmtp or self._chance.happens(0.7)):
            self.voice.reply(503)
            return
        if self._buffer and self.honest:
            self._judge.fail(f"mail {number} was sent before the server had said 354")
        if 200 <= self._reply_or_refuse(self._plan.code_of_data).code < 400:
            self._state = self._take_body

    def _take_body(self) -> bool:
        buffer = self._buffer
        if buffer.startswith(b".\r\n"):
            content, rest = b"", buffer[3:]
        else:
            end = buffer.find(b"\r\n.\r\n")
            if end < 0:
                if self._plan.body_fault and len(buffer) >= self._plan.body_fault_at:
                    self._break_body(self._plan.body_fault)
                return False
            content, rest = buffer[: end + 2], buffer[end + 5 :]
        self._buffer = rest
        self._state = self._take_command
        if rest:
            self._look_at_what_rides(rest)
        number, self._mail = self._mail, 0
        self._receive(number, content)
        return True

    def _look_at_what_rides(self, commands: bytes) -> None:
        """``commands`` have been sent behind a message, before its verdict."""
        plan = self._plan
        if self.honest and (plan.lmtp or not (plan.pipelining and plan.rides and self._proven)):
            self._judge.fail(f"{commands!r} rides behind a message")
        self._judge.tally["server: what rides, it " + plan.early] += 1
        if plan.early == "503":
            self._too_early = len(commands)

    def _break_body(self, fault: str) -> None:
        self._judge.tally["server, within a message: " + fault] += 1
        if fault == "fin":
            self.stream.finish()
        elif fault == "reset":
            self.stream.reset(at_once=True)
        elif fault != "stall":
            reply = self.voice.refuse_and_leave(421 if fault == "421" else 552)
            if self._plan.lmtp:
                self.voice.goodbye = reply.start  # to one of the recipients, if not to all
            else:
                self.verdicts[self._mail] = [reply]
        self.voice.gone = True

    def _receive(self, number: int, content: bytes) -> None:
        if not content:
            if number and self.taken[number] and self.honest:
                self._judge.fail(f"mail {number} arrived empty")
            self.voice.reply(554)
            return
        self._judge.arrived(number)
        if self.honest:
            self._judge.received(number, content, self._mails, self.verdicts)
        if number not in self.taken:
            self.voice.reply(503)
            return
        self.voice.announce_verdicts()
        verdicts = self.verdicts[number] = []
        keeps = self._plan.early == "keeps" and not self._plan.lmtp
        for recipient in self.taken[number] if self._plan.lmtp else [None]:
            no = self._no() or (keeps and self._proven and self._chance.happens(0.4))
            code = self._chance.pick((421, 450, 452, 550, 554)) if no else 250
            reply = self.voice.reply(code, recipient)
            if reply.code == 421:
                self.voice.ending = True
            verdicts.append(reply)
            self._proven = self._proven or reply.positive
        if keeps and not verdicts[0].positive:
            self._mail, self._kept = number, True

    def _reset(self, line: bytes) -> None:
        reply = self._reply_or_refuse(250)
        self._grant("reset", reply)
        self._reset_refused = not reply.positive
        if reply.positive:
            self._mail, self._kept = 0, False


_COMMANDS: dict[bytes, Callable[[Server, bytes], None]] = {
    b"EHLO": Server._hello,
    b"LHLO": Server._hello,
    b"HELO": Server._old_hello,
    b"STAR": Server._start_tls,
    b"AUTH": Server._log_in,
    b"MAIL": Server._begin_mail,
    b"RCPT": Server._take_recipient,
    b"DATA": Server._data,
    b"RSET": Server._reset,
    b"QUIT": Server._quit,
}
