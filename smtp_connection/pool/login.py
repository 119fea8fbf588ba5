"""Who logs in: nodemailer's ``auth``, with one token generator for all connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..reactor.loop import Reactor

__all__ = ["login_for"]

# What says that there is somebody to log in.
_SAYS_WHO = ("user", "pass", "xoauth2", "oauth2", "credentials", "method")

# What nodemailer has in ``auth`` beside the options of the generator.
_NOT_THE_GENERATORS = ("type", "method", "pass")


def login_for(
    auth: Mapping[str, Any] | None,
    reactor: Reactor,
    token: Callable[[Any], object],
    provision: Callable[..., object] | None = None,
) -> dict[str, Any] | None:
    """Return what ``login`` of a connection gets; ``None`` if nobody is to log in, as with an
    ``auth`` whose values are all ``None``.

    With the type OAuth2, a generator is made of it, of which ``token`` gets every new token;
    ``provision`` fetches them, if ``auth`` has no function for that.  Raises ``TypeError`` or
    ``ValueError`` for options that a generator does not take.
    """
    if auth is None:
        return None
    if str(auth.get("type") or "").upper() != "OAUTH2":
        return dict(auth) if any(auth.get(name) for name in _SAYS_WHO) else None
    from ..xoauth2.generator import XOAuth2Generator  # for those who have tokens

    options = {name: value for name, value in auth.items() if name not in _NOT_THE_GENERATORS}
    if provision is not None:
        options.setdefault("provisionCallback", provision)
    generator = XOAuth2Generator(options, reactor=reactor)
    generator.on("token", token)
    login = {"user": auth.get("user"), "xoauth2": generator}
    if auth.get("method"):
        login["method"] = auth["method"]
    return login
