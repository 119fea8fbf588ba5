"""Names of options that users of other mail programs bring, each with what to use here."""

from __future__ import annotations

from .names import folded
from .tls import TLSOptions

__all__ = ["advice_for"]

_TLS = "use 'tls', as in tls: {{{!r}: ...}}"
_AUTH = "use 'auth', as in auth: {'user': ..., 'pass': ...}"
_MESSAGE = "it belongs to what send() gets: the envelope and the message"

_ADVICE = {
    # nodemailer's transports
    "service": (
        "it goes to createTransport(), as in createTransport({'service': 'Gmail', ...}), or to"
        " SMTPPool; a connection takes 'host' and 'port' of the service's SMTP server"
    ),
    "url": (
        "it goes to createTransport() or to SMTPPool; a connection takes a URL in place of all"
        " options: SMTPConnection('smtps://...')"
    ),
    "pool": (
        "it goes to createTransport(), as in createTransport({'pool': True, ...}), which takes the"
        " options of a connection as well"
    ),
    **dict.fromkeys(
        (
            *("maxConnections", "maxMessages", "maxRequeues", "maxQueued", "maxLifetime"),
            *("rateLimit", "rateDelta", "rateLimiter", "idleTimeout", "getSocket", "forceAuth"),
        ),
        "it goes to SMTPPool, or to createTransport() with 'pool'",
    ),
    **dict.fromkeys(
        ("streamTransport", "jsonTransport"),
        "it goes to createTransport(); a connection speaks SMTP or LMTP with a server",
    ),
    **dict.fromkeys(
        ("sendmail", "SES", "direct"),
        "a connection speaks SMTP or LMTP with the server at 'host'",
    ),
    "component": "give a logger that has a name of its own as 'logger'",
    "allowInternalNetworkInterfaces": "leave it out; the system's resolver decides",
    # where the server is, and what this side is called
    **dict.fromkeys(("hostname", "server"), "use 'host'"),
    **dict.fromkeys(("local_hostname", "domain"), "use 'name'"),
    "source_address": "use 'localAddress'",
    "sock": "use 'socket'",
    # who logs in
    **dict.fromkeys(("user", "username", "pass", "password"), _AUTH),
    **dict.fromkeys(("credentials", "oauth2", "xoauth2"), "put it into 'auth'"),
    "authentication": "use 'authMethod'",
    # TLS
    **dict.fromkeys(("secureConnection", "ssl", "useSSL", "useTLS"), "use 'secure'"),
    "startTLS": (
        "leave it out, STARTTLS is used wherever the server offers it; to insist on it use"
        " 'requireTLS'"
    ),
    **{
        name: _TLS.format(name)
        for name in [*TLSOptions.defaults, *TLSOptions.instead]
        if name not in ("context", "servername", "host", "port", "socket")
    },
    **dict.fromkeys(("keyfile", "client_key"), _TLS.format("key")),
    **dict.fromkeys(("certfile", "client_cert"), _TLS.format("cert")),
    **dict.fromkeys(("cafile", "cert_bundle"), _TLS.format("ca")),
    "validate_certs": _TLS.format("rejectUnauthorized"),
    **dict.fromkeys(("context", "ssl_context", "tls_context"), "give the ssl.SSLContext as 'tls'"),
    # the rest
    "timeout": "use 'connectionTimeout', 'greetingTimeout' and 'socketTimeout', in milliseconds",
    "debuglevel": "use 'debug'",
    **dict.fromkeys(("from", "to", "subject", "text", "html", "envelope", "dsn"), _MESSAGE),
}
_BY_FOLDED_NAME = {folded(name): advice for name, advice in _ADVICE.items()}


def advice_for(name: str) -> str | None:
    """Return what to do instead of using the option ``name``, ``None`` if that is not known."""
    return _BY_FOLDED_NAME.get(folded(name))
