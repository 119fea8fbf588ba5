"""From a name to a socket: addresses that race, and nothing left behind."""

from __future__ import annotations

import errno
import select
import socket

import pytest

from smtp_connection import Reactor
from smtp_connection.net.connector import Connector, prepare
from smtp_connection.reactor.handles import Handle
from tests.support.helpers import Clock, turn_until

LOOPBACKS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Network:
    """Loopback addresses of every kind, all found under the name ``mx.example.com``."""

    def __init__(self):
        self.sockets = []
        self.found = []

    def getaddrinfo(self, host, port, *, type, flags=0):
        if host != "mx.example.com":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return self.found

    def add(self, family=socket.AF_INET):
        """Add an address that refuses: bound, but not listening."""
        sock = socket.socket(family)
        sock.bind((LOOPBACKS[family], 0))
        self.sockets.append(sock)
        self.found.append((family, socket.SOCK_STREAM, 6, "", sock.getsockname()))
        return sock

    def add_listening(self, family=socket.AF_INET):
        """Add an address that can be connected to."""
        sock = self.add(family)
        sock.listen()
        return sock

    def add_silent(self):
        """Add an address that neither accepts nor refuses: the queue of its listener is full."""
        listener = self.add()
        listener.listen(0)
        while True:
            sock = socket.socket()
            self.sockets.append(sock)
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
            if not select.select([], [sock], [], 0)[1]:
                return listener


@pytest.fixture
def network(monkeypatch):
    network = Network()
    monkeypatch.setattr(socket, "getaddrinfo", network.getaddrinfo)
    yield network
    for sock in network.sockets:
        sock.close()


@pytest.fixture
def clock():
    return Clock()


class Race:
    """A connector on a hand-moved clock, and what comes of it."""

    def __init__(self, reactor, **options):
        self.outcomes = []
        self.broken = []
        self.reactor = reactor
        self.connector = Connector(reactor, self.done, self.broken.append, **options)

    def done(self, *outcome):
        self.outcomes.append(outcome)

    def start(self, host="mx.example.com"):
        """Begin, up to the first attempt."""
        self.connector.start(host, 25, 30)
        assert self.outcomes == [], "not from inside the call"
        turn_until(self.reactor, lambda: self.tried or self.outcomes)
        return self

    def finish(self):
        """Return the socket and the error once they are there."""
        turn_until(self.reactor, lambda: self.outcomes)
        assert not self.reactor.run_once(), "something is left on the reactor"
        ((sock, error),) = self.outcomes
        return sock, error

    def sock(self):
        """Return the connected socket; it is closed when the test is over."""
        sock, error = self.finish()
        assert error is None
        return sock

    def error(self):
        """Return the error."""
        sock, error = self.finish()
        assert sock is None
        return error

    @property
    def tried(self):
        """The addresses that are being tried."""
        return [attempt.address.sockaddr for attempt in self.connector._attempts.values()]


@pytest.fixture
def race(clock):
    races = []
    with Reactor(clock=clock) as reactor:

        def make(**options):
            races.append(Race(reactor, **options))
            return races[-1]

        yield make
        for race in races:
            race.connector.cancel()
            for sock, _ in race.outcomes:
                if sock is not None:
                    sock.close()


# -- one address ----------------------------------------------------------------------------------


@pytest.fixture(params=LOOPBACKS, ids=lambda family: family.name)
def family(request):
    if request.param == socket.AF_INET6:
        request.getfixturevalue("ipv6")
    return request.param


def test_it_connects(race, network, family):
    listener = network.add_listening(family)
    sock = race().start().sock()
    assert sock.getpeername() == listener.getsockname()
    assert sock.gettimeout() == 0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_refusal_is_reported_with_the_system_s_code(race, network):
    port = network.add().getsockname()[1]
    error = race().start().error()
    assert (error.code, error.command) == ("ECONNREFUSED", "CONN")
    assert str(error) == (f"Cannot connect to 127.0.0.1:{port}: Connection refused (ECONNREFUSED)")
    assert error.__cause__.errno == errno.ECONNREFUSED


