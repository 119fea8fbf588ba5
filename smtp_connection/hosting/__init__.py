"""Other event loops turn a reactor: one line in programs with asyncio, trio, Tk, Qt or Twisted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core import Hosting
from .with_asyncio import attach
from .with_qt import attach_qt
from .with_tk import attach_tk

if TYPE_CHECKING:
    from .with_trio import host_trio
    from .with_twisted import attach_twisted
else:
    # Only where the other library is there, which nobody else needs.
    def __getattr__(name: str) -> object:
        if name not in _ON_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{_ON_USE[name]}", __name__), name)


__all__ = ["Hosting", "attach", "attach_qt", "attach_tk", "attach_twisted", "host_trio"]

_ON_USE = {"attach_twisted": "with_twisted", "host_trio": "with_trio"}
