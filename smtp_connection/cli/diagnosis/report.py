"""What a diagnosis looks like: plain text, or tables and colours where rich is installed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

from ...errors import SMTPError
from ...text import escaped
from .facts import Attempt, Certificate, Finding, Phase, Service

__all__ = ["lines_of", "side_by_side"]

_WIDTH = 100
_BAR = 40  # columns of the waterfall
_LABEL = 14

Style = Callable[[str, str], str]
"""Takes a text and what it is (``'ok'``, ``'warning'``, ``'error'``, ``'title'``, ``'dim'``);
returns the text in that colour."""


def lines_of(services: Sequence[Service], style: Style) -> Iterable[str]:
    """Return the lines of the report about ``services``."""
    for service in services:
        mode = " (TLS from the first byte)" if service.place.secure else ""
        yield style(f"{service.place}{mode}", "title")
        if service.error is not None:
            yield f"  {'look-up':{_LABEL}}{service.error}"
        for attempt in service.attempts:
            yield ""
            yield f"  {attempt.address}"
            yield from _waterfall(attempt.phases, style)
            yield from _facts(attempt, style)
        yield ""
        yield from _verdict(service.findings, style)
        yield ""


def _waterfall(phases: Sequence[Phase], style: Style) -> Iterable[str]:
    whole = max((phase.begin + phase.took for phase in phases), default=0) or 1
    for phase in phases:
        begin = min(round(phase.begin / whole * _BAR), _BAR - 1)
        length = max(round(phase.took / whole * _BAR), 1)
        bar = " " * begin + "=" * min(length, _BAR - begin)
        kind = "error" if phase.failed else "ok"
        failed = "  failed" if phase.failed else ""
        yield (
            f"    {phase.name:{_LABEL - 2}}{phase.took:8.1f} ms  |{style(f'{bar:{_BAR}}', kind)}|"
            f"{style(failed, kind)}"
        )


def _facts(attempt: Attempt, style: Style) -> Iterable[str]:
    if attempt.greeting is not None:
        yield from _fact("greeting", attempt.greeting)
    if attempt.before_tls is not None:
        name = "EHLO" if attempt.tls is None else "before TLS"
        yield from _fact(name, ", ".join(attempt.before_tls) or "no extensions")
    if attempt.after_tls is not None:
        yield from _fact("over TLS", ", ".join(attempt.after_tls) or "no extensions")
    if attempt.tls is not None:
        yield from _fact("TLS", f"{attempt.tls.version}, {attempt.tls.cipher}")
        for name, certificate in zip(_chain_names(), attempt.certificates, strict=False):
            yield from _fact(name, _in_words(certificate))
    if attempt.usable:
        yield from _fact("logins", _logins(attempt))
        yield from _fact("SIZE", "no limit" if attempt.size is None else _size(attempt.size))
    for recipient in attempt.accepted:
        yield from _fact("accepted", recipient)
    for refused in attempt.refused:
        yield from _fact("refused", f"{refused.recipient}: {refused.response}")


def _chain_names() -> Iterable[str]:
    yield "certificate"
    while True:
        yield "issued by"


def _in_words(certificate: Certificate) -> str:
    about = ", ".join(certificate.names[:6]) or certificate.subject or "nobody"
    if len(certificate.names) > 6:
        about += f" and {len(certificate.names) - 6} more names"
    days = certificate.days_left
    left = "" if days is None else f" ({days} days left)" if days >= 0 else " (expired)"
    issuer = f"; issuer {certificate.issuer}" if certificate.issuer else ""
    return f"{about}; valid until {certificate.valid_until}{left}{issuer}"


def _logins(attempt: Attempt) -> str:
    if not attempt.mechanisms:
        return "none"
    text = ", ".join(attempt.mechanisms)
    if attempt.mechanism is not None:
        text += f"; {attempt.mechanism} is used for a password"
    if attempt.logged_in is not None:
        text += "; logged in" if attempt.logged_in else "; the login failed"
    return text


def _size(octets: int) -> str:
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if octets >= factor:
            return f"{octets / factor:.4g} {unit} ({octets} bytes)"
    return f"{octets} bytes"


def _fact(name: str, value: str) -> Iterable[str]:
    first, *others = textwrap.wrap(escaped(value).replace("\n", " / "), _WIDTH - _LABEL - 2) or [""]
    yield f"    {name:{_LABEL - 2}}{first}"
    for line in others:
        yield " " * (_LABEL + 2) + line


def _verdict(findings: Iterable[Finding], style: Style) -> Iterable[str]:
    for finding in findings:
        mark = style(f"{finding.severity.upper():8}", finding.severity)
        first, *others = textwrap.wrap(escaped(finding.text), _WIDTH - 10) or [""]
        yield f"  {mark}{first}"
        for line in others + textwrap.wrap(finding.advice, _WIDTH - 10):
            yield f"          {line}"


# -- several places beside one another ------------------------------------------------------------


def side_by_side(services: Sequence[Service]) -> list[tuple[str, list[str]]]:
    """Return the rows of a table with a column for each service: what the row is about, and the
    cells.  The first row is the head."""
    rows = [
        ("port", [str(service.place.port) for service in services]),
        ("connects", [_connects(service) for service in services]),
        ("TLS", [_tls(service) for service in services]),
        ("certificate", [_certificate(service) for service in services]),
        ("logins", [_best(service).mechanism or "-" for service in services]),
        ("SIZE", [str(_best(service).size or "-") for service in services]),
        ("PIPELINING", [_has(service, "PIPELINING") for service in services]),
        ("8BITMIME", [_has(service, "8BITMIME") for service in services]),
        ("SMTPUTF8", [_has(service, "SMTPUTF8") for service in services]),
        ("verdict", [service.findings[0].kind for service in services]),
    ]
    hosts = {service.place.host for service in services}
    if len(hosts) > 1:
        rows.insert(0, ("host", [service.place.host for service in services]))
    return rows


def _best(service: Service) -> Attempt:
    for attempt in service.attempts:
        if attempt.usable:
            return attempt
    return service.attempts[0] if service.attempts else Attempt("", service.place.secure)


def _connects(service: Service) -> str:
    if service.error is not None:
        return "no address"
    if _best(service).usable:
        return "yes"
    error: SMTPError | None = _best(service).error
    return (error.code or "no") if error is not None else "no"


def _tls(service: Service) -> str:
    tls = _best(service).tls
    return "-" if tls is None else tls.version


def _certificate(service: Service) -> str:
    best = _best(service)
    if best.distrust is not None:
        return "not trusted"
    return "-" if best.tls is None else "good"


def _has(service: Service, keyword: str) -> str:
    best = _best(service)
    if not best.usable:
        return "-"
    words = {line.partition(" ")[0].upper() for line in best.extensions}
    return "yes" if keyword in words else "no"
