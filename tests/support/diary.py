"""A diary of what happens to a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smtp_connection import SMTPConnection


class Diary:
    """Writes down what a connection emits and what its callbacks get, in order."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.log: list[tuple[str, str]] = []

    def listen(self, connection: SMTPConnection, errors: bool = True) -> None:
        """Listen to all events of ``connection`` (``'error'`` only with ``errors``)."""
        connection.on("connect", lambda: self.entries.append(("connect",)))
        connection.on("end", lambda: self.entries.append(("end",)))
        connection.on("log", lambda entry: self.log.append((entry.type, entry.message)))
        if errors:
            connection.on("error", lambda err: self.entries.append(("error", err)))

    def callback(self, name: str) -> Callable[..., None]:
        """Return a callback that writes ``(name, err, result)`` down."""

        def note(err: Any, result: Any) -> None:
            self.entries.append((name, err, result))

        return note

    def names(self) -> list[str]:
        """Return what happened, in order, without the details."""
        return [entry[0] for entry in self.entries]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """Return the details of everything called ``name``."""
        return [entry[1:] for entry in self.entries if entry[0] == name]

    def error(self, name: str = "error") -> Any:
        """Return the one error that ``name`` got."""
        (entry,) = self.of(name)
        assert entry[0] is not None
        return entry[0]

    def commands(self) -> list[str]:
        """Return the commands that the log shows (option ``debug``)."""
        return [message for type, message in self.log if type == "client"]
