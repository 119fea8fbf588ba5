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

# Characters; what is shorter cannot be a secret with something before and behind it.
_SHORTEST_DOCUMENT = 16

# How many characters of a secret may be seen at an end where the rest of it is cut off.
_HARMLESS_PIECE = 3


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


def masked(text: str, secrets: Iterable[str], *, cut: bool = False) -> str:
    """Return ``text`` with ``secrets`` masked, and with them their longer pieces, because servers
    shorten what they quote.  ``cut``: as with :meth:`Secrets.masked_cut`."""
    known = Secrets()
    for secret in secrets:
        known.remember(secret)
    return known.masked_cut(text) if cut else known.masked(text)


def _forms(secret: str) -> list[str]:
    """Return ``secret`` as it may be shown: as it is, between quotation marks, and where UTF-8 was
    taken for Latin-1 because of what stands beside it."""
    forms = [secret]
    if not secret.isascii() or "\\" in secret or '"' in secret:
        import json  # for the few secrets that look different there

        forms += [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
        forms += [form.encode(errors="replace").decode("latin-1") for form in forms]
    return forms


class Secrets:
    """The secrets that one connection has sent: the last 64 different ones, so that a reply after
    a thousand logins costs no more than one after thirty.

    A server may quote a login at any later time, for example if it takes the wrong line for the
    command that it refuses.
    """

    __slots__ = ("_all", "_harmless", "_longest_first", "_pieces", "_secrets")

    def __init__(self) -> None:
        self._secrets: dict[str, list[str]] = {}  # with their forms, in the order of sending
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
        secrets[secret] = secrets.pop(secret, []) or _forms(secret)
        if len(secrets) > _MOST:
            del secrets[next(iter(secrets))]
        forms = dict.fromkeys(form for forms in secrets.values() for form in forms)
        self._longest_first = sorted(forms, key=len, reverse=True)
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

    def masked_cut(self, text: str) -> str:
        """Return ``text`` with the secrets masked; also the end of one with which it begins, and
        the beginning of one with which it ends, since something else was cut off there."""
        if not text:
            return text  # at once: this is asked at the end of each session
        shown = self.masked(text)
        for secret in self._longest_first:
            for size in range(len(secret) - 1, _HARMLESS_PIECE, -1):
                if shown.endswith(secret[:size]):
                    shown = shown[:-size] + SECRET
                if shown.startswith(secret[-size:]):
                    shown = SECRET + shown[size:]
        return shown

    def _shown(self, found: re.Match[str]) -> str:
        piece = found.group()
        return SECRET if self._is_known(piece) else piece

    def _is_known(self, piece: str) -> bool:
        if len(piece) >= _SHORTEST_DOCUMENT and self._is_in_document(piece.rstrip("=")):
            return True
        # A word of letters in one case is the server's own, although it may be a part of the
        # password: hardly any eight characters of base64 look like one.
        return piece in self._all and not (
            piece.isalpha() and (piece[1:].islower() or piece.isupper())
        )

    def _is_in_document(self, encoded: str) -> bool:
        """Whether one of the secrets is in what base64 has made ``encoded`` of: what a server has
        to say of a token, for example."""
        whole = encoded[: len(encoded) - (len(encoded) % 4 == 1)]
        document = b64decode(whole + "=" * (-len(whole) % 4)).decode(errors="replace")
        return any(secret in document for secret in self._longest_first)
