"""A mail server for tests: it keeps what it gets, and misbehaves on request (extra ``testing``)."""

from .messages import Messages, ReceivedMessage, Session
from .server import SMTPServer
from .tls import ServerTLS

__all__ = ["SMTPServer", "ServerTLS", "Messages", "ReceivedMessage", "Session"]
