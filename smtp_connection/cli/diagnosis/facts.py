"""What a diagnosis finds out: plain records, for the verdict, the report and JSON."""

from __future__ import annotations

import ssl
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from ...errors import SMTPError
from ...records import TLSInfo

__all__ = ["Attempt", "Certificate", "Finding", "Phase", "Place", "Service"]


@dataclass
class Phase:
    """One step of an attempt: when it began and how long it took, ms; ``failed`` if it ended the
    attempt."""

    name: str
    begin: float
    took: float
    failed: bool = False


@dataclass
class Certificate:
    """One certificate of the server's chain."""

    subject: str
    issuer: str
    names: list[str]
    valid_until: str
    days_left: int | None

    @classmethod
    def of(cls, info: dict[str, Any]) -> Certificate:
        """Return what ``info``, in the form of ``getpeercert()``, says."""
        try:
            seconds = ssl.cert_time_to_seconds(info["notAfter"])
            until = datetime.fromtimestamp(seconds, timezone.utc)
        except (KeyError, ValueError, OverflowError, OSError):  # the server wrote it
            date, days = str(info.get("notAfter", "")), None
        else:
            date = f"{until:%Y-%m-%d}"
            days = (until - datetime.now(timezone.utc)).days
        names = info.get("subjectAltName", ())
        return cls(
            subject=_name(info.get("subject", ())),
            issuer=_name(info.get("issuer", ())),
            names=[value for kind, value in names if kind in ("DNS", "IP Address")],
            valid_until=date,
            days_left=days,
        )


def _name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    parts = dict(part for parts in name for part in parts)
    for key in ("commonName", "organizationalUnitName", "organizationName"):
        if parts.get(key):
            return parts[key]
    return ""


@dataclass
class Attempt:
    """What came of connecting to one address.

    - ``before_tls``, ``after_tls``: the lines of the replies to EHLO in clear text and over TLS;
      ``None`` where there was none
    - ``distrust``: why the certificate is not to be trusted; the rest was then found out without
      verification
    - ``mechanism``: the one that a login would use
    - ``logged_in``: whether a login succeeded; ``None`` if none was tried
    - ``accepted``, ``refused``: the recipients of a probe, and the errors of those refused
    - ``error``: what ended the attempt
    - ``other_mode``: after a failure, whether there is a server that speaks TLS where it was not
      spoken, or the other way round; ``None`` if that was not tried
    """

    address: str
    secure: bool
    phases: list[Phase] = field(default_factory=list)
    greeting: str | None = None
    before_tls: list[str] | None = None
    after_tls: list[str] | None = None
    tls: TLSInfo | None = None
    distrust: SMTPError | None = None
    mechanisms: list[str] = field(default_factory=list)
    mechanism: str | None = None
    size: int | None = None
    logged_in: bool | None = None
    accepted: list[str] = field(default_factory=list)
    refused: list[SMTPError] = field(default_factory=list)
    error: SMTPError | None = None
    other_mode: bool | None = None

    @property
    def extensions(self) -> list[str]:
        """What the server announced last."""
        return self.after_tls if self.after_tls is not None else self.before_tls or []

    @property
    def certificates(self) -> list[Certificate]:
        """The chain that the server has sent, its own certificate first."""
        return [Certificate.of(info) for info in self.tls.chain] if self.tls is not None else []

    @property
    def usable(self) -> bool:
        """Whether the session was opened."""
        return self.before_tls is not None or self.after_tls is not None

    @property
    def stage(self) -> str:
        """The phase that was under way at the end."""
        return self.phases[-1].name if self.phases else ""

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        plain = {
            name: getattr(self, name)
            for name in ("address", "secure", "greeting", "before_tls", "after_tls", "mechanisms")
        }
        return {
            **plain,
            "mechanism": self.mechanism,
            "size": self.size,
            "phases": [asdict(phase) for phase in self.phases],
            "tls": self.tls and {"version": self.tls.version, "cipher": self.tls.cipher},
            "certificates": [asdict(each) for each in self.certificates],
            "distrust": _error_as_json(self.distrust),
            "logged_in": self.logged_in,
            "accepted": self.accepted,
            "refused": [_error_as_json(error) for error in self.refused],
            "error": _error_as_json(self.error),
        }


def _error_as_json(error: SMTPError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {**error.toJSON(), "reason": error.reason, "recipient": error.recipient}


@dataclass(frozen=True)
class Place:
    """Where to look: a server's name, a port, and whether TLS comes with the first byte there."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass
class Finding:
    """One sentence of the verdict.

    - ``kind``: a word for programs, such as ``'expired'``
    - ``severity``: ``'ok'``, ``'warning'`` or ``'error'``
    - ``text``, ``advice``: what is so, and what to do about it
    - ``address``: where it was found, if it may be otherwise at the next address
    """

    kind: str
    severity: str
    text: str
    advice: str = ""
    address: str = field(default="", compare=False)


@dataclass
class Service:
    """What was found out about one place, and the verdict."""

    place: Place
    attempts: list[Attempt] = field(default_factory=list)
    error: SMTPError | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def failure(self) -> SMTPError | None:
        """What a program would meet; ``None`` if the first address works."""
        if self.error is not None:
            return self.error
        for attempt in self.attempts:
            first = attempt.distrust or attempt.error
            if first is None:
                return None
        first_attempt = self.attempts[0]
        return first_attempt.distrust or first_attempt.error

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "host": self.place.host,
            "port": self.place.port,
            "secure": self.place.secure,
            "error": _error_as_json(self.error),
            "attempts": [attempt.as_json() for attempt in self.attempts],
            "verdict": [asdict(finding) for finding in self.findings],
        }
