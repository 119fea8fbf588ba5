"""One schedule with a pool: its options, its servers and what its client does, out of one seed."""

from __future__ import annotations

import errno
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from smtp_connection import AbortController, SMTPPool

from .. import plan as plans
from ..chance import Chance
from ..judge import BrokenInvariant
from ..messages import Mail, SourceWorld
from ..network import Network, VirtualReactor
from ..schedule import _SOCKET_MODULE, _context
from .judge import Message, PoolJudge
from .site import Site, SiteServer

_MISCHIEF = ("raise", "raise", "send", "send", "close", "drain", "force", "send elsewhere")


class _PoolSchedule:
    """A pool, its servers, and a client that feeds it."""

    def __init__(self, seed: int, tally: Counter[Any], history: list[str] | None) -> None:
        chance = self._chance = Chance(seed)
        self._judge = judge = PoolJudge(tally, history)
        self._network = network = Network(chance, judge)  # type: ignore[arg-type]
        _SOCKET_MODULE.network = network
        judge.clock = network.clock
        self._reactor = judge.reactor = VirtualReactor(network)
        self._site = Site(chance)
        network.dial = self._dial
        network.accept = lambda: SiteServer(network, self._site, self._mails, judge)
        self._mails: dict[int, Mail] = {}
        self._sources = SourceWorld(lambda: None, self._soon)
        self._mischief = chance.pick((0.0, 0.0, 0.1, 0.3))
        self._tricks = 6
        # Messages that it still has to send; many, so that some ride.
        self._left = 1 + chance.below(chance.pick((10, 10, 40)))
        self._closed = False
        if chance.happens(0.1):
            self._reactor.virtual_selector.rush = 0.02
        judge.pool = self._pool = SMTPPool(self._options(), reactor=self._reactor)

    def _options(self) -> dict[str, Any]:
        chance, plan = self._chance, self._site.plan
        options: dict[str, Any] = {
            "host": "127.0.0.1",
            "name": "c.test",
            "connectionTimeout": plans.CONNECTION_TIMEOUT * 1000,
            "greetingTimeout": plans.GREETING_TIMEOUT * 1000,
            "socketTimeout": plans.SOCKET_TIMEOUT * 1000,
            "socketCloseTimeout": chance.pick((0, plans.CLOSE_TIMEOUT * 1000)),
            "maxResponseSize": plans.MAX_RESPONSE,
            "maxConnections": chance.pick((1, 2, 3, 5)),
            "maxMessages": chance.pick((1, 2, 3, math.inf)),
            "maxRequeues": chance.pick((0, 1, 3, 5, 5)),
            "idleTimeout": chance.pick((0, 500, 3000, 240_000)),
            "maxLifetime": chance.pick((0, 0, 2000)),
            "lmtp": plan.lmtp,
            "secure": plan.secure,
            "debug": chance.happens(0.2),
        }
        if chance.happens(0.4):
            options["rateLimit"] = 1 + chance.below(4)
            options["rateDelta"] = chance.pick((125, 250, 1000))
        if chance.happens(0.1):
            options["maxQueued"] = 1 + chance.below(4)
        if plan.secure or plan.starttls:
            options["tls"] = {"context": _context("")}
            options["requireTLS"] = chance.happens(0.5) and plan.starttls
        if any(line.startswith(b"AUTH") for line in plan.announced) and chance.happens(0.7):
            options["auth"] = {"user": "me", "pass": "right", "xoauth2": "right"}
        return options

    def run(self) -> None:
        judge, pool, chance = self._judge, self._pool, self._chance
        pool.on("idle", lambda: judge.event("idle"))
        pool.on("clear", lambda: judge.event("clear"))
        if chance.happens(0.8):
            pool.on("error", lambda err: judge.event("error", err))
        if chance.happens(0.3):
            pool.on("idle", self._feed)  # the others feed it without being asked
            self._later(self._feed)
        else:
            while self._left:
                self._send() if chance.happens(0.6) else self._later(self._send)
                self._left -= 1
        if chance.happens(0.85):
            how = chance.pick(("", "drain", "drain", "force"))
            self._later(self._close, how, chance.below(4096) / 1024)
        self._reactor.virtual_selector.each_turn = judge.after_step
        try:
            while True:
                try:
                    if not self._reactor.run_once(None):
                        break
                except BrokenInvariant:
                    raise
                except Exception as exc:
                    judge.surfaced(exc)
            judge.finish(self._closed)
        finally:
            self._reactor.close()

    # -- the network's part -----------------------------------------------------------------------

    def _dial(self) -> tuple[int | None, float]:
        delay = self._chance.delay()
        if self._chance.happens(self._site.reachable):
            return 0, delay
        if self._chance.happens(0.2):
            return None, 1.0
        return self._chance.pick((errno.ECONNREFUSED, errno.EHOSTUNREACH)), delay

    def _soon(self, function: Callable[..., object], *args: object) -> None:
        self._reactor.call_soon(function, *args)

    def _later(self, function: Callable[..., object], *args: Any) -> None:
        self._network.later(
            self._chance.delay() + self._chance.below(2048) / 1024,
            self._reactor.call_soon_threadsafe,
            self._guarded,
            function,
            *args,
        )

    def _guarded(self, function: Callable[..., object], *args: Any) -> None:
        function(*args)

    # -- the client -------------------------------------------------------------------------------

    def _feed(self) -> None:
        while self._left and self._pool.isIdle() and not self._closed:
            self._left -= 1
            self._send()

    def _send(self) -> None:
        chance, judge, pool = self._chance, self._judge, self._pool
        number = len(self._mails)
        recipients = [f"r{which}.m{number}@c.test" for which in range(1 + chance.below(2))]
        mail = self._mails[number] = Mail(number, recipients)
        mail.fill(chance, self._sources)
        message = Message(mail, not chance.happens(0.08))
        full = pool.options.maxQueued and pool.stats().queued >= pool.options.maxQueued
        message.at_once = self._closed or bool(full)
        judge.note(f"-> send mail {number} ({mail.guise})")
        judge.sends(message)
        callback = None
        if message.has_callback:
            callback = lambda err, info: self._done(message, err)  # noqa: E731 - a closure
        signal = None
        if chance.happens(0.1):
            controller = AbortController()
            signal = controller.signal
            self._later(controller.abort)
        envelope = {"from": f"m{number}@c.test", "to": recipients}
        judge.called()
        pool.send(envelope, mail.source, callback, signal=signal)
        judge.returned()

    def _done(self, message: Message, error: Any) -> None:
        self._judge.called_back(message, error)
        if self._tricks and self._chance.happens(self._mischief):
            self._tricks -= 1
            self._do(self._chance.pick(_MISCHIEF))

    def _do(self, trick: str) -> None:
        self._judge.tally["from a callback: " + trick] += 1
        if trick == "raise":
            self._judge.plant()
        elif trick == "send":
            self._send()
        elif trick == "send elsewhere":
            self._reactor.from_elsewhere(self._send)
        else:
            self._close("" if trick == "close" else trick)

    def _close(self, how: str, wait: float = 0.0) -> None:
        if wait:
            self._network.later(wait, self._reactor.call_soon_threadsafe, self._close, how)
            return
        judge = self._judge
        judge.note(f"-> close {how}")
        judge.tally["close " + how] += 1
        if how == "drain":
            if not self._closed:
                for message in judge.messages:
                    message.drained = True
        else:
            judge.forced = True
        self._closed = True
        judge.called()
        self._pool.close({how: True} if how else None)
        judge.returned()


def run_pool_schedule(
    seed: int, tally: Counter[Any] | None = None, history: list[str] | None = None
) -> None:
    """Run the schedule of ``seed``; raises :class:`BrokenInvariant`.

    To be called within :func:`virtual_world`.  ``tally`` counts what happens, ``history`` gets it
    in words.
    """
    _PoolSchedule(seed, Counter() if tally is None else tally, history).run()
