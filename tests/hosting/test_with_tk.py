"""What is special about Tk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from smtp_connection.hosting import attach_tk
from tests.hosting.loops import KINDS, TclLoop


@pytest.fixture(scope="module", params=[name for name in KINDS if name in ("tcl", "tk")])
def kind(request) -> Iterator[Any]:
    kind = KINDS[request.param]
    with kind.prepare():
        yield kind


@pytest.fixture
def loop(kind) -> Iterator[TclLoop]:
    loop = kind.make()
    yield loop
    assert loop.errors == []


def test_tk_draws_while_the_reactor_is_busy(loop, hosted):
    """What widgets do to draw themselves they do when Tk is idle."""

    def busy() -> None:
        if not drawn:
            hosted.call_soon(busy)

    def draw() -> None:
        drawn.append(True)
        loop.stop()

    drawn: list[bool] = []
    with attach_tk(loop.root, hosted):
        hosted.call_soon(busy)
        hosted.call_soon(loop.root.after_idle, draw)
        loop.run()
        loop.run_until(lambda: not hosted.has_work)


def test_the_end_of_the_program_passes(loop, hosted):
    with attach_tk(loop.root, hosted):
        hosted.call_soon(sys.exit, 3)
        with pytest.raises(SystemExit):
            loop.run()
        hosted.call_soon(loop.stop)
        loop.run()


def test_what_happens_before_mainloop_is_not_lost(loop, hosted):
    with attach_tk(loop.root, hosted):
        hosted.call_soon(loop.stop)
        loop.run()


def test_a_thread_waits_where_tk_watches_no_files(loop, hosted):
    class Windows:
        """The interpreter of Tk on Windows."""

        def __init__(self, tk: Any) -> None:
            self.tk = tk

        def __getattr__(self, name: str) -> Any:
            if name == "createfilehandler":
                raise AttributeError(name)
            return getattr(self.tk, name)

    tk = loop.root.tk
    loop.root.tk = Windows(tk)
    try:
        with attach_tk(loop.root, hosted):
            hosted.call_later(0.001, loop.stop)
            loop.run()
    finally:
        loop.root.tk = tk


if "tk" in KINDS:

    @pytest.mark.parametrize("kind", ["tk"], indirect=True)
    def test_a_window_that_is_gone_does_not_matter(loop, hosted):
        import tkinter

        root = tkinter.Tk()
        root.update()
        loop.kept.append(root)
        hosting = attach_tk(root, hosted)
        hosted.call_later(3600, pytest.fail).cancel()
        root.destroy()
        loop.run_for(2)
        hosting.detach()
        with attach_tk(loop.root, hosted):
            hosted.call_soon(loop.stop)
            loop.run()
