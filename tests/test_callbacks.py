"""Callbacks get as many arguments as they declare, whatever kind of callable they are."""

from __future__ import annotations

import functools
import queue
from unittest import mock

import pytest

from smtp_connection.callbacks import arguments_taken

OFFERED = ("err", "info")


def received_by(callback):
    """Return what ``callback`` is called with when it is offered two arguments."""
    return arguments_taken(callback).fit(*OFFERED)


def decorated(function):
    """A decorator as people write them."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def with_attribute(function):
    function.marked = True
    return function


class Methods:
    def none(self):
        pass

    def one(self, err):
        pass

    def two(self, err, info):
        pass

    def default(self, err=None):
        pass

    def variadic(*args):
        pass

    @classmethod
    def of_class(cls, err):
        pass

    @staticmethod
    def static(err):
        pass

    def __call__(self, err):
        pass


class Constructed:
    def __init__(self, err):
        self.err = err


def keyword_only(err, *, level=0):
    pass


FUNCTIONS = [
    (lambda: None, 0),
    (lambda err: None, 1),
    (lambda err, info: None, 2),
    (lambda *args: None, 2),
    (lambda err, *args: None, 2),
    (lambda err=None: None, 1),
    (lambda err, info=None: None, 2),
    (lambda err, info=None, more=1: None, 2),
    (lambda **options: None, 0),
    (lambda err, **options: None, 1),
    (lambda *args, **options: None, 2),
    (keyword_only, 1),
    (lambda err, info, /: None, 2),
    (decorated(lambda err: None), 1),
    (with_attribute(lambda err: None), 1),
    (with_attribute(lambda: None), 0),
    (Methods().none, 0),
    (Methods().one, 1),
    (Methods().two, 2),
    (Methods().default, 1),
    (Methods().variadic, 2),
    (Methods().of_class, 1),
    (Methods.of_class, 1),
    (Methods.static, 1),
    (Methods(), 1),
    (Constructed, 1),
    (functools.partial(lambda first, err: None, "first"), 1),
    (functools.partial(lambda err, info, last: None, last="last"), 2),
    (functools.lru_cache(lambda err: None), 1),
    ([].append, 1),
    (queue.SimpleQueue().put, 2),
    (print, 2),
    (mock.Mock(), 2),
]


@pytest.mark.parametrize(("callback", "count"), FUNCTIONS)
def test_they_get_what_they_declare(callback, count):
    received = received_by(callback)
    assert received == OFFERED[:count]
    callback(*received)


@pytest.mark.parametrize(
    ("callback", "received"),
    [
        (lambda err, info, more: None, ("err", "info", None)),
        (lambda a, b, c, d, e: None, ("err", "info", None, None, None)),
        (lambda a, b, c, *rest: None, ("err", "info", None)),
        (lambda a, b, c, d=1: None, ("err", "info", None)),
        (functools.partial(lambda a, b, c: None), ("err", "info", None)),
    ],
)
def test_what_is_missing_is_none(callback, received):
    assert received_by(callback) == received
    callback(*received)


class Untold:
    __signature__ = "none of your business"

    def __call__(self, *args):
        pass


@pytest.mark.parametrize("callback", [max, iter, Untold()])
def test_callables_that_tell_nothing_get_everything(callback):
    assert received_by(callback) == OFFERED


def test_the_signature_may_be_set_by_hand():
    def callback(*args):
        pass

    callback.__signature__ = __import__("inspect").signature(lambda err: None)
    assert received_by(callback) == ("err",)


@pytest.mark.parametrize(
    "callback",
    [
        lambda *, err: None,
        lambda err, *, info: None,
        functools.partial(lambda err, info: None, err=None),
    ],
)
def test_needing_a_keyword_argument_is_an_error(callback):
    with pytest.raises(TypeError, match=r"needs the keyword argument '(err|info)'"):
        arguments_taken(callback)


def test_a_method_that_forgot_self_is_left_to_fail_when_it_is_called():
    class Forgetful:
        def method():
            pass

    assert received_by(Forgetful().method) == OFFERED


@pytest.mark.parametrize("callback", [5, "print", {}, ()])
def test_what_cannot_be_called_is_an_error(callback):
    with pytest.raises(TypeError) as caught:
        arguments_taken(callback)
    got = type(callback).__name__
    assert str(caught.value) == f"a callback is a callable or None; got {got}"


async def coroutine(err):
    pass


async def generator(err):
    yield err


class Async:
    async def method(self, err):
        pass

    async def variadic(self, *args):
        pass

    @classmethod
    async def of_class(cls, err):
        pass

    @staticmethod
    async def static(err):
        pass

    async def __call__(self, err):
        pass


ASYNC = {
    "function": coroutine,
    "generator": generator,
    "method": Async().method,
    "variadic": Async().variadic,
    "class method": Async.of_class,
    "static method": Async.static,
    "object": Async(),
    "partial": functools.partial(coroutine, "err"),
    "partial of a partial": functools.partial(functools.partial(Async().method), "err"),
    "partial of an object": functools.partial(Async()),
    "with an attribute": with_attribute(functools.partial(coroutine)),
    "mock": mock.AsyncMock(),
}


@pytest.mark.parametrize("callback", ASYNC.values(), ids=ASYNC)
def test_what_would_have_to_be_awaited_is_an_error(callback):
    with pytest.raises(
        TypeError, match=r"'async def'.*nobody would await it; smtp_connection\.aio"
    ):
        arguments_taken(callback)


def test_a_plain_wrapper_of_an_async_function_is_a_callback():
    @functools.wraps(coroutine)
    def wrapper(err):
        coroutine(err).close()

    assert received_by(wrapper) == ("err",)


def test_the_signature_is_read_once():
    class Counted:
        looked_at = 0

        def __call__(self, err):
            pass

        @property
        def __signature__(self):
            Counted.looked_at += 1
            raise AttributeError

    takes = arguments_taken(Counted())
    before = Counted.looked_at
    assert before
    for _ in range(3):
        assert takes.fit(None, "info") == (None,)
    assert Counted.looked_at == before
