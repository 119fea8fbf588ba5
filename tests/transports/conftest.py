"""What the tests of transports share: a mail server in virtual time."""

from __future__ import annotations

from tests.pool.conftest import site, slow_site

__all__ = ["site", "slow_site"]
