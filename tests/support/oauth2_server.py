"""A token endpoint: a real HTTPS server on a thread of its own that answers as a test says.

An answer is a dict (sent as JSON), ``(status, body)``, ``(status, body, headers)``, or a function
that is given the request's handler and returns one of these, or ``None`` if it has said all itself.
The n-th request gets the n-th answer, the last one all that come after.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

_PATIENCE = 20.0
"""Seconds after which a client that does not do its part fails the test."""

Answer = Any


@dataclass
class Request:
    """What a client asked for."""

    method: str
    path: str
    headers: Message
    form: dict[str, str]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        self.request.settimeout(_PATIENCE)
        if isinstance(self.request, ssl.SSLSocket):
            # Here, on the request's own thread: a client that refuses holds up nobody else.
            self.request.do_handshake()
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
        form = dict(parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body)))
        self.close_connection = True
        answer = self.server.endpoint.take(Request(self.command, self.path, self.headers, form))
        if callable(answer):
            answer = answer(self)
        if answer is not None:
            self.answer(*(answer if isinstance(answer, tuple) else (200, answer)))

    do_GET = do_POST

    def answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send ``body``: bytes, text, or what JSON can say."""
        if not isinstance(body, bytes):
            body = (body if isinstance(body, str) else json.dumps(body)).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close() waits for them
    endpoint: TokenEndpoint

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up on purpose


class TokenEndpoint:
    """Listens on a free loopback port; ``requests`` is what it was asked."""

    def __init__(self, answers: tuple[Answer, ...], context: ssl.SSLContext | None) -> None:
        self.requests: list[Request] = []
        self.silenced = threading.Event()
        """Set when the endpoint is closed, for answers that wait."""
        self._answers = answers
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.endpoint = self
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if context is None else "https"
        self.host = f"localhost:{self._server.server_port}"
        self.url = f"{scheme}://{self.host}/token"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), name="token endpoint"
        )
        self._thread.start()

    def take(self, request: Request) -> Answer:
        """Write ``request`` down, and return the answer to it."""
        with self._lock:
            self.requests.append(request)
            return self._answers[min(len(self.requests), len(self._answers)) - 1]

    def close(self) -> None:
        """Stop, and wait for the requests under way."""
        self.silenced.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def waiting_for(event: threading.Event, answer: Answer) -> Callable[[Any], Answer]:
    """Return ``answer``, to be given once ``event`` is set."""

    def wait(_: Any) -> Answer:
        assert event.wait(_PATIENCE)
        return answer

    return wait
