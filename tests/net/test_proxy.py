"""The option ``proxy``, against proxies that really make tunnels; and a tunnel of one's own."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import sys
import threading
import traceback

import pytest

from smtp_connection import SMTPConnection
from smtp_connection.net.proxy import ProxyConnector, _Handshake
from smtp_connection.options.proxy import ProxyURL
from smtp_connection.reactor.handles import Handle
from tests.support.helpers import in_thread, worker_threads
from tests.support.proxy_servers import Tunnels, read_request, take
from tests.support.scripted_server import Peer

ENVELOPE = {"from": "a@example.com", "to": "b@example.com"}
MX = "mx.example.org"
ONLY_THE_PROXY_KNOWS = {MX: "127.0.0.1", "::1": "127.0.0.1", "xn--mx-wia.example": "127.0.0.1"}
KINDS = ["http", "socks5h", "socks4a"]
SECRET = "geheim"


@pytest.fixture(scope="module")
def tls_context(authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(MX).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trust(authority) -> dict[str, bytes]:
    return {"ca": authority.cert_pem.bytes()}


def take_one(peer: Peer) -> None:
    """The server behind the proxy: takes a message."""
    peer.greet()
    assert peer.take_message() == b"Subject: hi\r\n\r\nhello\r\n"
    peer.take_quit()


def script_of(tunnels: Tunnels, scheme: str):
    return getattr(tunnels, scheme.rstrip("ha") if scheme != "http" else "http")


@pytest.fixture
def deliver(connect_to, reactor, diary):
    """Have a message delivered: ``deliver(server, proxy=..., ...)``."""

    def run(server, **options):
        connection = connect_to(server, **options)
        connection.connect()
        connection.send(ENVELOPE, "Subject: hi\n\nhello\n", diary.callback("sent"))
        connection.quit()
        reactor.run()
        assert diary.names() == ["connect", "sent", "end"], diary.entries
        assert diary.of("sent")[0][0] is None

    return run


@pytest.fixture
def fail(connect_to, reactor, diary):
    """Return the error that connecting ends with: ``fail(server, proxy=..., ...)``."""

    def run(server, **options):
        host = options.pop("reassigned_host", None)
        connection = connect_to(server, **options)
        if host is not None:
            connection.host = host
        connection.connect(diary.callback("connected"))
        reactor.run()
        assert diary.names() == ["error", "connected", "end"], diary.entries
        assert diary.error("connected") is diary.error()
        assert diary.error().command == "CONN"
        return diary.error()

    return run


class Nowhere:
    """Stands for a server that nobody gets to."""

    host = MX
    port = 25


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "login", "tunnels", "host", "asked"),
    [
        ("http", "", Tunnels(), "127.0.0.1", "127.0.0.1"),
        ("http", "", Tunnels(), MX, MX),
        ("http", "", Tunnels(), "::1", "::1"),
        ("http", "", Tunnels(), "mxä.example", "xn--mx-wia.example"),
        ("http", "me%40x:p%40%2F%25s:s@", Tunnels("me@x", "p@/%s:s"), MX, MX),
        ("http", "me@x:p/?#@s@", Tunnels("me@x", "p/?#@s"), MX, MX),
        ("http", "zo%C3%AB:gehëim@", Tunnels("zoë", "gehëim"), MX, MX),
        ("http", "token@", Tunnels("token"), MX, MX),
        ("socks5", "", Tunnels(), "127.0.0.1", "127.0.0.1"),
        ("socks5", "", Tunnels(), "localhost", "127.0.0.1"),
        ("socks5", "someone:secret@", Tunnels("someone", "secret"), "localhost", "127.0.0.1"),
        ("socks5h", "some%20one:sec%3Aret@", Tunnels("some one", "sec:ret"), MX, MX),
        ("socks5h", "", Tunnels(), "::1", "::1"),
        ("socks5h", "", Tunnels(), "mxä.example", "xn--mx-wia.example"),
        ("SOCKS5H", "", Tunnels(), MX, MX),
        ("socks4", "", Tunnels(), "localhost", "127.0.0.1"),
        ("socks4", "someone@", Tunnels("someone"), "127.0.0.1", "127.0.0.1"),
        ("socks4a", "someone@", Tunnels("someone"), MX, MX),
        ("socks4a", "", Tunnels(), "127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_message_through_a_proxy(serve, deliver, scheme, login, tunnels, host, asked):
    tunnels = Tunnels(tunnels.user, tunnels.password, ONLY_THE_PROXY_KNOWS)
    server = serve(take_one)
    proxy = serve(script_of(tunnels, scheme.lower()))

    deliver(server, host=host, proxy=f"{scheme}://{login}127.0.0.1:{proxy.port}")

    assert tunnels.asked == [(asked, server.port)]


@pytest.mark.parametrize("glued", [True, False])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("scheme", KINDS)
def test_not_a_byte_of_the_greeting_is_lost_or_added(serve, deliver, scheme, glued, split):
    """Neither if the greeting comes in one segment with the answer, nor if the answer comes byte
    by byte."""
    tunnels = Tunnels(names=ONLY_THE_PROXY_KNOWS, glued=glued, split=split)
    server = serve(take_one)
    proxy = serve(script_of(tunnels, scheme))

    deliver(server, host=MX, proxy=f"{scheme}://127.0.0.1:{proxy.port}")


@pytest.mark.parametrize("scheme", KINDS)
def test_implicit_tls_goes_through_the_tunnel(serve, deliver, tls_context, trust, scheme):
    def script(peer):
        peer.start_tls(tls_context)
        take_one(peer)

    proxy = serve(script_of(Tunnels(names=ONLY_THE_PROXY_KNOWS), scheme))
    url = f"{scheme}://127.0.0.1:{proxy.port}"

    deliver(serve(script), host=MX, secure=True, tls=trust, proxy=url)


def test_starttls_goes_through_the_tunnel(serve, deliver, tls_context, trust):
    def script(peer):
        peer.greet("STARTTLS")
        peer.expect("STARTTLS")
        peer.send("220 go ahead\r\n")
        peer.start_tls(tls_context)
        peer.expect("EHLO")
        peer.answer_ehlo()
        peer.take_message()
        peer.take_quit()

    proxy = serve(Tunnels(names=ONLY_THE_PROXY_KNOWS).http)
    url = f"http://127.0.0.1:{proxy.port}"

    deliver(serve(script), host=MX, requireTLS=True, tls=trust, proxy=url)


def test_the_certificate_is_to_be_the_servers_not_the_proxys(serve, fail, tls_context, trust):
    def script(peer):
        try:
            peer.start_tls(tls_context)
            peer.expect_end()
        except OSError:
            pass  # the client's refusal, which with TLS 1.3 comes after our handshake

    proxy = serve(Tunnels().http)
    url = f"http://127.0.0.1:{proxy.port}"

    error = fail(serve(script), secure=True, tls=trust, proxy=url)

    assert error.code == "ETLS"
    assert MX in str(error)


def test_the_log_names_the_proxy(serve, deliver, diary):
    proxy = serve(Tunnels(names=ONLY_THE_PROXY_KNOWS).http)

    deliver(serve(take_one), host=MX, proxy=f"http://127.0.0.1:{proxy.port}")

    assert diary.log[0] == ("socket", f"Connecting through the proxy 127.0.0.1:{proxy.port}")


def test_a_name_that_is_ours_to_resolve_is_looked_up_on_another_thread(serve, deliver, monkeypatch):
    looked_up = []
    getaddrinfo = socket.getaddrinfo

    def watch(host, *args, flags=0, **more):
        if host == "localhost" and not flags & socket.AI_NUMERICHOST:
            looked_up.append(threading.current_thread() is threading.main_thread())
        return getaddrinfo(host, *args, flags=flags, **more)

    tunnels = Tunnels()
    server, proxy = serve(take_one), serve(tunnels.socks5)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", watch)
        deliver(server, host="localhost", proxy=f"socks5://127.0.0.1:{proxy.port}")

    assert looked_up == [False]


def test_of_several_addresses_the_proxy_is_asked_for_ipv4(serve, deliver, monkeypatch):
    getaddrinfo = socket.getaddrinfo

    def both(host, port, *args, flags=0, **more):
        if host != "both.example":
            return getaddrinfo(host, port, *args, flags=flags, **more)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "it is a name")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    tunnels = Tunnels()
    server, proxy = serve(take_one), serve(tunnels.socks5)

    deliver(server, host="both.example", proxy=f"socks5://127.0.0.1:{proxy.port}")

    assert tunnels.asked == [("127.0.0.1", server.port)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is all of the loopback")
def test_local_address_is_that_of_the_connection_to_the_proxy(serve, deliver):
    tunnels = Tunnels()
    server, proxy = serve(take_one), serve(tunnels.http)

    deliver(server, proxy=f"http://127.0.0.1:{proxy.port}", localAddress="127.0.0.2")

    assert tunnels.callers == ["127.0.0.2"]


# --- refusals -------------------------------------------------------------------------------------


def answering(*answers: bytes):
    """A proxy that reads something before each of ``answers``, and hangs up after the last."""

    def script(peer):
        for answer in answers:
            assert peer.sock.recv(65536)
            peer.send(answer)

    return script


def reset_at_once(peer: Peer) -> None:
    peer.sock.recv(1)
    peer.reset()


@pytest.mark.parametrize(
    ("scheme", "login", "script", "reason"),
    [
        ("http", "", Tunnels("a", "b").http, "407 Proxy Authentication Required"),
        ("http", "a:wrong@", Tunnels("a", "b").http, "407 Proxy Authentication Required"),
        ("http", "", answering(b"HTTP/1.1 403 Not on\tmy watch\r\n\r\n"), "403 Not on my watch"),
        ("http", "", answering(b"HTTP/1.1 403 \x1b[2J\xff\r\n\r\n"), "403 ?[2J?"),
        ("http", "", answering(b"HTTP/1.1 502 " + b"x" * 999 + b"\r\n\r\n"), "502 " + "x" * 196),
        ("http", "", answering(b"HTTP/1.1 OK\r\n\r\n"), "its answer has no status code: OK"),
        ("http", "", answering(b""), "it hung up without an answer"),
        ("http", "", answering(b"HTTP/1.1 200 OK\r\nAge: 1\r\n"), "it hung up without an answer"),
        (
            "http",
            "",
            answering(b"220 mx.example.com ESMTP\r\n"),
            "it is not an HTTP proxy, it says '220 mx.example.com ESMTP\\r\\n'",
        ),
        (
            "http",
            "",
            answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000),
            "its answer is longer than 65536 bytes",
        ),
        (
            "socks5",
            "",
            Tunnels("a", "b").socks5,
            "No acceptable authentication methods were offered",
        ),
        (
            "socks5h",
            "a:wrong@",
            Tunnels("a", "b").socks5,
            "Username and password authentication failure",
        ),
        ("socks5h", "", answering(b"\5\0", b"\5\2\0"), "Connection not allowed by ruleset"),
        ("socks5h", "", answering(b"\5\0", b"\5\5\0"), "Connection refused by destination host"),
        ("socks5h", "", answering(b"\5\0", b""), "it hung up without an answer"),
        ("socks5h", "", answering(b"HTTP/1.1 400"), "Unexpected SOCKS version number: 72"),
        ("socks4a", "", answering(b"\0\x5b" + bytes(6)), "Request rejected or failed"),
        (
            "socks4a",
            "b@",
            Tunnels("a").socks4,
            "Request rejected because the client program and identd report different user-ids",
        ),
        ("socks4a", "", answering(b"\0"), "it hung up without an answer"),
    ],
)
def test_a_refusal_names_the_proxy_and_the_reason(serve, fail, scheme, login, script, reason):
    # With socks5:// the name would be looked up here.
    host = "127.0.0.1" if scheme == "socks5" else MX
    proxy = serve(script)

    error = fail(Nowhere, host=host, proxy=f"{scheme}://{login}127.0.0.1:{proxy.port}")

    assert error.code == "ECONNECTION"
    assert str(error) == f"Proxy 127.0.0.1:{proxy.port}: no tunnel to {host}:25: {reason}"


@pytest.mark.parametrize("scheme", KINDS)
def test_a_proxy_that_resets_the_connection(serve, fail, scheme):
    proxy = serve(reset_at_once)

    error = fail(Nowhere, proxy=f"{scheme}://127.0.0.1:{proxy.port}")

    assert error.code == "ECONNRESET"
    place = f"127.0.0.1:{proxy.port}"
    assert str(error) == f"Proxy {place}: Connection reset by peer (ECONNRESET)"
    assert isinstance(error.__cause__, ConnectionResetError)


def test_a_proxy_that_is_down(fail):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # and does not listen
        port = sock.getsockname()[1]
        error = fail(Nowhere, proxy=f"http://127.0.0.1:{port}")

    assert error.code == "ECONNREFUSED"
    assert str(error).startswith(f"Proxy 127.0.0.1:{port}: Cannot connect to 127.0.0.1:{port}: ")
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_a_proxy_whose_name_is_unknown(fail):
    name = "x" * 64 + ".example"  # a label that is too long is not even asked for

    error = fail(Nowhere, proxy=f"http://{name}:8080")

    assert error.code == "ENOTFOUND"
    assert str(error).startswith(f"Proxy {name}:8080: Cannot resolve {name}: ")


def test_a_server_whose_name_is_ours_to_resolve_and_unknown(fail):
    name = "x" * 64 + ".example"

    error = fail(Nowhere, host=name, proxy="socks5://127.0.0.1:1")

    assert error.code == "ENOTFOUND"
    assert str(error).startswith(f"Cannot resolve {name}: ")


@pytest.mark.parametrize(
    "host",
    ["mx\r\nX-Evil: 1", "mx evil", "mx\0", "mx\nevil", "::1%\r\nX-Evil: 1", "a..b", "mx:26", "a/b"],
)
@pytest.mark.parametrize("scheme", KINDS)
def test_a_host_that_would_change_the_request_never_gets_to_the_proxy(serve, fail, scheme, host):
    """The attribute may be set to anything after the options were checked."""
    proxy = serve(take_one)

    error = fail(Nowhere, reassigned_host=host, proxy=f"{scheme}://127.0.0.1:{proxy.port}")

    assert error.code == "ENOTFOUND"
    assert f"Proxy 127.0.0.1:{proxy.port}: cannot ask for {host!r}: it is " in str(error)
    assert proxy.peers == []


def test_socks4_has_no_ipv6(fail):
    error = fail(Nowhere, host="::1", proxy="socks4://127.0.0.1:1")

    assert str(error) == "Proxy 127.0.0.1:1: cannot ask for '::1': SOCKS4 has no IPv6"


def test_no_thread_is_needed_for_the_handshake(serve, fail, reactor, monkeypatch):
    def no_more(*args):
        raise RuntimeError("can't start new thread")

    proxy = serve(answering(b"HTTP/1.1 403 no\r\n\r\n"))
    monkeypatch.setattr(reactor, "job", no_more)

    error = fail(Nowhere, proxy=f"http://127.0.0.1:{proxy.port}")

    assert str(error).endswith(": no tunnel to mx.example.org:25: 403 no")


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", KINDS)
def test_a_proxy_that_never_answers_is_bounded_by_connection_timeout(serve, fail, let_pass, scheme):
    def silent(peer):
        peer.sock.recv(1)
        let_pass(61)
        peer.expect_end()

    proxy = serve(silent)
    place = f"127.0.0.1:{proxy.port}"

    error = fail(Nowhere, proxy=f"{scheme}://{place}", connectionTimeout=60_000)

    assert error.code == "ETIMEDOUT"
    assert str(error) == (
        f"Connection timeout: no connection to {MX}:25 in 60000 ms,"
        f" waiting for the answer of the proxy {place}"
    )


def test_a_proxy_that_cannot_be_reached_is_bounded_by_connection_timeout(
    fail, movable_clock, reactor, monkeypatch
):
    def wait_in_vain(handle, callback):
        movable_clock.ahead += 61

    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, address: 0)
    monkeypatch.setattr(Handle, "set_writer", wait_in_vain)

    error = fail(Nowhere, proxy="http://192.0.2.1:8080", connectionTimeout=60_000)

    assert error.code == "ETIMEDOUT"
    assert str(error).endswith("waiting for the connection to the proxy 192.0.2.1:8080")


def test_silent_proxies_hold_up_nobody_else(serve, connect_to, reactor, diary):
    """More of them than there are threads for name look-ups."""
    waiting = [threading.Event() for _ in range(20)]

    def silent(peer):
        peer.sock.recv(1)
        waiting[silent_proxy.peers.index(peer)].set()
        peer.expect_end()

    silent_proxy = serve(silent)
    server, proxy = serve(take_one), serve(Tunnels(names=ONLY_THE_PROXY_KNOWS).socks5)
    hanging = []
    for _ in waiting:
        connection = SMTPConnection(
            host=MX, proxy=f"http://127.0.0.1:{silent_proxy.port}", reactor=reactor
        )
        connection.connect()
        hanging.append(connection)

    def all_hang():
        for event in waiting:
            assert event.wait(20)

    def go(nothing, error):
        assert error is None
        assert len(worker_threads()) == 1, "besides the one that has waited here"
        connection = connect_to(server, host="localhost", proxy=f"socks5://127.0.0.1:{proxy.port}")
        connection.on("end", lambda: [other.close() for other in hanging])
        connection.connect()
        connection.send(ENVELOPE, "Subject: hi\n\nhello\n", diary.callback("sent"))
        connection.quit()

    reactor.run_in_thread(all_hang, go)
    reactor.run()

    assert diary.names() == ["connect", "sent", "end"]
    assert diary.of("sent")[0][0] is None


# --- close() --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", KINDS)
def test_close_during_the_handshake(serve, connect_to, reactor, diary, scheme):
    """nothing_left sees to it that neither socket nor thread is left; the proxy sees us go."""

    def silent(peer):
        assert peer.sock.recv(1)
        connection.close()
        peer.expect_end()

    proxy = serve(silent)
    connection = connect_to(Nowhere, proxy=f"{scheme}://127.0.0.1:{proxy.port}")
    connection.connect()
    reactor.run()

    assert diary.names() == ["end"]


def accept_all(peer: Peer) -> None:
    peer.sock.recv(65536)
    peer.send("HTTP/1.1 200 OK\r\n\r\n")
    peer.expect_end()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "socks5://localhost:{}"])
def test_close_at_any_turn(serve, connect_to, reactor, diary, turns, url):
    proxy = serve(Peer.expect_end)
    connection = connect_to(Nowhere, host="localhost", proxy=url.format(proxy.port))
    connection.connect()
    for _ in range(turns):
        reactor.run_once(0)
    connection.close()
    reactor.run()

    assert diary.names() == ["end"]


def test_nothing_is_heard_of_a_cancelled_one(reactor):
    outcome = []
    connector = ProxyConnector(
        reactor,
        lambda *args: outcome.append(args),
        pytest.fail,
        ProxyURL("http", "127.0.0.1", 8080),
    )

    connector.start(MX, 25, 1.0)
    connector.cancel()
    reactor.run()

    assert outcome == []


@pytest.mark.parametrize("script", [accept_all, reset_at_once])
def test_close_when_the_answer_is_there_and_nobody_has_read_it(
    serve, connect_to, reactor, diary, monkeypatch, script
):
    awaited = threading.Event()

    def answer_when_awaited(peer):
        assert awaited.wait(10)
        script(peer)

    proxy = serve(answer_when_awaited)
    connection = connect_to(Nowhere, proxy=f"http://127.0.0.1:{proxy.port}")
    add_reader = reactor.add_reader

    def close_behind(sock, callback):
        add_reader(sock, callback)
        awaited.set()
        assert select.select([sock], [], [], 10)[0]
        reactor.call_soon(connection.close)

    monkeypatch.setattr(reactor, "add_reader", close_behind)
    connection.connect()
    reactor.run()

    assert diary.names() == ["end"]


def test_a_request_larger_than_the_buffers_of_the_system(reactor):
    """The first step of a dialogue is sent as the system takes it, and so is what follows."""
    size = 10_000_000

    def dialogue():
        yield bytes(size)
        assert (yield 2) == b"ok"

    def read_all():
        left = size
        while left:
            left -= len(peer.recv(min(left, 65536)))
        peer.sendall(b"o")
        peer.sendall(b"k220 hi")

    sock, peer = socket.socketpair()
    ended = []
    with sock, peer:
        sock.setblocking(False)
        handshake = _Handshake(
            reactor, sock, dialogue(), lambda *args: ended.append(args), pytest.fail
        )
        handshake.go_on()
        assert ended == []
        reader = in_thread(read_all)
        reactor.run()
        reader.join()
        assert ended == [(sock, None)]
        assert sock.recv(100) == b"220 hi"


# --- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Peer.close, Peer.reset, lambda peer: peer.send("\5\1HTTP/1")])
@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_errors_and_logs_show_neither_user_nor_password(serve, fail, diary, caplog, scheme, ending):
    def script(peer):
        if scheme == "http":
            read_request(peer)
        else:
            assert take(peer, 4) == b"\5\2\0\2"
            peer.send(b"\5\2")
            take(peer, 3 + 2 * len(SECRET))
        ending(peer)

    proxy = serve(script)
    caplog.set_level(logging.DEBUG)
    url = f"{scheme}://{SECRET}:{SECRET}@127.0.0.1:{proxy.port}"

    error = fail(Nowhere, proxy=url, logger=True)

    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    everything = [*shown.format(), repr(error), repr(vars(error)), repr(diary.log), caplog.text]
    assert len(caplog.records) > 0
    assert SECRET not in "".join(everything)


# --- a tunnel of one's own ------------------------------------------------------------------------


def open_tunnel(proxy, host: str, port: int) -> socket.socket:
    """What a program does that has a way of its own to get through its proxy."""
    sock = socket.create_connection((proxy.host, proxy.port), timeout=20)
    sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 200 ")
    sock.settimeout(None)
    return sock


def test_a_tunnel_of_ones_own(serve, deliver):
    server = serve(take_one)
    proxy = serve(Tunnels(names=ONLY_THE_PROXY_KNOWS, glued=True).http)

    deliver(server, host=MX, connection=open_tunnel(proxy, MX, server.port))


def test_tls_through_a_tunnel_of_ones_own(serve, deliver, tls_context, trust):
    def script(peer):
        peer.start_tls(tls_context)
        take_one(peer)

    server = serve(script)
    proxy = serve(Tunnels(names=ONLY_THE_PROXY_KNOWS).http)

    tunnel = open_tunnel(proxy, MX, server.port)
    deliver(server, host=MX, secure=True, tls=trust, connection=tunnel)
