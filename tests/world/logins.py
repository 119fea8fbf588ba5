"""What takes part in a login on the client's side: tokens, and a mechanism of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from .chance import Chance


class Host(Protocol):
    """Whose logins these are: the client."""

    chance: Chance

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Call ``function(*args)`` on a later turn, or from another thread."""

    def strike(self, place: str) -> None:
        """``place`` is called: perhaps it raises what nobody has foreseen."""

    def called_within(self, name: str, times: int = 1) -> None:
        """Something of the client's is called that is part of a login, for the n-th time."""


LOGINS: tuple[Any, ...] = (
    *[{"user": "me", "pass": "right", "xoauth2": "right"}] * 5,
    {"user": "me", "pass": "wrong"},
    {"user": "me", "xoauth2": "wrong"},
    {"user": "me", "method": "OWN"},
    None,
)


class Wallet(Mapping[str, str]):
    """Credentials that are fetched from somewhere when they are asked for."""

    def __init__(self, host: Host, auth: Mapping[str, str]) -> None:
        self._host = host
        self._auth = auth

    def __getitem__(self, key: str) -> str:
        self._host.strike("auth")
        return self._auth[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._auth)

    def __len__(self) -> int:
        return len(self._auth)


class TokenSource:
    """An XOAUTH2 generator: it answers at once, late, twice, with an error, or never."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def getToken(self, callback: Callable[..., None]) -> None:
        host, chance = self._host, self._host.chance
        host.called_within("a token source")
        host.strike("token source")
        if chance.happens(0.1):
            raise LookupError("no token, ever")
        for _ in range(2 if chance.happens(0.1) else 1):
            error = "no token today" if chance.happens(0.1) else None
            if chance.happens(0.3):
                callback(error, "dXNlcj1tZQFhdXRoPUJlYXJlciByaWdodAEB")
            elif chance.happens(0.1):
                chance.slow = True
            else:
                host.soon(callback, error, "bm9uZQ==")

    generateToken = getToken


def own_mechanism(host: Host) -> Callable[[Any], None]:
    """Return a handler for the option ``customAuth``; it succeeds if the server says so."""
    chance = host.chance

    def start(context: Any) -> None:
        host.called_within("a login handler")
        host.strike("login handler")
        if chance.happens(0.1):
            raise LookupError("no login, ever")
        say(context)

    def say(context: Any) -> None:
        calls = 0

        def answered(error: Any, reply: Any) -> None:
            nonlocal calls
            calls += 1
            host.called_within("sendCommand callback", calls)
            go_on(context, reply)

        context.sendCommand("AUTH OWN", answered)

    def go_on(context: Any, reply: Any) -> None:
        if chance.happens(0.1):
            say(context)  # once more
        elif chance.happens(0.05):
            chance.slow = True
        elif not 200 <= reply.status < 300:
            context.reject("refused")
        elif chance.happens(0.5):
            context.resolve()
        else:
            host.soon(context.resolve)

    return start
