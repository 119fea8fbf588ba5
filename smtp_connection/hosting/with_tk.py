"""Tk turns a reactor, and its windows stay alive."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..reactor.loop import Reactor
from .core import Hosting, host

if TYPE_CHECKING:
    import tkinter

__all__ = ["attach_tk"]


class _Tk:
    def __init__(self, root: tkinter.Tk) -> None:
        self.loop = root

    def _and_draw(self, turn: Callable[[], object]) -> Callable[..., None]:
        def both(*_: object) -> None:
            turn()
            self.loop.update_idletasks()  # or Tk draws when there is nothing else to do: never

        return both

    def watch(self, descriptor: int, readable: Callable[[], object]) -> Callable[[], object]:
        from tkinter import READABLE

        if not hasattr(self.loop.tk, "createfilehandler"):  # on Windows
            raise NotImplementedError
        self.loop.tk.createfilehandler(descriptor, READABLE, self._and_draw(readable))
        return lambda: self.loop.tk.deletefilehandler(descriptor)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Callable[[], object]:
        timer = self.loop.after(math.ceil(1000 * seconds), self._and_draw(callback))
        return lambda: self.loop.after_cancel(timer)

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        try:
            self.loop.after(0, self._and_draw(callback))
        except RuntimeError as exc:
            raise TimeoutError("Tk has waited for mainloop() for a second") from exc

    def report(self, error: Exception) -> None:
        self.loop.report_callback_exception(type(error), error, error.__traceback__)


def attach_tk(root: tkinter.Tk, reactor: Reactor | None = None) -> Hosting:
    """Have the ``mainloop()`` of ``root`` turn ``reactor``, by default that of ``get_reactor()``.

    It may be called before ``mainloop()`` is, on the same thread.  What callbacks raise, and errors
    that nobody hears, go to ``root.report_callback_exception``.  While a callback waits for a
    dialog box to be closed, the reactor rests.  Everything else is as with :func:`attach`.
    """
    return host(root, _Tk, reactor)
