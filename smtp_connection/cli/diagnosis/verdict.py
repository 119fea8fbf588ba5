"""The verdict: what the facts mean in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import SMTPError
from ...hosts import is_loopback
from .facts import Attempt, Finding, Service

__all__ = ["judge"]

_OK, _WARNING, _ERROR = "ok", "warning", "error"

_SOON = 21  # days; the usual certificates are renewed 30 days before they expire

_SUBMISSION = (465, 587)


def judge(service: Service, *, user: str | None = None, size: int | None = None) -> list[Finding]:
    """Return the findings about ``service``, what matters most first.

    ``user`` is the name that would log in, if any; ``size`` that of the message to be sent, bytes.
    """
    if service.error is not None:
        return [_about_lookup(service.error)]
    findings: list[Finding] = []
    for attempt in service.attempts:
        findings += _about(service, attempt, user=user, size=size)
    unusable = [attempt.address for attempt in service.attempts if not attempt.usable]
    if 0 < len(unusable) < len(service.attempts):
        for finding in findings:
            if finding.address in unusable:
                finding.severity = _WARNING
        text = f"Some of the addresses fail: {', '.join(unusable)}"
        advice = "Programs try the next address, which takes time: mend it, or take it out of DNS."
        findings.append(Finding("some-addresses-fail", _WARNING, text, advice))
    return _once(findings)


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings without repetition, errors first."""
    unique: list[Finding] = []
    for finding in findings:
        if finding not in unique:
            unique.append(finding)
    rank = {_ERROR: 0, _WARNING: 1, _OK: 2}
    unique.sort(key=lambda finding: rank[finding.severity])
    if any(finding.severity == _ERROR for finding in unique):
        unique = [finding for finding in unique if finding.severity != _OK]
    return unique


def _about_lookup(error: SMTPError) -> Finding:
    if error.code in ("EAI_AGAIN", "ETIMEDOUT"):
        advice = "The name servers did not answer: check the network, and try again later."
        return Finding("dns", _ERROR, error.message, advice)
    advice = "There is no such name: check the spelling of the host."
    return Finding("dns", _ERROR, error.message, advice)


def _about(
    service: Service, attempt: Attempt, *, user: str | None, size: int | None
) -> list[Finding]:
    findings: list[Finding] = []
    if attempt.distrust is not None:
        findings.append(_about_certificate(service, attempt.distrust))
    if attempt.error is not None:
        findings.append(_about_error(service, attempt, attempt.error))
    elif attempt.distrust is None:
        findings.append(_summary(service, attempt))
    for finding in findings:
        finding.address = attempt.address
    if attempt.usable:
        findings += _about_tls(service, attempt)
        findings += _about_logins(service, attempt, user)
        findings += _about_size(attempt, size)
        findings += [_about_refusal(error) for error in attempt.refused]
    return findings


def _summary(service: Service, attempt: Attempt) -> Finding:
    works = [attempt.tls.version if attempt.tls is not None else "clear text"]
    if attempt.logged_in:
        works.append("the login")
    if attempt.accepted:
        works.append(f"mail for {', '.join(attempt.accepted)}")
    return Finding("works", _OK, f"{service.place} works: {', '.join(works)}")


# -- certificates ---------------------------------------------------------------------------------

_SELF_SIGNED = ("DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN")
_OTHER_NAME = "ERR_TLS_CERT_ALTNAME_INVALID"
_EXPIRED, _NOT_YET = "CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"


