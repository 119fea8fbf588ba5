"""Reactors as every host may get them: with a selector that is a descriptor, and with one that is
not."""

from __future__ import annotations

import importlib.util
import selectors
from collections.abc import Iterator

import pytest

from smtp_connection import Reactor
from tests.support.helpers import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["descriptor", "thread"])
def hosted(request) -> Iterator[Reactor]:
    """A reactor that a host has to watch, and one that it has to wait for on a thread."""
    selector = selectors.SelectSelector() if request.param == "thread" else None
    with Reactor(selector=selector) as reactor:
        yield reactor
        assert reactor.hosting is None
        assert not reactor._handles
        assert not reactor._timers.live


# Debian, for one, has Tk in a package of its own.
collect_ignore = [] if importlib.util.find_spec("_tkinter") else ["test_with_tk.py"]
