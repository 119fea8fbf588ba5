"""The shapes of what the package is given, for type checkers.

The package itself does not import this module at run time.  Each ``TypedDict`` has the names of
one table of the package, in Node's spelling; a test compares the two.  All names are optional, and
``None`` stands for a value that is not given.  In place of a shape, a ``dict[str, Any]`` is
accepted, as it comes from a file, say.
"""

from __future__ import annotations

import os
import socket as _socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from email.message import Message as _EmailMessage
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, TypeVar

if TYPE_CHECKING:
    from .abort import AbortSignal

__all__ = [
    "Address",
    "AnyMessage",
    "Attachment",
    "Auth",
    "BeforeCommit",
    "CommandTimeouts",
    "ConnectionOptions",
    "Content",
    "DKIM",
    "DSN",
    "DeliverBy",
    "Envelope",
    "EventName",
    "Headers",
    "Mail",
    "MailEnvelope",
    "Message",
    "PoolOptions",
    "Proxy",
    "Recipients",
    "TLSOptions",
    "Text",
    "TokenGenerator",
    "TransferEncoding",
    "TransportAuth",
    "TransportMail",
    "TransportOptions",
    "Transporter",
]


class NotNamed:
    """A class without objects: only a ``dict[str, Any]`` passes for a ``dict[str, NotNamed]``."""


Unchecked = Mapping[str, NotNamed]
"""A dict of whose values a type checker knows nothing."""

Loaded = TypeVar("Loaded", bound=Unchecked)
"""The same as an argument: errors then show the shape alone."""


class Readable(Protocol):
    """A file, or what can be read like one."""

    def read(self, size: int, /) -> str | bytes | None: ...


class _Emitter(Protocol):
    """An emitter of ``'data'`` and ``'end'``, as Node's streams are."""

    def on(self, event: str, f: Callable[..., Any], /) -> Any: ...


class _Buffer(Protocol):
    def __buffer__(self, flags: int, /) -> memoryview: ...


Bytes = bytes | bytearray | memoryview | _Buffer
File = str | bytes | os.PathLike[str]

EventName = Literal["connect", "error", "end", "log", "progress"]
"""The events of a connection."""


# -- the server, and who logs in -------------------------------------------------------------------


class TLSOptions(TypedDict, total=False):
    """The option ``tls``: PEM as text, as bytes or as the path of a file."""

    rejectUnauthorized: bool | None
    ca: File | Sequence[File] | None
    cert: File | None
    key: File | None
    passphrase: str | bytes | None
    ciphers: str | None
    minVersion: Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] | None
    maxVersion: Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] | None
    servername: str | None
    ALPNProtocols: str | Sequence[str] | None
    session: bool | None
    context: ssl.SSLContext | None


Proxy = str
"""The option ``proxy``: a URL, ``'socks5h://user:password@host:port'`` say."""

BeforeCommit = Callable[[Mapping[str, Any], Callable[[Any], object]], object]
"""The option ``beforeCommit``: a function of ``(envelope, callback)``."""


class _PrivateKey(Protocol):
    """A private key of the package cryptography."""

    @property
    def sign(self) -> Callable[..., bytes]: ...


class _LockedKey(TypedDict, total=False):
    key: str | bytes | bytearray
    passphrase: str | bytes | None


class _DKIMKey(TypedDict, total=False):
    domainName: str | None
    keySelector: str | None
    privateKey: str | bytes | bytearray | _PrivateKey | _LockedKey | None


class DKIM(_DKIMKey, total=False):
    """The option ``dkim``, of a connection or of a message."""

    keys: _DKIMKey | Sequence[_DKIMKey | Unchecked] | None
    headerFieldNames: str | Sequence[str] | None
    skipFields: str | Sequence[str] | None
    hashAlgo: str | None
    cacheDir: str | os.PathLike[str] | Literal[False] | None
    cacheTreshold: int | None


class _NodeGenerator(Protocol):
    def getToken(self, callback: Callable[..., Any], /) -> Any: ...

    def generateToken(self, callback: Callable[..., Any], /) -> Any: ...


