"""Whatever a server says, in whatever pieces, and however it ends: a client that logs in, sends two
messages, resets and quits gets each callback once, ``'end'`` once and last, and no success of which
the server knows nothing."""

from __future__ import annotations

from typing import Any

from smtp_connection.protocol.replies import ReplyParser
from tests.world import converse
from tests.world.sockets import VirtualContext

from .inputs import pieces

_OPTIONS: dict[str, dict[str, Any]] = {
    "L": {"lmtp": True},
    "T": {"requireTLS": True},
    "O": {"opportunisticTLS": True},
    "I": {"ignoreTLS": True},
    "S": {"secure": True},
    "P": {"authMethod": "PLAIN"},
    "C": {"authMethod": "CRAM-MD5"},
    "X": {"authMethod": "XOAUTH2"},
    "D": {"debug": True},
}
_CONTEXT = VirtualContext()
_ENDINGS = {"r": "reset", "s": "silence"}
# The positive replies (2xx) without which there is no success.
_NEEDS = {"connect": 2, "login": 1, "send": 3, "reset": 1, "quit": 0}
_SEED = 3  # a user who may log in, and a message for two


def check(data: bytes) -> None:
    """(The invariant stands above; ``converse`` checks most of it.)

    What the server says is cut at each ``|``.  In front of it may stand the manner in which it is
    said: ``#``, then letters for options and the ending and a digit for the seed, up to the first
    ``|``.
    """
    manner, *cut = pieces(data) if data[:1] == b"#" else [b"", *pieces(data)]
    options: dict[str, Any] = {"tls": {"context": _CONTEXT}}
    ending, seed = "close", _SEED
    for letter in manner.decode("latin-1"):
        options.update(_OPTIONS.get(letter, {}))
        ending = _ENDINGS.get(letter, ending)
        seed = ord(letter) - ord("0") if letter in "0123456789" else seed
    said, lengths = b"".join(cut), [len(piece) for piece in cut]
    conversation = converse(said, lengths, ending=ending, options=options, seed=seed)
    needed = sum(_NEEDS[one.kind] for one in conversation.operations if one.error is None)
    assert needed <= sum(reply.positive for reply in ReplyParser(1 << 20).feed(said))
