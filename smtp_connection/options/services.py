"""Mail services by name: the submission server of each, as its own help pages give it.

All of them are used over TLS alone: from the first byte with port 465 (RFC 8314), with STARTTLS,
which is required then, with port 587.  Where a service offers both, it is 465.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from .checks import WrongType, WrongValue

__all__ = ["SERVICES", "Service", "service_of"]


class Service(NamedTuple):
    """A service: its server, other names that it goes by, and the domains of its addresses."""

    name: str
    host: str
    port: int
    also: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The options for a connection to it."""
        tls = {"secure": True} if self.port == 465 else {"secure": False, "requireTLS": True}
        return {"host": self.host, "port": self.port, **tls}


SERVICES = (
    # Mailboxes.
    Service("AOL", "smtp.aol.com", 465, ("aol.com", "aim.com")),
    Service("Fastmail", "smtp.fastmail.com", 465, ("fastmail.com", "fastmail.fm")),
    Service("Gmail", "smtp.gmail.com", 465, ("Google Mail", "gmail.com", "googlemail.com")),
    Service("GMX", "mail.gmx.net", 465, ("gmx.net", "gmx.de", "gmx.at", "gmx.ch")),
    Service("GMX International", "mail.gmx.com", 465, ("gmx.com", "gmx.us", "gmx.co.uk")),
    Service("iCloud", "smtp.mail.me.com", 587, ("icloud.com", "me.com", "mac.com")),
    Service("Infomaniak", "mail.infomaniak.com", 465, ("ik.me", "ikmail.com", "etik.com")),
    Service("IONOS", "smtp.ionos.com", 465, ("1und1", "1and1")),
    Service("Mail.ru", "smtp.mail.ru", 465, ("mail.ru", "inbox.ru", "list.ru", "bk.ru")),
    Service("mailbox.org", "smtp.mailbox.org", 465),
    Service("Migadu", "smtp.migadu.com", 465),
    Service(
        "Outlook",
        "smtp-mail.outlook.com",
        587,
        ("Outlook.com", "Hotmail", "hotmail.com", "live.com", "msn.com"),
    ),
    Service("Office365", "smtp.office365.com", 587, ("Outlook365", "Microsoft365")),
    Service("Posteo", "posteo.de", 465, ("posteo.de", "posteo.net")),
    Service("Proton", "smtp.protonmail.ch", 587, ("ProtonMail", "proton.me", "protonmail.com")),
    Service("QQ", "smtp.qq.com", 465, ("qq.com", "foxmail.com")),
    Service("Runbox", "mail.runbox.com", 465, ("runbox.com",)),
    Service("STRATO", "smtp.strato.de", 465),
    Service("T-Online", "securesmtp.t-online.de", 465, ("t-online.de", "magenta.de")),
    Service("WEB.DE", "smtp.web.de", 465, ("web.de",)),
    Service("Yahoo", "smtp.mail.yahoo.com", 465, ("yahoo.com", "ymail.com", "rocketmail.com")),
    Service("Yandex", "smtp.yandex.com", 465, ("yandex.com", "yandex.ru", "ya.ru")),
    Service("Zoho", "smtp.zoho.com", 465, ("zoho.com", "zohomail.com")),
    Service("163", "smtp.163.com", 465, ("163.com",)),
    Service("126", "smtp.126.com", 465, ("126.com",)),
    # Services that send for programs.
    Service("Brevo", "smtp-relay.brevo.com", 587, ("Sendinblue",)),
    Service("MailerSend", "smtp.mailersend.net", 587),
    Service("Mailgun", "smtp.mailgun.org", 465),
    Service("Mailgun EU", "smtp.eu.mailgun.org", 465),
    Service("Mailjet", "in-v3.mailjet.com", 587),
    Service("Mailtrap", "live.smtp.mailtrap.io", 587),
    Service("Mandrill", "smtp.mandrillapp.com", 465, ("Mailchimp",)),
    Service("Postmark", "smtp.postmarkapp.com", 587),
    Service("Resend", "smtp.resend.com", 465),
    Service("SendGrid", "smtp.sendgrid.net", 465),
    Service("SparkPost", "smtp.sparkpostmail.com", 587),
    # A server for tests, which delivers nothing.
    Service("Ethereal", "smtp.ethereal.email", 587, ("ethereal.email",)),
)

_SES = re.compile(r"ses-([a-z]{2}(?:-[a-z]+)+-[0-9])", re.IGNORECASE)


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name.lower())


_BY_NAME = {_bare(name): service for service in SERVICES for name in (service.name, *service.also)}


def service_of(value: object) -> Service | None:
    """Return the service of that name, or whose address ``value`` is; case, blanks and hyphens do
    not count.  ``'SES-eu-west-1'`` is Amazon SES in that region.

    Raises :class:`.checks.Refusal` for one that is unknown.
    """
    if not isinstance(value, str):
        raise WrongType("takes the name of a mail service", value)
    name = value.strip()
    if not name:
        return None
    region = _SES.fullmatch(name)
    if region is not None:
        host = f"email-smtp.{region[1].lower()}.amazonaws.com"
        return Service(name, host, 465)
    found = _BY_NAME.get(_bare(name.rpartition("@")[2]))
    if found is not None:
        return found
    known = [*(service.name for service in SERVICES), "SES-us-east-1 (or another region)"]
    raise WrongValue(f"takes the name of a mail service, one of {', '.join(known)}", value)
