"""Who a message is from and whom it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..callbacks import refuse_async
from ..errors import SMTPError, envelope_error, needs_extra
from ..hosts import a_labels, path_of
from ..options.names import NameTable
from ..text import control_in

if TYPE_CHECKING:
    from .parameters import Parameters

__all__ = ["Envelope", "usual_envelope"]

_WITHOUT_PARAMETERS = {"from", "to", "beforeCommit"}
_KEYS = NameTable(
    "envelope key",
    [
        *("from", "to", "size", "use8BitMime", "dsn", "requireTLSExtensionEnabled"),
        *("beforeCommit", "auth", "deliverBy", "holdFor", "holdUntil", "mtPriority"),
    ],
)
_STR = frozenset([str])

# Printable ASCII without the blank and the angle brackets.
_plain_ascii = re.compile(r"[!-;=?-~]*").fullmatch


class Envelope:
    """A checked envelope: nothing in it can end a command or an address early.

    - ``sender`` (str): the reverse path, ``''`` for the null sender
    - ``recipients`` (list of str), as they were given
    - ``reverse_path`` (str), ``forward_paths`` (list of str): the same in the commands, with
      A-labels for a domain that is not ASCII (RFC 6531 section 3.7.3)
    - ``parameters`` (Parameters or None): what the caller asks for besides
    - ``before_commit`` (function or None): is asked before the final dot is sent
    - ``international`` (bool): whether an address is not ASCII and needs SMTPUTF8 (RFC 6531)
    """

    __slots__ = (
        "before_commit",
        "forward_paths",
        "international",
        "parameters",
        "recipients",
        "reverse_path",
        "sender",
    )

    def __init__(
        self,
        sender: str,
        recipients: list[str],
        parameters: Parameters | None = None,
        before_commit: Callable[..., object] | None = None,
    ) -> None:
        self.sender = self.reverse_path = sender
        self.recipients = self.forward_paths = recipients
        self.international = False
        self.parameters = parameters
        self.before_commit = before_commit

    def _with_paths(self) -> Envelope:
        """Find the paths of addresses that are not ASCII; return the envelope."""
        if not (self.sender + "".join(self.recipients)).isascii():
            self.reverse_path = path_of(self.sender)
            self.forward_paths = [*map(path_of, self.recipients)]
            self.international = not "".join([self.reverse_path, *self.forward_paths]).isascii()
        return self

    @classmethod
    def parse(cls, given: Any) -> Envelope:
        """Read the ``envelope`` argument of ``send`` (the README of the Node module), or return one
        that has been read already.

        Raises :class:`SMTPError` (``EENVELOPE``) that names what is wrong.
        """
        if type(given) is cls:
            return given
        usual = usual_envelope(given)
        if usual is not None:
            return usual
        if type(given) is not dict and not isinstance(given, Mapping):
            raise envelope_error(
                f"the envelope is a dict with 'from' and 'to', or None; got {type(given).__name__}"
            )
        try:
            keys = _KEYS.canonical(given)
        except TypeError as exc:
            raise envelope_error(str(exc)) from None
        to = _listed(keys.get("to"))
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
        parameters = _parameters(keys, to)
        gate = _gate(keys.get("beforeCommit"))
        return cls(sender, recipients, parameters, gate)._with_paths()

    def not_international(self) -> SMTPError:
        """Return the error for a server that does not take addresses that are not ASCII."""
        paths = zip(
            [self.sender, *self.recipients],
            [self.reverse_path, *self.forward_paths],
            strict=True,
        )
        address = next(address for address, path in paths if not path.isascii())
        return envelope_error(
            f"The address {address!r} is not ASCII, and the server does not announce SMTPUTF8"
            f" (RFC 6531){_why_not_ascii(address)}",
            "MAIL FROM",
        )

    def part(self, places: list[int]) -> Envelope:
        """Return the same envelope for the recipients at ``places`` alone."""
        recipients = [self.recipients[place] for place in places]
        parameters = self.parameters.part(places) if self.parameters is not None else None
        return Envelope(self.sender, recipients, parameters, self.before_commit)._with_paths()


def usual_envelope(given: Any) -> Envelope | None:
    """Return the envelope if it is of the kind that nearly all are, for which one search takes the
    place of all that :meth:`Envelope.parse` looks at."""
    if type(given) is not dict:
        return None
    sender, to = given.get("from"), given.get("to")
    if type(sender) is not str or len(given) != 2:
        return None
    if type(to) is str:
        recipients = [to]
    elif type(to) is list and _STR.issuperset(map(type, to)):
        recipients = to.copy()
    else:
        return None
    if "" in recipients or not recipients or not _plain_ascii(sender + "".join(recipients)):
        return None
    return Envelope(sender, recipients)


def _listed(to: Any) -> list[Any] | tuple[Any, ...]:
    if type(to) is list or type(to) is tuple:
        return to
    if to is None or to == "":
        return []
    if type(to) is dict or isinstance(to, (str, Mapping)):
        return [to]
    if not isinstance(to, Iterable) or isinstance(to, (bytes, bytearray)):
        raise envelope_error(f"envelope 'to' is an address or a list of them; got {to!r}")
    return list(to)


def _address(given: Any, role: str) -> str:
    if type(given) is str:
        return given.strip(" \t")
    address = given
    if type(given) is dict:
        address = given.get("address")
    elif not isinstance(given, str):
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


def _why_not_ascii(address: str) -> str:
    """Return the end of a sentence on why ``address`` has no form in ASCII."""
    local, at, domain = address.rpartition("@")
    try:
        if at and local.isascii():
            a_labels(domain)
    except ImportError:
        return "; " + needs_extra("an ASCII form of its domain", "idna")
    except ValueError as error:
        return f"; its domain has no ASCII form: {error}"
    return ""


def _parameters(keys: Mapping[str, Any], to: Iterable[Any]) -> Parameters | None:
    if keys.keys() <= _WITHOUT_PARAMETERS and _STR.issuperset(map(type, to)):
        return None
    from .parameters import Parameters  # for the few who ask for more

    return Parameters(keys, to)


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