def test_a_failure_that_is_known_at_once_is_reported(race, network):
    network.found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("255.255.255.255", 25))]
    error = race().start().error()
    assert error.code in ("ENETUNREACH", "EACCES")
    assert str(error).startswith("Cannot connect to 255.255.255.255:25: ")


def test_the_error_of_the_look_up_is_reported(race, network):
    assert race().start("no.example.com").error().code == "ENOTFOUND"


# -- several addresses ----------------------------------------------------------------------------


def test_the_next_address_is_tried_as_soon_as_one_has_failed(race, network):
    network.add()
    network.add()
    listener = network.add_listening()
    sock = race().start().sock()
    assert sock.getpeername() == listener.getsockname()


def test_the_next_address_is_tried_as_well_after_250_ms(race, network, clock):
    silent = network.add_silent()
    listener = network.add_listening()
    running = race().start()

    clock.now += 0.249
    running.reactor.run_once()
    assert running.tried == [silent.getsockname()]
    clock.now += 0.001
    running.reactor.run_once()
    assert running.tried == [silent.getsockname(), listener.getsockname()]

    assert running.sock().getpeername() == listener.getsockname()


def test_each_address_gets_its_250_ms(race, network, clock):
    silent = [network.add_silent().getsockname() for _ in range(3)]
    running = race().start()
    for number in (1, 2, 3):
        assert running.tried == silent[:number]
        clock.now += 0.25
        running.reactor.run_once()
    assert running.tried == silent
    assert running.outcomes == [], "they may still answer"


def test_a_failure_starts_the_next_one_and_its_250_ms(race, network, clock):
    """The delay counts from the last attempt, not from the first."""
    network.add()
    silent = [network.add_silent().getsockname() for _ in range(2)]
    running = race().start()
    clock.now += 0.2
    turn_until(running.reactor, lambda: running.tried == silent[:1])
    clock.now += 0.2
    running.reactor.run_once()
    assert running.tried == silent[:1]
    clock.now += 0.05
    running.reactor.run_once()
    assert running.tried == silent


def test_the_first_to_connect_wins_and_the_others_are_closed(race, network, clock):
    network.add_silent()
    network.add_listening()
    network.add_listening()
    running = race().start()
    clock.now += 0.25
    running.reactor.run_once()
    attempts = list(running.connector._attempts)
    winner = running.sock()
    assert winner is attempts[1]
    assert attempts[0].fileno() == -1


def test_of_two_that_connect_in_one_turn_one_wins(race, network):
    network.add_listening()
    network.add_listening()
    running = race().start()
    running.connector._try_next()
    attempts = list(running.connector._attempts)
    assert all(select.select([], [sock], [], 5)[1] for sock in attempts)
    winner = running.sock()
    (loser,) = set(attempts) - {winner}
    assert loser.fileno() == -1


def test_an_address_that_fails_late_does_not_spoil_the_others(race, network, clock):
    silent = network.add_silent()
    network.add()
    running = race().start()
    clock.now += 0.25
    running.reactor.run_once()
    assert len(running.tried) == 2
    turn_until(running.reactor, lambda: len(running.tried) == 1)
    assert running.tried == [silent.getsockname()]
    assert running.outcomes == []


def test_if_all_fail_the_last_error_is_reported_and_the_others_told(race, network):
    network.found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("255.255.255.255", 25))]
    first, last = (network.add().getsockname()[1] for _ in range(2))
    error = race().start().error()
    assert error.code == "ECONNREFUSED"
    assert error.__cause__.errno == errno.ECONNREFUSED
    begin, _, end = str(error).partition(" (before that: 255.255.255.255:25: ")
    assert begin == f"Cannot connect to 127.0.0.1:{last}: Connection refused (ECONNREFUSED)"
    assert end.endswith(f"), 127.0.0.1:{first}: Connection refused (ECONNREFUSED))")


