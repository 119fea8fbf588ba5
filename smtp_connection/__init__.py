"""SMTP client in callback style: the Node module smtp-connection, on a selector-driven reactor."""

from ._version import __version__
from .connection import SMTPConnection
from .errors import SMTPError
from .protocol.capabilities import Capabilities
from .reactor.default import get_reactor, run
from .reactor.loop import Reactor
from .records import LogEntry, SendInfo

__all__ = [
    "SMTPConnection",
    "SMTPError",
    "Reactor",
    "get_reactor",
    "run",
    "SendInfo",
    "LogEntry",
    "Capabilities",
    "__version__",
]
