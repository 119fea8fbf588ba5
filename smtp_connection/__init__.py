"""SMTP client in callback style: the Node module smtp-connection, on a selector-driven reactor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._version import __version__
from .connection import SMTPConnection
from .errors import SMTPError
from .protocol.capabilities import Capabilities
from .reactor.default import get_reactor, run
from .reactor.loop import Reactor
from .records import LogEntry, SendInfo

if TYPE_CHECKING:
    from .abort import AbortController, AbortSignal
    from .driver.progress import Progress
    from .futures import future
    from .mime.compose import compose
    from .pool.pool import SMTPPool
    from .pool.records import PoolStats
    from .protocol.commands import CommandReply, ProbeInfo
    from .terminal import console
    from .transports.create import createTransport
else:
    # Not for type checkers: they would take any name for one of these.
    def __getattr__(name: str) -> object:
        if name not in _ON_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f".{_ON_USE[name]}", __name__), name)
        globals()[name] = value
        return value


__all__ = [
    "SMTPConnection",
    "SMTPError",
    "Reactor",
    "get_reactor",
    "run",
    "SendInfo",
    "LogEntry",
    "Capabilities",
    "CommandReply",
    "ProbeInfo",
    "Progress",
    "AbortController",
    "AbortSignal",
    "compose",
    "SMTPPool",
    "PoolStats",
    "createTransport",
    "console",
    "future",
    "__version__",
]

# Names that not every program needs, and the modules that are imported when they are asked for.
_ON_USE = {
    "AbortController": "abort",
    "AbortSignal": "abort",
    "CommandReply": "protocol.commands",
    "ProbeInfo": "protocol.commands",
    "Progress": "driver.progress",
    "SMTPPool": "pool.pool",
    "PoolStats": "pool.records",
    "compose": "mime.compose",
    "console": "terminal",
    "createTransport": "transports.create",
    "future": "futures",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_USE})
