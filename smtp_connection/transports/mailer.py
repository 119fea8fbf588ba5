"""``Mailer``: what ``createTransport`` returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..abort import AbortSignal, Following, abort_error
from ..callbacks import Arguments, arguments_taken
from ..emitter import NodeEmitter
from ..errors import SMTPError, message_error
from ..options.names import folded
from ..options.transport import MOST_RECIPIENTS, ClosingOptions, TransportOptions
from ..pool.failures import never_sent
from ..pool.pool import SMTPPool
from ..reactor.loop import Reactor
from .mail import MailMessage, merged
from .records import MailInfo
from .smtp import SMTPTransport

if TYPE_CHECKING:
    from email.message import Message

    from .. import types
    from ..types import Loaded

__all__ = ["Mailer"]

_STEPS = ("compile", "stream")
_FORWARDED = ("idle", "clear", "error", "token", "log")


class Mailer(NodeEmitter):
    """Composes mails and hands them to a transport; made by :func:`createTransport`.

    The methods may be called from any thread.  The two rules of connections hold: a callback is
    called exactly once, from the reactor, with the arguments that it declares; a failure without a
    callback is an ``'error'`` event, which is raised by ``run()`` if nobody hears it.

    Events are those of :class:`SMTPPool`: ``'idle'``, ``'clear'``, ``'error'``, ``'token'``,
    ``'log'``.

    Attributes:

    - ``transporter``: what sends: an :class:`SMTPPool` with the option ``pool``, else an object of
      another class, or the caller's own
    - ``options``: all options, with their defaults filled in; ``None`` for a transporter of the
      caller's
    - ``reactor`` (:class:`Reactor`): the one that carries everything out
    """

    _arguments: ClassVar[Mapping[str, int]] = {
        "idle": 0,
        "clear": 0,
        "error": 1,
        "token": 1,
        "log": 1,
    }

    def __init__(
        self,
        transporter: Any,
        options: TransportOptions | None,
        defaults: Mapping[str, Any],
        reactor: Reactor,
    ) -> None:
        super().__init__()
        self.transporter = transporter
        self.options = options
        self.reactor = reactor
        self._defaults = dict(defaults)
        settings = options if options is not None else TransportOptions()
        most = settings.maxRecipients
        self._most = most if most != MOST_RECIPIENTS else None
        self._rules = settings.mail_rules()
        if settings.streamTransport or settings.jsonTransport:
            self._rules["keepBcc"] = True  # whoever sends it takes it out
        # What a mail may do, the defaults restrict for good, as in nodemailer.
        named = {folded(name): value for name, value in defaults.items() if isinstance(name, str)}
        for flag in ("disableFileAccess", "disableUrlAccess"):
            if named.get(flag.lower()):
                self._rules[flag] = True
        self._plugins: dict[str, list[tuple[Callable[..., object], Arguments]]] = {
            step: [] for step in _STEPS
        }
        self._meta: dict[str, Any] = {}
        self._with_plugins: dict[_Job, None] = {}  # mails that plugins have
        self._idling = True
        self._closed = False
        self._to_close: list[Callable[[], object]] = []
        self._is_own = isinstance(transporter, SMTPPool) or bool(
            getattr(transporter, "runs_no_code_of_others", False)
        )
        self._forward_events()

    def _forward_events(self) -> None:
        on = getattr(self.transporter, "on", None)
        if not callable(on):
            return
        for event in _FORWARDED:
            on(event, partial(self._forward, event))

    def _forward(self, event: str, *args: Any) -> None:
        if event == "idle":
            self._idling = False
            self._tell_idle()
        else:
            self.emit(event, *args)

    # -- plugins ----------------------------------------------------------------------------------

    def use(self, step: str, plugin: Callable[..., object]) -> Mailer:
        """Call ``plugin(mail, callback)`` for each mail, in the step ``'compile'``, before it is
        composed, or ``'stream'``, after that; return the transport.

        ``mail`` is a :class:`~smtp_connection.transports.mail.MailMessage`.  The mail goes on when
        the plugin calls ``callback(err)``, on whatever thread; with an error it fails.  The plugins
        of a step are called one after another.
        """
        if step not in self._plugins:
            raise ValueError(f"a step is 'compile' or 'stream'; got {step!r}")
        self._plugins[step].append((plugin, arguments_taken(plugin)))
        return self

    def set(self, key: str, value: Any) -> Mailer:
        """Keep ``value`` under the name ``key``, and return the transport.

        ``'oauth2_provision_cb'`` is what fetches access tokens, as in nodemailer:
        ``function(user, renew, callback)``.
        """
        self._meta[key] = value
        if key == "oauth2_provision_cb" and hasattr(self.transporter, "provide_tokens"):
            self.transporter.provide_tokens(value)
        return self

    def get(self, key: str) -> Any:
        """Return what is kept under the name ``key``, ``None`` if nothing is."""
        return self._meta.get(key)

    # -- mails ------------------------------------------------------------------------------------

    def sendMail(
        self,
        data: types.TransportMail | Message | Loaded,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Compose a mail and send it; ``callback(err, info)``, see
        :class:`~smtp_connection.transports.records.MailInfo`.

        ``data`` is a dict as nodemailer takes it: the fields of a message, and perhaps
        ``envelope``, ``raw``, ``dsn``, ``auth`` (without a pool) and ``signal``; or an
        ``EmailMessage``.  It may be changed afterwards, and used for the next mail.  ``signal``
        aborts it (``EABORT``).
        """
        job = _Job(self, callback)
        if isinstance(data, Mapping):
            fields = merged(data, self._defaults)
        else:
            fields = merged({"raw": data}, self._defaults)
        if signal is not None:
            fields["signal"] = signal
        given = fields.get("signal")
        if given is not None and not isinstance(given, AbortSignal):
            raise TypeError(f"signal takes an AbortSignal; got {type(given).__name__}")
        mail = MailMessage(self, fields)
        if self._closed:
            job.fail(never_sent())
        elif given is not None and given.aborted:
            job.fail(abort_error(given.reason))
        elif self._is_own and not any(self._plugins.values()):
            # At once: no code of the caller's is run, and a pool knows what is queued.
            job.compile(mail)
            job.deliver(mail)
        else:
            self._with_plugins[job] = None
            job.prepare(mail)
        self._look_at_room()

    def plugins_of(self, step: str) -> list[tuple[Callable[..., object], Arguments]]:
        """Return the plugins of ``step``, and what they take."""
        return list(self._plugins[step])

    def prepared(self, job: _Job) -> None:
        """The plugins are done with the mail of ``job``."""
        self._with_plugins.pop(job, None)
        self._go_on_closing()
        self._tell_idle()

    @property
    def limits(self) -> tuple[dict[str, bool], int | None]:
        """The flags that hold for every mail, and how many recipients one may have, ``None`` if it
        says so itself."""
        return self._rules, self._most

    def hand_over(
        self, mail: MailMessage, auth: Any, callback: Callable[..., None], signal: Any
    ) -> None:
        """Let the transporter send ``mail``."""
        transporter = self.transporter
        assert mail.message is not None
        mail.message.sign(self.options.dkim if self.options is not None else None)
        if isinstance(transporter, (SMTPPool, SMTPTransport)):
            with_mail = partial(_told, mail, callback)
            more = {"auth": auth} if isinstance(transporter, SMTPTransport) else {}
            envelope = mail.message.getEnvelope()
            transporter.send(envelope, mail.message.content, with_mail, signal=signal, **more)
        else:
            told = partial(self.reactor.call_soon_threadsafe, callback)
            transporter.send(mail, told)

    def report(self, error: SMTPError) -> None:
        """Tell of the failure of a mail that has no callback."""
        self.emit("error", error)  # pyee raises it if nobody listens

    # -- room -------------------------------------------------------------------------------------

    def isIdle(self) -> bool:
        """Whether there is room in the queue of the pool; without a pool, always."""
        transporter = self.transporter
        if not isinstance(transporter, SMTPPool):
            is_idle = getattr(transporter, "isIdle", None)
            return bool(is_idle()) if callable(is_idle) else True
        most = transporter.options.maxConnections
        return transporter.isIdle() and transporter.queued + len(self._with_plugins) < most

    def _look_at_room(self) -> None:
        """On whatever thread: mails may end meanwhile."""
        if self._idling and not self.isIdle():
            self._idling = False
            if self.isIdle():
                self.reactor.call_soon(self._tell_idle)

    def _tell_idle(self) -> None:
        if not self._idling and self.isIdle():
            self._idling = True
            self.emit("idle")

    # -- the server, and the end ------------------------------------------------------------------

    def verify(self, callback: Callable[..., object], *, signal: AbortSignal | None = None) -> None:
        """Find out whether the server can be reached and takes the login: ``callback(err, True)``.

        A transport without a server is always ready.  ``signal`` aborts it (``EABORT``).
        """
        transporter = self.transporter
        verify = getattr(transporter, "verify", None)
        if isinstance(transporter, (SMTPPool, SMTPTransport)):
            transporter.verify(callback, signal=signal)
        elif callable(verify):
            verify(callback)
        else:
            self.reactor.call_soon(callback, *arguments_taken(callback).fit(None, True))

    def close(
        self,
        options: Mapping[str, Any] | Callable[..., object] | None = None,
        callback: Callable[..., object] | None = None,
    ) -> None:
        """End the transport; ``callback(err)`` is called when the last connection is over.

        Options are those of :meth:`SMTPPool.close`: ``drain`` and ``force``.  Without a pool there
        is no queue, and what is being sent is finished unless ``force`` is set.
        """
        if callback is None and callable(options) and not isinstance(options, Mapping):
            options, callback = None, options
        wishes = ClosingOptions.parse(options)
        done: Callable[[], object] | None = None
        if callback is not None:
            done = partial(callback, *arguments_taken(callback).fit(None))
        self._closed = True
        close = partial(self._close, wishes, done)
        if wishes.drain and self._with_plugins:
            self._to_close.append(close)
            self.reactor.call_soon(self._go_on_closing)
        else:
            close()

    def _go_on_closing(self) -> None:
        while self._to_close and not self._with_plugins:
            self._to_close.pop(0)()

    def _close(self, wishes: ClosingOptions, done: Callable[[], object] | None) -> None:
        transporter = self.transporter
        if isinstance(transporter, SMTPPool):
            transporter.close(dict(wishes), done)
        elif isinstance(transporter, SMTPTransport):
            transporter.close(force=wishes.force, callback=done)
        else:
            close = getattr(transporter, "close", None)
            if callable(close):
                close()
            if done is not None:
                self.reactor.call_soon(done)


