"""TLS of a server for tests, with a certificate authority of its own."""

from __future__ import annotations

import ssl
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .extra import needing_extra

__all__ = ["ServerTLS"]


class ServerTLS:
    """Switches TLS on, and has what a client needs to verify the server.

    A certificate for ``127.0.0.1`` and ``localhost`` is made when it is needed for the first time,
    by an authority that nobody else knows.

    - ``mode`` (str): ``'off'``, ``'starttls'`` or ``'implicit'``
    """

    def __init__(self) -> None:
        self.mode = "off"

    def starttls(self) -> None:
        """Offer STARTTLS (RFC 3207) to the clients that connect from now on."""
        self._server_context  # noqa: B018  # made here, where the caller learns if it cannot be
        self.mode = "starttls"

    def implicit(self) -> None:
        """Speak TLS from the first byte (RFC 8314) with the clients that connect from now on."""
        self._server_context  # noqa: B018
        self.mode = "implicit"

    def off(self) -> None:
        """Speak clear text with the clients that connect from now on."""
        self.mode = "off"

    @property
    def ca(self) -> str:
        """The path of a file with the certificate of the authority (PEM).

        For ``tls: {'ca': ...}``, ``SSL_CERT_FILE`` and the like.  The file is there until the
        server is stopped.
        """
        return self._ca_file

    @property
    def context(self) -> ssl.SSLContext:
        """A new context for clients, which trusts the authority and nobody else."""
        return ssl.create_default_context(cafile=self.ca)

    @property
    def server_context(self) -> ssl.SSLContext | None:
        """The context that the server uses; ``None`` while TLS is off."""
        return None if self.mode == "off" else self._server_context

    @cached_property
    def _authority(self) -> Any:
        with needing_extra():
            import trustme
        return trustme.CA()

    @cached_property
    def _server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        return context

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="smtp_connection-")

    @cached_property
    def _ca_file(self) -> str:
        path = Path(self._folder.name) / "ca.pem"
        self._authority.cert_pem.write_to_path(path)
        return str(path)

    def clean_up(self) -> None:
        """Remove the file."""
        if "_folder" in self.__dict__:
            self._folder.cleanup()
            del self.__dict__["_folder"]
            self.__dict__.pop("_ca_file", None)
