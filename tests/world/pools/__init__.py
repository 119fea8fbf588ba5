"""The world with a pool in it: many connections, and what no schedule of them may do.

``python -m tests.world.pools --schedules 100000`` runs many, :func:`run_pool_schedule` runs one.
"""

from __future__ import annotations

from .schedule import run_pool_schedule

__all__ = ["run_pool_schedule"]
