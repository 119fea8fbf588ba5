"""The log as a table, on a terminal or in a file: the listener that ``console()`` makes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from .records import LogEntry
from .text import escaped

__all__ = ["TextFile", "console"]

_HEADING = "   ms  who     what"
_INDENT = " " * 15  # the columns before "what"

# Select Graphic Rendition (ECMA-48 section 8.3.117).
_COLORS = {"client": "36", "server": "32", "socket": "33", "stream": "2"}
_REFUSAL = "31"
_PLAIN = "\x1b[0m"


class TextFile(Protocol):
    """What a table can be written to."""

    def write(self, text: str, /) -> object:
        """Write ``text``."""


def console(
    file: TextFile | None = None,
    *,
    color: bool | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[LogEntry], None]:
    """Return a listener of ``'log'`` that prints a table: milliseconds since this call, who spoke,
    and what was said::

        connection.on('log', console())

    - ``file``: where to, any text file; by default the standard output at that time
    - ``color``: whether to use colors; by default on a terminal, unless the environment variable
      ``NO_COLOR`` is set
    - ``clock``: tells the time in seconds

    Control characters are escaped, and characters that the file cannot encode as well, so that
    nobody's words reach the terminal as a command.
    """
    started = clock()
    heading = True

    def show(entry: LogEntry) -> None:
        nonlocal heading
        target: Any = sys.stdout if file is None else file
        if target is None:
            return  # a program without a terminal, such as one that pythonw.exe runs, has no stdout
        colored = _takes_colors(target) if color is None else color
        milliseconds = round((clock() - started) * 1000)
        lines = _lines(entry, milliseconds, getattr(target, "encoding", None), colored)
        if heading:
            lines.insert(0, _HEADING)
            heading = False
        target.write("\n".join(lines) + "\n")
        flush = getattr(target, "flush", None)
        if flush is not None:
            flush()

    return show


def _lines(entry: LogEntry, milliseconds: int, encoding: str | None, colored: bool) -> list[str]:
    said = [_shown(line, encoding) for line in entry.message.split("\n")]
    lines = [f"{milliseconds:5}  {entry.type:6}  {said[0]}", *(_INDENT + line for line in said[1:])]
    lines = [line.rstrip() for line in lines]
    if colored:
        color = _COLORS.get(entry.type, "0")
        if entry.type == "server" and entry.message[:1] in ("4", "5"):
            color = _REFUSAL
        lines = [f"\x1b[{color}m{line}{_PLAIN}" for line in lines]
    return lines


def _shown(line: str, encoding: str | None) -> str:
    """Return ``line``, without its line break, as it may be written to a file of that encoding."""
    text = escaped(line.removesuffix("\r"))
    if encoding:
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def _takes_colors(file: Any) -> bool:
    isatty = getattr(file, "isatty", None)
    if isatty is None or not isatty():
        return False
    environment = os.environ
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":  # https://no-color.org
        return False
    # The old console of Windows shows the codes themselves.
    return sys.platform != "win32" or "WT_SESSION" in environment or "TERM" in environment
