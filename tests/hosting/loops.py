"""The loops that can host a reactor, as far as they are installed here: all in the same clothes."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from smtp_connection import Reactor
from smtp_connection.hosting import Hosting, attach, attach_qt, attach_tk

__all__ = ["KINDS", "Kind", "Loop", "show"]


class Loop:
    """What the tests do with a loop.

    - ``errors``: what has reached its usual handler of errors
    """

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def attach(self, reactor: Reactor) -> Hosting:
        """Attach ``reactor``."""
        raise NotImplementedError

    def run(self) -> None:
        """Run until :meth:`stop` is called."""
        raise NotImplementedError

    def stop(self) -> None:
        """Let :meth:`run` return."""
        raise NotImplementedError

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call ``callback()`` once ``seconds`` have passed."""
        raise NotImplementedError

    def run_nested(self) -> None:
        """Run the loop inside of a callback for a while, as dialog boxes do."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the loop has opened."""

    def run_for(self, rounds: int) -> None:
        """Run until a timer of the loop has fired so many times."""

        def fire(left: int) -> None:
            if left:
                self.call_later(0.001, functools.partial(fire, left - 1))
            else:
                self.stop()

        fire(rounds)
        self.run()

    def run_until(self, condition: Callable[[], object]) -> None:
        """Run until ``condition()`` holds."""
        while not condition():
            self.run_for(1)


