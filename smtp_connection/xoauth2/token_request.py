"""Asks a token endpoint for an access token: one HTTP request, blocking, bounded and discreet.

What ``requests`` raises holds the request, secrets and all, and sometimes shows its URL.  So none
of it leaves this module, not even as the context of another exception: only what the operating
system or the TLS library said, put into words.
"""

from __future__ import annotations

import json
import math
import re
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from .._version import __version__
from ..errors import SMTPError
from ..net.errors import tls_error
from ..net.handshake import wrap
from ..net.tls import context_for
from .options import XOAuth2Options, extra_missing

__all__ = ["TokenRequest"]

_LARGEST_ANSWER = 1024 * 1024
_PIECE = 16 * 1024
_HEADERS = {"Accept": "application/json", "User-Agent": f"smtp_connection/{__version__}"}
_HOST = re.compile(r"[\w.:-]{1,253}", re.ASCII)
_ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenRequest:
    """A request that :meth:`run` makes, on a thread that can wait, and :meth:`abort` ends early."""

    def __init__(self, options: XOAuth2Options) -> None:
        self.options = options
        self._sent: Mapping[str, str] = {}
        self._socket: socket.socket | None = None
        self._aborted = False

    def run(self) -> tuple[str, float]:
        """Return the access token and the seconds that it is good for, 0 if that is not known.

        Raises :class:`SMTPError` (``EAUTH``), whose traceback, but nothing else of it, holds the
        request; whoever abandons the request gets some error, too.
        """
        try:
            self._sent = self._fields()
            return self._understand(*self._post(self._sent))
        except SMTPError as exc:
            failure = exc if exc.code == "EAUTH" else self._unreached(str(exc), exc)
        except Exception as exc:
            failure = self._explained(exc)
        # Down here, where no exception is being handled that would become the context.
        failure.__context__ = None
        raise failure

    def abort(self) -> None:
        """Make ``run`` fail soon; to be called from another thread.

        The time-outs of ``requests`` are for each read: an endpoint that trickles would never
        meet one.
        """
        self._aborted = True
        if self._socket is not None:
            try:
                # Not the method of SSLSocket: that one changes what the other thread is using.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed, or not connected any more

    def connected(self, sock: socket.socket) -> None:
        """Take note of the socket that the request goes over (called by the connection)."""
        self._socket = sock
        if self._aborted:
            self.abort()

    def _error(self, text: str) -> SMTPError:
        return SMTPError(f"The token endpoint {text}", code="EAUTH", command="API")

    # -- the question -------------------------------------------------------------------------

    def _fields(self) -> dict[str, str]:
        options = self.options
        if options.service:
            fields = {"grant_type": _ASSERTION, "assertion": self._assertion()}
        else:
            fields = {
                "client_id": options.clientId,
                "client_secret": options.clientSecret,
                "refresh_token": options.refreshToken,
                "grant_type": "refresh_token",
            }
        fields.update(options.customParams)
        # RFC 6749, 3.2: an empty parameter is none; but Microsoft minds an empty client_secret.
        return {name: value for name, value in fields.items() if value}

    def _assertion(self) -> str:
        """Sign the claims that a service account asks for a token with (RFC 7523)."""
        import jwt

        options = self.options
        now = int(time.time())
        claims = {
            "iss": options.service,
            "scope": options.scope,
            "sub": options.user,
            "aud": options.accessUrl,
            "iat": now,
            "exp": now + math.ceil(options.serviceRequestTimeout),
        }
        try:
            assertion: str = jwt.encode(claims, options.privateKey, algorithm="RS256")
        except NotImplementedError:
            raise ImportError("PyJWT without cryptography cannot sign") from None
        except Exception:  # of several libraries; any of them may quote the key
            text = "option 'privateKey' cannot sign: it is no RSA key in PEM, or is encrypted"
            raise SMTPError(text, code="EAUTH", command="API") from None
        return assertion

    def _post(self, fields: Mapping[str, str]) -> tuple[requests.Response, bytes]:
        options = self.options
        headers = {**_HEADERS, **options.customHeaders}
        request = requests.Request("POST", options.accessUrl, headers, data=fields).prepare()
        # No session: it would read ~/.netrc and send that instead of an Authorization of
        # customHeaders, heed proxies of the environment, and prepare for redirects, for which it
        # reads the body, whatever its size.  The request is a secret; it is for one host.
        body = bytearray()
        # A second more, because the generator has a time-out, too, with a better text.
        seconds = options.requestTimeout / 1000 + 1
        with (
            closing(_Adapter(self)) as adapter,
            adapter.send(request, stream=True, timeout=seconds) as response,
        ):
            for piece in response.iter_content(_PIECE):
                body += piece
                if len(body) > _LARGEST_ANSWER:
                    limit = f"{_LARGEST_ANSWER} bytes"
                    raise self._error(f"{options.host} sent an answer of more than {limit}")
        return response, bytes(body)

    # -- the answer ---------------------------------------------------------------------------

    def _understand(self, response: requests.Response, body: bytes) -> tuple[str, float]:
        host, status = self.options.host, response.status_code
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and answer.get("error"):
            raise self._error(f"{host} refused: {self._refusal(answer)}")
        if 300 <= status < 400:
            text = f"{host} redirects{_elsewhere(response)}, which is not followed"
            raise self._error(f"{text}; check option 'accessUrl' (HTTP {status})")
        if not 200 <= status < 300:
            raise self._error(f"{host} failed: HTTP {status}")
        if not isinstance(answer, dict):
            kind = "HTML" if body.lstrip()[:1] == b"<" else "something"
            raise self._error(f"{host} sent {kind} instead of JSON; check option 'accessUrl'")
        token = answer.get("access_token")
        if not token or not isinstance(token, str):
            raise self._error(f"{host} sent an answer without access_token")
        return token, _seconds(answer.get("expires_in"))

    def _refusal(self, answer: Mapping[str, Any]) -> str:
        """Return what the error document says (RFC 6749, 5.2), fit to be shown."""
        error = answer["error"]
        if isinstance(error, dict):  # Google's other services
            error = error.get("message") or error.get("status") or "an error without a message"
        text = str(error)
        if answer.get("error_description"):
            text += f": {answer['error_description']}"
        if answer.get("error_uri"):
            text += f" ({answer['error_uri']})"
        return self._masked(text)

    def _masked(self, text: str) -> str:
        return self.options.masked(text, self._sent.get("assertion", ""))

    def _explained(self, exc: Exception) -> SMTPError:
        """Return the error that tells of ``exc`` no more than may be told."""
        if isinstance(exc, ImportError):
            return extra_missing(exc)
        cause = _system_error(exc)
        if cause is not None:
            return self._unreached(cause.strerror or str(cause) or type(cause).__name__, cause)
        # Of the kind of a ValueError are the complaints about the URL.
        what = "cannot be asked" if isinstance(exc, ValueError) else "gave no proper HTTP answer"
        return self._error(f"{self.options.host} {what}; check option 'accessUrl'")

    def _unreached(self, why: str, exc: Exception) -> SMTPError:
        error = self._error(f"{self.options.host} cannot be reached: {why}")
        error.__cause__ = _system_error(exc)
        return error