class _SnakeGenerator(Protocol):
    def get_token(self, callback: Callable[..., Any], /) -> Any: ...

    def generate_token(self, callback: Callable[..., Any], /) -> Any: ...


TokenGenerator = _NodeGenerator | _SnakeGenerator
"""What makes tokens for XOAUTH2 and OAUTHBEARER: ``callback(err, token)``."""


_Credentials = TypedDict("_Credentials", {"user": "str | None", "pass": "str | None"}, total=False)

Auth = TypedDict(
    "Auth",
    {
        "user": "str | None",
        "pass": "str | None",
        "xoauth2": "str | TokenGenerator | None",
        "oauth2": "str | TokenGenerator | None",
        "method": "str | list[str] | tuple[str, ...] | None",
        "domain": "str | None",
        "credentials": "_Credentials | Unchecked | None",
        "type": "str | None",
    },
    total=False,
)
"""The ``auth`` of ``login``, and the option."""


class CommandTimeouts(TypedDict, total=False):
    """The option ``commandTimeouts``; times are in milliseconds."""

    EHLO: float | None
    AUTH: float | None
    MAIL: float | None
    RCPT: float | None
    DATA: float | None
    dataBlock: float | None
    dataEnd: float | None
    RSET: float | None
    NOOP: float | None
    QUIT: float | None


class TransportAuth(Auth, total=False):
    """The option ``auth`` of a pool or of a transport: with the type OAuth2, that of a token
    generator as well."""

    clientId: str | None
    clientSecret: str | None
    refreshToken: str | None
    accessUrl: str | None
    accessToken: str | None
    timeout: float | None
    expires: float | None
    customHeaders: Mapping[str, str] | None
    customParams: Mapping[str, str] | None
    service: str | None
    serviceClient: str | None
    scope: str | None
    privateKey: str | None
    serviceRequestTimeout: float | None
    provisionCallback: Callable[..., object] | None
    requestTimeout: float | None
    tls: TLSOptions | Unchecked | ssl.SSLContext | None


class _SharedOptions(TypedDict, total=False):
    host: str | None
    port: int | str | None
    secure: bool | None
    ignoreTLS: bool | None
    requireTLS: bool | None
    opportunisticTLS: bool | None
    name: str | None
    localAddress: str | None
    connectionTimeout: float | None
    greetingTimeout: float | None
    socketTimeout: float | None
    commandTimeouts: CommandTimeouts | Unchecked | None
    sendTimeout: float | None
    debug: bool | None
    logger: Any
    transactionLog: bool | None
    lmtp: bool | None
    authMethod: str | list[str] | tuple[str, ...] | None
    ehloAfterAuth: bool | None
    tls: TLSOptions | Unchecked | ssl.SSLContext | None
    servername: str | None
    secured: bool | None
    pipelineMessages: bool | None
    maxResponseSize: int | None
    socketCloseTimeout: float | None
    dnsTimeout: float | None
    customAuth: Mapping[str, Callable[..., Any]] | None
    proxy: Proxy | None
    disableFileAccess: bool | None
    disableUrlAccess: bool | None
    attachDataUrls: bool | None
    dkim: DKIM | Unchecked | None
    beforeCommit: BeforeCommit | None


class ConnectionOptions(_SharedOptions, total=False):
    """The options of a connection; times are in milliseconds."""

    auth: Auth | Unchecked | None
    socket: _socket.socket | None
    connection: _socket.socket | None


class Transporter(Protocol):
    """What ``createTransport`` takes in place of options."""

    def send(self, mail: Any, callback: Any, /) -> Any: ...


class _Limiter(Protocol):
    def acquire(self) -> Any: ...


