"""Connections whose methods wait: for scripts, and for threads of other programs."""

from .connection import SMTPConnection, sendMail

__all__ = ["SMTPConnection", "sendMail"]