def test_thousands_of_addresses_that_fail_at_once_are_no_problem(race, network):
    """Whoever answers for a name may name as many as they like."""
    network.found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in range(1, 5000)
    ]
    error = race(local_address="192.0.2.1").start().error()
    assert error.code == "EADDRNOTAVAIL"
    assert str(error).startswith("Cannot connect to 127.0.0.1:4999: ")
    assert ", 127.0.0.1:10: " in str(error)
    assert str(error).endswith(", and 4988 more addresses)")


# -- localAddress, and the caller's own socket ----------------------------------------------------


def test_local_address_is_bound_to(race, network):
    network.add_listening()
    sock = race(local_address="127.0.0.2").start().sock()
    assert sock.getsockname()[0] == "127.0.0.2"


@pytest.mark.usefixtures("ipv6")
def test_only_addresses_of_the_family_of_local_address_are_tried(race, network):
    for family in LOOPBACKS:
        network.add_listening(family)
    sock = race(local_address="127.0.0.1").start().sock()
    assert sock.family == socket.AF_INET


def test_no_address_of_that_family_is_an_error(race, network):
    network.add_listening()
    error = race(local_address="::1").start().error()
    assert error.code == "EADDRNOTAVAIL"
    assert str(error) == "No address of mx.example.com is of the address family of localAddress"


def test_a_local_address_that_is_not_ours_is_an_error(race, network):
    network.add_listening()
    assert race(local_address="192.0.2.1").start().error().code == "EADDRNOTAVAIL"


def test_the_caller_s_own_socket_is_connected(race, network):
    network.add_listening()
    own = socket.socket()
    assert race(sock=own).start().sock() is own
    assert own.gettimeout() == 0


def test_the_caller_s_own_socket_tries_one_address_after_the_other(race, network):
    network.add()
    listener = network.add_listening()
    own = socket.socket()
    sock = race(sock=own, local_address="127.0.0.2").start().sock()
    assert sock is own
    assert sock.getpeername() == listener.getsockname()
    assert sock.getsockname()[0] == "127.0.0.2"


def test_the_caller_s_own_socket_does_not_race(race, network, clock):
    silent = network.add_silent()
    network.add_listening()
    running = race(sock=socket.socket()).start()
    clock.now += 10
    running.reactor.run_once()
    assert running.tried == [silent.getsockname()]
    assert len(running.connector._addresses) == 1


def test_the_caller_s_own_socket_is_closed_if_it_cannot_be_connected(race, network):
    network.add()
    own = socket.socket()
    assert race(sock=own).start().error().code == "ECONNREFUSED"
    assert own.fileno() == -1


def test_the_caller_s_own_socket_decides_the_family(race, network):
    network.add_listening()
    own = socket.socket(socket.AF_UNIX)
    error = race(sock=own).start().error()
    assert error.code == "EADDRNOTAVAIL"
    assert str(error) == "No address of mx.example.com is of the address family of the socket"
    assert own.fileno() == -1


def test_a_closed_socket_is_an_error(race, network):
    network.add_listening()
    own = socket.socket()
    own.close()
    assert race(sock=own).start().error().code == "EBADF"


# -- the end --------------------------------------------------------------------------------------


def test_cancelling_closes_everything(race, network, clock):
    network.add_silent()
    network.add_silent()
    network.add_listening()
    running = race().start()
    clock.now += 0.25
    running.reactor.run_once()
    attempts = list(running.connector._attempts)
    assert len(attempts) == 2
    running.connector.cancel()
    assert [sock.fileno() for sock in attempts] == [-1, -1]
    clock.now += 10
    assert not running.reactor.run_once()
    assert running.outcomes == []


@pytest.mark.parametrize("moment", ["resolving", "connecting"])
def test_cancelling_closes_the_caller_s_own_socket(race, network, moment):
    network.add_silent()
    own = socket.socket()
    running = race(sock=own)
    if moment == "connecting":
        running.start()
    else:
        running.connector.start("mx.example.com", 25, 30)
    running.connector.cancel()
    assert own.fileno() == -1
    while running.reactor.run_once():
        pass
    assert running.outcomes == []


