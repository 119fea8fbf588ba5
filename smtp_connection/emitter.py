"""An event emitter with Node's names and chains, on top of pyee's, whose own names work as well.

Two rules of callbacks hold for listeners, too: a listener is called with as many of the event's
arguments as it declares, and an ``async def`` function, which nobody would await, is refused.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, overload

from pyee import EventEmitter

from .callbacks import arguments_taken

if TYPE_CHECKING:
    from typing import TypeVar

    E = TypeVar("E", bound="NodeEmitter")  # made at run time, the bound would cost 1 ms
    Listener = TypeVar("Listener", bound=Callable[..., Any])

__all__ = ["NodeEmitter"]


class NodeEmitter(EventEmitter):
    """An emitter of events whose methods can be chained: ``emitter.on(...).once(...)``.

    What a method is handed as ``f`` is the listener.  Whatever adds one raises ``TypeError`` for
    what cannot be called, and for an ``async def`` function.
    """

    _arguments: ClassVar[Mapping[str, int]] = {}
    """How many arguments each of the emitter's own events has."""

    @overload  # type: ignore[override]
    def on(self, event: str) -> Callable[[Listener], Listener]: ...
    @overload
    def on(self: E, event: str, f: Callable[..., Any]) -> E: ...
    def on(self: E, event: str, f: Callable[..., Any] | None = None) -> E | Callable[..., Any]:
        """Add a listener of ``event`` and return the emitter; without a listener, return a
        decorator that adds one."""
        if f is None:
            return self.listens_to(event)
        self.add_listener(event, f)
        return self

    @overload  # type: ignore[override]
    def once(self, event: str) -> Callable[[Listener], Listener]: ...
    @overload
    def once(self: E, event: str, f: Callable[..., Any]) -> E: ...
    def once(self: E, event: str, f: Callable[..., Any] | None = None) -> E | Callable[..., Any]:
        """Add a listener of ``event`` that is called once, and return the emitter; without a
        listener, return a decorator that adds one."""
        if f is None:
            return partial(self._add_once, event)
        self._add_once(event, f)
        return self

    def _add_once(self, event: str, f: Listener) -> Listener:
        # What pyee would add knows the emitter, which knows it: a circle for as long as the event
        # does not come, and that of a connection that fails never does.
        emitter = weakref.ref(self)

        def fire(*args: Any, **more: Any) -> Any:
            me = emitter()
            if me is None or f not in me._events.get(event, ()):
                return None  # a listener before it has removed it
            try:
                me.remove_listener(event, f)
            except KeyError:
                return None  # another thread was faster
            return f(*args, **more)

        self._add_event_handler(event, f, fire)
        return f

    def addListener(self: E, event: str, f: Callable[..., Any]) -> E:
        """Add a listener of ``event``, and return the emitter."""
        return self.on(event, f)

    def prependListener(self: E, event: str, f: Callable[..., Any]) -> E:
        """Add a listener of ``event`` that is called before the others, and return the emitter."""
        self.on(event, f)
        return self._move_to_front(event, f)

    def prependOnceListener(self: E, event: str, f: Callable[..., Any]) -> E:
        """Add a listener of ``event`` that is called once, before the others, and return the
        emitter."""
        self.once(event, f)
        return self._move_to_front(event, f)

    def removeListener(self: E, event: str, f: Callable[..., Any]) -> E:
        """Remove a listener of ``event``, and return the emitter; an unknown one is ignored."""
        with self._lock:
            if f in self._events.get(event, ()):
                self._remove_listener(event, f)
        return self

    def off(self: E, event: str, f: Callable[..., Any]) -> E:
        """Do the same as ``removeListener``."""
        return self.removeListener(event, f)

    def removeAllListeners(self: E, event: str | None = None) -> E:
        """Remove all listeners, of ``event`` alone if it is given, and return the emitter."""
        self.remove_all_listeners(event)
        return self

    def listenerCount(self, event: str) -> int:
        """Return how many listeners ``event`` has."""
        return len(self.listeners(event))

    def eventNames(self) -> list[str]:
        """Return the names of the events that have listeners."""
        return [event for event in list(self._events) if self.listeners(event)]

    def setMaxListeners(self: E, n: int) -> E:
        """Return the emitter: any number of listeners may be added, without a warning."""
        return self

    # Every way to add a listener comes through here, as the key ``k``; ``v`` is what emit() calls.
    def _add_event_handler(self, event: str, k: Callable[..., Any], v: Callable[..., Any]) -> None:
        super()._add_event_handler(event, k, self._fitting(event, k, v))

    def _fitting(
        self, event: str, k: Callable[..., Any], v: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return what calls ``v`` with as many arguments as ``k`` declares."""
        taken = arguments_taken(k)
        if taken.fits(self._arguments.get(event)):
            # Nothing stands between it and pyee: an interrupt there would lose the event.
            return v

        def fitted(*args: Any, **more: Any) -> Any:
            return v(*taken.fit(*args), **more)

        return fitted

    def _move_to_front(self: E, event: str, f: Callable[..., Any]) -> E:
        with self._lock:
            if f in self._events.get(event, ()):
                self._events[event].move_to_end(f, last=False)
        return self
