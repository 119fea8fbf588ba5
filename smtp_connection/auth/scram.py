"""SCRAM (RFC 5802, 7677): the server gets a proof instead of the password, and gives one itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections import OrderedDict
from typing import NamedTuple, TypeAlias

from ..errors import auth_error
from ..protocol.replies import Reply
from ..protocol.secrets import SECRET
from ..protocol.steps import Abandon, Command, Compute, Dialogue
from ..status import split_status
from .credentials import Credentials
from .prompts import b64, cancelled, challenge_in, conclude, expect_prompt
from .saslprep import saslprep

__all__ = ["scram_login"]

# Fewer make it too easy to guess the password from what was said (RFC 7677 section 4); more, only
# to keep this side busy.
_FEWEST, _MOST = 4096, 1_000_000

# Without channel binding: "n" says that this side does not know how (RFC 5802 section 6).
_GS2 = "n,,"

# As RFC 5802 section 7 has them; what follows the count are extensions that may be ignored, while
# "m=" in front would be one that must not be.
_CHALLENGE = re.compile(r"r=([!-+\--~]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9][0-9]{0,9})(?:,.*)?\Z")


class _Keys(NamedTuple):
    """What the password amounts to, for one salt and one count."""

    client: bytes
    stored: bytes
    server: bytes

    def __repr__(self) -> str:
        return "_Keys()"  # they are as good as the password


class _Challenge(NamedTuple):
    """The server's first message."""

    nonce: str
    salt: bytes
    iterations: int


def scram_login(credentials: Credentials, digest: str, nonce: str | None = None) -> Dialogue[None]:
    """Log in with SCRAM and the hash ``digest``, ``'sha256'`` for example.

    ``nonce`` is this side's, by default a random one.  Raises :class:`SMTPError` (``EAUTH``) unless
    the server accepts the login and proves that it knows the password as well.  A server that
    accepts the login without a proof is somebody else: raises :class:`Abandon`.
    """
    mechanism = f"SCRAM-{digest.upper().replace('SHA', 'SHA-')}"
    command = f"AUTH {mechanism}"
    user, password = credentials.require(mechanism)
    user, password = _prepared("user", user), _prepared("pass", password)
    nonce = nonce or b64(os.urandom(24))
    first = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    reply = yield Command(f"{command} {b64(_GS2 + first)}", f"{command} {SECRET}")
    expect_prompt(reply, command)
    message, challenge = _read_challenge(reply, nonce)
    if isinstance(challenge, str):
        raise (yield from cancelled(reply, challenge, command))
    keys = _keys.get(_place(digest, password, challenge))
    if keys is None:
        keys = yield from _derive(digest, password, challenge)
    if keys is None:
        text = f"This system has no {digest.upper()} (FIPS?)"
        raise (yield from cancelled(reply, text, command))
    final = f"c={b64(_GS2)},r={challenge.nonce}"
    said = f"{first},{message},{final}".encode()
    proof = _xor(keys.client, hmac.digest(keys.stored, said, digest))
    reply = yield Command(b64(f"{final},p={b64(proof)}"), SECRET)
    yield from _verify(reply, command, b64(hmac.digest(keys.server, said, digest)))


def _prepared(name: str, text: str) -> str:
    try:
        prepared = saslprep(text)
    except ValueError as exc:
        raise auth_error(f"auth {name!r} cannot be used with SCRAM: {exc}") from None
    if not prepared:
        raise auth_error(f"auth {name!r} cannot be used with SCRAM: nothing is left of it")
    return prepared


def _read_challenge(reply: Reply, nonce: str) -> tuple[str, _Challenge | str]:
    """Return the server's first message, and what it says, or what is wrong with it."""
    data = challenge_in(reply)
    if data is None:
        return "", "Invalid challenge, it is not base64"
    message = data.decode("utf-8", "replace")
    if message.startswith("m="):
        return message, "Invalid challenge, it asks for an extension of SCRAM"
    found = _CHALLENGE.match(message)
    if found is None or message.encode() != data:
        return message, "Invalid challenge, it is not SCRAM"
    combined, salt, count = found.groups()
    if not combined.startswith(nonce) or combined == nonce:
        return message, "Invalid challenge, it does not go on with the client's nonce"
    if not _FEWEST <= int(count) <= _MOST:
        return message, f"Refused to iterate {count} times; {_FEWEST} to {_MOST} are allowed"
    try:
        decoded = base64.b64decode(salt, validate=True)
    except binascii.Error:
        return message, "Invalid challenge, its salt is not base64"
    return message, _Challenge(combined, decoded, int(count))


def _verify(reply: Reply, command: str, signature: str) -> Dialogue[None]:
    """Take the server's last message, which proves that it knows the password: in a 334, to which
    the answer is an empty line (RFC 4954 section 4), or behind a 235 as some servers have it."""
    expected = f"v={signature}".encode()
    text = "Invalid login"
    if reply.code == 334:
        last = challenge_in(reply) or b""
        if hmac.compare_digest(last, expected):
            yield from conclude((yield Command("")), command)
            return
        if not last.startswith(b"e="):
            text = "The server does not prove that it knows the password"
            raise (yield from cancelled(reply, text, command))
        text = f"Invalid login ({last[2:].decode('utf-8', 'replace')})"
        reply = yield Command("")
    if reply.positive:
        rest = split_status(reply.text)[1].strip()
        if text == "Invalid login" and rest == b64(expected):
            return
        text = "The server accepts the login, but does not prove that it knows the password"
        raise Abandon(reply.failure(text, "EAUTH", command))
    raise (yield from cancelled(reply, text, command))


# -- the keys -------------------------------------------------------------------------------------

_KEPT = 64
_Place: TypeAlias = tuple[str, bytes, bytes, int]
_keys: OrderedDict[_Place, _Keys] = OrderedDict()  # of the process, the oldest first
_blind = os.urandom(32)  # so that no password has to be kept to find its keys


def _place(digest: str, password: str, challenge: _Challenge) -> _Place:
    hidden = hmac.digest(_blind, password.encode(), "sha256")
    return digest, hidden, challenge.salt, challenge.iterations


def _derive(digest: str, password: str, challenge: _Challenge) -> Dialogue[_Keys | None]:
    """Return the keys for ``challenge``, which takes up to a second; ``None`` if the system lacks
    the hash."""
    place = _place(digest, password, challenge)

    def derive() -> _Keys:
        known = _keys.get(place)  # many logins may have begun at once
        if known is not None:
            return known
        salted = hashlib.pbkdf2_hmac(
            digest, password.encode(), challenge.salt, challenge.iterations
        )
        client = hmac.digest(salted, b"Client Key", digest)
        stored = hashlib.new(digest, client).digest()
        keys = _Keys(client, stored, hmac.digest(salted, b"Server Key", digest))
        _keys[place] = keys
        while len(_keys) > _KEPT:
            _keys.popitem(last=False)
        return keys

    try:
        derived: _Keys = yield Compute(derive)
    except ValueError:
        return None
    return derived


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
