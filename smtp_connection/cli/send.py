"""``smtp-connection send``: a message that is read, as sendmail takes it, or composed."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator
from email import policy
from email.parser import BytesHeaderParser
from functools import partial
from typing import Any, BinaryIO

from .. import Reactor, SendInfo, SMTPConnection, SMTPError, console
from ..mime.compose import Composed, compose
from ..mime.email_message import message_envelope
from . import exits
from .account import CannotDo
from .progress import progress_bar
from .server import URL_VARIABLE, add_server_arguments, server_options
from .terminal import complain

__all__ = ["add_parser"]

_DESCRIPTION = f"""\
Send one message.  Without any of the options that compose one, the message is read from the
standard input, headers and all, as sendmail does; Bcc headers are not sent on.  The server is that
of --url or --host, else that of the variable {URL_VARIABLE} of the environment, else the one on
this machine.

Exits with 0 if the message was accepted for everybody, 67 if it was accepted for some alone, 75 if
it was not sent and may be sent later, 79 if it is in doubt (whoever sends it again may send it
twice), else with the number of sysexits.h that says what is wrong.
"""

_EXAMPLES = """\
examples:
  %(prog)s --url smtps://me@smtp.example.com --from me@example.com --to you@example.org \\
      --subject Report --text 'See the attachment.' --attach report.pdf
  %(prog)s --host smtp.example.com -u me@example.com --password-env PASSWORD -t < message.eml
"""

_COMPOSING = ("cc", "bcc", "subject", "text", "html", "attach", "to", "sender_header")

_PIECE = 64 * 1024
_LONGEST_HEAD = 1 << 20  # bytes; what has no empty line by then is no mail


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``send`` to the commands."""
    parser = commands.add_parser(
        "send",
        help="send a message from the standard input, or a composed one",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipients", nargs="*", metavar="RECIPIENT")
    like = parser.add_argument_group("as sendmail has them")
    like.add_argument(
        "-f", "-r", dest="sender", metavar="ADDRESS", help="the sender; by default that of From"
    )
    like.add_argument(
        "-t", dest="from_headers", action="store_true", help="add the recipients in To, Cc and Bcc"
    )
    like.add_argument("-i", "-oi", dest="dots", action="store_true", help="taken, and always so")
    composing = parser.add_argument_group("composing")
    composing.add_argument("--from", dest="sender_header", metavar="ADDRESS")
    for name in ("to", "cc", "bcc"):
        composing.add_argument(f"--{name}", action="append", metavar="ADDRESS")
    composing.add_argument("--subject", metavar="TEXT")
    composing.add_argument("--text", metavar="TEXT", help="the text; - reads the standard input")
    composing.add_argument("--html", metavar="TEXT", help="the text as HTML; - as with --text")
    composing.add_argument("--attach", action="append", metavar="FILE", help="may be repeated")
    showing = parser.add_argument_group("what happens")
    showing.add_argument(
        "--dry-run", action="store_true", help="show envelope and message, and send nothing"
    )
    showing.add_argument(
        "-v", "--verbose", action="store_true", help="show the conversation on the standard error"
    )
    showing.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_server_arguments(parser)
    parser.set_defaults(command=send, timeout=None)


def send(arguments: argparse.Namespace) -> int:
    """Carry the command out; return the exit status."""
    try:
        envelope, message = _composed(arguments) if _composes(arguments) else _read(arguments)
        if arguments.dry_run:
            _show(envelope, message)
            return exits.OK
        options = server_options(arguments)
        outcome = _Sending(options, envelope, message, verbose=arguments.verbose).run()
    except CannotDo as exc:
        complain(str(exc))
        return exits.USAGE
    except SMTPError as exc:
        return _failed(exc, as_json=arguments.json)
    except ModuleNotFoundError as exc:
        complain(str(exc))
        return exits.CONFIG
    except (TypeError, ValueError, OSError) as exc:
        complain(str(exc))
        return exits.status_of(exc)
    return _sent(outcome, as_json=arguments.json)


# -- the message ----------------------------------------------------------------------------------


def _composes(arguments: argparse.Namespace) -> bool:
    return any(getattr(arguments, name) is not None for name in _COMPOSING)


def _composed(arguments: argparse.Namespace) -> tuple[dict[str, Any], Composed]:
    if arguments.from_headers:
        raise CannotDo("-t is for a message that is read; --to, --cc and --bcc are recipients")
    texts = [arguments.text, arguments.html]
    if texts == ["-", "-"]:
        raise CannotDo("only one of --text and --html can be read from the standard input")
    fields = {
        "from": arguments.sender_header or arguments.sender,
        "to": [*(arguments.to or ()), *arguments.recipients],
        "cc": arguments.cc,
        "bcc": arguments.bcc,
        "subject": arguments.subject,
        "text": _text(arguments.text if any(texts) else "-"),
        "html": _text(arguments.html),
        "attachments": [{"path": path} for path in arguments.attach or ()],
    }
    if not fields["from"]:
        raise CannotDo("there is no sender: use --from")
    for path in arguments.attach or ():
        os.stat(path)  # who has misspelt it is told before anything is connected
    composed = compose({name: value for name, value in fields.items() if value})
    envelope = composed.envelope
    if arguments.sender is not None:
        envelope["from"] = arguments.sender
    return envelope, composed


def _text(given: str | None) -> str | bytes | None:
    return sys.stdin.buffer.read() if given == "-" else given


def _read(arguments: argparse.Namespace) -> tuple[dict[str, Any], Iterable[bytes]]:
    """Return the envelope, and the message on the standard input without its Bcc."""
    head, rest = _head_of(sys.stdin.buffer)
    parsed = BytesHeaderParser(policy=policy.compat32).parsebytes(head)
    wanted = arguments.from_headers or arguments.sender is None
    own = message_envelope(parsed) if wanted else {}
    sender = own.get("from") if arguments.sender is None else arguments.sender
    if not sender and arguments.sender is None:
        raise CannotDo("there is no sender: use -f, or a message with a From header")
    recipients = list(arguments.recipients)
    if arguments.from_headers:
        recipients += [each for each in own["to"] if each not in recipients]
    if not recipients:
        raise CannotDo("there is no recipient: name one, or use -t to take those of the message")
    pieces = itertools.chain([_without_bcc(head), rest], _pieces(sys.stdin.buffer))
    return {"from": sender, "to": recipients}, (piece for piece in pieces if piece)


def _head_of(file: BinaryIO) -> tuple[bytes, bytes]:
    """Return the headers at the start of ``file`` with the empty line behind them, and what was
    read of the rest."""
    read = b""
    while len(read) < _LONGEST_HEAD:
        piece = file.read1(_PIECE) if hasattr(file, "read1") else file.read(_PIECE)
        read += piece
        ends = [read.find(end) + len(end) for end in (b"\r\n\r\n", b"\n\n") if end in read]
        if ends:
            return read[: min(ends)], read[min(ends) :]
        if not piece:
            break
    return read, b""


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.read, _PIECE), b"")


