"""Who a message is from and whom it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..callbacks import refuse_async
from ..errors import envelope_error
from ..options.names import NameTable
from ..text import control_in

if TYPE_CHECKING:
    from .dsn import DSN

__all__ = ["Envelope"]

_KEYS = NameTable(
    "envelope key",
    ["from", "to", "size", "use8BitMime", "dsn", "requireTLSExtensionEnabled", "beforeCommit"],
)


class Envelope:
    """A checked envelope: nothing in it can end a command or an address early.

    - ``sender`` (str): the reverse path, ``''`` for the null sender
    - ``recipients`` (list of str), as they were given
    - ``size`` (int or None): the size of the message in bytes, as the caller states it
    - ``use_8bit_mime`` (bool): whether the message may contain bytes over 127
    - ``dsn`` (DSN or None): the delivery status notifications that the caller asks for
    - ``require_tls`` (bool): whether the caller asks for REQUIRETLS (RFC 8689)
    - ``before_commit`` (function or None): is asked before the final dot is sent
    - ``international`` (bool): whether an address is not ASCII and needs SMTPUTF8 (RFC 6531)
    """

    __slots__ = (
        "before_commit",
        "dsn",
        "international",
        "recipients",
        "require_tls",
        "sender",
        "size",
        "use_8bit_mime",
    )

    def __init__(
        self,
        sender: str,
        recipients: list[str],
        *,
        size: int | None = None,
        use_8bit_mime: bool = False,
        dsn: DSN | None = None,
        require_tls: bool = False,
        before_commit: Callable[..., object] | None = None,
    ) -> None:
        self.sender = sender
        self.recipients = recipients
        self.size = size
        self.use_8bit_mime = use_8bit_mime
        self.dsn = dsn
        self.require_tls = require_tls
        self.before_commit = before_commit
        self.international = not (sender + "".join(recipients)).isascii()

    @classmethod
    def parse(cls, given: Any) -> Envelope:
        """Read the ``envelope`` argument of ``send`` (the README of the Node module).

        Raises :class:`SMTPError` (``EENVELOPE``) that names what is wrong.
        """
        # The question about Mapping takes 0.3 us, and nearly all envelopes are a dict.
        if type(given) is not dict and not isinstance(given, Mapping):
            raise envelope_error(
                f"the envelope is a dict with 'from' and 'to', or None; got {type(given).__name__}"
            )
        try:
            keys = _KEYS.canonical(given)
        except TypeError as exc:
            raise envelope_error(str(exc)) from None
        to = keys.get("to")
        if to is None or to == "":
            to = []
        elif isinstance(to, (str, Mapping)):
            to = [to]
        elif not isinstance(to, Iterable) or isinstance(to, (bytes, bytearray)):
            raise envelope_error(f"envelope 'to' is an address or a list of them; got {to!r}")
        recipients = [_address(one, "recipient") for one in to]
        if not recipients:
            raise envelope_error("No recipients defined")
        if "" in recipients:
            raise envelope_error("Invalid recipient '': it is empty")
        given_sender = keys.get("from")
        sender = "" if given_sender is None else _address(given_sender, "sender")
        # One search in all addresses together: with 100 recipients it saves 14 of 28 us.  Which of
        # them is bad matters only if it finds something.
        if _forbidden_in(sender + "".join(recipients)):
            _check(sender, "sender")
            for recipient in recipients:
                _check(recipient, "recipient")
        if len(keys) == 2 and "from" in keys:
            # Most envelopes have nothing else to read: this saves 0.4 of 1.7 us.
            return cls(sender, recipients)
        return cls(
            sender,
            recipients,
            size=_size(keys.get("size")),
            use_8bit_mime=_flag(keys, "use8BitMime"),
            dsn=_dsn(keys.get("dsn")),
            require_tls=_flag(keys, "requireTLSExtensionEnabled"),
            before_commit=_gate(keys.get("beforeCommit")),
        )


def _address(given: Any, role: str) -> str:
    address = given
    if not isinstance(given, str):
        address = given.get("address") if isinstance(given, Mapping) else None
    if not isinstance(address, str):
        raise envelope_error(
            f"Invalid {role} {given!r}: an address is a string or {{'address': ..., 'name': ...}}"
        )
    return address.strip(" \t")


def _check(address: str, role: str) -> None:
    found = _forbidden_in(address)
    if found:
        raise envelope_error(f"Invalid {role} {address!r}: it contains {found!r}")


def _forbidden_in(address: str) -> str | None:
    """Return the first character that could end the address, the command or the line."""
    if "<" in address or ">" in address:
        return next(one for one in address if one in "<>" or control_in(one))
    return control_in(address)


def _dsn(given: Any) -> DSN | None:
    if not given:
        return None
    from .dsn import DSN  # for the few who ask for notifications

    return DSN(given)


def _gate(given: Any) -> Callable[..., object] | None:
    if not given:
        return None
    if not callable(given):
        raise envelope_error(
            f"envelope 'beforeCommit' is a function of (envelope, callback); got {given!r}"
        )
    refuse_async(given)
    gate: Callable[..., object] = given
    return gate


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
