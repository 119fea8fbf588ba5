"""Callbacks take what they declare: as in JavaScript, surplus arguments are dropped."""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType, FunctionType, MethodType
from typing import Any

__all__ = [
    "Arguments",
    "arguments_awaited",
    "arguments_taken",
    "is_async",
    "only_awaited",
    "refuse_async",
    "refuse_coroutine",
]

# inspect.CO_VARARGS, and CO_COROUTINE, CO_ITERABLE_COROUTINE and CO_ASYNC_GENERATOR together;
# importing inspect takes a tenth of the package's time.
_VARIADIC = 0x04
_ASYNC = 0x80 | 0x100 | 0x200
_UNUSUAL = _VARIADIC | _ASYNC


class Arguments:
    """How many positional arguments a callback takes, of those that it is offered."""

    __slots__ = ("least", "most")

    def __init__(self, least: int, most: int | None) -> None:
        self.least = least
        self.most = most  # None: any number

    def fits(self, offered: int | None) -> bool:
        """Whether the callback can be called with ``offered`` arguments; ``None``: any number."""
        if offered is None:
            return self.least == 0 and self.most is None
        return self.least <= offered and (self.most is None or offered <= self.most)

    def fit(self, *offered: Any) -> tuple[Any, ...]:
        """Return ``offered`` cut to what the callback takes, or filled up with ``None``."""
        if self.most is not None and len(offered) > self.most:
            return offered[: self.most]
        if len(offered) < self.least:
            return offered + (None,) * (self.least - len(offered))
        return offered

    def fit_outcome(self, error: Exception | None, value: Any) -> tuple[Any, ...]:
        """Return the arguments of a callback ``(err, value)``."""
        if error is not None:
            return self.fit_error(error)
        if self.most == 2:
            return None, value  # at once: nearly all callbacks take these two
        return self.fit(None, value)

    def fit_error(self, error: Exception) -> tuple[Any, ...]:
        """Return the arguments of a callback ``(err, value)`` when there is no value: a parameter
        that has a default keeps it."""
        return self.fit(error, None) if self.most is None else self.fit(error)


_ANY = Arguments(0, None)
_USUAL = {(least, most): Arguments(least, most) for least in range(4) for most in range(least, 4)}


def arguments_taken(callback: Callable[..., Any]) -> Arguments:
    """Read the signature of ``callback``, once, when it is handed in.

    Raises ``TypeError`` for what cannot be called, or not with positional arguments alone, and for
    what would have to be awaited.
    """
    # Plain functions and methods are read off their code object: a tenth of the cost of
    # inspect.signature(), which would be a third of what a whole message costs.
    function = callback
    bound = 0
    if type(function) is MethodType:
        function = function.__func__
        bound = 1
    if type(function) is FunctionType and not function.__dict__:
        code = function.__code__
        if not code.co_kwonlyargcount:
            defaults = function.__defaults__
            most = code.co_argcount - bound
            least = most if defaults is None else most - len(defaults)
            if code.co_flags & _UNUSUAL:
                if code.co_flags & _ASYNC:
                    raise _never_awaited(callback)
                return Arguments(max(least, 0), None) if least > 0 else _ANY
            if least >= 0:
                return _USUAL.get((least, most)) or Arguments(least, most)
    return _from_signature(callback)


def _from_signature(callback: Callable[..., Any]) -> Arguments:
    if not callable(callback):
        # Only the type: it may be credentials in the wrong place.
        raise TypeError(f"a callback is a callable or None; got {type(callback).__name__}")
    refuse_async(callback)
    return arguments_awaited(callback)


def arguments_awaited(callback: Callable[..., Any]) -> Arguments:
    """Read the signature of ``callback``, also if it is an ``async def`` function.

    Raises ``TypeError`` for what cannot be called with positional arguments alone.
    """
    import inspect

    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):
        return _ANY  # a C callable that does not tell
    least = most = 0
    variadic = False
    for parameter in parameters:
        required = parameter.default is parameter.empty
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            least += required
        elif parameter.kind is parameter.VAR_POSITIONAL:
            variadic = True
        elif parameter.kind is parameter.KEYWORD_ONLY and required:
            raise TypeError(
                f"callback {callback!r} needs the keyword argument {parameter.name!r};"
                " callbacks are called with positional arguments"
            )
    return Arguments(least, None if variadic else most)


def refuse_async(callback: Callable[..., Any]) -> None:
    """Raise ``TypeError`` if calling ``callback`` only makes something to be awaited."""
    if only_awaited(callback):
        raise _never_awaited(callback)


def only_awaited(callback: Callable[..., Any]) -> bool:
    """Whether calling ``callback`` only makes something to be awaited: it is an ``async def``
    function, also as :func:`is_async` has it, or an asynchronous generator."""
    import inspect

    return is_async(callback) or any(map(inspect.isasyncgenfunction, _called(callback)))


def refuse_coroutine(returned: object, whose: str) -> None:
    """Raise ``TypeError`` if a function that is to call its callback has ``returned`` a coroutine;
    ``whose`` names the function."""
    if isinstance(returned, CoroutineType):
        returned.close()  # Python would warn that nobody has awaited it
        raise TypeError(f"{whose} has returned a coroutine, which nobody would await")


def is_async(callback: Callable[..., Any]) -> bool:
    """Whether ``callback`` is an ``async def`` function, also as a method, in a partial, or as the
    ``__call__`` of an object."""
    import inspect

    return any(map(inspect.iscoroutinefunction, _called(callback)))


def _called(callback: Callable[..., Any]) -> tuple[object, object]:
    """Return the function that ``callback`` is, or that is in it."""
    from functools import partial

    while isinstance(callback, partial):
        callback = callback.func
    return callback, type(callback).__call__


def _never_awaited(callback: Callable[..., Any]) -> TypeError:
    return TypeError(
        f"callback {callback!r} is an 'async def' function, which a callback cannot be: nobody"
        " would await it; smtp_connection.aio has methods that can be awaited"
    )
