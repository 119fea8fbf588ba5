"""The option ``dkim``: who signs messages, and how, checked once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..dkim.keys import SigningKey, UnusableKey, signing_key
from ..dkim.signer import DEFAULT_FIELDS, DomainKey, Signer
from ..dkim.spool import IN_MEMORY, Spool
from ..errors import needs_extra
from ..hosts import a_labels, is_domain
from ..text import has_surrogate
from .checks import WrongType, WrongValue, or_default, text
from .names import NameTable
from .table import Option, Settings

__all__ = ["DKIMOptions"]

_FIELD_NAME = re.compile(r"[!-9<-~]+")  # a semicolon would end the list in the signature


def _domain(value: object) -> str | None:
    says = "takes a domain, such as 'example.com'"
    name = text(value) or ""
    if not name.isascii():
        try:
            name = a_labels(name)
        except ImportError:
            extra = needs_extra("an ASCII form of it", "idna")
            raise WrongValue(says, value, f"; {extra}") from None
        except ValueError:
            raise WrongValue(says, value) from None
    if name and not is_domain(name):
        raise WrongValue(says, value)
    return name or None


def _selector(value: object) -> str | None:
    name = text(value)
    if name is not None and not (name.isascii() and is_domain(name)):
        says = "takes the name of a key in DNS: letters, digits, hyphens and dots"
        raise WrongValue(says, value)
    return name


def _private_key(value: object) -> SigningKey:
    if isinstance(value, SigningKey):
        return value
    passphrase = None
    if isinstance(value, Mapping):
        value, passphrase = _with_passphrase(value)
    try:
        return signing_key(value, passphrase)
    except UnusableKey as exc:
        says = str(exc)
    raise WrongValue(says)


def _with_passphrase(given: Mapping[Any, Any]) -> tuple[object, bytes | None]:
    says = "takes PEM, or {'key': PEM, 'passphrase': str or bytes}"
    if not {"key"} <= given.keys() <= {"key", "passphrase"}:
        raise WrongValue(says)
    passphrase = given.get("passphrase")
    if isinstance(passphrase, str) and not has_surrogate(passphrase):
        passphrase = passphrase.encode()
    if not isinstance(passphrase, (bytes, type(None))):
        raise WrongValue(says)
    return given["key"], passphrase


def _field_names(value: object) -> tuple[str, ...] | None:
    says = "takes names of header fields: a string with colons between them, or a list"
    names = value.split(":") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        raise WrongType(says, value)
    found: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str):
            raise WrongType(says, name)
        lower = name.strip(" ").lower()
        if lower and not _FIELD_NAME.fullmatch(lower):
            raise WrongValue(says, name)
        found[lower] = None
    return tuple(filter(None, found)) or None


def _hash_algorithm(value: object) -> str:
    says = "takes 'sha256', which is the only one (RFC 8301)"
    if not isinstance(value, str):
        raise WrongType(says, value)
    if value.lower() != "sha256":
        raise WrongValue(says, value)
    return "sha256"


def _folder(value: object) -> str:
    says = "takes the path of a folder"
    if not isinstance(value, (str, os.PathLike)):
        raise WrongType(says, value)
    path = os.fsdecode(value)
    if "\0" in path:
        raise WrongValue(says, value)
    return path


def _bytes(value: object) -> int:
    says = "takes a number of bytes"
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongType(says, value)
    if value < 0:
        raise WrongValue(says, value)
    return value


class _Key(Settings, noun="dkim option"):
    domainName: Option[str] = Option(_domain, "")
    keySelector: Option[str] = Option(_selector, "")
    privateKey: Option[SigningKey | None] = Option(_private_key, None, secret=True)

    @classmethod
    def _complete(cls, values: dict[str, Any]) -> None:
        missing = [name for name in cls.defaults if name not in values]
        if missing:
            raise ValueError(
                "dkim options 'domainName', 'keySelector' and 'privateKey' belong together;"
                f" {missing[0]!r} is missing"
            )

    def domain_key(self) -> DomainKey:
        assert self.privateKey is not None
        return DomainKey(self.domainName, self.keySelector, self.privateKey)


class _Rest(Settings, noun="dkim option"):
    headerFieldNames: Option[tuple[str, ...]] = Option(_field_names, DEFAULT_FIELDS)
    skipFields: Option[tuple[str, ...]] = Option(_field_names, ())
    hashAlgo: Option[str] = Option(_hash_algorithm, "sha256")
    cacheDir: Option[str | None] = Option(_folder, None)
    cacheTreshold: Option[int] = Option(or_default(_bytes), IN_MEMORY)  # so spelt in nodemailer

    @classmethod
    def _complete(cls, values: dict[str, Any]) -> None:
        if "from" in values.get("skipFields", ()):
            why = "From has to be signed (RFC 6376 section 5.4)"
            raise ValueError(f"dkim option 'skipFields' cannot name From: {why}")


_NAMES = NameTable("dkim option", [*_Key.defaults, "keys", *_Rest.defaults])


class DKIMOptions:
    """Checked options of DKIM, under nodemailer's names; ``repr`` leaves out the keys.

    It is no :class:`Settings` of its own, because an option is called ``keys``, as the method of a
    mapping is.
    """

    __slots__ = ("_keys", "_rest")

    def __init__(self, keys: Sequence[DomainKey], rest: _Rest) -> None:
        self._keys = keys
        self._rest = rest

    @classmethod
    def parse(cls, given: object) -> DKIMOptions:
        """Check the dict ``given``; see :meth:`Settings.parse`.

        Raises ``ModuleNotFoundError`` if the extra is not there.
        """
        if isinstance(given, DKIMOptions):
            return given
        if not isinstance(given, Mapping):
            raise TypeError(f"dkim options are a dict; got {type(given).__name__}")
        named = {name: value for name, value in _NAMES.canonical(given).items() if value}
        rest = _Rest.parse({name: named.pop(name) for name in _Rest.defaults if name in named})
        several = named.pop("keys", None)
        if several is None:
            return cls([_Key.parse(named).domain_key()], rest)
        if named:
            pair = f"'keys' and {next(iter(named))!r}"
            raise ValueError(f"dkim options {pair} exclude each other: say it for each of the keys")
        many = several if isinstance(several, (list, tuple)) else [several]
        return cls([_key_at(place, each) for place, each in enumerate(many)], rest)

    @property
    def folder(self) -> str | None:
        """Where large messages are kept while they are signed, if the caller says so."""
        return self._rest.cacheDir

    def spool(self) -> Spool:
        """Return what a message is written into, to be signed."""
        rest = self._rest
        names = [name for name in rest.headerFieldNames if name not in rest.skipFields]
        return Spool(Signer(self._keys, names), rest.cacheDir, rest.cacheTreshold)

    def __repr__(self) -> str:
        domains = ", ".join(f"{key.selector}._domainkey.{key.domain}" for key in self._keys)
        return f"<DKIMOptions of {domains}>"


def _key_at(place: int, given: object) -> DomainKey:
    try:
        return _Key.parse(given).domain_key()
    except (TypeError, ValueError) as exc:
        kind, reason = type(exc), f"{exc}"
    raise kind(f"dkim option 'keys', at [{place}]: {reason}")