def _about_certificate(service: Service, error: SMTPError) -> Finding:
    kind, advice = (
        "unknown-authority",
        (
            "Mail programs will refuse it: the server has to send its intermediate certificates as"
            " well; for a private CA, pass its certificate with the option tls: {'ca': ...}."
        ),
    )
    if error.reason in _SELF_SIGNED:
        kind, advice = (
            "self-signed",
            (
                "Get a certificate from a public CA (Let's Encrypt, say), or pass this one with the"
                " option tls: {'ca': ...}. Do not switch verification off: anybody could read on."
            ),
        )
    elif error.reason == _OTHER_NAME:
        kind, advice = (
            "wrong-name",
            (
                "Connect to one of the names that the certificate is for, or set the option"
                " tls: {'servername': ...} to it."
            ),
        )
    elif error.reason == _EXPIRED:
        kind, advice = "expired", "Renew the certificate of the server, and have it load it."
    elif error.reason == _NOT_YET:
        kind, advice = "not-yet-valid", "Check the clocks of this machine and of the server."
    return Finding(kind, _ERROR, error.message, advice)


def _about_tls(service: Service, attempt: Attempt) -> list[Finding]:
    findings = []
    if attempt.tls is None:
        if not is_loopback(attempt.address):
            text = f"{service.place} does not offer TLS: everybody on the way can read the mail"
            findings.append(Finding("no-tls", _WARNING, text, "Set up STARTTLS on the server."))
        return findings
    if attempt.tls.version in ("TLSv1", "TLSv1.1"):
        text = f"{service.place} speaks {attempt.tls.version}, which is deprecated (RFC 8996)"
        findings.append(Finding("old-tls", _WARNING, text, "Have it speak TLS 1.2 and 1.3."))
    certificates = attempt.certificates
    days = certificates[0].days_left if certificates else None
    if attempt.distrust is None and days is not None and days < _SOON:
        text = f"The certificate of {service.place.host} expires in {days} days"
        findings.append(Finding("expires-soon", _WARNING, text, "Check that it gets renewed."))
    return findings


# -- logins, sizes, recipients --------------------------------------------------------------------


def _about_logins(service: Service, attempt: Attempt, user: str | None) -> list[Finding]:
    announced = attempt.mechanisms
    if announced and attempt.tls is None and not is_loopback(attempt.address):
        text = f"{service.place} takes passwords in clear text"
        advice = "Log in over TLS only: use the option requireTLS, or port 465."
        return [Finding("clear-text-login", _WARNING, text, advice)]
    if user is not None and not announced and attempt.error is None:
        return [_no_login(service, attempt)]
    return []


def _no_login(service: Service, attempt: Attempt) -> Finding:
    if attempt.tls is None and "STARTTLS" in _keywords(attempt.before_tls):
        text = f"{service.place} announces no login in clear text"
        advice = "It offers STARTTLS: do not use ignoreTLS; after the upgrade it takes logins."
        return Finding("auth-needs-tls", _ERROR, text, advice)
    advice = "It is a server for mail from other servers: programs log in at port 465 or 587."
    if service.place.port in _SUBMISSION:
        advice = "It needs no login from here, or none is set up: ask whoever runs it."
    return Finding("no-login", _ERROR, f"{service.place} announces no login", advice)


def _about_size(attempt: Attempt, size: int | None) -> list[Finding]:
    if size is None or attempt.size is None or size <= attempt.size:
        return []
    text = f"A message of {size} bytes is too large: the server takes {attempt.size} bytes"
    advice = "Attachments grow by 37 % on the way (base64): send a link instead."
    return [Finding("too-large", _ERROR, text, advice)]


def _about_refusal(error: SMTPError) -> Finding:
    text = f"{error.recipient} is refused: {error.response}"
    code = error.responseCode or 0
    response = error.response or ""
    if 400 <= code < 500:
        advice = (
            "It is a refusal for now. Servers that have not seen a sender before do this on purpose"
            " (greylisting): a real mail server tries again after some minutes, and gets through."
        )
        return Finding("greylisting", _WARNING, text, advice)
    if "relay" in response.lower() or " 5.7.1" in response:
        advice = "The server takes mail for its own domains alone, or after a login: log in first."
        return Finding("relay-denied", _ERROR, text, advice)
    return Finding("recipient-refused", _ERROR, text, "Check the spelling of the address.")


# -- errors ---------------------------------------------------------------------------------------


