"""A deterministic world for tests: virtual time, byte streams in memory, a seeded scheduler.

A client that uses ``SMTPConnection`` and a server run through a *schedule*: which piece of what
arrives when, what is delayed, cut off or never answered, which callback does what it should not, is
all decided out of one seed.  There is no real time, no socket and no thread in it, so that a seed
that fails once fails always.

``python -m tests.world --schedules 100000`` runs many, :func:`run_schedule` runs one, and
:func:`converse` feeds bytes of the caller's choice to a client.
"""

from __future__ import annotations

from .conversation import Conversation, converse
from .judge import BrokenInvariant
from .schedule import run_schedule, virtual_world

__all__ = ["BrokenInvariant", "Conversation", "converse", "run_schedule", "virtual_world"]
