"""Connections whose methods are coroutines, for programs with asyncio."""

from __future__ import annotations

from .connection import SMTPConnection

__all__ = ["SMTPConnection"]
