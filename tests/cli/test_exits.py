"""The exit statuses: what msmtp's callers know, and one for what is in doubt."""

from __future__ import annotations

import errno
import ssl

import pytest

from smtp_connection import SMTPError
from smtp_connection.cli.exits import status_of


def _caused(error: SMTPError, cause: BaseException) -> SMTPError:
    error.__cause__ = cause
    return error


def _in_doubt() -> SMTPError:
    error = SMTPError("gone", code="ECONNECTION", response="421 bye")
    error.inDoubt = True
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (_in_doubt(), 79),
        (SMTPError("x", code="EENVELOPE", response="550 no"), 69),
        (SMTPError("x", code="EENVELOPE", response="450 later"), 75),
        (SMTPError("x", code="EMESSAGE", response="552 too large"), 69),
        (SMTPError("x", code="EENVELOPE"), 65),
        (SMTPError("x", code="EMESSAGE"), 65),
        (_caused(SMTPError("x", code="EMESSAGE"), FileNotFoundError()), 66),
        (SMTPError("x", code="EAUTH", response="535 no"), 77),
        (SMTPError("x", code="EAUTH", response="454 later"), 75),
        (SMTPError("x", code="EAUTH"), 77),
        (SMTPError("x", code="ENOTFOUND"), 68),
        (SMTPError("x", code="EAI_AGAIN"), 75),
        (SMTPError("x", code="ECONNREFUSED"), 75),
        (SMTPError("x", code="ETIMEDOUT"), 75),
        (SMTPError("x", code="ECONNECTION"), 74),
        (SMTPError("x", code="ECONNECTION", response="421 bye"), 75),
        (SMTPError("x", code="EPROTOCOL"), 76),
        (SMTPError("x", code="EPROTOCOL", response="554 go away"), 76),
        (SMTPError("x", code="ETLS"), 76),
        (_caused(SMTPError("x", code="ETLS"), ssl.SSLCertVerificationError()), 69),
        (SMTPError("x", code="EADDRNOTAVAIL"), 71),
        (SMTPError("x", code="ESTREAM"), 74),
        (SMTPError("x", code="ESOMETHING"), 69),
        (SMTPError("x"), 69),
        (TypeError("option"), 78),
        (FileNotFoundError(errno.ENOENT, "no file"), 66),
        (OSError(errno.EIO, "broken"), 74),
        (KeyboardInterrupt(), 130),
        (RuntimeError(), 1),
    ],
)
def test_status_of(error, status):
    assert status_of(error) == status
