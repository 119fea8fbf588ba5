"""The simulated world: some schedules of it, and whether one can rely on it.

Many more: ``python -m tests.world --schedules 100000``.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter

import pytest

from smtp_connection import Reactor, SMTPConnection
from smtp_connection.message import message
from smtp_connection.message.sources import IterableSource
from smtp_connection.net import connector
from smtp_connection.net.transport import Transport
from smtp_connection.protocol import transaction as dialogues
from smtp_connection.reactor import loop as reactor
from smtp_connection.reactor.loop import Timer
from tests.world import BrokenInvariant, converse, run_schedule, virtual_world

from .__main__ import main
from .client import MISCHIEF
from .judge import Planted
from .plan import FAULTS, LIES

SCHEDULES = 5_000

HOOKS = (
    "'connect'",
    "'error'",
    "'end'",
    "'log'",
    "connect callback",
    "login callback",
    "send callback",
    "reset callback",
)


@pytest.fixture
def in_the_world():
    with virtual_world():
        yield


def history_of(seed):
    history = []
    run_schedule(seed, history=history)
    return history


# -- schedules -------------------------------------------------------------------------------------


@pytest.mark.timeout(300)  # a busy machine, or one that measures coverage, takes its time
def test_no_schedule_breaks_an_invariant(in_the_world):
    tally = Counter()
    for seed in range(SCHEDULES):
        run_schedule(seed, tally)

    # And these were not the same ones again and again.
    for fault in FAULTS + LIES:
        assert tally[f"server: {fault}"], fault
    for hook in HOOKS:
        assert tally[hook, "raise"], hook
        assert tally[hook, "close"] + tally[hook, "send"], hook
    for action in set(MISCHIEF) - {"close elsewhere", "send elsewhere"}:
        assert sum(count for key, count in tally.items() if action in key), action
    for kind in ("connect", "login", "send", "reset"):
        assert tally[f"outcome: {kind} succeeded"] > SCHEDULES / 30
        assert tally[f"outcome: {kind} failed"] > SCHEDULES / 30
    assert tally["a message was left in doubt"] > SCHEDULES / 50


def test_a_seed_decides_everything(in_the_world):
    histories = [history_of(seed) for seed in range(200)]
    assert [history_of(seed) for seed in range(200)] == histories
    assert len({tuple(history) for history in histories}) > 190


def test_nothing_in_it_is_real(in_the_world, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("this is the real one")

    for owner, name in [
        (socket, "socketpair"),
        (socket, "getaddrinfo"),
        (socket.socket, "__init__"),
        (threading.Thread, "start"),
        (time, "monotonic"),
        (time, "sleep"),
    ]:
        monkeypatch.setattr(owner, name, refuse)
    for seed in range(300):
        run_schedule(seed)


def test_the_world_leaves_the_package_as_it_was():
    before = message.PIECE
    with virtual_world():
        assert connector.socket is not socket
        assert before > message.PIECE
    assert connector.socket is reactor.socket is socket
    assert before == message.PIECE


# -- faults that are planted -----------------------------------------------------------------------

settle = SMTPConnection._settle
emit = SMTPConnection.emit


def call_back_twice(self, operation, error, value=None):
    settle(self, operation, error, value)
    settle(self, operation, error, value)


def call_back_at_once(self, operation, error, value=None):
    callback, operation.callback = operation.callback, None
    if callback is not None:
        callback(*operation.takes.fit(error, value))
    settle(self, operation, None)


def forget_resets(self, operation, error, value=None):
    if operation.message is not None:
        settle(self, operation, error, value)


def hide_doubt(self, operation, error, value=None):
    doubtful = error is not None and error.inDoubt
    settle(self, operation, None if doubtful else error, value)


def always_doubt(self, operation, error, value=None):
    if error is not None:
        error.inDoubt = True
    settle(self, operation, error, value)


def succeed_always(self, operation, error, value=None):
    settle(self, operation, None, value)


def end_twice(self, event, *args):
    emit(self, event, *args)
    return emit(self, event, *args) if event == "end" else None


def never_end(self, event, *args):
    return event == "end" or emit(self, event, *args)


def connect_after_the_end(self, event, *args):
    return emit(self, event, *args) and event == "end" and emit(self, "connect")


def report_twice(self, event, *args):
    if event == "error" and self.listeners("error"):
        emit(self, event, *args)
    return emit(self, event, *args)


def swallow_exceptions(self, event, *args):
    try:
        return emit(self, event, *args)
    except Planted:
        return True


def write_after_the_end(self, event, *args):
    emit(self, event, *args)
    transport = self._transport
    if event == "end" and transport is not None and transport._sock.fileno() >= 0:
        transport._sock.send(b"QUIT\r\n")


def enqueue_in_front(self, operation, dialogue):
    operation.dialogue = dialogue
    self._queue.appendleft(operation)
    self.reactor.call_soon(self._look_at_queue)


def drop_without_closing(self):
    self._closed = True
    if self._linger_timer is not None:
        self._linger_timer.cancel()
    self._reactor.remove_reader(self._sock)
    self._reactor.remove_writer(self._sock)


def nothing(*args, **kwargs):
    return None


def never(self, seconds, callback, *args):
    return Timer(self, self._clock() + seconds, callback, args)


FAULTY = {
    "a callback is called twice": (SMTPConnection, "_settle", call_back_twice, "called again"),
    "a callback is called at once": (
        SMTPConnection,
        "_settle",
        call_back_at_once,
        "called from within a method",
    ),
    "a callback is forgotten": (SMTPConnection, "_settle", forget_resets, "settled"),
    "all callbacks are forgotten": (SMTPConnection, "_settle", nothing, "settled"),
    "success without a verdict": (SMTPConnection, "_settle", hide_doubt, "succeeds"),
    "success whatever is said": (SMTPConnection, "_settle", succeed_always, "succeed"),
    "no doubt": (dialogues, "_put_in_doubt", nothing, "without doubt|not in doubt"),
    "doubt without a reason": (SMTPConnection, "_settle", always_doubt, "in doubt|inDoubt"),
    "'end' is emitted twice": (SMTPConnection, "emit", end_twice, "'end' is emitted after 'end'"),
    "'end' is not emitted": (SMTPConnection, "emit", never_end, "never emitted"),
    "'end' is not the last": (SMTPConnection, "emit", connect_after_the_end, "after 'end'"),
    "an error is reported twice": (SMTPConnection, "emit", report_twice, "a second time"),
    "an exception is swallowed": (SMTPConnection, "emit", swallow_exceptions, "never surfaced"),
    "something is written after 'end'": (
        SMTPConnection,
        "emit",
        write_after_the_end,
        "after 'end'|closed its side",
    ),
    "the queue has no order": (SMTPConnection, "_enqueue", enqueue_in_front, "is settled before"),
    "timers stay alive": (Timer, "cancel", nothing, "a timer is still alive"),
    "timers never fire": (Reactor, "call_later", never, "nothing will ever happen|was due"),
    "a descriptor is closed while it is watched": (
        Reactor,
        "remove_reader",
        nothing,
        "closed while it was still watched",
    ),
    "sockets stay open": (Transport, "_drop", drop_without_closing, "left open"),
    "the reactor turns for nothing": (Transport, "_writable", nothing, "goes on and on"),
    "sources are not let go of": (IterableSource, "close", nothing, "was not let go of"),
    "a message is changed": (
        message,
        "encode_whole",
        lambda data: data.replace(b"\n", b"\r\n") + b"\r\n.\r\n",
        "arrived as",
    ),
}


def first_broken(monkeypatch, fault, seeds=range(1_000)):
    """Return the first seed that finds ``fault``, and the exception."""
    owner, name, replacement, _ = FAULTY[fault]
    monkeypatch.setattr(owner, name, replacement)
    for seed in seeds:
        try:
            run_schedule(seed)
        except BrokenInvariant as broken:
            return seed, broken
    raise AssertionError(f"nobody notices that {fault}")


@pytest.mark.parametrize("fault", FAULTY)
def test_a_fault_of_the_package_breaks_an_invariant(in_the_world, monkeypatch, fault):
    _, broken = first_broken(monkeypatch, fault)
    assert broken.args
    with pytest.raises(BrokenInvariant, match=FAULTY[fault][-1]):
        raise broken


# -- the command -----------------------------------------------------------------------------------


def test_the_command_tells_what_happened(capsys):
    assert main(["--schedules", "50", "--seed", "7"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("50 schedules, seeds 7 to 56: no invariant is broken\n")
    assert "outcome: send succeeded" in output


def test_a_seed_that_fails_is_told_with_its_history_and_fails_again(monkeypatch, capsys):
    with virtual_world():
        seed, broken = first_broken(monkeypatch, "success without a verdict")
    assert main(["--schedules", "1000"]) == 1
    output = capsys.readouterr().out
    assert f"Seed {seed} breaks an invariant: {broken}\n" in output
    assert f"python -m tests.world --seed {seed} --schedules 1\n" in output
    assert "server got b'EHLO c.test'" in output or "server got b'LHLO c.test'" in output

    assert main(["--seed", str(seed), "--schedules", "1"]) == 1
    assert capsys.readouterr().out == output


# -- bytes of one's own ----------------------------------------------------------------------------

# With this seed the user may log in, and each message is for two.
SEED = 57
SAID = [b"220 hi\r\n", b"250-x\r\n250 AUTH PLAIN\r\n", b"235 in\r\n"]
ONE_MAIL = [b"250 from\r\n", b"250 to\r\n", b"250 to\r\n", b"354 go\r\n", b"250 queued\r\n"]
ALL = [*SAID, *ONE_MAIL, *ONE_MAIL, b"250 reset\r\n", b"221 bye\r\n"]


def errors_of(conversation):
    return [(one.kind, one.error) for one in conversation.operations]


def converse_in(pieces, **more):
    return converse(b"".join(pieces), [len(piece) for piece in pieces], seed=SEED, **more)


def test_a_client_may_be_fed_bytes():
    conversation = converse_in(ALL)
    assert errors_of(conversation) == [
        (kind, None) for kind in ("connect", "login", "send", "send", "reset", "quit")
    ]
    assert conversation.sent.count(b"\r\nRCPT TO:") == 4
    assert conversation.sent.count(b"\r\n.\r\n") == 2
    assert conversation.sent.endswith(b"RSET\r\nQUIT\r\n")


@pytest.mark.parametrize("ending", ["close", "reset", "silence"])
@pytest.mark.parametrize("pieces", range(len(ALL)))
def test_the_bytes_may_end_anywhere(pieces, ending):
    conversation = converse_in(ALL[:pieces], ending=ending)
    doubtful = [one.name for one in conversation.operations if getattr(one.error, "inDoubt", 0)]
    assert doubtful == {7: ["send 2"], 12: ["send 3"]}.get(pieces, [])


def test_the_bytes_may_be_said_before_they_are_asked_for():
    conversation = converse(b"".join(ALL))
    assert {error.code for _, error in errors_of(conversation) if error} == {"EPROTOCOL"}


def test_an_ending_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'bang' is no ending"):
        converse(b"", ending="bang")
