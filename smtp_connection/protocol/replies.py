"""The server's replies (RFC 5321 section 4.2), parsed from whatever pieces they arrive in."""

from __future__ import annotations

from ..errors import SMTPError

__all__ = ["ORDINARY", "Reply", "ReplyParser", "ReplyTooLong"]

ORDINARY = 512
"""The length up to which a reply does not count towards the limit of several together: that of a
reply line in RFC 5321 section 4.5.3.1.5, line break included."""


class _Codes(dict[str, "int | None"]):
    """The code that a reply of one line begins with; ``None`` unless that is a usual one.

    It is filled by use: a program sees ten of the four hundred.
    """

    def __missing__(self, start: str) -> int | None:
        usual = len(start) == 4 and start[:3].isascii() and start[:3].isdigit() and start[3] == " "
        code = int(start[:3]) if usual else 0
        if not 200 <= code < 600:
            return None
        self[start] = code
        return code


_CODES = _Codes()


class Reply:
    """One reply, of one line or several.

    - ``code`` (int): its number, 0 if it does not start with three digits
    - ``text`` (str): all of it, code included, lines joined by ``'\\n'``
    - ``positive`` (bool): whether it is a 2xx reply: the command was carried out
    """

    __slots__ = ("code", "positive", "text")

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.positive = 200 <= code < 300
        self.text = text

    @property
    def lines(self) -> list[str]:
        """The lines without their code and the character after it."""
        return [line[4:] if line[:3].isdigit() else line for line in self.text.split("\n")]

    def failure(self, message: str, code: str, command: str) -> SMTPError:
        """Return the error that this reply to ``command`` leads to; its text ends with the reply.

        ``code`` is the code of the error (``'EENVELOPE'``).
        """
        return SMTPError(message, code=code, command=command, response=self.text)

    def __repr__(self) -> str:
        return f"Reply({self.code}, {self.text!r})"


class ReplyTooLong(Exception):
    """A reply is larger than the limit, or is so together with those before; ``replies`` were fed
    before it and are complete.  The text says which, for the text of an error."""

    def __init__(self, replies: list[Reply], what: str) -> None:
        super().__init__(what)
        self.replies = replies