# -- what nobody has foreseen ---------------------------------------------------------------------


class Interrupt(BaseException):
    """What the handler of a signal raises."""


def interrupt(*args, **more):
    raise Interrupt


@pytest.mark.parametrize(
    "place",
    [
        "smtp_connection.net.connector.prepare",
        "socket.socket.connect_ex",
        "socket.socket.getsockopt",
        "smtp_connection.reactor.handles.Handle.set_writer",
        "smtp_connection.net.connector.Connector._family",
        "smtp_connection.net.connector.Connector._stop",
    ],
)
def test_an_interrupt_is_handed_on_and_no_socket_is_left(race, network, monkeypatch, place):
    network.add_listening()
    running = race()
    made = []
    new = socket.socket.__init__

    def note(sock, *args, **more):
        made.append(sock)
        new(sock, *args, **more)

    running.connector.start("mx.example.com", 25, 30)
    with monkeypatch.context() as patch:
        patch.setattr("socket.socket.__init__", note)
        patch.setattr(place, interrupt)
        with pytest.raises(Interrupt) as caught:
            running.reactor.run()
    assert {id(exc) for exc in running.broken} == {id(caught.value)}
    running.connector.cancel()
    running.connector.cancel()
    assert not running.reactor.run_once()
    assert [sock.fileno() for sock in made] == [-1] * len(made)
    assert running.outcomes == []


def test_an_interrupt_leaves_no_closed_socket_in_the_selector(race, network, monkeypatch):
    network.add_silent()
    running = race()
    set_writer = Handle.set_writer

    def interrupted(handle, writer):
        set_writer(handle, writer)
        raise Interrupt

    monkeypatch.setattr(Handle, "set_writer", interrupted)
    running.connector.start("mx.example.com", 25, 30)
    with pytest.raises(Interrupt):
        running.reactor.run()
    assert not running.reactor._handles
    running.connector.cancel()


def test_an_interrupt_when_the_next_address_is_due_is_handed_on(race, network, clock, monkeypatch):
    network.add_silent()
    network.add_listening()
    running = race().start()
    (sock,) = running.connector._attempts
    clock.now += 0.25
    with monkeypatch.context() as patch:
        patch.setattr(running.connector, "_attempt", interrupt)
        with pytest.raises(Interrupt) as caught:
            running.reactor.run_once()
    assert running.broken == [caught.value]
    running.connector.cancel()
    assert sock.fileno() == -1


@pytest.mark.parametrize("listening", [True, False])
def test_what_the_owner_raises_is_handed_on_and_the_socket_not_lost(race, network, listening):
    (network.add_listening if listening else network.add)()
    running = race()
    running.connector._done = lambda sock, error: (running.done(sock, error), interrupt())
    running.connector.start("mx.example.com", 25, 30)
    with pytest.raises(Interrupt) as caught:
        running.reactor.run()
    assert {id(exc) for exc in running.broken} == {id(caught.value)}
    running.connector.cancel()
    ((sock, error),) = running.outcomes
    assert sock.fileno() == -1 if listening else error.code == "ECONNREFUSED"


def test_a_selector_that_has_no_room_is_the_failure_of_that_address(race, network, monkeypatch):
    """ENOSPC: /proc/sys/fs/epoll/max_user_watches is reached."""
    network.add_listening()
    running = race()
    running.connector.start("mx.example.com", 25, 30)

    def refuse(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(running.reactor._selector, "register", refuse)
        running.reactor.run()
    assert running.error().code == "ENOSPC"
    assert running.broken == []


def test_preparing_a_socket_leaves_its_errors_for_later():
    """On macOS, say, no option can be set on a socket that the peer has reset."""

    class Reset(socket.socket):
        def setsockopt(self, *args):
            raise OSError(errno.EINVAL, "Invalid argument")

    with Reset() as sock:
        prepare(sock)
        assert sock.gettimeout() == 0
