"""Reactors whose clock is moved by hand, or whose wait can be interfered with."""

from __future__ import annotations

import selectors
import socket

import pytest

from smtp_connection import Reactor
from tests.support.helpers import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timed(clock):
    """A reactor on the hand-moved clock."""
    with Reactor(clock=clock) as reactor:
        yield reactor


@pytest.fixture
def ends():
    """Two ends of a stream; both are readable and writable at once."""
    left, right = socket.socketpair()
    with left, right:
        for end in (left, right):
            end.setblocking(False)
            end.send(b"x")
        yield left, right


class OnSelect(selectors.DefaultSelector):
    """Calls ``before()`` once, at the last moment before the reactor waits; counts the waits."""

    before = None
    count = 0

    def select(self, timeout=None):
        self.count += 1
        before, self.before = self.before, None
        if before is not None:
            before()
        return super().select(timeout)


@pytest.fixture
def on_select():
    return OnSelect()


@pytest.fixture
def interruptible(on_select):
    """A reactor whose select() can be interfered with, which waits for something far away."""
    with Reactor(selector=on_select) as reactor:
        reactor.call_later(3600, pytest.fail)
        reactor.run_once()
        yield reactor
