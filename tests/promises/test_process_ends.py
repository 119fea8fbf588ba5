"""How a process ends while mail is being sent, and what becomes of its children."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading

import pytest

from tests.support.helpers import in_child
from tests.support.proxy_servers import Tunnels
from tests.support.sessions import ENVELOPE


@pytest.fixture
def command(authority, tmp_path):
    """Make the command line of a Python that runs a program that connects to ``server``.

    Nothing is tolerated but warnings of sockets that the program has left open: that is what they
    are for.
    """
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)

    def make(program, server):
        flags = ["-W", "error", "-W", "ignore::ResourceWarning"]
        return [sys.executable, *flags, "-c", BEGINNING + program, str(server.port), str(ca)]

    return make


BEGINNING = """
import atexit, os, signal, socket, sys, threading
from smtp_connection import SMTPConnection, get_reactor, run

ENVELOPE = {"from": "a@example.com", "to": "b@example.com"}
server = {"host": "127.0.0.1", "port": sys.argv[1], "tls": {"ca": sys.argv[2]}, "name": "me"}
connection = SMTPConnection(server)
connection.on("error", print)
"""

# -- the end of the interpreter --------------------------------------------------------------------

NOTHING_HAS_RUN = """
connection.connect()
for _ in range(5):
    connection.send(ENVELOPE, "hi", print)
"""
PENDING = {
    "messages in the queue": """
connection.connect(get_reactor().stop)
for _ in range(5):
    connection.send(ENVELOPE, "hi", print)
run()
""",
    "an idle connection": """
connection.connect(get_reactor().stop)
run()
assert connection.secure
""",
    "a look-up that hangs": """
looked_up = threading.Event()
def getaddrinfo(host, *args, flags=0, **options):
    if flags == socket.AI_NUMERICHOST:
        raise socket.gaierror(socket.EAI_NONAME, "it is a name")
    looked_up.set()
    threading.Event().wait()
socket.getaddrinfo = getaddrinfo
connection = SMTPConnection(server, host="unknown.example")
connection.connect()
get_reactor().run_once(0)
assert looked_up.wait(10)
""",
    "a file that is never read": """
begun = threading.Event()
class Endless:
    def read(self, size):
        begun.set()
        threading.Event().wait()
connection.connect()
connection.send(ENVELOPE, Endless())
while not begun.is_set():
    get_reactor().run_once(0.01)
""",
    "the program ends itself": """
connection.connect(lambda: sys.exit(0))
connection.send(ENVELOPE, "hi", print)
run()
""",
    "it is closed at exit": """
connection.connect(get_reactor().stop)
connection.send(ENVELOPE, "hi", lambda err: None)
run()
atexit.register(connection.close)
""",
    "it is run at exit": """
def leave():
    connection.quit()
    run()
    assert connection.destroyed
atexit.register(leave)
connection.connect(get_reactor().stop)
run()
""",
    "it is forgotten": """
import gc
connection.connect(get_reactor().stop)
connection.send(ENVELOPE, iter("hi"), print)
run()
del connection
gc.collect()
""",
}


@pytest.fixture
def server(serve, server_context):
    """A server with STARTTLS that is content with everything, and with the client's sudden end."""

    def script(peer):
        with contextlib.suppress(OSError, EOFError):
            peer.greet("STARTTLS")
            peer.play("C: STARTTLS\nS: 220 go")
            peer.start_tls(server_context)
            while True:
                line = peer.read_line()
                peer.send({"DATA": "354 go\r\n", "QUIT": "221 bye\r\n"}.get(line, "250 ok\r\n"))
                if line == "DATA":
                    messages.append(peer.read_message())
                    peer.send("250 queued\r\n")

    messages = []
    server = serve(script)
    server.messages = messages
    return server


@pytest.mark.parametrize("program", PENDING.values(), ids=PENDING)
def test_the_interpreter_ends_without_a_word(server, command, program):
    done = subprocess.run(command(program, server), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_program_that_never_calls_run_ends_with_one_warning(server, command):
    interpreter, *rest = command(NOTHING_HAS_RUN, server)
    at_c = rest.index("-c")
    argv = [interpreter, *rest[:at_c], "-W", "default::RuntimeWarning", *rest[at_c:]]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")
    (line,) = done.stderr.splitlines()
    assert "RuntimeWarning: the program ends, and a connection has done nothing" in line


def test_an_interrupted_program_ends_with_one_traceback(server, command):
    # A parent that ignores SIGINT, as nohup does, passes that on to its children.
    program = """
signal.signal(signal.SIGINT, signal.default_int_handler)
connection.connect(lambda: print("connected", flush=True))
run()
"""
    with subprocess.Popen(
        command(program, server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "connected\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1
    assert said.endswith("\nKeyboardInterrupt\n")


# -- children --------------------------------------------------------------------------------------


def test_a_child_that_lives_its_own_life(server, command):
    """It was forked from a callback, and ends as a program does; the parent's connection, TLS and
    all, is as it was."""
    program = """
def connected():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        connection.send(ENVELOPE, "from the parent", lambda err: print("parent", err))
        connection.quit()
        return
    own = SMTPConnection(server)
    own.connect()
    own.send(ENVELOPE, "from the child", lambda err: print("child", err, flush=True))
    own.quit()
    run()
    sys.exit(0)

connection.connect(connected)
run()
"""
    done = subprocess.run(command(program, server), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "child None\nparent None\n", "")
    assert server.messages == [b"from the child\r\n", b"from the parent\r\n"]


CHILDREN = {
    "close": lambda connection: connection.close(),
    "quit": lambda connection: connection.quit(),
    "send": lambda connection: connection.send(ENVELOPE, "from the child"),
    "close the reactor": lambda connection: connection.reactor.close(),
}


@pytest.mark.parametrize("call", CHILDREN.values(), ids=CHILDREN)
@pytest.mark.parametrize("heard", range(5))
def test_whatever_a_child_calls_the_parent_goes_on(by_hand, diary, call, heard):
    """Whether it is idle or in the middle of a message: nothing is said, and nobody hangs up."""
    replies = ["250 scripted", "250 ok", "250 ok", "354 go", "250 queued"]
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    peer.feed("220 ready\r\n")
    for number, reply in enumerate(replies):
        if number == heard:
            peer.heard()
            assert in_child(lambda: call(connection))
            assert peer.heard() == b""
        peer.feed(f"{reply}\r\n")
    assert diary.names() == ["connect", "sent"]
    assert diary.of("sent")[0][0] is None
    connection.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_does_not_close_the_tunnel_that_its_parent_is_having_dug(
    serve, connect_to, reactor, diary
):
    forked = threading.Event()

    def proxy_script(peer):
        tunnels = Tunnels(names={"mx.example.com": "127.0.0.1"})
        assert forked.wait(10)
        tunnels.http(peer)

    def server_script(peer):
        peer.greet()
        peer.take_quit()

    def fork():
        if connection._lifecycle._dialing.waiting_for.startswith("the answer"):
            assert in_child(connection.close)
            forked.set()
        else:
            reactor.call_soon(fork)

    proxy = serve(proxy_script)
    target = serve(server_script)
    connection = connect_to(target, host="mx.example.com", proxy=f"http://127.0.0.1:{proxy.port}")
    connection.connect(diary.callback("connected"))
    connection.quit()
    reactor.call_soon(fork)
    reactor.run()
    assert diary.names() == ["connect", "connected", "end"]
