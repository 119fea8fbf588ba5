"""The server of the commands that send: ``--url``, ``--host``, or the environment."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ..options.smtp import Options
from ..options.url import options_in
from .account import CannotDo, add_account_arguments, options_of, refuse_password_in
from .diagnosis.targets import read_target

__all__ = ["URL_VARIABLE", "add_server_arguments", "server_options"]

URL_VARIABLE = "SMTP_URL"


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the server, and those that say who logs in."""
    server = parser.add_argument_group("server").add_mutually_exclusive_group()
    server.add_argument(
        "--url", metavar="URL", help="smtp://user@host:587, smtps://..., lmtp://..."
    )
    server.add_argument("--host", metavar="HOST[:PORT]")
    add_account_arguments(parser)
    signing = parser.add_argument_group("signatures (DKIM)")
    signing.add_argument(
        "--dkim",
        action="append",
        metavar="DOMAIN:SELECTOR:FILE",
        help="sign with the private key in a PEM file; may be repeated",
    )


def server_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a connection to the server that ``arguments`` name.

    Raises :class:`CannotDo`, ``ValueError`` or ``TypeError`` for a URL that is none, and
    ``OSError`` for a key that cannot be read.
    """
    given: dict[str, Any] = {}
    url = arguments.url
    if url is not None:
        refuse_password_in(url)
    elif arguments.host is None:
        url = os.environ.get(URL_VARIABLE)
    if url is not None:
        given = options_in(url, Options)
    elif arguments.host is not None:
        given["host"], port = read_target(arguments.host)
        if port is not None:
            given["port"] = port
    auth = given.get("auth") or {}
    if arguments.user is None and "pass" not in auth:
        arguments.user = auth.get("user")
    host = str(given.get("host", "localhost"))
    port = int(given.get("port") or (465 if given.get("secure") else 25))
    options = {**given, **options_of(arguments, host, port)}
    if arguments.timeout is not None:
        limit = round(arguments.timeout * 1000)
        options.update(
            dict.fromkeys(("connectionTimeout", "greetingTimeout", "socketTimeout"), limit)
        )
    if arguments.dkim:
        options["dkim"] = {"keys": [_key(each) for each in arguments.dkim]}
    return options


def _key(given: str) -> dict[str, Any]:
    """Read an argument of ``--dkim``, and the key that it names."""
    domain, _, rest = given.partition(":")
    selector, _, path = rest.partition(":")
    if not (domain and selector and path):
        raise CannotDo(f"--dkim takes DOMAIN:SELECTOR:FILE; got {given!r}")
    with open(path, "rb") as file:
        return {"domainName": domain, "keySelector": selector, "privateKey": file.read()}
