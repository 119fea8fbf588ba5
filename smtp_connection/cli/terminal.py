"""The terminal: plain text everywhere, colours and tables where rich is installed (extra 'cli')."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["Terminal", "complain"]

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red", "title": "bold", "dim": "dim"}


class Terminal:
    """Prints on the standard output."""

    def __init__(self) -> None:
        self._console: Any = None
        if sys.stdout.isatty():
            try:
                from rich.console import Console
            except ModuleNotFoundError:
                return
            self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def style(self, text: str, kind: str) -> str:
        """Return ``text`` in the colour of ``kind``: ``'ok'``, ``'warning'``, ``'error'``,
        ``'title'`` or ``'dim'``; as it is, where there are no colours."""
        if self._console is None or self._console.no_color:
            return text
        from rich.style import Style

        return Style.parse(_STYLES[kind]).render(text)

    def print(self, line: str = "") -> None:
        """Print a line."""
        print(line, flush=True)

    def table(self, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Print ``rows``, the first of which is the head."""
        if self._console is not None:
            from rich.table import Table

            table = Table()
            (name, head), *others = rows
            for cell in (name, *head):
                table.add_column(cell)
            for name, cells in others:
                table.add_row(name, *cells)
            self._console.print(table)
            return
        columns = [[name, *cells] for name, cells in rows]
        widths = [max(len(row[column]) for row in columns) for column in range(len(columns[0]))]
        for row in columns:
            padded = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
            self.print(f"  {'  '.join(padded)}".rstrip())


def complain(text: str) -> None:
    """Print ``text`` on the standard error, in one line, as this program's words."""
    print(f"smtp_connection: {' '.join(text.split())}", file=sys.stderr)