def _without_bcc(head: bytes) -> bytes:
    kept, hidden = [], False
    for line in head.splitlines(keepends=True):
        if line[:1] not in (b" ", b"\t"):
            hidden = line.partition(b":")[0].strip().lower() in (b"bcc", b"resent-bcc")
        if not hidden:
            kept.append(line)
    return b"".join(kept)


def _show(envelope: dict[str, Any], message: Iterable[bytes]) -> None:
    print(f"From: <{envelope['from']}>")
    for recipient in envelope["to"]:
        print(f"To:   <{recipient}>")
    print(flush=True)
    piece = b""
    for piece in message:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.write(b"" if piece.endswith(b"\n") else b"\n")
    sys.stdout.buffer.flush()


# -- sending --------------------------------------------------------------------------------------


class _Sending:
    """Connects, logs in, sends and quits."""

    def __init__(
        self,
        options: dict[str, Any],
        envelope: dict[str, Any],
        message: Iterable[bytes],
        *,
        verbose: bool,
    ) -> None:
        self._errors: list[SMTPError] = []
        self._outcome: SendInfo | None = None
        self._reactor = reactor = Reactor()
        self._connection = connection = SMTPConnection(
            {**options, "debug": verbose}, reactor=reactor
        )
        connection.on("error", self._errors.append)
        if verbose:
            connection.on("log", console(sys.stderr))
        self._bar = progress_bar(connection)
        connection.connect()
        if connection.options.auth:
            connection.login(None, self._logged_in)
        connection.send(envelope, message, self._done)
        connection.quit()

    def _logged_in(self, err: SMTPError | None) -> None:
        if err is not None:
            self._errors.append(err)

    def _done(self, err: SMTPError | None, info: SendInfo | None) -> None:
        self._outcome = info
        if err is not None:
            self._errors.append(err)

    def run(self) -> SendInfo:
        """Return the outcome, or raise the first error; ``KeyboardInterrupt`` if nothing came of
        it because of that."""
        with self._reactor, self._bar:
            try:
                self._reactor.run()
            except KeyboardInterrupt:
                self._connection.close()
                self._reactor.run()
                doubts = [error for error in self._errors if error.inDoubt]
                if doubts:
                    raise doubts[0] from None
                if self._outcome is None:
                    raise
        if self._outcome is not None:
            return self._outcome
        raise self._errors[0]


# -- the outcome ----------------------------------------------------------------------------------


def _sent(info: SendInfo, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(info.toJSON(), indent=2), flush=True)
    for refused in info.rejectedErrors:
        complain(f"not sent to {refused.recipient}: {refused.message}")
    return exits.SOME_REFUSED if info.rejected else exits.OK


def _failed(error: SMTPError, *, as_json: bool) -> int:
    if as_json:
        plain = {**error.toJSON(), "inDoubt": error.inDoubt, "permanent": error.permanent}
        print(json.dumps({"error": plain}, indent=2), flush=True)
    complain(error.message)
    if error.inDoubt:
        complain("the message may have been accepted: to send it again may be to send it twice")
    return exits.status_of(error)
