"""Threads for what blocks: as few as allowed, kept for a while, others in a forked child; and what
comes back from them to the reactor."""

from __future__ import annotations

import queue
import threading
import weakref

import pytest

from smtp_connection import Reactor
from smtp_connection.reactor.threads import _MOST_IDLE, Workers
from tests.support.helpers import end_workers, in_child, wait_until, worker_threads


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
        end_workers()


@pytest.fixture
def tasks():
    tasks = Tasks()
    yield tasks
    tasks.finish()


def test_there_are_no_more_threads_than_the_limit_and_tasks_keep_their_order(tasks):
    tasks.submit(Workers(limit=2), *range(6))
    assert {tasks.next(), tasks.next()} == {0, 1}
    assert len(worker_threads()) == 2
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


@pytest.mark.parametrize("idle_time", [0, 0.001])
def test_threads_end_after_the_last_task_and_new_ones_come_with_the_next(tasks, idle_time):
    workers = Workers(limit=1, idle_time=idle_time)
    tasks.gate.set()
    for round in range(3):
        tasks.submit(workers, round)
        assert tasks.next() == round
        for thread in worker_threads():
            thread.join(10)
        assert worker_threads() == []


def test_a_thread_that_waits_takes_the_next_task(tasks):
    workers, threads = Workers(idle_time=60), set()
    tasks.gate.set()
    for round in range(3):
        tasks.submit(workers, round)
        assert tasks.next() == round
        wait_until(lambda: workers._idle)
        threads.update(worker_threads())
    assert len(threads) == 1


def test_a_task_for_each_thread_that_waits_and_one_more(tasks):
    """None of them may wait until another one ends."""
    workers = Workers(idle_time=60)
    tasks.submit(workers, 0, 1)
    tasks.gate.set()
    wait_until(lambda: workers._idle == 2)
    tasks.gate.clear()
    tasks.submit(workers, *range(2, 7))
    assert {tasks.next() for _ in range(7)} == set(range(7))


def test_only_some_threads_are_kept(tasks):
    workers = Workers(idle_time=60)
    tasks.submit(workers, *range(_MOST_IDLE + 20))
    assert len(worker_threads()) == _MOST_IDLE + 20
    tasks.gate.set()
    wait_until(lambda: workers._threads == workers._idle)
    assert workers._idle <= _MOST_IDLE


def test_a_thread_that_waits_keeps_nothing_of_its_last_task_alive(tasks):
    class Task:
        def __call__(self):
            pass

    task = Task()
    alive = weakref.ref(task)
    workers = Workers(idle_time=60)
    workers.submit(task)
    del task
    wait_until(lambda: workers._idle)
    assert alive() is None


def test_a_task_is_taken_back_unless_it_has_begun(tasks):
    workers, done = Workers(limit=1), []
    tasks.submit(workers, "first")
    assert tasks.next() == "first"
    workers.submit(done.append)
    workers.withdraw(done.append)
    workers.withdraw(done.append)
    tasks.submit(workers, "last")
    tasks.finish()
    assert tasks.next() == "last"
    assert done == []


def test_released_threads_end_with_the_tasks_that_there_are(tasks):
    workers = Workers(limit=1, idle_time=60)
    tasks.submit(workers, "first", "second")
    workers.release()
    tasks.gate.set()
    for thread in worker_threads():
        thread.join(10)
    assert [tasks.next(), tasks.next()] == ["first", "second"]
    assert worker_threads() == []


@pytest.mark.parametrize("limit", [1, None])
def test_a_child_has_threads_of_its_own(tasks, limit):
    """Also if a thread of the parent holds the lock at that moment."""
    workers = Workers(limit=limit)
    tasks.submit(workers, "first", "second")
    assert tasks.next() == "first"

    def use_them():
        tasks.gate.set()
        while not tasks.begun.empty():
            tasks.next()
        tasks.submit(workers, "the child's")
        assert tasks.next() == "the child's"
        assert tasks.begun.empty(), "a task of the parent was carried out"

    with workers._changed:
        assert in_child(use_them)


def test_a_child_whose_parent_had_threads_that_waited(tasks):
    workers = Workers(idle_time=60)
    tasks.gate.set()
    tasks.submit(workers, "the parent's")
    assert tasks.next() == "the parent's"
    wait_until(lambda: workers._idle)

    def use_them():
        tasks.submit(workers, "the child's")
        assert tasks.next() == "the child's"

    assert in_child(use_them)


def test_threads_do_not_hold_up_the_end_of_the_program(tasks):
    tasks.submit(Workers(), "hangs")
    assert [thread.daemon for thread in worker_threads()] == [True]


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


def test_a_job_whose_start_was_interrupted_can_be_cancelled(reactor, monkeypatch):
    submit = Workers.submit

    def interrupted(workers, task):
        submit(workers, task)
        raise KeyboardInterrupt

    gate = threading.Event()
    job = reactor.job(gate.wait, pytest.fail)
    monkeypatch.setattr(Workers, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        job.start()
    job.cancel()
    gate.set()
    end_workers()
    reactor.run()


def test_a_job_that_is_cancelled_after_it_has_ended_is_not_reported(reactor):
    gate = threading.Event()
    job = reactor.run_in_thread(gate.set, pytest.fail)
    gate.wait()
    job.cancel()
    end_workers()
    reactor.run()


def test_a_job_that_is_cancelled_before_it_has_a_thread_is_not_begun(reactor, tasks):
    workers = Workers(limit=1)
    tasks.submit(workers, "first")
    assert tasks.next() == "first"
    reactor.run_in_thread(pytest.fail, pytest.fail, workers).cancel()
    tasks.finish()
    reactor.run()


def test_a_job_in_a_child_whose_parent_has_jobs(reactor):
    gate = threading.Event()
    job = reactor.run_in_thread(gate.wait, pytest.fail)

    def run_one():
        calls = []
        with Reactor() as reactor:
            reactor.run_in_thread(lambda: "done", lambda *outcome: calls.append(outcome))
            reactor.run()
        assert calls == [("done", None)]

    assert in_child(run_one)
    job.cancel()
    gate.set()


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
