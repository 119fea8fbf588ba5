"""Interrupts: the handler of a signal runs between two lines of the package.

Python runs such a handler between any two instructions of the main thread.  It may raise, as that
of Ctrl-C does, call ``close()``, or do both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from linecache import getline
from pathlib import Path
from types import FrameType
from typing import Any

import smtp_connection

from .chance import Chance
from .judge import Judge

_PACKAGE = str(Path(smtp_connection.__file__).parent) + os.sep
_NOT_THE_CLIENTS = [str(Path(__file__).with_name(name)) for name in ("judge.py", "network.py")]

_MOMENTS = (*["a turn"] * 5, "run()", "a call", "close()", *["the end"] * 2)
_NEXT_MOMENTS = ("a turn", "run()", "close()", "the end")
_ACTIONS = (*["raises"] * 6, *["closes"] * 3, "closes and raises")


class Interrupts:
    """Up to two interrupts of one schedule.

    Each comes so many lines of the package behind a *moment*: the beginning of a turn, of
    ``run()``, or of a method of the connection.  One for ``close()`` and other methods comes before
    that returns; one for the end, perhaps in the turns after ``close()``.
    """

    def __init__(self, chance: Chance, judge: Judge, close: Callable[[], object]) -> None:
        """``close()`` is what handlers of signals call."""
        self._chance = chance
        self._judge = judge
        self._close = close
        self._lines = 0  # to go
        self._moment = ""
        self._moments = 0  # to go
        self._more = chance.happens(0.3)
        self._before: Any = None  # who else traces
        self._armed = False
        self._plan(_MOMENTS)

    def _plan(self, moments: tuple[str, ...]) -> None:
        chance = self._chance
        self._moment = chance.pick(moments)
        self._moments = chance.below(chance.pick((10, 30)) if self._moment == "a turn" else 2)
        self._lines = chance.below(chance.pick((20, 60, 60, 300)))

    def reached(self, *moments: str) -> None:
        """Begin to count lines, if it is one of these moments that was chosen."""
        if self._moment in moments and not self._armed and not self._judge.reactor.elsewhere:
            self._moments -= 1
            if self._moments < 0:
                self._arm()

    def left(self) -> None:
        """A method is over: it can no longer be interrupted."""
        if self._armed and self._moment in ("a call", "close()"):
            self.disarm()

    def _arm(self) -> None:
        self._armed = True
        self._before = sys.gettrace()
        sys.settrace(self._call)
        # Those that run already are not called any more.
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if _is_ours(frame):
                frame.f_trace = self._line
            frame = frame.f_back

    def disarm(self) -> None:
        """Interrupt nothing any more."""
        if self._armed:
            self._armed = False
            self._moment = ""
            sys.settrace(self._before)

    def _call(self, frame: FrameType, event: str, arg: object) -> Any:
        if self._judge.reactor.elsewhere:
            return None  # handlers of signals run on the main thread
        return self._line if _is_the_clients(frame, frame.f_back) else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event != "line" or not self._armed:
            return self._line
        self._lines -= 1
        if self._lines >= 0:
            return self._line
        self.disarm()
        self._happen(frame)
        return None

    def _happen(self, frame: FrameType) -> None:
        code = frame.f_code
        action = self._chance.pick(_ACTIONS)
        module = code.co_filename.removeprefix(_PACKAGE)
        place = f"{module}:{frame.f_lineno} ({code.co_name})"
        judge = self._judge
        judge.note(f"a signal at {place}: its handler {action}")
        judge.tally[f"a signal's handler {action}"] += 1
        judge.tally[f"a signal in {module}"] += 1
        if self._more:
            self._more = False
            self._plan(_NEXT_MOMENTS)
        if "closes" in action:
            judge.closed_meanwhile()
            self._close()
        if "raises" in action:
            _excuse(judge, frame)
            judge.interrupt(place)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_PACKAGE)


def _is_the_clients(frame: FrameType, caller: FrameType | None) -> bool:
    """Whether the program runs ``frame``, and not only the world, to look at something."""
    if not _is_ours(frame) or caller is None or frame.f_code.co_name == "<module>":
        return False  # what is imported when it is first used, is imported once
    if _is_ours(caller):
        return caller.f_trace is not None
    return caller.f_code.co_filename not in _NOT_THE_CLIENTS


def _excuse(judge: Judge, frame: FrameType) -> None:
    """An exception at the very line that makes a call takes the place of that call."""
    line = getline(frame.f_code.co_filename, frame.f_lineno).strip()
    name = frame.f_code.co_name
    if name in ("tell", "call_on_success") and line.startswith("callback("):
        judge.lost_callback(frame.f_locals["callback"])
    elif "self._take(self._on_data" in line or line.startswith("self._emitted.append("):
        judge.may_have_a_hole = True
    elif name == "emit_last" and line.startswith("emitter.emit("):
        judge.lost_end()
