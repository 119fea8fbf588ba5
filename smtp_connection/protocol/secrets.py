"""Keeps the secrets that commands carry out of what is shown of the server's replies.

Some servers quote the command that they refuse: ``500 unrecognized: "AUTH PLAIN AHR..."``.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence

__all__ = ["SECRET", "masked", "secrets_in"]

SECRET = "/* secret */"
"""What is shown in place of a secret."""

# Shorter ones may as well be the server's own words; masking those would give the secret away.
_SHORTEST = 8

# What comes right before the password or token, in the mechanisms that send it as it is.
_BEFORE = "\0|\x01|Bearer "
_BASE64 = f"[A-Za-z0-9+/]{{{_SHORTEST},}}={{0,2}}"


def secrets_in(line: str, shown_as: str) -> list[str]:
    """Return the secrets of the command ``line``, which the log shows as ``shown_as``: the part
    that this hides, and the password or token inside it."""
    sent = line.removeprefix(shown_as.removesuffix(SECRET)).strip()
    secrets = [sent] if len(sent) >= _SHORTEST else []
    try:
        plain = b64decode(sent, validate=True).decode()
    except ValueError:
        return secrets
    *_, last = ["", *filter(None, re.split(_BEFORE, plain))]
    # A password of letters alone may be a word that the server uses.
    return [*secrets, last] if len(last) >= _SHORTEST and not last.isalpha() else secrets


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return ``text`` with ``secrets`` masked, and with them their longer pieces, because servers
    shorten what they quote."""
    if not secrets:
        return text
    for secret in secrets:
        text = text.replace(secret, SECRET)

    def piece(found: re.Match[str]) -> str:
        return SECRET if any(found.group() in secret for secret in secrets) else found.group()

    return re.sub(_BASE64, piece, text)
