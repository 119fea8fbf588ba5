"""The fixture ``smtp_server``, for pytest: its entry point, which every project of an environment
loads.  So the server itself is imported on use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing.server import SMTPServer

__all__ = ["smtp_server"]


@pytest.fixture
def smtp_server() -> Iterator[SMTPServer]:
    """A mail server (``smtp_connection.testing.SMTPServer``) that runs while the test does."""
    from .testing.server import SMTPServer

    with SMTPServer() as server:
        yield server
