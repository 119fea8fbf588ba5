"""One attempt for each address of a place, all on one reactor, with what each step took."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from ... import LogEntry, Reactor, SMTPConnection, SMTPError
from ...auth.login import usual_mechanism
from ...hosts import is_loopback
from ...net.resolver import Address, Lookup
from ...net.tls import context_for
from ...options.tls import TLSOptions
from .facts import Attempt, Phase, Place, Service

__all__ = ["examine"]

LOOK_UP, TCP, TLS, GREETING, EHLO = "look-up", "TCP", "TLS", "greeting", "EHLO"
STARTTLS, AUTH, PROBE = "STARTTLS", "AUTH", "probe"

# A name may have any number of addresses; nobody has use for more of them.
_MOST_ADDRESSES = 8

_TIME_OUTS = ("connectionTimeout", "greetingTimeout", "socketTimeout", "dnsTimeout")


def examine(
    places: Iterable[Place],
    options: Mapping[str, Any],
    envelope: Mapping[str, Any] | None = None,
    seconds: float = 10,
) -> list[Service]:
    """Look at ``places`` and return what was found out, without a verdict.

    - ``options``: those of every connection; ``auth`` among them is tried
    - ``envelope``: the sender and the recipients to ask about, or ``None``
    - ``seconds``: how long each step may take
    """
    limits = dict.fromkeys(_TIME_OUTS, round(seconds * 1000))
    # To load the certificates of the system takes longer than most handshakes: not while one waits.
    for tls in (
        options.get("tls") or {},
        {**(options.get("tls") or {}), "rejectUnauthorized": False},
    ):
        context_for(TLSOptions.parse(tls))
    with Reactor() as reactor:
        sessions = {**options, **limits, "debug": True}
        services = [_Look(reactor, place, sessions, envelope, seconds).service for place in places]
        reactor.run()
    return services


class _Look:
    """The look-up of one place, and the attempts that follow."""

    def __init__(
        self,
        reactor: Reactor,
        place: Place,
        options: Mapping[str, Any],
        envelope: Mapping[str, Any] | None,
        seconds: float,
    ) -> None:
        self.service = Service(place)
        self._reactor = reactor
        self._options = options
        self._envelope = envelope
        self._begin = reactor.time()
        Lookup(reactor, self._found, self._broke).start(place.host, place.port, seconds)

    def _broke(self, exc: BaseException) -> None:
        """Do nothing: ``examine`` raises it, from ``run()``."""

    def _found(self, addresses: list[Address], error: SMTPError | None) -> None:
        self.service.error = error
        took = (self._reactor.time() - self._begin) * 1000
        for address in addresses[:_MOST_ADDRESSES]:
            attempt = Attempt(address.sockaddr[0], self.service.place.secure)
            attempt.phases.append(Phase(LOOK_UP, 0, took))
            self.service.attempts.append(attempt)
            _Session(self._reactor, attempt, self.service.place, self._options, self._envelope)


class _Session:
    """One connection to one address, from the beginning to the end."""

    def __init__(
        self,
        reactor: Reactor,
        attempt: Attempt,
        place: Place,
        options: Mapping[str, Any],
        envelope: Mapping[str, Any] | None,
    ) -> None:
        self._reactor = reactor
        self._attempt = attempt
        self._place = place
        self._options = options
        self._envelope = envelope
        self._hello_over_tls = attempt.secure
        self._asked = ""  # the command that waits for its reply
        # The phases that follow begin where the look-up has ended.
        self._zero = reactor.time() - attempt.phases[-1].took / 1000
        self._connect(verify=True)

    def _connect(self, *, verify: bool) -> None:
        host = self._attempt.address
        options = {
            "servername": self._place.host,
            **self._options,
            "host": host,
            "port": self._place.port,
            "secure": self._attempt.secure,
        }
        if not verify:
            options["tls"] = {**(options.get("tls") or {}), "rejectUnauthorized": False}
            options.pop("auth", None)  # nobody gets a password who cannot be told apart
        self._connection = connection = SMTPConnection(options, reactor=self._reactor)
        connection.on("log", self._note)
        connection.on("error", self._failed)
        self._phase(TCP)
        connection.connect(self._connected)

    # -- what happens, in the order of the log ----------------------------------------------------

    def _phase(self, name: str) -> None:
        """End the phase under way, and begin the one called ``name``."""
        now = (self._reactor.time() - self._zero) * 1000
        self._end_phase(now)
        self._attempt.phases.append(Phase(name, now, 0))

    def _end_phase(self, now: float | None = None) -> None:
        if now is None:
            now = (self._reactor.time() - self._zero) * 1000
        last = self._attempt.phases[-1]
        if not last.took:
            last.took = now - last.begin

    def _note(self, entry: LogEntry) -> None:
        if entry.type == "socket":
            self._note_socket(entry.message)
        elif entry.type == "client":
            self._asked = entry.message.partition(" ")[0].upper()
            if self._asked in _COMMANDS:
                self._phase(_COMMANDS[self._asked])
        elif entry.type == "server":
            self._note_reply(entry.message)

    def _note_socket(self, text: str) -> None:
        if text.startswith("Beginning TLS"):
            self._phase(TLS)
        elif text.startswith("Connected to"):
            self._phase(GREETING)
        elif text.startswith("Connection upgraded"):
            self._hello_over_tls = True

    def _note_reply(self, text: str) -> None:
        attempt = self._attempt
        if attempt.greeting is None:
            attempt.greeting = text
        elif self._asked in ("EHLO", "LHLO") and text.startswith("250"):
            lines = [line[4:] for line in text.split("\n")[1:]]
            if self._hello_over_tls:
                attempt.after_tls = lines
            else:
                attempt.before_tls = lines
        elif self._asked == "HELO" and text.startswith("250") and attempt.before_tls is None:
            attempt.before_tls = []
        elif self._asked == "STARTTLS" and text.startswith("220"):
            self._phase(TLS)

    # -- the operations ---------------------------------------------------------------------------

    def _connected(self) -> None:
        self._end_phase()
        connection, attempt = self._connection, self._attempt
        attempt.tls = connection.tls
        capabilities = connection.capabilities
        attempt.mechanisms = list(capabilities.auth)
        attempt.mechanism = usual_mechanism(
            capabilities.auth, over_tls=connection.secure, private=is_loopback(attempt.address)
        )
        attempt.size = capabilities.size
        if attempt.distrust is not None:
            connection.quit()
        elif connection.options.auth:
            connection.login(None, self._logged_in)
        else:
            self._probe()

    def _logged_in(self, err: SMTPError | None) -> None:
        self._end_phase()
        self._attempt.logged_in = err is None
        if err is not None:
            self._attempt.error = err
            self._connection.quit()
        else:
            self._probe()

    def _probe(self) -> None:
        if self._envelope is not None:
            self._phase(PROBE)
            self._connection.probe(self._envelope, self._probed)
        else:
            self._connection.quit()

    def _probed(self, err: SMTPError | None, info: Any) -> None:
        self._end_phase()
        if err is not None:
            self._attempt.error = err
        else:
            self._attempt.accepted = list(info.accepted)
            self._attempt.refused = list(info.rejectedErrors)
        self._connection.quit()

    def _failed(self, err: SMTPError) -> None:
        self._end_phase()
        attempt = self._attempt
        if attempt.error is not None or attempt.logged_in is not None:
            attempt.error = attempt.error or err
        elif attempt.distrust is None and isinstance(err.__cause__, ssl.SSLCertVerificationError):
            # Once more without verification, to see the certificate and what lies behind it.
            attempt.distrust = err
            attempt.phases[-1].failed = True
            del attempt.phases[1:]
            attempt.greeting = attempt.before_tls = None
            self._zero = self._reactor.time() - attempt.phases[0].took / 1000
            self._hello_over_tls = attempt.secure
            self._connect(verify=False)
        else:
            attempt.error = err
            attempt.phases[-1].failed = True
            if not attempt.usable and attempt.stage in (TLS, GREETING):
                self._try_the_other_mode()

    def _try_the_other_mode(self) -> None:
        """Find out whether the wrong mode for the port is what made it fail."""
        attempt = self._attempt
        options = {**self._options, "host": attempt.address, "port": self._place.port}
        options.pop("auth", None)
        options["secure"] = not attempt.secure
        options["ignoreTLS"] = True
        options["tls"] = {**(options.get("tls") or {}), "rejectUnauthorized": False}
        connection = SMTPConnection(options, reactor=self._reactor)
        attempt.other_mode = False

        def works() -> None:
            attempt.other_mode = True
            connection.quit()

        connection.on("error", lambda: None)
        connection.connect(works)


_COMMANDS = {
    "EHLO": EHLO,
    "LHLO": EHLO,
    "HELO": EHLO,
    "STARTTLS": STARTTLS,
    "AUTH": AUTH,
}