class PoolOptions(_SharedOptions, total=False):
    """The options of a pool: those of its connections as well."""

    auth: TransportAuth | Unchecked | None
    socket: None
    connection: None
    maxConnections: float | None
    maxMessages: float | None
    maxRequeues: float | None
    maxQueued: float | None
    rateLimit: float | None
    rateDelta: float | None
    rateLimiter: _Limiter | None
    idleTimeout: float | None
    maxLifetime: float | None
    getSocket: Callable[..., object] | None
    forceAuth: bool | None
    service: str | None
    url: str | None


class TransportOptions(PoolOptions, total=False):
    """The options of ``createTransport``."""

    pool: bool | None
    streamTransport: bool | None
    jsonTransport: bool | None
    buffer: bool | None
    newline: str | None
    skipEncoding: bool | None
    maxRecipients: float | None


# -- whom a message is for -------------------------------------------------------------------------


class _NamedAddress(TypedDict, total=False):
    name: str | None
    address: str


Address = str | _NamedAddress
"""An address, or a dict of ``address`` and ``name``."""


class _RecipientDSN(TypedDict, total=False):
    notify: str | Iterable[str] | None
    orcpt: str | None
    recipient: str | None


class _Recipient(_NamedAddress, total=False):
    dsn: _RecipientDSN | Unchecked | None


class DeliverBy(TypedDict, total=False):
    """The ``deliverBy`` of an envelope (RFC 2852)."""

    seconds: int
    mode: Literal["R", "N", "return", "notify"] | None
    trace: bool | None


Recipients = Address | Sequence["Address | Sequence[Address]"]
"""``'Name <a@x.org>, b@x.org'``, a dict of ``name`` and ``address``, or a list of these."""

DSN = TypedDict(
    "DSN",
    {
        "ret": "str | None",
        "return": "str | None",
        "envid": "str | None",
        "id": "str | None",
        "notify": "str | Iterable[str] | None",
        "orcpt": "str | None",
        "recipient": "str | None",
    },
    total=False,
)
"""The ``dsn`` of an envelope (RFC 3461)."""

Envelope = TypedDict(
    "Envelope",
    {
        "from": "Address | None",
        "to": "Address | _Recipient | Iterable[Address | _Recipient] | None",
        "size": "int | str | None",
        "use8BitMime": "bool | None",
        "dsn": "DSN | Unchecked | None",
        "requireTLSExtensionEnabled": "bool | None",
        "auth": "str | None",
        "deliverBy": "int | DeliverBy | Unchecked | None",
        "holdFor": "int | None",
        "holdUntil": "datetime | str | None",
        "mtPriority": "int | None",
        "beforeCommit": "BeforeCommit | None",
    },
    total=False,
)
"""The envelope of ``send`` and ``probe``."""


# -- the message -----------------------------------------------------------------------------------


class _HeaderValue(TypedDict, total=False):
    value: str | int
    prepared: bool | None
    foldLines: bool | None


_OneHeader = str | int | _HeaderValue


class _Header(TypedDict):
    key: str
    value: _OneHeader | Sequence[_OneHeader]


Headers = Mapping[str, "_OneHeader | Sequence[_OneHeader]"] | Sequence[_Header]
"""The ``headers`` of a message or an attachment: a dict, or a list of ``key`` and ``value``."""


_Stream = Readable | _Emitter | _socket.socket | Iterable[str] | Iterable[bytes]


TransferEncoding = Literal["7bit", "8bit", "quoted-printable", "base64"]
"""A transfer encoding (RFC 2045)."""


class _Content(TypedDict, total=False):
    content: str | Bytes | _Stream | None
    path: File | Literal[False] | None
    href: str | Literal[False] | None
    encoding: str | None


Content = str | Bytes | _Stream | _Content
"""The ``content`` of an attachment, or a finished message."""


class _Text(TypedDict, total=False):
    content: Content | None
    path: File | Literal[False] | None
    href: str | Literal[False] | None
    raw: Content | None
    encoding: str | None
    contentTransferEncoding: TransferEncoding | Literal[False] | None
    headers: Headers | None


Text = str | Bytes | _Stream | _Text
"""The ``text`` or ``html`` of a message."""


