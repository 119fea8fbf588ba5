"""What an envelope may ask for besides its addresses, by the parameters of MAIL and RCPT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import envelope_error
from .dsn import DSN
from .requests import Requests

__all__ = ["Parameters"]


class Parameters:
    """What the caller asks for.

    - ``size`` (int or None): the size of the message in bytes, as the caller states it
    - ``use_8bit_mime`` (bool): whether the message may contain bytes over 127
    - ``dsn`` (DSN or None): the delivery status notifications that the caller asks for
    - ``own_dsn`` (dict): the finished parameters of RCPT for recipients that have a ``dsn`` of
      their own, by their places in the envelope
    - ``requests`` (Requests): what else the caller asks for
    - ``require_tls`` (bool): whether the caller asks for REQUIRETLS (RFC 8689)
    """

    __slots__ = ("dsn", "own_dsn", "requests", "require_tls", "size", "use_8bit_mime")

    def __init__(self, keys: Mapping[str, Any], to: Iterable[Any]) -> None:
        """Read them from the ``keys`` of an envelope with the recipients ``to``.

        Raises :class:`SMTPError` (``EENVELOPE``) that names what is wrong.
        """
        self.dsn = DSN(keys["dsn"]) if keys.get("dsn") else None
        self.size = _size(keys.get("size"))
        self.use_8bit_mime = _flag(keys, "use8BitMime")
        self.own_dsn = _own_dsn(to, self.dsn)
        self.require_tls = _flag(keys, "requireTLSExtensionEnabled")
        self.requests = Requests(keys)

    def part(self, places: list[int]) -> Parameters:
        """Return the same for the recipients at ``places`` alone."""
        part = object.__new__(Parameters)
        for name in self.__slots__:
            setattr(part, name, getattr(self, name))
        own = self.own_dsn
        part.own_dsn = {number: own[place] for number, place in enumerate(places) if place in own}
        return part


def _own_dsn(to: Iterable[Any], dsn: DSN | None) -> dict[int, str]:
    """Return the parameters of RCPT for those of ``to`` that have a ``dsn`` of their own."""
    return {
        place: (dsn or DSN({})).rcpt_for(one["dsn"])
        for place, one in enumerate(to)
        if not isinstance(one, str) and one.get("dsn")
    }


def _flag(keys: Mapping[str, Any], name: str) -> bool:
    given = keys.get(name)
    if given is None or isinstance(given, bool):
        return bool(given)
    raise envelope_error(f"envelope {name!r} takes True or False; got {given!r}")


def _size(given: Any) -> int | None:
    if given is None:
        return None
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 20:
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < 10**20:
        raise envelope_error(
            f"envelope 'size' is a number of bytes, at most 20 digits; got {given!r}"
        )
    return given or None
