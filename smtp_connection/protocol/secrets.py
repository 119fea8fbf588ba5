"""The secrets that a command carries, kept out of what the server says about it.

Some servers quote the command that they do not like: ``500 unrecognized: "AUTH PLAIN AHR..."``.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence

__all__ = ["SECRET", "masked", "secrets_in"]

SECRET = "/* secret */"

# Shorter ones are as likely the server's own words, and masking those would give them away.
_SHORTEST = 8

# What stands in front of the secret itself, in the mechanisms that send it as it is.
_BEFORE = "\0|\x01|Bearer "
_BASE64 = f"[A-Za-z0-9+/]{{{_SHORTEST},}}={{0,2}}"


def secrets_in(line: str, shown_as: str) -> list[str]:
    """Return what must not be shown of ``line``, of which the log gets ``shown_as``: the secret as
    it is sent, and the password or token that this stands for."""
    sent = line.removeprefix(shown_as.removesuffix(SECRET)).strip()
    secrets = [sent] if len(sent) >= _SHORTEST else []
    try:
        plain = b64decode(sent, validate=True).decode()
    except ValueError:
        return secrets
    *_, last = ["", *filter(None, re.split(_BEFORE, plain))]
    # A password that is a plain word may be one that the server uses.
    return [*secrets, last] if len(last) >= _SHORTEST and not last.isalpha() else secrets


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return ``text`` without ``secrets``, and without longer pieces of them, to which servers cut
    what they quote."""
    if not secrets:
        return text
    for secret in secrets:
        text = text.replace(secret, SECRET)

    def piece(found: re.Match[str]) -> str:
        return SECRET if any(found.group() in secret for secret in secrets) else found.group()

    return re.sub(_BASE64, piece, text)
