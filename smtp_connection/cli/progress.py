"""A progress bar for large messages, on a terminal alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from .. import Progress, SMTPConnection

__all__ = ["progress_bar"]

_COLUMNS = 40


def progress_bar(connection: SMTPConnection) -> AbstractContextManager[object]:
    """Return what shows, while it is entered, how much of a large message has been sent."""
    if not sys.stderr.isatty():
        return nullcontext()
    try:
        import rich.progress  # noqa: F401 - only to see whether it is there
    except ModuleNotFoundError:
        return _plain(connection)
    return _rich(connection)


@contextmanager
def _plain(connection: SMTPConnection) -> Iterator[None]:
    shown = False

    def show(progress: Progress) -> None:
        nonlocal shown
        shown = True
        sent = progress.sent
        if progress.total:
            share = min(sent / progress.total, 1)
            bar = "=" * round(share * _COLUMNS)
            text = f"[{bar:{_COLUMNS}}] {share:4.0%}"
        else:
            text = f"{sent / (1 << 20):.1f} MB"
        print(f"\r{text}", end="", file=sys.stderr, flush=True)

    connection.on("progress", show)
    try:
        yield
    finally:
        if shown:
            print(file=sys.stderr)


@contextmanager
def _rich(connection: SMTPConnection) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    bar = Bar(BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=Console(stderr=True))
    task = None

    def show(progress: Progress) -> None:
        nonlocal task
        if task is None:
            bar.start()
            task = bar.add_task("message", total=progress.total)
        bar.update(task, completed=progress.sent)

    connection.on("progress", show)
    try:
        yield
    finally:
        if task is not None:
            bar.stop()
