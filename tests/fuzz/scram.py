"""Whatever a server says to SCRAM, the login succeeds only with the server's proof, hashes no more
often than it may, shows no password, and ends with nobody waiting."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from smtp_connection.auth import scram

from .dialogues import Login
from .inputs import pieces

_PASSWORD = "pencil-of-the-user"
_DIGESTS = {b"1": ("SCRAM-SHA-1", "sha1"), b"5": ("SCRAM-SHA-512", "sha512")}
_CODED = re.compile(rb"\{([^{}]*)\}")


def check(data: bytes) -> None:
    """(The invariant stands above.)

    The server's replies are cut at each ``|``.  What stands in {braces} is sent in base64, ``%n``
    is the client's nonce and ``%v`` the right proof.  In front may stand ``#1`` or ``#5`` for
    SHA-1 or SHA-512, up to the first ``|``.
    """
    manner, *said = pieces(data) if data[:1] == b"#" else [b"", *pieces(data)]
    mechanism, digest = _DIGESTS.get(manner[1:2], ("SCRAM-SHA-256", "sha256"))
    with _quickly_hashed():
        login = Login({"user": "user", "pass": _PASSWORD}, mechanism)
        proofs: list[bytes] = []
        for piece in said:
            login.hear(_filled_in(piece, login, digest, proofs))
        login.end()
    if login.error is None:
        assert proofs, "nobody has proved anything"
        parts = [part for reply in login.answered for part in (reply.text[4:], reply.text)]
        assert any(proofs[-1] in _decoded(part) for part in parts)
    whole = "\n".join([*login.commands, str(login.error)])
    assert _PASSWORD not in whole
    assert base64.b64encode(_PASSWORD.encode()).decode() not in whole


@contextmanager
def _quickly_hashed() -> Iterator[None]:
    def derive(digest: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        assert 4096 <= iterations <= 1_000_000
        return hmac.digest(password, salt + str(iterations).encode(), digest)

    stand_in: Any = SimpleNamespace(pbkdf2_hmac=derive, new=hashlib.new)
    with mock.patch.object(scram, "hashlib", stand_in):
        scram._keys.clear()
        yield
        scram._keys.clear()


def _filled_in(piece: bytes, login: Login, digest: str, proofs: list[bytes]) -> bytes:
    first = _decoded(login.commands[0]).removeprefix(b"n,,") if login.commands else b""
    nonce = first.partition(b",r=")[2]
    piece = piece.replace(b"%n", nonce)
    if b"%v" in piece:
        proofs.append(_proof(first, login, digest))
        piece = piece.replace(b"%v", proofs[-1])
    return _CODED.sub(lambda found: base64.b64encode(found[1]), piece)


def _proof(first: bytes, login: Login, digest: str) -> bytes:
    """Return the ServerSignature of RFC 5802 section 3, or what stands for it where the dialogue
    has not come that far."""
    if len(login.commands) < 2 or not login.answered:
        return b"none"
    challenge = _decoded(login.answered[0].text)
    found = re.match(rb"r=[^,]*,s=([^,]*),i=([0-9]+)", challenge)
    if found is None:
        return b"none"
    try:
        salt = base64.b64decode(found[1])
    except ValueError:
        return b"none"
    without_proof = _decoded(login.commands[1]).partition(b",p=")[0]
    salted = hmac.digest(_PASSWORD.encode(), salt + found[2], digest)
    key = hmac.digest(salted, b"Server Key", digest)
    said = b",".join([first, challenge, without_proof])
    return base64.b64encode(hmac.digest(key, said, digest))


def _decoded(text: str) -> bytes:
    """Decode what stands last in ``text``."""
    try:
        return base64.b64decode(text.split()[-1])
    except (ValueError, IndexError):
        return b""
