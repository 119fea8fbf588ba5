"""How long a server may take for each thing that it is asked: the option ``commandTimeouts``."""

from __future__ import annotations

from functools import cached_property

from .checks import number, or_default
from .table import Option, Settings

__all__ = ["CommandTimeouts"]

_limit = or_default(number("a number of milliseconds, 0 or more"))

_MINUTE = 60_000


class CommandTimeouts(Settings, noun="commandTimeouts option"):
    """Milliseconds of silence, by what is waited for; 0: only ``socketTimeout`` counts.

    The defaults are those of RFC 5321 section 4.5.3.2.  ``EHLO`` stands for HELO and LHLO, too,
    ``dataBlock`` for the system to take a piece of a message, ``dataEnd`` for the verdict on it.
    """

    EHLO: Option[float] = Option(_limit, 0)
    AUTH: Option[float] = Option(_limit, 0)
    MAIL: Option[float] = Option(_limit, 5 * _MINUTE)
    RCPT: Option[float] = Option(_limit, 5 * _MINUTE)
    DATA: Option[float] = Option(_limit, 2 * _MINUTE)
    dataBlock: Option[float] = Option(_limit, 3 * _MINUTE)
    dataEnd: Option[float] = Option(_limit, 10 * _MINUTE)
    RSET: Option[float] = Option(_limit, 0)
    NOOP: Option[float] = Option(_limit, 0)
    QUIT: Option[float] = Option(_limit, 0)

    @cached_property
    def shortest(self) -> float:
        """The least of them, milliseconds."""
        own: list[float] = [each for each in self.values() if each]
        return min(own)
