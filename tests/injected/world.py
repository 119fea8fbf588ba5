"""The world that values are handed to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smtp_connection import Reactor

from .peers import MailServer


class World:
    """What the values are handed to."""

    def __init__(
        self, reactor: Reactor, by_hand: Callable[..., Any], monkeypatch: Any, folder: Path
    ) -> None:
        self.reactor = reactor
        self.monkeypatch = monkeypatch
        self.folder = folder
        self._by_hand = by_hand
        self._server: MailServer | None = None

    def server(self, **options: Any) -> MailServer:
        """Return a mail server; the same one, unless there are ``options`` for its client."""
        if options:
            return MailServer(self._by_hand, **options)
        self._server = self._server or MailServer(self._by_hand)
        return self._server

    def login(self, auth: Mapping[str, Any], **options: Any) -> list[str]:
        """Return what the mail server hears."""
        return self.server(**options).hear(lambda connection, done: connection.login(auth, done))

    def send(self, envelope: Mapping[str, Any] | None, message: Any = "hi") -> list[str]:
        """Return the two commands that the mail server hears before DATA."""
        said = self.server().hear(lambda connection, done: connection.send(envelope, message, done))
        assert [line.split(" ")[0] for line in said] == ["MAIL", "RCPT", "DATA"]
        return said[:2]
