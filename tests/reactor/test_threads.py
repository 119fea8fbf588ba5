"""Threads for what blocks: as few as allowed, and gone when there is nothing to do; and what comes
back from them to the reactor."""

from __future__ import annotations

import queue
import threading

import pytest

from smtp_connection.reactor.threads import Workers


def threads_of_workers():
    return [thread for thread in threading.enumerate() if "worker" in thread.name]


class Tasks:
    """Tasks that say when they begin, and wait until they may end."""

    def __init__(self):
        self.begun = queue.SimpleQueue()
        self.gate = threading.Event()

    def submit(self, workers, *names):
        for name in names:
            workers.submit(lambda name=name: self._run(name))

    def _run(self, name):
        self.begun.put(name)
        self.gate.wait()

    def next(self):
        return self.begun.get(timeout=10)

    def finish(self):
        self.gate.set()
        for thread in threads_of_workers():
            thread.join(10)


@pytest.fixture
def tasks():
    tasks = Tasks()
    yield tasks
    tasks.finish()


def test_there_are_no_more_threads_than_the_limit_and_tasks_keep_their_order(tasks):
    tasks.submit(Workers(limit=2), *range(6))
    assert {tasks.next(), tasks.next()} == {0, 1}
    assert len(threads_of_workers()) == 2
    assert tasks.begun.empty()
    tasks.finish()
    assert {tasks.next() for _ in range(4)} == {2, 3, 4, 5}


def test_one_thread_takes_one_task_after_the_other(tasks):
    tasks.submit(Workers(limit=1), *range(50))
    tasks.gate.set()
    assert [tasks.next() for _ in range(50)] == list(range(50))


def test_without_a_limit_no_task_waits_for_another(tasks):
    tasks.submit(Workers(), *range(20))
    assert {tasks.next() for _ in range(20)} == set(range(20))


def test_threads_end_with_the_last_task_and_new_ones_come_with_the_next(tasks):
    workers = Workers(limit=1)
    tasks.gate.set()
    for round in range(3):
        tasks.submit(workers, round)
        assert tasks.next() == round
        tasks.finish()
        assert threads_of_workers() == []


def test_threads_do_not_hold_up_the_end_of_the_program(tasks):
    tasks.submit(Workers(), "hangs")
    assert [thread.daemon for thread in threads_of_workers()] == [True]


@pytest.fixture
def no_more_threads(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(threading.Thread, "start", refuse)


def test_a_task_for_which_there_is_no_thread_is_refused_and_forgotten(
    tasks, no_more_threads, monkeypatch
):
    workers = Workers(limit=1)
    no_more_threads()
    with pytest.raises(RuntimeError, match="thread"):
        tasks.submit(workers, "refused")
    monkeypatch.undo()
    tasks.gate.set()
    tasks.submit(workers, "next")
    assert tasks.next() == "next"
    tasks.finish()
    assert tasks.begun.empty()


def test_a_task_for_which_there_is_no_new_thread_waits_for_an_old_one(tasks, no_more_threads):
    workers = Workers()
    tasks.submit(workers, "first")
    assert tasks.next() == "first"
    no_more_threads()
    tasks.submit(workers, "second")
    tasks.gate.set()
    assert tasks.next() == "second"


def test_a_task_that_an_old_thread_has_done_by_then_is_not_refused(tasks, monkeypatch):
    workers = Workers()
    tasks.submit(workers, "first")
    assert tasks.next() == "first"

    def refuse_late(thread):
        tasks.finish()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse_late)
    tasks.submit(workers, "second")
    assert tasks.next() == "second"


# -- jobs ------------------------------------------------------------------------------------------


def test_the_result_of_a_job_comes_back_to_the_reactor_s_thread(reactor):
    def arrived(*outcome):
        calls.append((outcome, threading.get_ident()))

    calls = []
    reactor.run_in_thread(threading.get_ident, arrived)
    reactor.run()
    (((result, error), thread),) = calls
    assert error is None
    assert thread == threading.get_ident() != result


@pytest.mark.parametrize("kind", [LookupError, SystemExit, KeyboardInterrupt])
def test_the_error_of_a_job_comes_back(reactor, kind):
    def fail():
        raise kind("no")

    calls = []
    reactor.run_in_thread(fail, lambda *outcome: calls.append(outcome))
    reactor.run()
    ((result, error),) = calls
    assert result is None
    assert isinstance(error, kind)


def test_a_cancelled_job_is_not_waited_for(reactor):
    gate = threading.Event()
    job = reactor.run_in_thread(gate.wait, pytest.fail)
    assert reactor.run_once(0)
    job.cancel()
    job.cancel()
    reactor.run()
    gate.set()


def test_a_job_that_is_cancelled_after_it_has_ended_is_not_reported(reactor):
    gate = threading.Event()
    job = reactor.run_in_thread(gate.set, pytest.fail)
    gate.wait()
    job.cancel()
    for thread in threading.enumerate():
        if thread.name == "smtp_connection worker":
            thread.join()
    reactor.run()


def test_a_thread_that_cannot_be_started_fails_the_job(reactor, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    calls = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    reactor.run_in_thread(pytest.fail, lambda *outcome: calls.append(outcome))
    assert calls == []
    reactor.run()
    ((result, error),) = calls
    assert result is None
    assert str(error) == "can't start new thread"
