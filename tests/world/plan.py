"""What kind of server a schedule has, and what goes wrong with it."""

from __future__ import annotations

from .chance import Chance

# What a server does instead of replying as it should, or after it has; see ``voice``.
FAULTS = (
    "fin",
    "reset",
    "stall",
    "late",
    "421",
    "goodbye",
    "too large",
    "odd code",
)
TLS_FAULTS = (
    "wrapping",
    "certificate",
    "record",
    "no hello",
    "clear text",
    "fin",
    "injection",
    "late injection",
)
LIES = ("surplus", "garbage", "trickle")

# Against these, that of the client's time-outs that bounds a silence is socketTimeout.
CONNECTION_TIMEOUT = 4.0
GREETING_TIMEOUT = 2.0
SOCKET_TIMEOUT = 8.0
CLOSE_TIMEOUT = 1.0
DNS_TIMEOUT = 1.0
MAX_RESPONSE = 600

AT_THE_VERDICT = -1
"""In place of the number of a reply: the first final reply to a message."""

_SLOW = ("stall", "late", "too large", *LIES)
_MECHANISMS = (b"PLAIN", b"LOGIN", b"PLAIN LOGIN", b"LOGIN XOAUTH2", b"XOAUTH2", b"OWN", b"")
_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0 + 1 / 1024, 8.0 - 1 / 1024, 12.0)


class Plan:
    """A server's extensions and moods.

    - ``fault`` (str), ``fault_at`` (int): what goes wrong, at which of its replies
    - ``body_fault`` (str), ``body_fault_at`` (int): the same, within a message, after that many
      bytes
    - ``refusals`` (float): how often it says no
    - ``early`` (str): what it does with commands behind a message: it ``'takes'`` them, it says
      ``'503'`` to what is there before it has judged the message, or it takes them, but ``'keeps'``
      the transaction of a message that it has refused
    - ``rides`` (bool): the client may send commands behind a message, as far as its options go
    """

    __slots__ = (
        "announced",
        "body_fault",
        "body_fault_at",
        "code_of_data",
        "early",
        "fault",
        "fault_at",
        "lingers",
        "lmtp",
        "pause",
        "pipelining",
        "refusals",
        "rides",
        "secure",
        "short",
        "single_writes",
        "split",
        "starttls",
        "tls_fault",
    )

    def __init__(self, chance: Chance) -> None:
        roll = chance.random()
        self.lmtp = roll < 0.2
        self.secure = 0.2 <= roll < 0.3
        self.starttls = 0.3 <= roll < 0.45 or roll < 0.04
        self.pipelining = chance.happens(0.6)
        auth = chance.pick(_MECHANISMS)
        self.announced = [b"SIZE 9000"]
        if self.pipelining:
            self.announced.append(b"PIPELINING")
        if auth:
            self.announced.append(b"AUTH " + auth)
        self.refusals = chance.pick((0.0, 0.0, 0.03, 0.12))
        self.code_of_data = 250 if chance.happens(0.03) else 354
        self.fault = self.body_fault = self.tls_fault = ""
        self.fault_at = self.body_fault_at = 0
        roll = chance.random()
        if roll < 0.5:
            self.fault = chance.pick(FAULTS if roll < 0.43 else LIES)
            self.fault_at = AT_THE_VERDICT if chance.happens(0.3) else chance.below(11)
        elif roll < 0.58:
            self.body_fault = chance.pick(("fin", "reset", "stall", "refusal", "421"))
            self.body_fault_at = 1 + chance.below(200)
        elif roll < 0.7 and (self.starttls or self.secure):
            self.tls_fault = chance.pick(TLS_FAULTS)
        if self.fault in _SLOW or self.body_fault == "stall" or self.tls_fault == "no hello":
            chance.slow = True
        self.split = chance.pick((0.0, 0.0, 0.2, 1.0))
        self.short = chance.pick((0.0, 0.0, 0.1, 0.5))
        self.single_writes = chance.happens(0.2)
        self.lingers = chance.happens(0.15)
        self.pause = chance.pick(_DELAYS)
        self.early = chance.pick(("takes", "takes", "503", "keeps"))
        self.rides = chance.happens(0.95)