class _Event(TypedDict, total=False):
    method: str | None
    filename: str | Literal[False] | None
    content: Content | None
    path: File | Literal[False] | None
    href: str | Literal[False] | None
    encoding: str | None
    headers: Headers | None


class _ListEntry(TypedDict, total=False):
    url: str
    comment: str | None


_ListEntries = str | _ListEntry | Sequence["str | _ListEntry | Sequence[str | _ListEntry]"]


class Attachment(TypedDict, total=False):
    """One of the ``attachments`` or ``alternatives`` of a message."""

    filename: str | Literal[False] | None
    content: Content | None
    path: File | Literal[False] | None
    href: str | Literal[False] | None
    raw: Content | None
    contentType: str | None
    cid: str | None
    encoding: str | None
    contentDisposition: Literal["inline", "attachment"] | None
    contentTransferEncoding: TransferEncoding | Literal[False] | None
    headers: Headers | None


_Attachments = Attachment | Sequence["Attachment | Unchecked"]

MailEnvelope = TypedDict(
    "MailEnvelope",
    {
        "from": "Recipients | None",
        "to": "Recipients | None",
        "cc": "Recipients | None",
        "bcc": "Recipients | None",
        "size": "int | str | None",
        "use8BitMime": "bool | None",
        "dsn": "DSN | Unchecked | None",
        "requireTLSExtensionEnabled": "bool | None",
        "auth": "str | None",
        "deliverBy": "int | DeliverBy | Unchecked | None",
        "holdFor": "int | None",
        "holdUntil": "datetime | str | None",
        "mtPriority": "int | None",
        "beforeCommit": "BeforeCommit | None",
    },
    total=False,
)
"""The ``envelope`` of a message, which has addresses as the message has them."""

_Raw = Content | _EmailMessage

Message = TypedDict(
    "Message",
    {
        "from": "Recipients | None",
        "sender": "Recipients | None",
        "to": "Recipients | None",
        "cc": "Recipients | None",
        "bcc": "Recipients | None",
        "replyTo": "Recipients | None",
        "subject": "str | None",
        "date": "datetime | str | None",
        "messageId": "str | None",
        "inReplyTo": "str | Sequence[str] | None",
        "references": "str | Sequence[str] | None",
        "xMailer": "str | Literal[False] | None",
        "text": "Text | None",
        "watchHtml": "Text | None",
        "amp": "Text | None",
        "html": "Text | None",
        "icalEvent": "str | Bytes | _Stream | _Event | Unchecked | None",
        "attachments": "_Attachments | None",
        "alternatives": "_Attachments | None",
        "headers": "Headers | None",
        "list": "Mapping[str, _ListEntries] | None",
        "priority": "Literal['high', 'normal', 'low'] | None",
        "raw": "_Raw | None",
        "envelope": "MailEnvelope | Envelope | Unchecked | None",
        "dsn": "DSN | Unchecked | None",
        "requireTLSExtensionEnabled": "bool | None",
        "encoding": "TransferEncoding | None",
        "textEncoding": "Literal['Q', 'B', 'quoted-printable', 'base64'] | None",
        "baseBoundary": "str | None",
        "boundaryPrefix": "str | None",
        "disableFileAccess": "bool | None",
        "disableUrlAccess": "bool | None",
        "attachDataUrls": "bool | None",
        "keepBcc": "bool | None",
        "dkim": "DKIM | Unchecked | None",
    },
    total=False,
)
"""A message to be composed, or a finished one as ``raw``."""

AnyMessage = Message | str | Bytes | _Stream | _EmailMessage | Unchecked
"""Whatever ``send`` takes for a message.  A dict with a misspelt name passes for an iterable of
its names; where it is annotated as a :class:`Message`, it does not."""


Mail = Message
"""What ``sendMail`` takes: the same, also without an envelope beside it."""


class TransportMail(Message, total=False):
    """What ``sendMail`` of a transport takes."""

    auth: TransportAuth | Unchecked | None
    maxRecipients: float | None
    signal: AbortSignal | None
