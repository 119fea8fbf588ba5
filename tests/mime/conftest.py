"""No test of this folder leaves a file open or a thread running."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest


def _left() -> int:
    gc.collect()
    files = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ()
    return len(files) + threading.active_count()


@pytest.fixture(autouse=True, scope="module")
def nothing_left() -> Iterator[None]:
    """Check it once for each file: a collection after each test would take most of the time."""
    before = _left()
    yield
    assert _left() == before
