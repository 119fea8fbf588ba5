"""``smtp-connection diagnose``: the arguments, and what comes of them."""

from __future__ import annotations

import argparse
import json
import sys

from ...errors import SMTPError
from ...options.smtp import Options
from ...options.url import options_in
from ..account import CannotDo, add_account_arguments, options_of, refuse_password_in
from ..exits import CONFIG, DATA_ERROR, OK, USAGE, status_of
from ..terminal import Terminal, complain
from .examine import examine
from .facts import Place, Service
from .report import lines_of, side_by_side
from .targets import Wrong, mail_servers, places_at, read_target
from .verdict import judge

__all__ = ["add_parser"]

_DESCRIPTION = """\
Look at a mail server, from the look-up of its name to the login, and say in words what is wrong and
what to do about it.  Nothing is sent to anybody.  Without a port, the ports 25, 465 and 587 are
shown side by side.  With a mail address, the servers that take mail for it are looked at (MX
records; extra 'cli'), and with --from they are asked whether they would take a message.

Exits with 0 if all is well, else with the number of sysexits.h for what a program would meet.
"""

_EXAMPLES = """\
examples:
  %(prog)s smtp.example.com
  %(prog)s smtp.example.com:587 --user me@example.com
  %(prog)s someone@example.com --from me@example.org
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``diagnose`` to the commands."""
    parser = commands.add_parser(
        "diagnose",
        help="say what is wrong with a mail server, and what to do about it",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", metavar="HOST[:PORT] | URL | ADDRESS")
    parser.add_argument("--json", action="store_true", help="print what was found out as JSON")
    probe = parser.add_argument_group("would it take a message?")
    probe.add_argument("--from", dest="sender", metavar="ADDRESS", help="the sender to ask about")
    probe.add_argument(
        "--to", action="append", metavar="ADDRESS", help="a recipient to ask about; may be repeated"
    )
    probe.add_argument("--size", type=int, metavar="BYTES", help="the size of the message")
    add_account_arguments(parser)
    parser.set_defaults(command=diagnose, timeout=10.0)


def diagnose(arguments: argparse.Namespace) -> int:
    """Carry the command out; return the exit status."""
    try:
        recipients = list(arguments.to or ())
        places, from_url = _places(arguments, recipients)
        host, port = places[0].host, places[0].port
        options = {**from_url, **options_of(arguments, host, port)}
        envelope = _envelope(arguments, recipients)
        # What is wrong with them is better said once, before anything is looked at.
        Options.parse({**options, "host": host}, {})
        services = examine(places, options, envelope, arguments.timeout)
    except (Wrong, CannotDo) as exc:
        complain(str(exc))
        return USAGE
    except ModuleNotFoundError as exc:
        complain(str(exc))
        return CONFIG
    except (TypeError, ValueError) as exc:
        complain(str(exc))
        return CONFIG
    except SMTPError as exc:
        complain(exc.message)
        return status_of(exc)
    for service in services:
        service.findings = judge(service, user=arguments.user, size=arguments.size)
    _show(services, as_json=arguments.json)
    return _status(services)


def _places(
    arguments: argparse.Namespace, recipients: list[str]
) -> tuple[list[Place], dict[str, object]]:
    """Return where to look, and the options that a URL says; add the target to ``recipients`` if
    that is a mail address."""
    target = arguments.target
    secure = None if arguments.tls is None else arguments.tls == "implicit"
    if "://" in target:
        refuse_password_in(target)
        said = options_in(target, Options)
        auth = said.pop("auth", {})
        if arguments.user is None:
            arguments.user = auth.get("user")
        port = said.pop("port", None)
        implicit = bool(said.pop("secure", False)) or secure
        default = 465 if implicit else None
        place = places_at(said.pop("host"), int(port) if port else default, implicit)
        return place, said
    if "@" in target:
        recipients.append(target)
        servers = mail_servers(target.rpartition("@")[2])
        return [place for server in servers for place in places_at(server, 25, secure)], {}
    host, port = read_target(target)
    return places_at(host, port, secure), {}


def _envelope(arguments: argparse.Namespace, recipients: list[str]) -> dict[str, object] | None:
    if arguments.sender is None:
        if arguments.to:
            raise Wrong("--to needs --from: nobody can be asked for without a sender")
        return None
    if not recipients:
        raise Wrong("--from needs --to, or a mail address to diagnose")
    envelope: dict[str, object] = {"from": arguments.sender, "to": recipients}
    if arguments.size is not None:
        envelope["size"] = arguments.size
    return envelope


def _show(services: list[Service], *, as_json: bool) -> None:
    if as_json:
        json.dump([service.as_json() for service in services], sys.stdout, indent=2)
        print(flush=True)
        return
    terminal = Terminal()
    for line in lines_of(services, terminal.style):
        terminal.print(line)
    if len(services) > 1:
        terminal.table(side_by_side(services))


def _status(services: list[Service]) -> int:
    """Return 0 if one of the places works without an error; else what a program would meet at the
    last one: with several, 587, which is the one for programs."""
    for service in services:
        if not any(finding.severity == "error" for finding in service.findings):
            return OK
    service = services[-1]
    if service.failure is not None:
        return status_of(service.failure)
    return DATA_ERROR