def _about_error(service: Service, attempt: Attempt, error: SMTPError) -> Finding:
    if attempt.logged_in is False:
        return _about_login(service, attempt, error)
    for judge_error in (_about_connecting, _about_mode, _about_session):
        finding = judge_error(service, attempt, error)
        if finding is not None:
            return finding
    return Finding("failed", _ERROR, error.message, "")


def _about_login(service: Service, attempt: Attempt, error: SMTPError) -> Finding:
    code = error.responseCode or 0
    if error.response is None:
        if not attempt.mechanisms:
            return _no_login(service, attempt)
        if attempt.tls is None and attempt.mechanism is None:
            advice = "Use TLS: the option requireTLS, or port 465."
            return Finding("auth-needs-tls", _ERROR, error.message, advice)
        advice = "Use a mechanism that the server announces."
        return Finding("no-mechanism", _ERROR, error.message, advice)
    if code == 534 or "5.7.9" in error.response:
        advice = "The provider wants an app password, or OAuth 2.0 (option xoauth2)."
        return Finding("password-not-enough", _ERROR, error.message, advice)
    if code in (530, 538):
        advice = "Use TLS: the option requireTLS, or port 465."
        return Finding("auth-needs-tls", _ERROR, error.message, advice)
    if 400 <= code < 500:
        advice = "The server cannot check passwords right now: try again later."
        return Finding("login-later", _ERROR, error.message, advice)
    advice = (
        "Check user and password. Many providers want the whole address as user, and an app"
        " password where two-factor authentication is on."
    )
    return Finding("wrong-password", _ERROR, error.message, advice)


def _about_connecting(service: Service, attempt: Attempt, error: SMTPError) -> Finding | None:
    port = service.place.port
    if error.code == "ECONNREFUSED":
        advice = f"Nothing listens on port {port} there: check host and port, or start the server."
        return Finding("refused", _ERROR, error.message, advice)
    if error.code in ("ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL"):
        family = "IPv6" if ":" in attempt.address else "IPv4"
        advice = f"There is no way to it from here: check the {family} connectivity."
        return Finding("unreachable", _ERROR, error.message, advice)
    if error.code == "ETIMEDOUT" and attempt.stage == "TCP":
        advice = "Nobody answers, not even with a refusal: a firewall swallows the packets."
        if port == 25:
            advice += " Most providers block port 25 for their customers: use 587 or 465."
        return Finding("black-hole", _ERROR, error.message, advice)
    return None


def _about_mode(service: Service, attempt: Attempt, error: SMTPError) -> Finding | None:
    """Say whether TLS from the first byte was right for the port."""
    if attempt.other_mode is True:
        if attempt.secure:
            text = f"{service.place} speaks in clear text first"
            advice = "Use secure: False; STARTTLS is then used where it is offered."
        else:
            text = f"{service.place} speaks TLS from the first byte"
            advice = "Use secure: True."
        return Finding("wrong-mode", _ERROR, text, advice)
    return None


def _about_session(service: Service, attempt: Attempt, error: SMTPError) -> Finding | None:
    if error.code == "ETLS":
        advice = "See the options minVersion, maxVersion and ciphers of tls."
        return Finding("tls", _ERROR, error.message, advice)
    if error.code == "ETIMEDOUT":
        advice = "The server is overloaded, or waits on purpose; or it is no mail server."
        return Finding("silent", _ERROR, error.message, advice)
    if 400 <= (error.responseCode or 0) < 500:
        return Finding("busy", _ERROR, error.message, "Try again later.")
    if (error.responseCode or 0) >= 500:
        advice = "The server does not take mail from this machine: see its own words."
        return Finding("rejected", _ERROR, error.message, advice)
    if error.code == "EPROTOCOL":
        return Finding("not-smtp", _ERROR, error.message, "Check host and port.")
    return None


def _keywords(lines: list[str] | None) -> set[str]:
    return {line.partition(" ")[0].upper() for line in lines or ()}
