"""Access tokens for XOAUTH2, renewed when needed: the npm package ``xoauth2``, and nodemailer's.

A generator is handed to ``login`` as ``auth['xoauth2']``.  Several connections may share it, on
several reactors as well: whoever asks while a token is being fetched waits for that one.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

from ..callbacks import arguments_taken
from ..emitter import NodeEmitter
from ..errors import SMTPError, auth_error
from ..protocol.bearer import bearer_response
from ..reactor.default import current_reactor, get_reactor
from ..reactor.loop import Reactor
from ..reactor.threads import Workers, renew_after_fork
from ..reactor.timers import Timer
from ..records import Record
from .options import XOAuth2Options, extra_missing

if TYPE_CHECKING:
    from .token_request import TokenRequest

__all__ = ["Token", "XOAuth2Generator", "create_xoauth2_generator", "createXOAuth2Generator"]


def _now() -> float:
    return time.time() * 1000


class Token(Record):
    """What the event ``'token'`` carries.

    - ``user`` (str): whose token it is
    - ``accessToken`` (str): the token; ``repr`` leaves it out
    - ``timeout`` (int): the seconds that it is still valid for, 0 if that is not known
    - ``expires`` (float): when it expires, in ms since the epoch, 0 if that is not known
    """

    __slots__ = ("user", "accessToken", "timeout", "expires")  # noqa: RUF023 - as in Node

    def __init__(self, user: str, access_token: str, expires: float) -> None:
        self.user = user
        self.accessToken = access_token
        self.timeout = max(int((expires - _now()) / 1000), 0)
        self.expires = expires

    def __repr__(self) -> str:
        return f"Token(user={self.user!r}, timeout={self.timeout!r})"


class _Waiter:
    """A caller who waits for a token, and the reactor that runs his callback."""

    __slots__ = ("arguments", "callback", "reactor", "renew", "timer")

    def __init__(
        self, callback: Callable[..., object] | None, reactor: Reactor, renew: bool
    ) -> None:
        self.callback = callback
        self.arguments = None if callback is None else arguments_taken(callback)
        self.reactor = reactor
        self.renew = renew
        self.timer: Timer | None = None

    def stop_timer(self) -> None:
        """Let the reactor (on its thread) no longer wait for the token."""
        if self.timer is not None:
            self.timer.cancel()


class _Renewal:
    """The fetching of one token, and the callers who wait for it."""

    __slots__ = ("_abandoned", "_request", "waiters")

    def __init__(self) -> None:
        self.waiters: list[_Waiter] = []
        self._request: TokenRequest | None = None
        self._abandoned = False

    def began(self, request: TokenRequest) -> None:
        """Remember the request that is about to be made (called on its thread)."""
        # Write _request, then read _abandoned: abandon() writes and reads them the other way round,
        # so that one of the two threads sees what the other wrote.
        self._request = request
        if self._abandoned:
            request.abort()

    def abandon(self) -> None:
        """End the request, if there is one: nobody waits for it any more."""
        self._abandoned = True
        if self._request is not None:
            self._request.abort()


class XOAuth2Generator(NodeEmitter):
    """Hands out the XOAUTH2 response of one user, and fetches a new access token when needed.

    ``options`` is a dict of the options that the README lists, ``more`` are options by keyword;
    names are Node's, case and underscores do not count.  Callbacks get ``(err, token,
    accessToken)``, or as many of these as they declare.  They and the events are run by
    ``reactor``; without it, by the reactor that is running on the caller's thread, or else by the
    default one.  Events:

    - ``'token'`` (:class:`Token`): there is a new access token
    - ``'error'`` (SMTPError): a call without a callback failed

    The methods may be called from any thread.  All errors have the code ``EAUTH``; neither they
    nor any ``repr`` shows a secret.  Raises ``TypeError`` or ``ValueError`` for options that are
    unknown or wrong.
    """

    _arguments: ClassVar[Mapping[str, int]] = {"token": 1, "error": 1}

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        reactor: Reactor | None = None,
        **more: Any,
    ) -> None:
        super().__init__()
        self.options = settings = XOAuth2Options.parse(options, more)
        self.reactor = reactor
        self.accessToken = settings.accessToken
        """The current access token, ``''`` if there is none."""
        self.expires = settings.expires or _expiry(settings.timeout)
        """When it expires, in ms since the epoch; 0 if that is not known."""
        self._after_fork()
        renew_after_fork(self)
        self._workers = Workers()
        provision = settings.provisionCallback
        self._provision_arguments = None if provision is None else arguments_taken(provision)

    def getToken(self, callback: Callable[..., object] | None = None) -> None:
        """Hand the response for ``AUTH XOAUTH2`` to ``callback``; fetch a new access token first
        if there is none that is still valid."""
        waiter = _Waiter(callback, self._reactor(), renew=False)
        waiter.reactor.call_soon(self._serve, waiter)

    def generateToken(self, callback: Callable[..., object] | None = None) -> None:
        """Fetch a new access token even if the current one is valid; else as :meth:`getToken`."""
        waiter = _Waiter(callback, self._reactor(), renew=True)
        waiter.reactor.call_soon(self._serve, waiter)

    def updateToken(self, accessToken: str, timeout: float | None = None) -> None:
        """Use ``accessToken``, which is valid for ``timeout`` seconds, from now on; emit
        ``'token'``.

        Raises :class:`SMTPError` if it cannot be an access token.
        """
        if timeout is not None and not _is_number(timeout):
            raise TypeError(f"timeout is a number of seconds; got {type(timeout).__name__}")
        self.buildXOAuth2Token(accessToken)
        with self._guard:
            self._keep(accessToken, _expiry(timeout or 0), self._reactor())

    def buildXOAuth2Token(self, accessToken: str | None = None) -> str:
        """Return the response for ``AUTH XOAUTH2`` with ``accessToken``, or the current one.

        Raises :class:`SMTPError` if there is no user, or if it cannot be an access token.
        """
        token = self.accessToken if accessToken is None else accessToken
        if not self.options.user:
            raise auth_error('Missing credentials for "XOAUTH2": the generator has no user')
        if not isinstance(token, str):
            raise auth_error(f"An access token is a string; got {type(token).__name__}")
        if not token:
            raise auth_error("There is no access token yet")
        # The user, who was checked with the other options, has none.
        refusal = "An access token has no control character in it, but this one has"
        return bearer_response(self.options.user, token, refusal)

    def forget_callback(self, callback: Callable[..., object]) -> None:
        """Do not call ``callback``, which waits for a token.  If nobody else does, end the request
        as well."""
        # Later, because the method that it was given to does its work later, too.
        self._reactor().call_soon(self._forget, callback)

    def _after_fork(self) -> None:
        """Begin anew in a forked child: a token that is being fetched is fetched for the parent."""
        self._guard = threading.Lock()  # for accessToken, expires and _renewal
        self._renewal: _Renewal | None = None

    get_token = getToken
    generate_token = generateToken
    update_token = updateToken
    build_xoauth2_token = buildXOAuth2Token

    def _reactor(self) -> Reactor:
        return self.reactor or current_reactor() or get_reactor()

    # -- on the reactor of the caller -----------------------------------------------------------

    def _serve(self, waiter: _Waiter) -> None:
        with self._guard:
            renewal = self._renewal
            if renewal is None and not waiter.renew and self._is_valid():
                self._answer([waiter], None)
                return
            first = renewal is None
            if renewal is None:
                self._renewal = renewal = _Renewal()
            # Each caller has a timer, which also keeps his reactor running while another thread
            # or reactor does the work.
            seconds = self.options.requestTimeout / 1000
            waiter.timer = waiter.reactor.call_later(seconds, self._timed_out, renewal)
            renewal.waiters.append(waiter)
        if first:
            self._start(renewal, waiter)

    def _start(self, renewal: _Renewal, waiter: _Waiter) -> None:
        if self.options.provisionCallback is not None:
            self._provision(renewal, waiter.renew)
        elif self.options.can_request:
            try:
                self._workers.submit(lambda: self._request(renewal))
            except RuntimeError as exc:
                self._end_renewal(renewal, auth_error(f"Cannot ask for a token: {exc}"))
        else:
            self._end_renewal(renewal, auth_error(self._no_means(waiter.renew)))

    def _forget(self, callback: Callable[..., object]) -> None:
        with self._guard:
            renewal = self._renewal
            if renewal is None:
                return
            forgotten = [each for each in renewal.waiters if each.callback is callback]
            renewal.waiters = [each for each in renewal.waiters if each not in forgotten]
            deserted = not renewal.waiters
            if deserted:
                self._renewal = None
        for waiter in forgotten:
            waiter.reactor.call_soon(waiter.stop_timer)
        if deserted:
            renewal.abandon()

    def _no_means(self, renew: bool) -> str:
        if not self.accessToken:
            problem = "There is no access token, and no means to get one"
        elif renew:
            problem = "The generator cannot renew the access token"
        else:
            problem = "The access token has expired, and the generator cannot renew it"
        return f"{problem}: it has no refreshToken, no service and no provisionCallback"

    def _provision(self, renewal: _Renewal, renew: bool) -> None:
        provision, arguments = self.options.provisionCallback, self._provision_arguments
        assert provision is not None
        assert arguments is not None

        def answer(
            err: object = None, access_token: object = None, expires: object = None, *_: object
        ) -> None:
            if err:
                self._end_renewal(renewal, self._provision_error(err, access_token))
            elif not isinstance(access_token, str) or not access_token:
                got = type(access_token).__name__
                self._end_renewal(
                    renewal, auth_error(f"provisionCallback gave no access token, but {got}")
                )
            else:
                self._end_renewal(
                    renewal, None, access_token, expires if _is_number(expires) else 0
                )

        try:
            provision(*arguments.fit(self.options.user, renew, answer))
        except Exception as exc:
            answer(exc)

    def _provision_error(self, err: object, access_token: object) -> SMTPError:
        options = self.options
        secrets = [each for each in (self.accessToken, access_token) if isinstance(each, str)]
        text = options.masked(str(err) or type(err).__name__, *secrets)
        error = auth_error(f"provisionCallback failed: {text}")
        if isinstance(err, Exception):
            shown = "".join(traceback.format_exception(err))
            if options.without_secrets(shown, *secrets) == shown:
                error.__cause__ = err
        return error

    def _timed_out(self, renewal: _Renewal) -> None:
        options = self.options
        who = f"The token endpoint {options.host}"
        if options.provisionCallback is not None:
            who = "provisionCallback"
        text = f"{who} has not answered in {options.requestTimeout:g} ms"
        self._end_renewal(renewal, auth_error(text))
        renewal.abandon()

    # -- on the thread that makes the request ---------------------------------------------------

    def _request(self, renewal: _Renewal) -> None:
        try:
            from .token_request import TokenRequest
        except ImportError as exc:
            self._end_renewal(renewal, extra_missing(exc))
            return
        request = TokenRequest(self.options)
        renewal.began(request)
        try:
            access_token, seconds = request.run()
        except SMTPError as exc:
            # The frames of its traceback hold the request, and some tools show those.
            self._end_renewal(renewal, exc.with_traceback(None))
        else:
            self._end_renewal(renewal, None, access_token, _expiry(seconds))

    # -- on any thread --------------------------------------------------------------------------

    def _end_renewal(
        self,
        renewal: _Renewal,
        error: SMTPError | None,
        access_token: str = "",
        expires: float = 0,
    ) -> None:
        """End ``renewal``, unless it is over already, and answer all who wait for it."""
        if error is None:
            try:
                self.buildXOAuth2Token(access_token)
            except SMTPError as exc:
                error = exc.with_traceback(None)
        with self._guard:
            if self._renewal is not renewal:
                return
            self._renewal = None
            if error is None:
                self._keep(access_token, expires, renewal.waiters[0].reactor)
            self._answer(renewal.waiters, error)

    def _keep(self, access_token: str, expires: float, reactor: Reactor) -> None:
        """Make this the current token; the caller holds ``_guard``, also for the next two."""
        self.accessToken = access_token
        self.expires = expires
        reactor.call_soon(self.emit, "token", Token(self.options.user, access_token, expires))

    def _is_valid(self) -> bool:
        return bool(self.accessToken) and (not self.expires or self.expires > _now())

    def _answer(self, waiters: list[_Waiter], error: SMTPError | None) -> None:
        for waiter in waiters:
            response = token = None
            # Only those who asked for a new token need one: the old one may still be valid.
            failure = error if waiter.renew or not self._is_valid() else None
            if failure is None:
                try:
                    token, response = self.accessToken, self.buildXOAuth2Token()
                except SMTPError as exc:
                    token, failure = None, exc.with_traceback(None)
            waiter.reactor.call_soon(self._deliver, waiter, failure, response, token)

    def _deliver(
        self,
        waiter: _Waiter,
        error: SMTPError | None,
        response: str | None,
        token: str | None,
    ) -> None:
        """Run the callback (on the reactor of ``waiter``)."""
        waiter.stop_timer()
        if waiter.callback is not None and waiter.arguments is not None:
            waiter.callback(*waiter.arguments.fit(error, response, token))
        elif error is not None:
            self.emit("error", error)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e18


def _expiry(seconds: float) -> float:
    return _now() + seconds * 1000 if seconds > 0 else 0


def create_xoauth2_generator(
    options: Mapping[str, Any] | None = None,
    *,
    reactor: Reactor | None = None,
    **more: Any,
) -> XOAuth2Generator:
    """Return an :class:`XOAuth2Generator`; the function that the npm package exports."""
    return XOAuth2Generator(options, reactor=reactor, **more)


createXOAuth2Generator = create_xoauth2_generator