def _elsewhere(response: requests.Response) -> str:
    """Return the host that ``response`` redirects to, and nothing else of that URL."""
    try:
        host = urlsplit(response.headers.get("Location", "")).hostname
    except ValueError:
        host = None
    return f" to {host}" if host and _HOST.fullmatch(host) else ""


def _seconds(value: object) -> float:
    """Read ``expires_in``, which some endpoints send as a string."""
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) else 0
    except (ValueError, OverflowError):
        return 0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0


def _system_error(exc: BaseException | None) -> OSError | None:
    """Return what the system said, from among the exceptions that led to ``exc``, on its own."""
    while exc is not None:
        if isinstance(exc, OSError) and not isinstance(exc, requests.RequestException):
            exc.__cause__ = exc.__context__ = None
            return exc.with_traceback(None)
        exc = exc.__cause__ or exc.__context__
    return None


class _Connection(HTTPConnection):
    """Tells its request about its socket."""

    def __init__(self, *args: Any, request: TokenRequest, **options: Any) -> None:
        super().__init__(*args, **options)
        self.request_of = request

    def connect(self) -> None:
        super().connect()
        self.request_of.connected(self.sock)


class _TLSConnection(_Connection):
    """Speaks TLS by itself, so that the package's own TLS options hold, and nothing else.

    urllib3 would change the context (its ALPN, its ``verify_mode``, with requests also its CAs),
    and contexts are shared with SMTP connections.
    """

    default_port = 443  # type: ignore[misc]  # urllib3 has the same, for the same reason

    def connect(self) -> None:
        super().connect()
        options = self.request_of.options.tls
        name = options.servername or self.host
        # No OSError may leave from here: urllib3 passes over some of them (an answer may be there,
        # although the request could not be sent) and would go on without TLS.
        self.sock = wrap(self.sock, context_for(options), name)
        self.request_of.connected(self.sock)
        try:
            self.sock.do_handshake()
        except OSError as exc:  # ssl.SSLError is one
            raise tls_error(exc, self.sock, name) from exc


class _Adapter(HTTPAdapter):
    """Hands out the connections above."""

    def __init__(self, request: TokenRequest) -> None:
        super().__init__()
        self._request = request
        self._pools: list[HTTPConnectionPool] = []

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> HTTPConnectionPool:
        url = urlsplit(request.url or "")
        secure = url.scheme == "https"
        pool = HTTPConnectionPool(
            url.hostname or "", url.port or (443 if secure else 80), request=self._request
        )
        pool.ConnectionCls = _TLSConnection if secure else _Connection
        self._pools.append(pool)
        return pool

    def cert_verify(self, *args: Any) -> None:
        """Do nothing: the context verifies the certificate."""

    def close(self) -> None:
        for pool in self._pools:
            pool.close()
        super().close()
