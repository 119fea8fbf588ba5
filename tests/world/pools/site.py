"""The servers of a pool: one site, which counts its clients, and has limits that nobody is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..chance import Chance
from ..messages import Mail
from ..network import Network
from ..outcomes import end_was_sent
from ..plan import LIES, Plan
from ..server import Server
from ..streams import Stream
from ..voice import Reply
from .judge import PoolJudge


class Site:
    """What all sessions have in common.

    - ``most`` (int): so many connections are allowed
    - ``password`` (bool): the client's is right
    - ``throttled`` (float): how often the client is told that it sends too much
    - ``reachable`` (float): how often somebody answers at all
    """

    def __init__(self, chance: Chance) -> None:
        self.plan = Plan(chance)
        self.plan.rides = True  # the pool leaves that option as it is
        self.most = chance.pick((99, 99, 99, 1, 2, 3))
        self.password = chance.happens(0.85)
        self.throttled = chance.pick((0.0, 0.0, 0.0, 0.2))
        self.reachable = chance.pick((0.6, 1.0, 1.0, 1.0))
        self.calm = chance.pick((0.3, 0.7, 0.9))

    def next_plan(self, chance: Chance) -> Plan:
        """Return the plan of another session: its faults are its own, what it offers is not."""
        plan = Plan(chance)
        alike = ("lmtp", "secure", "starttls", "pipelining", "announced", "code_of_data", "rides")
        for name in alike:
            setattr(plan, name, getattr(self.plan, name))
        if chance.happens(self.calm):
            plan.fault = plan.body_fault = ""
            plan.refusals = 0.0
        if plan.fault in LIES:
            plan.fault = ""
        plan.tls_fault = ""
        return plan


class SiteServer(Server):
    """One session with the site."""

    def __init__(
        self, network: Network, site: Site, mails: dict[int, Mail], judge: PoolJudge
    ) -> None:
        self.number = len(judge.servers)
        self._site = site
        self._pool_judge = judge
        self._too_many = sum(not server.ended for server in judge.servers) >= site.most
        self._login_refusals: list[Reply] = []
        self._earlier: dict[int, list[Reply]] = {}  # verdicts on messages that came again
        judge.servers.append(self)
        super().__init__(network, site.next_plan(network.chance), mails)
        self._watch(self.stream)

    def _watch(self, stream: Stream) -> None:
        put: Callable[..., int] = stream.put

        def noting(data: bytes, **more: Any) -> int:
            self._pool_judge.said(self, bytes(data))
            return put(data, **more)

        stream.put = noting  # type: ignore[method-assign]

    # -- what became of a message -----------------------------------------------------------------

    def _is_heard(self, reply: Reply) -> bool:
        # Three digits tell a refusal.
        end = reply.end if reply.positive else min(reply.end, reply.start + 3)
        return end <= self.stream.read_total

    @property
    def may_want_it_again(self) -> bool:
        """Whether an envelope may have come too early for it."""
        return self._plan.early != "takes"

    def has_accepted(self, number: int) -> bool:
        """Whether the server has taken the message, for anybody."""
        return any(reply.positive for reply in self.verdicts.get(number, []))

    def accepted_and_heard(self, number: int) -> bool:
        return any(
            reply.positive and self._is_heard(reply) for reply in self.verdicts.get(number, [])
        )

    def refused_and_heard(self, number: int) -> bool:
        """Whether the client knows that nobody has got the message here."""
        verdicts = self.verdicts.get(number)
        goodbye = self.voice.goodbye + 3 <= self.stream.read_total
        if not verdicts:
            return goodbye
        return all(not reply.positive and (self._is_heard(reply) or goodbye) for reply in verdicts)

    @property
    def login_refused_and_heard(self) -> bool:
        read = self.stream.read_total
        return any(reply.code == 535 and reply.end <= read for reply in self._login_refusals)

    def leaves_in_doubt(self, mail: Mail) -> bool:
        return end_was_sent(mail, self.stream) and not self.refused_and_heard(mail.number)

    # -- the limits of the site -------------------------------------------------------------------

    def _greet(self) -> None:
        if self._too_many:
            self._judge.tally["the site turns a connection away"] += 1
            self.voice.reply(421)
            self.voice.ending = True
            self.voice.flush()
        else:
            super()._greet()

    def _judge_password(self, response: bytes) -> None:
        if self._site.password:
            super()._judge_password(response)
        else:
            self._judge.tally["the site refuses a login"] += 1
            self._login_refusals.append(self.voice.reply(535))

    def _no(self) -> bool:
        return super()._no() or self._chance.happens(self._site.throttled)

    def _refuse(self, *codes: int) -> Reply:
        if not codes and self._chance.happens(0.5 if self._site.throttled else 0.1):
            codes = (432, 454)
            self._judge.tally["the site says 432 or 454"] += 1
        return super()._refuse(*codes)
