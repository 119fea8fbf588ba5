"""``createTransport``: from options, or a URL, to a transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..connection import SMTPConnection
from ..options.transport import PoolOptions, TransportOptions
from ..pool.pool import SMTPPool
from ..reactor.default import get_reactor
from ..reactor.loop import Reactor
from .mailer import Mailer
from .smtp import SMTPTransport

if TYPE_CHECKING:
    from .. import types
    from ..types import Loaded, Transporter

__all__ = ["createTransport"]


def createTransport(
    transporter: types.TransportOptions | Loaded | Transporter | str | None = None,
    defaults: types.TransportMail | Loaded | None = None,
    *,
    reactor: Reactor | None = None,
    **more: Any,
) -> Mailer:
    """Return a transport, whose ``sendMail(data, callback)`` sends mails.

    ``transporter`` is a dict of the options that the manual lists, or a URL; ``more`` are options
    by keyword, which win.  With ``pool`` mails go over an :class:`SMTPPool`; with
    ``streamTransport`` or ``jsonTransport`` they go nowhere, and the program gets them; else each
    has a connection of its own.  ``transporter`` may also be an object with ``send(mail,
    callback)``, or an :class:`SMTPPool`.

    ``defaults`` are fields of each mail that does not have them.  ``reactor`` is the
    :class:`Reactor` that carries everything out, by default the one that :func:`get_reactor`
    returns.

    Raises ``TypeError`` or ``ValueError`` for options that are unknown or wrong.
    """
    if defaults is not None and not isinstance(defaults, Mapping):
        raise TypeError(f"defaults are a dict of fields; got {type(defaults).__name__}")
    fields = defaults or {}
    if isinstance(transporter, SMTPConnection):
        raise TypeError("createTransport opens its connections itself: give it their options")
    if callable(getattr(transporter, "send", None)) and not isinstance(transporter, Mapping):
        if more:
            raise TypeError("a transporter of your own has its own options")
        own = reactor or getattr(transporter, "reactor", None)
        if not isinstance(own, Reactor):
            own = get_reactor()
        return Mailer(transporter, None, fields, own)
    settings = TransportOptions.parse(transporter, more)
    reactor = reactor if reactor is not None else get_reactor()
    made: Any
    if settings.streamTransport:
        from .stream import StreamTransport  # of use to few

        made = StreamTransport(settings, reactor)
    elif settings.jsonTransport:
        from .json_output import JSONTransport

        made = JSONTransport(settings, reactor)
    else:
        options = PoolOptions(**{name: settings[name] for name in PoolOptions.defaults})
        if settings.pool:
            made = SMTPPool(options, reactor=reactor)
        else:
            made = SMTPTransport(options, reactor)
    return Mailer(made, settings, fields, reactor)
