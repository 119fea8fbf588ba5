"""Keeps the secrets that commands carry out of what is shown of the server's replies.

Some servers quote the command that they refuse: ``500 unrecognized: "AUTH PLAIN AHR..."``.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable

__all__ = ["SECRET", "Secrets", "auth_shown", "masked", "secrets_in"]

SECRET = "/* secret */"
"""What is shown in place of a secret."""

# Shorter ones may as well be the server's own words; masking those would give the secret away.
_SHORTEST = 8

# How many secrets one connection remembers, and how many replies without any; longer replies, in
# characters, are not remembered.
_MOST = 64
_LONGEST_REPLY = 128

# What comes right before the password or token, in the mechanisms that send it as it is.
_BEFORE = "\0|\x01|Bearer "
_BASE64 = f"[A-Za-z0-9+/]{{{_SHORTEST},}}={{0,2}}"


def auth_shown(line: str) -> str | None:
    """Return what may be shown of ``line``, if it is an AUTH command: the mechanism, but not what
    follows; ``None`` for any other line."""
    found = re.match(r"AUTH\s+\S+", line, re.IGNORECASE)
    if found is None:
        return None
    return line if found.end() == len(line) else f"{found.group()} {SECRET}"


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


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` with ``secrets`` masked, and with them their longer pieces, because servers
    shorten what they quote."""
    known = Secrets()
    for secret in secrets:
        known.remember(secret)
    return known.masked(text)


class Secrets:
    """The secrets that one connection has sent: the last 64 different ones, so that a reply after
    a thousand logins costs no more than one after thirty.

    A server may quote a login at any later time, for example if it takes the wrong line for the
    command that it refuses.
    """

    __slots__ = ("_all", "_harmless", "_longest_first", "_pieces", "_secrets")

    def __init__(self) -> None:
        self._secrets: dict[str, None] = {}  # a set in the order of sending
        self._longest_first: list[str] = []  # one may be a part of another
        self._all = ""  # of them in one string, so that one search tells whether a piece is known
        self._harmless: set[str] = set()  # short replies without a secret
        self._pieces = re.compile(_BASE64)

    def learn(self, line: str, shown_as: str) -> None:
        """Remember the secrets of the command ``line``, which the log shows as ``shown_as``."""
        for secret in secrets_in(line, shown_as):
            self.remember(secret)

    def remember(self, secret: str) -> None:
        """Mask ``secret`` from now on."""
        secrets = self._secrets
        secrets.pop(secret, None)
        secrets[secret] = None
        if len(secrets) > _MOST:
            del secrets[next(iter(secrets))]
        self._longest_first = sorted(secrets, key=len, reverse=True)
        self._all = "\n".join(secrets)
        self._harmless.clear()

    def masked(self, text: str) -> str:
        """Return ``text`` with the secrets masked; ``text`` itself if there is none in it.

        Four of the five replies to a message are the same each time: they are searched once.
        """
        if text in self._harmless:
            return text
        shown = text
        for secret in self._longest_first:
            if secret in shown:
                shown = shown.replace(secret, SECRET)
        if any(map(self._is_known, self._pieces.findall(shown))):
            return self._pieces.sub(self._shown, shown)
        if shown is text and len(text) <= _LONGEST_REPLY:
            if len(self._harmless) >= _MOST:
                self._harmless.clear()
            self._harmless.add(text)
        return shown

    def _shown(self, found: re.Match[str]) -> str:
        piece = found.group()
        return SECRET if self._is_known(piece) else piece

    def _is_known(self, piece: str) -> bool:
        # A word of letters in one case is the server's own, although it may be a part of the
        # password: hardly any eight characters of base64 look like one.
        return piece in self._all and not (
            piece.isalpha() and (piece[1:].islower() or piece.isupper())
        )
