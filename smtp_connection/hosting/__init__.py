"""Other event loops turn a reactor: one line in a program of asyncio."""

from __future__ import annotations

from .core import Hosting
from .with_asyncio import attach

__all__ = ["Hosting", "attach"]
