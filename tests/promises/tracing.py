"""An interrupt at any line of the package, as the handler of a signal raises one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import smtp_connection

__all__ = ["Interrupt", "Trace", "on_a_thread"]

T = TypeVar("T")

PACKAGE = str(Path(smtp_connection.__file__).parent) + os.sep


class Interrupt(BaseException):
    """What the handler of a signal raises."""


class Trace:
    """Counts the lines of the package that run, and raises :class:`Interrupt` at one of them."""

    def __init__(self, at: int | None) -> None:
        self.count = 0
        self.place = ""
        self._at = at

    def __enter__(self) -> Trace:
        sys.settrace(self._call)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            if self.count == self._at:
                name = frame.f_code.co_filename.removeprefix(PACKAGE)
                self.place = f"{name}:{frame.f_lineno} ({frame.f_code.co_name})"
                self.count += 1
                sys.settrace(None)
                raise Interrupt(self.place)
            self.count += 1
        return self._line


def on_a_thread(run: Callable[[], T]) -> T:
    """Return what ``run()`` returns, on a thread of its own: an exception that a trace function
    raises in the middle of a handler can stay the context of all that its thread raises later."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(run()))
    thread.start()
    thread.join()
    return results[0]
