"""Messages of every kind are signed, and somebody else verifies them: dkimpy.

``python -m tests.promises.signatures`` signs 10,000 of them, half with RSA and half with Ed25519,
and tells what a signature costs.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa

from smtp_connection.message.sources import PIECE
from smtp_connection.options.dkim import DKIMOptions
from tests.support.signatures import ED25519, RSA, is_verified

_WORDS = ["word", "Gr\u00fc\u00dfe", "\u65e5\u672c", ".", "..", "From", "=", "x" * 90, "\0", "\xa0"]
_BREAKS = ["\r\n", "\n", "\r", " \r\n", "\t\n", "\r\n\r\n", "\n.\n", "\r\r\n"]
_NAMES = ["Subject", "To", "CC", "x-own", "List-Id", "Received", "from", "Date", "DKIM-Signature"]
_VALUES = ["word", "Gr\u00fc\u00dfe", " ", "\t", "a:b", ";"]
_FOLDS = ["", " ", "\r\n ", "\n\t", "\r "]


def message(chance: random.Random) -> bytes:
    """Return a message whose headers are well-formed, and whose body is anything."""
    lines = ["From: a@x.org"]
    for _ in range(chance.randrange(8)):
        fold = chance.choice(_FOLDS)
        words = fold.join(chance.choices(_VALUES, k=chance.randrange(9)))
        lines.append(f"{chance.choice(_NAMES)}:{fold}x{words}y")
    chance.shuffle(lines)
    pieces = chance.choices([*_WORDS, *_BREAKS, " ", "  ", "\t"], k=chance.randrange(40))
    text = "\r\n".join(lines) + chance.choice(["\r\n", "\n"]) * 2 + "".join(pieces)
    return text.encode() + bytes(chance.choices(range(128, 256), k=chance.randrange(3)))


def cut(content: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield ``content`` in pieces."""
    size = chance.choice([1, 7, 100, 1 << 20])
    for start in range(0, len(content), size):
        yield content[start : start + size]


def signed(content: bytes, dkim: DKIMOptions, chance: random.Random) -> bytes:
    """Return ``content`` with its signature."""
    spool = dkim.spool()
    try:
        for piece in cut(content, chance):
            spool.write(piece)
        spool.sign()
        found = []
        while piece := spool.read(1 << 16):
            found.append(piece)
        return b"".join(found)
    finally:
        spool.close()


class Result(NamedTuple):
    """What came of it: ``wrong`` are the numbers of the messages whose signature is not right."""

    wrong: list[int]
    signing: float
    verifying: float


def run(count: int, seed: int, dkim: DKIMOptions) -> Result:
    """Sign and verify ``count`` messages; times are CPU seconds."""
    wrong = []
    signing = verifying = 0.0
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        content = message(chance)
        begun = time.process_time()
        made = signed(content, dkim, chance)
        done = time.process_time()
        if not is_verified(made):
            wrong.append(number)
        signing += done - begun
        verifying += time.process_time() - done
    return Result(wrong, signing, verifying)


def cost(dkim: DKIMOptions, content: bytes, times: int) -> float:
    """Return the CPU microseconds that it takes to sign ``content``, which comes in pieces as they
    come from a file."""
    pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
    begun = time.process_time()
    for _ in range(times):
        spool = dkim.spool()
        for piece in pieces:
            spool.write(piece)
        spool.sign()
        while spool.read(PIECE):
            pass
        spool.close()
    return (time.process_time() - begun) / times * 1e6


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises.signatures")
    parser.add_argument("--count", type=int, default=10_000, help="messages")
    parser.add_argument("--seed", type=int, default=1, help="of the messages")
    arguments = parser.parse_args()
    wrong = 0
    half = arguments.count // 2
    for name, options in (("RSA", RSA), ("Ed25519", ED25519)):
        result = run(half, arguments.seed, DKIMOptions.parse(options))
        wrong += len(result.wrong)
        print(
            f"{name}: {half} messages, {len(result.wrong)} wrong; CPU for each:"
            f" {result.signing / half * 1e6:.0f} us to sign,"
            f" {result.verifying / half * 1e6:.0f} us to verify (dkimpy)"
        )
        for number in result.wrong[:10]:
            print(f"    message {number} of seed {arguments.seed}")
    content = b"From: a@x.org\r\nTo: b@y.org\r\nSubject: s\r\n\r\n" + b"word " * 200 + b"\r\n"
    large = (
        content + b"A line of text, as long as they are when people write them down.\r\n" * 15_888
    )
    key = rsa.generate_private_key(65537, 2048)
    usual = {**RSA, "privateKey": key}
    for name, options in (("RSA, 2048 bits", usual), ("RSA, 1024 bits", RSA), ("Ed25519", ED25519)):
        dkim = DKIMOptions.parse(options)
        print(f"{name}: {cost(dkim, content, 500):.0f} us of CPU for a message of 1 KB")
    each = cost(DKIMOptions.parse(ED25519), large, 20) / (len(large) / 1e6) / 1000
    print(f"and {each:.1f} ms for each MB of text")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
