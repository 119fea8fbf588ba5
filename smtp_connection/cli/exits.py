"""What the command line exits with: the numbers of ``sysexits.h``, as msmtp uses them."""

from __future__ import annotations

import errno
import ssl

from ..errors import SMTPError

__all__ = [
    "CONFIG",
    "DATA_ERROR",
    "IN_DOUBT",
    "INTERRUPTED",
    "IO_ERROR",
    "NO_HOST",
    "NO_INPUT",
    "NO_PERMISSION",
    "OK",
    "PROTOCOL",
    "SOME_REFUSED",
    "SYSTEM_ERROR",
    "TEMPORARY",
    "UNAVAILABLE",
    "USAGE",
    "status_of",
]

OK = 0
USAGE = 64
"""The arguments are wrong."""
DATA_ERROR = 65
"""The envelope or the message cannot be sent, whatever the server says."""
NO_INPUT = 66
"""A file cannot be read."""
SOME_REFUSED = 67
"""The message was accepted for some of the recipients: to send it again to all would be wrong."""
NO_HOST = 68
"""There is no such host."""
UNAVAILABLE = 69
"""The server refused for good, or its certificate is not to be trusted."""
SYSTEM_ERROR = 71
"""This system has no address or no descriptor left for the connection."""
IO_ERROR = 74
"""The connection broke, or the source of the message failed."""
TEMPORARY = 75
"""Nothing was sent, and the same call may succeed later."""
PROTOCOL = 76
"""The server broke the protocol, of SMTP or of TLS."""
NO_PERMISSION = 77
"""The login was refused."""
CONFIG = 78
"""An option has a value that it does not take, or an extra is missing."""
IN_DOUBT = 79
"""The message may have been accepted: whoever calls again may send it twice.  It is the first
number behind those of ``sysexits.h``, whose 75 makes callers try again."""
INTERRUPTED = 130
"""Ctrl-C; as a shell has it for SIGINT."""

# What this machine lacks, or does not allow.
_SYSTEM = [
    errno.errorcode[number]
    for number in (
        *(errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EMFILE, errno.ENFILE),
        *(errno.ENOBUFS, errno.ENOMEM, errno.EACCES),
    )
]

_BY_CODE = {
    "EAUTH": NO_PERMISSION,
    "EENVELOPE": UNAVAILABLE,
    "EMESSAGE": UNAVAILABLE,
    "EREQUIRETLS": UNAVAILABLE,
    "EPROTOCOL": PROTOCOL,
    "ESTREAM": IO_ERROR,
    "ETLS": PROTOCOL,
    "ENOTFOUND": NO_HOST,
    "EAI_FAIL": NO_HOST,
    "EAI_AGAIN": TEMPORARY,
    "EAI_MEMORY": SYSTEM_ERROR,
    # Nobody answered: nothing was said yet, or nothing that counts.
    **dict.fromkeys(("ETIMEDOUT", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"), TEMPORARY),
    **dict.fromkeys(("ECONNECTION", "ECONNRESET", "EPIPE", "ESOCKET"), IO_ERROR),
    **dict.fromkeys(_SYSTEM, SYSTEM_ERROR),
}


def status_of(error: BaseException) -> int:
    """Return the exit status for ``error``."""
    if isinstance(error, SMTPError):
        return _status_of_smtp(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, (TypeError, ValueError)):  # options, as SMTPConnection refuses them
        return CONFIG
    if isinstance(error, OSError):
        missing = error.errno in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR)
        return NO_INPUT if missing else IO_ERROR
    return 1


def _status_of_smtp(error: SMTPError) -> int:
    if error.inDoubt:
        return IN_DOUBT
    if 400 <= (error.responseCode or 0) < 500:
        return TEMPORARY
    if error.permanent and error.response is None:
        return NO_INPUT if isinstance(error.__cause__, OSError) else DATA_ERROR
    if error.code == "ETLS" and isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return UNAVAILABLE
    return _BY_CODE.get(error.code or "", UNAVAILABLE)
