"""What a server has been told to do wrong.  The server asks here whenever it could.

Tests add faults from their own thread, also while the server is at work.
"""

from __future__ import annotations

import re
import threading

__all__ = ["COMMANDS", "Fault", "Faults", "checked_reply"]

_NAMES = "CONNECT HELO EHLO STARTTLS AUTH MAIL RCPT DATA . RSET NOOP VRFY EXPN HELP QUIT"

COMMANDS = tuple(_NAMES.split())
"""Where a fault can happen.  ``CONNECT`` is the moment before the greeting, ``.`` the end of a
message."""


class Fault:
    """One thing to do wrong.

    - ``command``: upon which command; ``None`` for all
    - ``reply``: what to say instead of the server's own reply
    """

    def __init__(
        self,
        kind: str,
        times: int | None,
        *,
        command: str | None = None,
        reply: str = "",
        amount: float = 0,
    ) -> None:
        if times is not None and (isinstance(times, bool) or not isinstance(times, int)):
            raise TypeError(f"times is a number of times, or None for always, not {times!r}")
        if times is not None and times < 1:
            raise ValueError(f"times is at least 1, or None for always, not {times!r}")
        self.kind = kind
        self.left = times
        self.command = _checked_command(command)
        self.reply = reply
        self.amount = amount


class Faults:
    """Faults in the order in which they were asked for.

    Of those that fit, the first one happens until its ``times`` are over; then comes the next one.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def drop_after(self, command: str, *, times: int | None = None) -> None:
        """Close the connection, without a reply, when ``command`` has arrived.

        ``command`` is the name of an SMTP command; ``'CONNECT'`` is the moment before the greeting,
        ``'.'`` the end of a message, which is then not kept.  ``times``: how many times this
        happens; ``None`` for always.
        """
        self._add(Fault("drop", times, command=_given(command)))

    def drop_at(self, byte: int, *, times: int | None = None) -> None:
        """Close a connection as soon as the client has sent ``byte`` bytes.

        What is complete within these bytes is still carried out and answered.  Inside TLS, the
        bytes count as the client has sent them before they were encrypted.
        """
        if isinstance(byte, bool) or not isinstance(byte, int):
            raise TypeError(f"byte is a number of bytes, not {byte!r}")
        if byte < 1:
            raise ValueError(f"byte is at least 1, not {byte}: see drop_after('CONNECT')")
        self._add(Fault("cut", times, amount=byte))

    def delay(
        self, seconds: float, command: str | None = None, *, times: int | None = None
    ) -> None:
        """Wait ``seconds`` before each reply, or before each reply to ``command``.

        The wait ends early if the client hangs up or the server is stopped.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"seconds is a number of seconds, not {seconds!r}")
        if not seconds >= 0:
            raise ValueError(f"seconds is at least 0, not {seconds!r}")
        self._add(Fault("delay", times, command=command, amount=seconds))

    def reply(self, command: str, reply: str, *, times: int | None = None) -> None:
        """Say ``reply`` to ``command`` instead of the server's own reply.

        ``reply`` is a code and a text (``'451 4.7.1 later'``); lines of one reply are separated by
        ``'\\n'``, each with its code.  With 2xx or 3xx the command is carried out; otherwise it is
        not.  After 421 the server closes the connection.
        """
        self._add(Fault("reply", times, command=_given(command), reply=checked_reply(reply)))

    def silent(self, command: str = "CONNECT", *, times: int | None = None) -> None:
        """Say nothing any more once ``command`` has arrived, and keep the connection open.

        By default the server accepts connections and never says a word: no greeting, and no TLS
        handshake.
        """
        self._add(Fault("silence", times, command=_given(command)))

    def reset(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    # -- what the server asks -------------------------------------------------------------------

    def take(self, *kinds: str, command: str, amount: float | None = None) -> Fault | None:
        """Return the fault of one of ``kinds`` that happens upon ``command``, and count it.

        With ``amount``, only if that is at least the amount of the fault.
        """
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or fault.command not in (None, command):
                    continue
                if amount is not None and amount < fault.amount:
                    return None
                if fault.left is not None:
                    fault.left -= 1
                    if not fault.left:
                        self._faults.remove(fault)
                return fault
        return None


def _given(command: str) -> str:
    if not isinstance(command, str):
        raise TypeError(f"a command is a string such as 'MAIL', not {command!r}")
    return command


def _checked_command(command: str | None) -> str | None:
    if command is None:
        return None
    name = _given(command).upper()
    if name not in COMMANDS:
        raise ValueError(f"{command!r} is none of the commands {', '.join(COMMANDS)}")
    return name


def checked_reply(reply: str) -> str:
    """Return ``reply`` as it is on the wire, without its last line break.

    Raises ``TypeError`` or ``ValueError`` if it is no reply (RFC 5321 section 4.2).
    """
    if not isinstance(reply, str):
        raise TypeError(f"a reply is a string such as '451 4.7.1 later', not {reply!r}")
    *first, last = reply.removesuffix("\n").split("\n")
    lines = [line.removesuffix("\r") for line in (*first, last)]
    codes = {line[:3] for line in lines}
    if (
        len(codes) > 1
        or any(not re.fullmatch(r"[2-5][0-9][0-9]-[^\r]*", line) for line in lines[:-1])
        or not re.fullmatch(r"[2-5][0-9][0-9]( [^\r]*)?", lines[-1])
    ):
        raise ValueError(
            f"{reply!r} is no reply: a line is a code and a text, as in '451 4.7.1 later';"
            " a line that is not the last one has '-' behind the code"
        )
    return "\r\n".join(lines)
