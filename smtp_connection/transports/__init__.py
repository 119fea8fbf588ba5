"""nodemailer's ``createTransport``: what a mail goes through from its dict to a server."""

from .mail import MailMessage, Outgoing
from .mailer import Mailer
from .records import ComposedInfo, MailInfo

__all__ = ["ComposedInfo", "MailInfo", "MailMessage", "Mailer", "Outgoing"]