class Kind:
    """One kind of loop.

    - ``make``: makes one
    - ``nests``: whether callbacks may run it
    - ``prepare``: makes what every process has once; returns what undoes that
    """

    def __init__(
        self,
        make: Callable[[], Loop],
        *,
        nests: bool = False,
        prepare: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self.make = make
        self.nests = nests
        self.prepare = prepare


KINDS: dict[str, Kind] = {}

# -- asyncio ---------------------------------------------------------------------------------------


class Proactor(asyncio.SelectorEventLoop):
    """Watches no descriptors, as the loop that Windows has."""

    def add_reader(self, *args: Any) -> None:
        raise NotImplementedError


class AsyncioLoop(Loop):
    """A loop of asyncio, in debug mode."""

    def __init__(self, make: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__()
        self.own = make()
        self.own.set_debug(True)
        self.own.set_exception_handler(lambda _, context: self.errors.append(context["exception"]))

    def attach(self, reactor: Reactor) -> Hosting:
        async def main() -> Hosting:
            return attach(reactor)

        return self.own.run_until_complete(main())

    def run(self) -> None:
        self.own.run_forever()

    def stop(self) -> None:
        self.own.stop()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        self.own.call_later(seconds, callback)

    def close(self) -> None:
        self.own.close()


KINDS["asyncio"] = Kind(functools.partial(AsyncioLoop, asyncio.SelectorEventLoop))
KINDS["asyncio-proactor"] = Kind(functools.partial(AsyncioLoop, Proactor))

if importlib.util.find_spec("uvloop"):
    import uvloop

    @contextlib.contextmanager
    def first_uvloop() -> Iterator[None]:
        uvloop.new_event_loop().close()  # which opens a pipe for all of them
        yield

    KINDS["uvloop"] = Kind(
        functools.partial(AsyncioLoop, uvloop.new_event_loop), prepare=first_uvloop
    )

# -- Tk --------------------------------------------------------------------------------------------


class TclLoop(Loop):
    """The loop of Tk, without a window: so it needs no display."""

    endless = -1  # the number of windows above which mainloop() goes on
    # Tcl aborts the process if another thread collects an interpreter as garbage.
    kept: ClassVar[list[Any]] = []

    def __init__(self) -> None:
        super().__init__()
        self.root = self.make_root()
        self.root.report_callback_exception = lambda kind, error, trace: self.errors.append(error)

    def make_root(self) -> Any:
        import tkinter

        self.kept.append(tkinter.Tcl())
        return self.kept[-1]

    def attach(self, reactor: Reactor) -> Hosting:
        return attach_tk(self.root, reactor)

    def run(self) -> None:
        self.root.mainloop(self.endless)

    def stop(self) -> None:
        self.root.quit()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        self.root.after(int(1000 * seconds), callback)

    def run_nested(self) -> None:
        self.root.after(20, self.root.setvar, "closed", "1")
        self.root.tk.eval("vwait closed")


class TkLoop(TclLoop):
    """The loop of Tk, with the one window that the process has."""

    endless = 0

    def make_root(self) -> Any:
        return window()


@functools.cache
def window() -> Any:
    """Return a window; the display for it is there until the process ends, as Tk would have it."""
    import tkinter

    show()
    return tkinter.Tk()


@functools.cache
def show() -> None:
    """See to it that there is a display."""
    if os.environ.get("DISPLAY"):
        return
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24"]
    with open(os.devnull, "w") as nowhere:
        xvfb = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=nowhere, text=True)
    atexit.register(xvfb.wait)
    atexit.register(xvfb.kill)
    assert xvfb.stdout is not None
    with xvfb.stdout:
        os.environ["DISPLAY"] = ":" + xvfb.stdout.readline().strip()


@contextlib.contextmanager
def first_tcl() -> Iterator[None]:
    TclLoop().run_for(1)  # which opens a pipe for all of them
    yield


@contextlib.contextmanager
def first_tk() -> Iterator[None]:
    TkLoop().run_for(1)
    yield


if importlib.util.find_spec("_tkinter"):
    KINDS["tcl"] = Kind(TclLoop, nests=True, prepare=first_tcl)
    if os.environ.get("DISPLAY") or shutil.which("Xvfb"):
        KINDS["tk"] = Kind(TkLoop, nests=True, prepare=first_tk)

# -- Qt --------------------------------------------------------------------------------------------


class QtLoop(Loop):
    """The loop of Qt's one application."""

    def __init__(self, core: Any, app: Any) -> None:
        super().__init__()
        self.core = core
        self.app = app
        self.hook, sys.excepthook = sys.excepthook, self.hear

    def hear(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        self.errors.append(error)

    def attach(self, reactor: Reactor) -> Hosting:
        return attach_qt(reactor)

    def run(self) -> None:
        self.app.exec()

    def stop(self) -> None:
        self.app.quit()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        self.core.QTimer.singleShot(int(1000 * seconds), callback)

    def run_nested(self) -> None:
        dialog = self.core.QEventLoop()
        self.call_later(0.02, dialog.quit)
        dialog.exec()

    def close(self) -> None:
        sys.excepthook = self.hook


def qt_binding() -> str | None:
    """Return which binding to test: what QT_API names, or the first that is installed."""
    names = {"pyside6": "PySide6", "pyqt6": "PyQt6"}
    wanted = os.environ.get("QT_API")
    if wanted:
        return names[wanted.lower()]
    return next((name for name in names.values() if importlib.util.find_spec(name)), None)


@functools.cache
def application(binding: str) -> Any:
    """Return the application, of which a process has one."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        return importlib.import_module(f"{binding}.QtWidgets").QApplication([])
    except ImportError:  # the system lacks what windows need
        return importlib.import_module(f"{binding}.QtCore").QCoreApplication([])


@contextlib.contextmanager
def first_qt(binding: str) -> Iterator[None]:
    make_qt_loop(binding).close()
    yield


def make_qt_loop(binding: str) -> Loop:
    return QtLoop(importlib.import_module(f"{binding}.QtCore"), application(binding))


binding = qt_binding()
if binding:
    KINDS["qt"] = Kind(
        functools.partial(make_qt_loop, binding),
        nests=True,
        prepare=functools.partial(first_qt, binding),
    )

# -- Twisted ---------------------------------------------------------------------------------------


class TwistedLoop(Loop):
    """A reactor of Twisted; the one that every process has cannot be run twice."""

    def __init__(self) -> None:
        from twisted.internet import selectreactor
        from twisted.python import log

        super().__init__()
        self.own: Any = selectreactor.SelectReactor()
        self.own.startRunning(installSignalHandlers=False)
        self.log = log
        self.log.addObserver(self.observe)

    def observe(self, event: Any) -> None:
        if event["isError"]:
            self.errors.append(event["failure"].value)

    def attach(self, reactor: Reactor) -> Hosting:
        from smtp_connection.hosting import attach_twisted

        return attach_twisted(reactor, loop=self.own)

    def run(self) -> None:
        self.runs = True
        while self.runs:
            self.own.runUntilCurrent()
            if self.runs:
                self.own.doIteration(self.own.timeout())

    def stop(self) -> None:
        self.runs = False

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        self.own.callLater(seconds, callback)

    def close(self) -> None:
        self.log.removeObserver(self.observe)
        for each in self.own.removeAll():
            each.connectionLost(None)
        for end in (self.own.waker.i, self.own.waker.o):
            if isinstance(end, int):
                os.close(end)
            else:
                end.close()


@contextlib.contextmanager
def first_twisted() -> Iterator[None]:
    TwistedLoop().close()
    yield


KINDS["twisted"] = Kind(TwistedLoop, prepare=first_twisted)
