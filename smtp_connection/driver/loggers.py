"""Loggers of every style: how the methods of each want to be called.

- as in ``logging``: ``debug('C: %s', command, extra={'sid': ...})``; a method that takes no
  ``extra`` gets the finished text alone
- as nodemailer calls bunyan: ``debug(entry, text)``, where ``entry`` is a dict
- as in npmlog: ``verbose(prefix, text)``, for an object that has no ``debug``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..callbacks import refuse_async

__all__ = ["Write", "writer_for"]

Write = Callable[[str, str, str, "Exception | None"], object]
"""Takes the level, the type of the log entry, its text and, for a failure, the error."""

_LEVELS = ("debug", "info", "error")

# The marks of what is said.
_MARKS = {"server": "S: %s", "client": "C: %s", "stream": "D: %s", "socket": "%s"}

# What nodemailer calls the types, in the 'tnx' of an entry.
_TNX = {"server": "server", "client": "client", "stream": "message", "socket": "network"}


def writer_for(logger: Any, sid: str) -> Write:
    """Return what writes to ``logger`` in its own style; ``sid`` is the id of the connection.

    Signatures are read here, once.  Raises ``TypeError`` for methods that are ``async def``.
    """

    def like_logging(level: str, type: str, text: str, error: Exception | None) -> None:
        getattr(logger, level)(_MARKS[type], text, extra={"sid": sid})

    def finished(level: str, type: str, text: str, error: Exception | None) -> None:
        getattr(logger, level)(_MARKS[type] % text)

    def finished_with_extra(level: str, type: str, text: str, error: Exception | None) -> None:
        getattr(logger, level)(_MARKS[type] % text, extra={"sid": sid})

    def like_bunyan(level: str, type: str, text: str, error: Exception | None) -> None:
        entry = {"component": "smtp-connection", "sid": sid, "tnx": _TNX[type]}
        getattr(logger, level)(entry if error is None else {**entry, "err": error}, text)

    def like_npmlog(level: str, type: str, text: str, error: Exception | None) -> None:
        name = "verbose" if level == "debug" else level
        getattr(logger, name)(f"smtp_connection[{sid}]", _MARKS[type] % text)

    if hasattr(logger, "isEnabledFor"):
        return like_logging
    if not hasattr(logger, "debug"):
        for name in ("verbose", "info", "error"):
            refuse_async(getattr(logger, name))
        return like_npmlog
    styles: dict[str, Write] = {}
    for level in _LEVELS:
        required, variadic, extra = _signature(getattr(logger, level))
        if required > 1:
            styles[level] = like_bunyan
        elif extra:
            styles[level] = like_logging if variadic else finished_with_extra
        else:
            styles[level] = finished
    return lambda level, type, text, error: styles[level](level, type, text, error)


def _signature(method: Callable[..., Any]) -> tuple[int, bool, bool]:
    """Return how many positional arguments ``method`` requires, whether it takes any number of
    them, and whether it takes the keyword ``extra``, which does not count among them."""
    import inspect  # slow to import, and needed by few

    refuse_async(method)
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):
        return 1, False, False  # a C callable that does not tell
    kinds = {each.kind for each in parameters.values()}
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = sum(
        each.kind in by_position and each.default is each.empty and name != "extra"
        for name, each in parameters.items()
    )
    takes_extra = "extra" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
    return required, inspect.Parameter.VAR_POSITIONAL in kinds, takes_extra
