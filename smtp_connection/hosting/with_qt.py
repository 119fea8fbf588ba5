"""Qt turns a reactor: with PySide6 or PyQt6, whichever the program has loaded."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ..reactor.loop import Reactor
from .core import Hosting, host

__all__ = ["attach_qt"]


class _Qt:
    def __init__(self, core: Any, app: Any) -> None:
        self._core = core
        self.loop = app
        # For both kinds of calls: there is never more than one to be made.
        self._timer = core.QTimer(app, singleShot=True)
        self._timer.timeout.connect(lambda: self._callback())

    def watch(self, descriptor: int, readable: Callable[[], object]) -> Callable[[], object]:
        kind = self._core.QSocketNotifier
        notifier = kind(descriptor, kind.Type.Read, self.loop)
        notifier.activated.connect(lambda *_: readable())
        return lambda: (notifier.setEnabled(False), notifier.deleteLater())

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Callable[[], object]:
        self._callback = callback
        self._timer.start(math.ceil(1000 * seconds))
        return lambda: self._timer.stop()

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        queued = self._core.Qt.ConnectionType.QueuedConnection
        self._core.QMetaObject.invokeMethod(self._timer, "start", queued)

    def report(self, error: Exception) -> None:
        sys.excepthook(type(error), error, error.__traceback__)


def attach_qt(reactor: Reactor | None = None) -> Hosting:
    """Have the application of PySide6 or PyQt6 turn ``reactor``, by default that of
    ``get_reactor()``.

    It may be called as soon as there is a ``QApplication`` or ``QCoreApplication``, on its thread;
    if there is none, ``RuntimeError`` is raised.  What callbacks raise, and errors that nobody
    hears, go to ``sys.excepthook``.  While a callback waits for a dialog box to be closed, the
    reactor rests.  Everything else is as with :func:`attach`.
    """
    for binding in ("PySide6", "PyQt6"):
        core = sys.modules.get(f"{binding}.QtCore")
        if core and (app := core.QCoreApplication.instance()):
            if app.thread() != core.QThread.currentThread():
                raise RuntimeError("the application of Qt belongs to another thread")
            return host(app, partial(_Qt, core), reactor)
    raise RuntimeError("there is no application of PySide6 or PyQt6: make a QApplication first")
