"""One machine for every set of options: a set is a class, and each option is said once, in it::

class Order(Settings, noun="order"):
    drink: Option[str] = Option(text, "tea", alias="beverage")
    sugar: Option[float] = Option(number("a number of spoons"), 1)
    pin: Option[str | None] = Option(text, None, secret=True)

Order.parse({"Drink": "coffee"}).drink
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from ..records import Record
from .checks import Refusal
from .names import NameTable

__all__ = ["Option", "Settings"]

if TYPE_CHECKING:
    S = TypeVar("S", bound="Settings")  # made at run time, the bound would cost 1 ms

T = TypeVar("T")


class Option(Generic[T]):
    """One option: what it accepts, its default, and whether it may be shown.

    - ``check``: accepts or refuses a value, see :mod:`.checks`
    - ``default``: what an option that is not given, or given as ``None``, is
    - ``secret`` (bool): neither ``repr`` nor an error text shows the value
    - ``alias`` (str or None): another name for the same option
    - ``kind`` (type): what its text in a URL stands for, by default the type of ``default``: a
      truth value, a number, or (any other type) the text itself

    For type checkers, as an attribute of a :class:`Settings` it is a ``T``.
    """

    __slots__ = ("alias", "check", "default", "kind", "secret")

    def __init__(
        self,
        check: Callable[[Any], T | None],
        default: T,
        *,
        secret: bool = False,
        alias: str | None = None,
        kind: type | None = None,
    ) -> None:
        self.check = check
        self.default = default
        self.secret = secret
        self.alias = alias
        self.kind = type(default) if kind is None else kind

    @overload
    def __get__(self, settings: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, settings: Settings, owner: type) -> T: ...
    def __get__(self, settings: Settings | None, owner: type) -> Option[T] | T:
        # Called for the class alone: settings have every value in their own __dict__.
        return self


def _plain(value: object) -> str:
    """Show strings and numbers as they are, and of anything else only the type."""
    return repr(value) if isinstance(value, (str, int, float)) else type(value).__name__


def _flag_in(text: str) -> bool | str:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def _number_in(text: str) -> float | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


_TYPED: dict[type, Callable[[str], object]] = {
    bool: _flag_in,
    int: _number_in,
    float: _number_in,
}


def _type_alone(value: object) -> str:
    return type(value).__name__


class Settings(Record):
    """Checked values under Node's names, read as attributes or as a dict, and never changed.

    A subclass has an :class:`Option` for each name, beside those that it inherits, and may say, as
    keywords of its ``class`` line:

    - ``noun``: what an option of this set is called in error texts
    - ``shows``: makes text of a wrong value that is not secret
    - ``instead``: names that exist in Node but not in Python, each with advice
    - ``advice``: is asked what to do instead of using any other unknown name
    - ``strict`` (bool): values that are false in JavaScript are checked like all others

    :meth:`parse` makes one of what a caller gives.  It is no dataclass because to import
    ``dataclasses`` would take a third of the time that the whole package takes.
    """

    defaults: ClassVar[Mapping[str, Any]]
    """Every name, in order, and its default."""

    instead: ClassVar[Mapping[str, str]]
    """Names that exist in Node but not in Python, each with advice."""

    _options: ClassVar[dict[str, Option[Any]]]
    _aliases: ClassVar[dict[str, str]]
    _names: ClassVar[NameTable]
    _noun: ClassVar[str]
    _shows: ClassVar[Callable[[object], str]]
    _strict: ClassVar[bool]

    def __init_subclass__(
        cls,
        noun: str = "option",
        shows: Callable[[object], str] = _plain,
        instead: Mapping[str, str] = {},
        advice: Callable[[str], str | None] = lambda name: None,
        strict: bool = False,
    ) -> None:
        super().__init_subclass__()
        options = {
            name: each
            for base in reversed(cls.__mro__)
            for name, each in vars(base).items()
            if isinstance(each, Option)
        }
        cls.defaults = {name: each.default for name, each in options.items()}
        cls._keys = tuple(options)
        cls._options = options
        cls._aliases = {each.alias: name for name, each in options.items() if each.alias}
        cls.instead = instead
        cls._names = NameTable(noun, [*options, *cls._aliases], instead, advice)
        cls._noun = noun
        cls._shows = staticmethod(shows)
        cls._strict = strict

    def __init__(self, **values: Any) -> None:
        """``values`` are kept as they are; those that are left out have their defaults."""
        unknown = values.keys() - self.defaults.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {min(unknown)!r}")
        self.__dict__.update({**self.defaults, **values})

    @classmethod
    def parse(cls: type[S], given: object, more: Mapping[str, Any] = {}) -> S:
        """Check the dict ``given``, or ``None``; ``more`` are options by keyword, which win.

        Case and underscores of names do not count.  An option that is ``None`` is not given, and
        unless the set is strict, neither is one that is ``False``, 0 or ``''``, as in Node, if its
        check does not accept that value.

        Raises ``TypeError`` or ``ValueError`` that names the option, what it takes and, unless
        that is secret, what it got.
        """
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"{cls._noun}s are a dict; got {type(given).__name__}")
        if type(given) is cls and not more:
            return given  # every value of it has been accepted before
        values: dict[str, Any] = {}
        for name, value in {**cls._canonical(given or {}), **cls._canonical(more)}.items():
            if value is not None and (accepted := cls._accepted(name, value)) is not None:
                values[name] = accepted
        cls._complete(values)
        return cls(**values)

    @classmethod
    def _complete(cls, values: dict[str, Any]) -> None:
        """Fill in defaults that depend on other options, and refuse contradictions; ``values`` are
        those that were given, each of them accepted by its check."""

    @classmethod
    def _canonical(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(cls._names.canonical(given))
        for alias, name in cls._aliases.items():
            value = values.pop(alias, None)
            if value is None:
                continue
            if values.get(name) is not None:
                raise TypeError(
                    f"{cls._noun}s {name!r} and {alias!r} are one option; give one of them"
                )
            values[name] = value
        return values

    @classmethod
    def typed(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        """Return the values that ``texts``, of a URL, stand for, under Node's names.

        A text that does not stand for a value of the option's kind stays as it is: the check
        refuses it.  Raises ``TypeError`` for a name that is unknown or given twice.
        """
        return {
            name: _TYPED.get(cls._options[name].kind, str)(text)
            for name, text in cls._canonical(texts).items()
        }

    @classmethod
    def _accepted(cls, name: str, value: object) -> Any:
        option = cls._options[name]
        if isinstance(value, (bool, int, float, str)) and not (value or cls._strict):
            try:
                return option.check(value)
            except (Refusal, TypeError, ValueError):
                return None
        try:
            return option.check(value)
        except Refusal as exc:
            refusal = exc
        # Not inside of the handler: its context would hold a value that may be a secret.
        show = _type_alone if option.secret else cls._shows
        raise refusal.error(refusal.text(f"{cls._noun} {name!r}", show))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name!r} cannot be set: {type(self).__name__} never changes")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name!r} cannot be deleted: {type(self).__name__} never changes")

    def __repr__(self) -> str:
        shown = (name for name, option in self._options.items() if not option.secret)
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({values})"