def _told(
    mail: MailMessage, callback: Callable[..., None], error: SMTPError | None, info: Any = None
) -> None:
    if error is not None or mail.message is None:
        callback(error)
    else:
        callback(None, MailInfo(info, mail.sent_to, mail.message.messageId()))


class _Job:
    """One call of ``sendMail``: what is to be done, and who is told the outcome, once."""

    def __init__(self, mailer: Mailer, callback: Callable[..., object] | None) -> None:
        self._mailer = mailer
        self._callback = callback
        self._arguments = None if callback is None else arguments_taken(callback)
        self._settled = False
        self._is_with_plugins = False
        self._following: Following | None = None

    def prepare(self, mail: MailMessage) -> None:
        """Let the plugins have the mail, on a later turn, and send it then."""
        self._is_with_plugins = True
        reactor = self._mailer.reactor
        signal = mail.signal
        if signal is not None:
            abort = partial(self._aborted, signal)
            self._following = signal.follow(partial(reactor.call_soon, abort), reactor)
        compiled = partial(self._after_compiling, mail)
        reactor.call_soon(self._run_plugins, "compile", mail, compiled)

    def _aborted(self, signal: AbortSignal) -> None:
        if self._is_with_plugins:
            self._leave_plugins()
            self.fail(abort_error(signal.reason))

    def _run_plugins(self, step: str, mail: MailMessage, done: Callable[[], None]) -> None:
        waiting = self._mailer.plugins_of(step)
        reactor = self._mailer.reactor

        def run_next() -> None:
            if self._settled:
                return
            if not waiting:
                done()
                return
            plugin, arguments = waiting.pop(0)
            called: list[bool] = []

            def go_on(error: object = None, *_: object) -> None:
                if not called:  # only the first call counts
                    called.append(True)
                    reactor.call_soon_threadsafe(decide, error)

            try:
                plugin(*arguments.fit(mail, go_on))
            except Exception as exc:
                go_on(exc)

        def decide(error: object) -> None:
            if error:
                self._leave_plugins()
                self.fail(_plugin_error(error))
            else:
                run_next()

        run_next()

    def _after_compiling(self, mail: MailMessage) -> None:
        self.compile(mail)
        if not self._settled:
            self._run_plugins("stream", mail, partial(self._after_streaming, mail))

    def _after_streaming(self, mail: MailMessage) -> None:
        self.deliver(mail)
        self._leave_plugins()

    def _leave_plugins(self) -> None:
        if self._is_with_plugins:
            self._is_with_plugins = False
            if self._following is not None:
                self._following.cancel()
            self._mailer.prepared(self)

    def compile(self, mail: MailMessage) -> None:
        """Compose the message; if that cannot be done, the mail fails."""
        try:
            mail.compile(*self._mailer.limits)
        except SMTPError as error:
            self._leave_plugins()
            self.fail(error)

    def deliver(self, mail: MailMessage) -> None:
        """Let the transporter have the mail."""
        if self._settled:
            return
        auth = mail.data.get("auth")
        try:
            self._mailer.hand_over(mail, auth, self.settle, mail.signal)
        except SMTPError as error:
            self.fail(error)
        except Exception as exc:
            self.fail(_plugin_error(exc))  # of a transporter of the caller's

    def fail(self, error: SMTPError) -> None:
        """Tell of ``error``, on a later turn."""
        self._mailer.reactor.call_soon(self.settle, error)

    def settle(self, error: Any = None, info: Any = None) -> None:
        """Tell the outcome, the first one, on this turn."""
        if self._settled:
            return
        self._settled = True
        callback, self._callback = self._callback, None
        if error is not None and not isinstance(error, SMTPError):
            error = _plugin_error(error)
        if callback is not None and self._arguments is not None:
            callback(*self._arguments.fit_outcome(error, info))
        elif error is not None:
            self._mailer.report(error)


def _plugin_error(error: object) -> SMTPError:
    """Return the error of a mail that a plugin, or a transporter of the caller's, has given up."""
    if isinstance(error, SMTPError):
        return error
    made = message_error(str(error) or type(error).__name__)
    if isinstance(error, BaseException):
        made.__cause__ = error
    return made
