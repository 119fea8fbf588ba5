"""The server's side of SCRAM, by scramp."""

from __future__ import annotations

import base64
from typing import Any

import scramp

from .scripted_server import Peer

__all__ = ["ScramServer"]


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(line: str) -> str:
    return base64.b64decode(line.split()[-1], validate=True).decode()


class ScramServer:
    """Knows one account, and answers what a client says to ``mechanism``, line by line."""

    def __init__(self, mechanism: str, user: str, password: str, iterations: int = 4096) -> None:
        made = scramp.ScramMechanism(mechanism)
        info = made.make_auth_info(password, iteration_count=iterations, salt=b"the server's salt")

        def known(name: str) -> Any:
            assert name == user
            return info

        self.mechanism = mechanism
        self._server = made.make_server(known)

    def first(self, said: str) -> str:
        """Return the challenge that ``said``, the client's first line, leads to."""
        self._server.set_client_first(_decode(said))
        return f"334 {_encode(self._server.get_server_first())}"

    def final(self, said: str) -> str:
        """Return the server's proof; fail if ``said``, the client's second line, proves nothing."""
        self._server.set_client_final(_decode(said))
        return f"334 {_encode(self._server.get_server_final())}"

    def serve(self, peer: Peer) -> None:
        """Take one login."""
        line = peer.read_line()
        assert line.startswith(f"AUTH {self.mechanism} ")
        peer.send(self.first(line) + "\r\n")
        peer.send(self.final(peer.read_line()) + "\r\n")
        assert peer.read_line() == ""
        peer.send("235 2.7.0 welcome\r\n")