class ReplyParser:
    """Turns bytes into replies; keeps what is incomplete, up to ``limit`` bytes a reply.

    All replies that come while ``excess`` is not set back to 0 are limited together, because they
    may be collected: what each has beyond :data:`ORDINARY` may be ``limit`` in sum.  So any number
    of ordinary replies is taken, or one that uses up the limit.

    Lines end with LF or CRLF; blank ones are skipped.  A line that does not start with exactly
    three digits is a reply of its own, with the code 0; between the lines of a multi-line reply it
    counts as one of them.  If those lines have different codes, the highest counts, so that a
    refusal cannot hide behind a success.
    """

    __slots__ = (
        "_before",
        "_code",
        "_limit",
        "_lines",
        "_repeated",
        "_size",
        "_tail",
        "ends_blank",
        "excess",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tail = bytearray()  # of a line
        self._lines: list[bytes] = []  # of a multi-line reply
        self._size = 0  # of those lines and of blank ones before them, bytes
        self._code = 0
        self._before = b""  # several replies that came together, and what they were parsed into
        self._repeated: list[Reply] = []
        self.excess = 0
        """What the replies had beyond :data:`ORDINARY`, in sum.  Whoever keeps replies no longer
        sets it back to 0."""
        self.ends_blank = False
        """Whether the last data that was fed ends with blank lines."""

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that ``data`` completes.

        Raises :class:`ReplyTooLong` if a reply is larger than the limit, or several are together.
        """
        self.ends_blank = False
        if not self._tail and not self._size and len(data) <= self._limit:
            if data.endswith(self._before) and self._before:
                again = self._again(data)
                if again is not None:
                    return again
            complete = _complete_replies(data)
            if complete is not None:
                if len(data) > ORDINARY:
                    self._count(complete)
                elif len(complete) > 1:
                    self._before, self._repeated = data, complete.copy()
                return complete
        if b"\n" not in data:
            # Nothing that was fed before is searched again, so that a long line costs linear time.
            self._tail += data
            if self._tail:
                self._check(len(self._tail), [])
            return []
        if self._tail:
            data = bytes(self._tail) + data
            self._tail.clear()
        end = data.rfind(b"\n") + 1
        tail = data[end:]
        replies = None if self._size or end > self._limit else _complete_replies(data[:end])
        if replies is None:
            replies = []
            lines = data[: end - 1].split(b"\n")
            self.ends_blank = not tail and not lines[-1].strip()
            self._add_all(lines, replies)
        if tail:
            self._tail += tail
            self._check(len(tail), replies)
        self._count(replies)
        return replies

    def forget(self) -> None:
        """Do not keep the replies that were parsed last: there is a secret in them."""
        self._before, self._repeated = b"", []

    def _again(self, data: bytes) -> list[Reply] | None:
        """Return the replies in ``data``, which ends as the data with several of them did before,
        if nothing else comes first but other usual replies, such as the verdict on a message.

        Most servers answer each envelope in the same words: to know these saves 1.2 of the 25 us
        of a small message.
        """
        if len(data) == len(self._before):
            return self._repeated.copy()
        first = _complete_replies(data[: -len(self._before)]) if len(data) <= ORDINARY else None
        return None if first is None else first + self._repeated

    def _count(self, replies: list[Reply]) -> None:
        for index, reply in enumerate(replies):
            self.excess += max(0, len(reply.text) - ORDINARY)
            if self.excess > self._limit:
                what = "The server's replies to one operation are together larger"
                raise ReplyTooLong(replies[:index], what)

    def _add_all(self, lines: list[bytes], replies: list[Reply]) -> None:
        for line in lines:
            self._check(len(line), replies)
            if line.strip():
                self._add(line[:-1] if line[-1:] == b"\r" else line, replies)
            else:
                self._size += len(line) + 1  # blank lines count, or they could go on for ever

    def _add(self, line: bytes, replies: list[Reply]) -> None:
        # "25550 no" is the remains of two replies, and must not count as a success.
        numbered = len(line) >= 3 and line[:3].isdigit() and not line[3:4].isdigit()
        code = int(line[:3]) if numbered else 0
        continues = code and line[3:4] == b"-"
        if not code and not self._lines:
            replies.append(Reply(0, _decode(line)))
            self._size = 0
            return
        self._lines.append(line)
        self._size += len(line) + 1
        self._code = max(self._code, code)
        if code and not continues:
            replies.append(Reply(self._code, _decode(b"\n".join(self._lines))))
            self._lines = []
            self._size = self._code = 0

    def _check(self, more: int, replies: list[Reply]) -> None:
        if self._size + more > self._limit:
            raise ReplyTooLong(replies, "The server's reply is larger")

    @property
    def incomplete(self) -> bool:
        """Whether a part of a reply has arrived that is not complete yet."""
        return bool(self._tail or self._lines)

    @property
    def remainder(self) -> str:
        """The part of a reply that is not complete yet, as text."""
        lines = [*self._lines, bytes(self._tail).strip()] if self._tail else self._lines
        return _decode(b"\n".join(lines))


def _complete_replies(data: bytes) -> list[Reply] | None:
    """Return the replies in ``data``, or ``None`` unless ``data`` is complete replies of one line
    each, or one complete reply of several lines.

    Nearly everything that servers say has one of these forms.  For the five replies to a small
    message, this saves 4 of the 7 us that the general way needs.
    """
    if not data.isascii():
        return None
    text = data.decode("ascii")
    if text.find("\n") == len(text) - 1:
        code = _CODES[text[:4]]
        return None if code is None or text[-2:] != "\r\n" else [Reply(code, text[:-2])]
    lines = text.split("\r\n")
    if lines.pop() or len(lines) != data.count(b"\n"):
        return None
    if data[3:4] == b"-":
        return _one_of_many_lines(lines)
    replies = []
    for line in lines:
        code = _CODES[line[:4]]
        if code is None:
            return None
        replies.append(Reply(code, line))
    return replies


def _one_of_many_lines(lines: list[str]) -> list[Reply] | None:
    """Return ``lines`` as one reply, such as that to EHLO, if all of them have the same code."""
    last = lines[-1][:4]
    code = _CODES[last]
    continued = f"{last[:3]}-"
    if code is None or not all(line.startswith(continued) for line in lines[:-1]):
        return None
    return [Reply(code, "\n".join(lines))]


def _decode(data: bytes) -> str:
    """Decode as UTF-8, or as Latin-1, which cannot fail, where that is not valid."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
