"""The messages of the world: each is told from all others by its bytes, and comes in some guise."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable, Generator
from itertools import pairwise
from typing import Any

from pyee import EventEmitter

from .chance import Chance

_MIDDLES = (
    b"",
    b"short\n",
    b"all\r\nkinds\rof\nbreaks\r\r\n\n",
    b".\n..\n.x\r\n.\r.\n",
    b"no break at the end.\r",
    b"." + b"long line " * 40 + b"\n",
    b"0123456789abcdef\n" * 30,
    b".\r\n" * 60,
)


def _on_the_wire(text: bytes) -> bytes:
    """Return lines as DATA wants them: the slow way, one by one."""
    lines = re.split(rb"\r\n|\r|\n", text)
    stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
    return b"\r\n".join(stuffed)


# The last line is followed by that which ends the message, in the middle of which it may stand.
_TEMPLATES = tuple((middle, _on_the_wire(b"\n" + middle + b"e")[2:-1]) for middle in _MIDDLES)


class Mail:
    """One message: what the client is given, and what the server must get.

    - ``wire`` (bytes): all of it between DATA and the final dot, in the server's eyes
    - ``last_words`` (bytes): that with which it ends on the wire, dot included, and no other
    - ``doomed`` (bool): its source fails, so that it must never be delivered
    - ``unusable`` (bool): its source has raised what nobody has foreseen
    - ``let_go``: says whether nothing holds its source any more
    """

    __slots__ = (
        "doomed",
        "guise",
        "last_words",
        "let_go",
        "number",
        "recipients",
        "source",
        "unusable",
        "wire",
    )

    def __init__(self, number: int, recipients: list[str]) -> None:
        self.number = number
        self.recipients = recipients
        self.doomed = self.unusable = False
        self.guise = "bytes"
        self.source: Any = None
        self.let_go: Callable[[], bool] = lambda: True
        self.last_words = b"end of %d\r\n.\r\n" % number
        self.wire = b""

    def fill(self, chance: Chance, world: SourceWorld) -> None:
        """Choose the content and the guise that it comes in."""
        middle, wire = chance.pick(_TEMPLATES)
        self.wire = b"mail %d\r\n%send of %d\r\n" % (self.number, wire, self.number)
        content = b"mail %d\n%send of %d" % (self.number, middle, self.number)
        self.guise, dress = chance.pick(_GUISES)
        dress(self, content, chance, world)

    def struck(self, world: SourceWorld, place: str) -> None:
        """Its source is called; what that raises is the end of the message."""
        try:
            world.strike(place)
        except BaseException:
            self.doomed = self.unusable = True
            raise


class SourceWorld:
    """What sources need of the world; ``asked`` is called whenever one is asked for a piece, and
    ``strike`` with the name of what is called."""

    def __init__(
        self,
        asked: Callable[[], None],
        soon: Callable[..., None],
        strike: Callable[[str], object] = str,
    ) -> None:
        self.asked = asked
        self.soon = soon
        self.strike = strike


def _pieces(content: bytes, chance: Chance) -> list[bytes]:
    """Cut anywhere, between CR and LF as well."""
    cuts = sorted(chance.below(len(content) + 1) for _ in range(chance.below(4)))
    bounds = [0, *cuts, len(content)]
    return [content[a:b] for a, b in pairwise(bounds)]


def _as_bytes(mail: Mail, content: bytes, chance: Chance, world: SourceWorld) -> None:
    mail.source = content


def _as_text(mail: Mail, content: bytes, chance: Chance, world: SourceWorld) -> None:
    mail.source = content.decode()


def _as_list(mail: Mail, content: bytes, chance: Chance, world: SourceWorld) -> None:
    mail.source = _pieces(content, chance)


def _as_memory_file(mail: Mail, content: bytes, chance: Chance, world: SourceWorld) -> None:
    mail.source = io.BytesIO(content)


def _as_generator(mail: Mail, content: bytes, chance: Chance, world: SourceWorld) -> None:
    pieces = _pieces(content, chance)
    doomed = mail.doomed = chance.happens(0.25)
    if doomed:
        del pieces[-1]

    def generate() -> Generator[bytes, None, None]:
        for piece in pieces:
            world.asked()
            mail.struck(world, "generator")
            yield piece
        world.asked()
        mail.struck(world, "generator")
        if doomed:
            raise OSError("the source fails")

    mail.source = generator = generate()
    # One that runs just now, because it called close() itself, goes on to its end.
    mail.let_go = lambda: inspect.getgeneratorstate(generator) == inspect.GEN_CLOSED


class _SlowFile:
    """Has ``read()`` and no descriptor, so that it is read on another thread."""

    def __init__(self, pieces: list[bytes], world: SourceWorld, mail: Mail) -> None:
        self._pieces = pieces
        self._world = world
        self._mail = mail
        self._doomed = mail.doomed

    def read(self, size: int) -> bytes:
        self._world.asked()
        self._mail.struck(self._world, "read")
        if self._pieces:
            return self._pieces.pop(0)
        if self._doomed:
            raise OSError("the source fails")
        return b""


def _as_slow_file(mail: Mail, content: bytes, chance: Chance, world: SourceWorld) -> None:
    pieces = [piece for piece in _pieces(content, chance) if piece]
    mail.doomed = chance.happens(0.25)
    if mail.doomed:
        del pieces[-1]
    mail.source = _SlowFile(pieces, world, mail)


class _Faucet(EventEmitter):
    """A stream in Node's manner: it emits as it likes, and may be asked to pause."""

    def __init__(self, pieces: list[bytes], world: SourceWorld, mail: Mail) -> None:
        super().__init__()
        self._pieces = pieces
        self._world = world
        self._mail = mail
        self._last: tuple[Any, ...] = ("end",)
        if mail.doomed:
            self._last = ("error", OSError("the source fails"))
        self._flowing = self._due = False

    def pause(self) -> None:
        self._mail.struck(self._world, "pause")
        self._flowing = False

    def resume(self) -> None:
        self._mail.struck(self._world, "resume")
        self._flowing = True
        self._emit_soon()

    def _emit_soon(self) -> None:
        if not self._due:
            self._due = True
            self._world.soon(self._emit_next)

    def _emit_next(self) -> None:
        self._due = False
        if not self._flowing or not self.listeners("data"):
            return
        try:
            self._world.asked()
        except BaseException:
            self._emit_soon()
            raise
        if self._pieces:
            self.emit("data", self._pieces.pop(0))
            self._emit_soon()
        elif self._last:
            last, self._last = self._last, ()
            self.emit(*last)


def _as_faucet(mail: Mail, content: bytes, chance: Chance, world: SourceWorld) -> None:
    pieces = _pieces(content, chance)
    mail.doomed = chance.happens(0.25)
    if mail.doomed:
        del pieces[-1]
    mail.source = faucet = _Faucet(pieces, world, mail)
    mail.let_go = lambda: not any(faucet.listeners(event) for event in ("data", "end", "error"))


def _as_nothing(mail: Mail, content: bytes, chance: Chance, world: SourceWorld) -> None:
    mail.doomed = True
    mail.source = chance.pick((None, b"", [], [b""], io.BytesIO()))


_GUISES = (
    *[("bytes", _as_bytes)] * 6,
    *[("text", _as_text)] * 2,
    *[("list", _as_list)] * 2,
    ("memory file", _as_memory_file),
    *[("generator", _as_generator)] * 3,
    *[("slow file", _as_slow_file)] * 2,
    *[("emitter", _as_faucet)] * 2,
    ("nothing", _as_nothing),
)
