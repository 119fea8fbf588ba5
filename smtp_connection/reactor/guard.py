"""What becomes of exceptions that nobody has foreseen.

They come from code of the caller's that runs in the middle of a step (a source, a logger, a
handler), from the handlers of signals, which may interrupt any line, and from the system.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

__all__ = ["guarded"]

if TYPE_CHECKING:
    from typing import Protocol

    class Breakable(Protocol):
        """Whose methods can be guarded."""

        def broke(self, exc: BaseException) -> None: ...


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Wrap a method that the reactor calls: what it raises is the end of the connection.

    ``self.broke(exc)`` sees to that; the exception goes on to ``run()``, which raises it.
    """

    @wraps(method)
    def call(self: Breakable, *args: Any) -> None:
        try:
            method(self, *args)
        except BaseException as exc:
            self.broke(exc)
            raise

    return call
