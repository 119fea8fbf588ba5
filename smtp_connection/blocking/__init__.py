"""Connections and transports whose methods wait: for scripts, and for threads of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .connection import SMTPConnection, sendMail

if TYPE_CHECKING:
    from .transport import Transport, createTransport
else:
    # Not every program needs them.
    def __getattr__(name: str) -> object:
        if name not in ("Transport", "createTransport"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import transport

        return getattr(transport, name)


__all__ = ["SMTPConnection", "Transport", "createTransport", "sendMail"]
