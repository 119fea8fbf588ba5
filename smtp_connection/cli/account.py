"""Which server, and who logs in: the arguments that ``send`` and ``diagnose`` share."""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

from ..errors import SMTPError, needs_extra
from ..hosts import is_loopback
from ..net.tls import context_for
from ..options.tls import TLSOptions

__all__ = ["CannotDo", "add_account_arguments", "options_of", "refuse_password_in"]

_TLS = {
    "implicit": {"secure": True},
    "starttls": {"secure": False, "requireTLS": True},
    "opportunistic": {"secure": False},
    "none": {"secure": False, "ignoreTLS": True},
}


class CannotDo(Exception):
    """The arguments ask for what cannot be had, a password for example."""


def add_account_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how to connect, and who logs in."""
    server = parser.add_argument_group("connection")
    server.add_argument(
        "--tls",
        choices=_TLS,
        help="TLS from the first byte (implicit), STARTTLS or nothing (starttls), STARTTLS where it"
        " is offered (opportunistic), or clear text (none); by default implicit at port 465,"
        " starttls if somebody logs in, else opportunistic",
    )
    server.add_argument("--ca", metavar="FILE", help="trust the certificates in FILE (PEM)")
    server.add_argument(
        "--insecure", action="store_true", help="take any certificate; for experiments alone"
    )
    server.add_argument("--name", metavar="NAME", help="the name to say with EHLO")
    server.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="for each step (default: %(default)s)"
    )
    login = parser.add_argument_group(
        "login", "The password is asked for on the terminal, unless one of these says otherwise."
    )
    login.add_argument("-u", "--user", metavar="USER")
    source = login.add_mutually_exclusive_group()
    source.add_argument(
        "--password-env", metavar="VARIABLE", help="take it from this variable of the environment"
    )
    source.add_argument(
        "--password-command", metavar="COMMAND", help="take the first line that COMMAND prints"
    )
    source.add_argument(
        "--keyring",
        metavar="SERVICE",
        nargs="?",
        const="",
        help="take it from the system's keyring (extra 'keyring'); SERVICE is the host by default",
    )
    login.add_argument("--auth-method", metavar="MECHANISM", help="PLAIN, LOGIN, CRAM-MD5 ...")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 100_000:
        raise ValueError
    return value


_seconds.__name__ = "number of seconds"  # argparse names it where it does not fit


def refuse_password_in(url: str) -> None:
    """Raise :class:`CannotDo` if ``url`` has a password in it: everybody on the machine can see
    the arguments of a process."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return  # whoever reads it next says what is wrong with it
    if password:
        raise CannotDo(
            "a password on the command line can be read by everybody on this machine: leave it out"
            " of the URL and use --password-env, --password-command, --keyring or the prompt"
        )


def options_of(arguments: argparse.Namespace, host: str, port: int | None) -> dict[str, Any]:
    """Return the options of a connection that ``arguments`` ask for, but for the place.

    ``host`` and ``port`` are those of the server.  Raises :class:`CannotDo` if there is no
    password.
    """
    options: dict[str, Any] = {}
    if arguments.name is not None:
        options["name"] = arguments.name
    if arguments.auth_method is not None:
        options["authMethod"] = arguments.auth_method
    tls: dict[str, Any] = {}
    if arguments.ca is not None:
        tls["ca"] = arguments.ca
    if arguments.insecure:
        tls["rejectUnauthorized"] = False
    if tls:
        options["tls"] = tls
        _try_out(tls)
    if arguments.tls is not None:
        options.update(_TLS[arguments.tls])
    elif arguments.user is not None and port != 465 and not is_loopback(host):
        options.update(_TLS["starttls"])
    if arguments.user is not None:
        options["auth"] = {"user": arguments.user, "pass": _password(arguments, host)}
    return options


def _try_out(tls: dict[str, Any]) -> None:
    """Raise :class:`CannotDo` if there is a file among the options ``tls`` that cannot be used."""
    try:
        context_for(TLSOptions.parse(tls))
    except SMTPError as exc:
        raise CannotDo(exc.message) from exc


def _password(arguments: argparse.Namespace, host: str) -> str:
    if arguments.password_env is not None:
        return _from_environment(arguments.password_env)
    if arguments.password_command is not None:
        return _from_command(arguments.password_command)
    if arguments.keyring is not None:
        return _from_keyring(arguments.keyring or host, arguments.user)
    return _from_prompt(arguments.user, host)


def _from_environment(variable: str) -> str:
    password = os.environ.get(variable)
    if password is None:
        raise CannotDo(f"--password-env: the environment has no variable {variable}")
    return password


def _from_command(command: str) -> str:
    words = shlex.split(command)
    if not words:
        raise CannotDo("--password-command: there is no command")
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    except (OSError, UnicodeDecodeError) as exc:
        raise CannotDo(f"--password-command: {exc}") from exc
    if done.returncode != 0:
        text = f"--password-command: {words[0]} ended with exit status {done.returncode}"
        raise CannotDo(text)
    lines = done.stdout.splitlines()
    if not lines or not lines[0]:
        raise CannotDo(f"--password-command: {words[0]} printed no password")
    return lines[0]


def _from_keyring(service: str, user: str) -> str:
    try:
        import keyring
    except ModuleNotFoundError as exc:
        raise CannotDo(needs_extra("--keyring", "keyring")) from exc
    try:
        password = keyring.get_password(service, user)
    except Exception as exc:  # each backend raises its own
        raise CannotDo(f"--keyring: {exc or type(exc).__name__}") from exc
    if password is None:
        raise CannotDo(f"--keyring: there is no password of {user} for {service}")
    return str(password)


def _has_terminal() -> bool:
    """Whether there is one to ask on, also where the message comes through the standard input."""
    if sys.stdin.isatty():
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def _from_prompt(user: str, host: str) -> str:
    if not _has_terminal():
        raise CannotDo(
            "there is no terminal to ask for the password on: use --password-env,"
            " --password-command or --keyring"
        )
    try:
        return getpass.getpass(f"Password of {user} at {host}: ")
    except (EOFError, OSError) as exc:
        raise CannotDo(
            "the password cannot be asked for on this terminal: use --password-env,"
            " --password-command or --keyring"
        ) from exc
