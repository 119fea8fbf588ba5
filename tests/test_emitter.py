"""Listeners are added and removed by Node's names, and by pyee's."""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import ClassVar

import pytest
from pyee import EventEmitter

from smtp_connection import SMTPConnection
from smtp_connection.emitter import NodeEmitter
from smtp_connection.xoauth2 import XOAuth2Generator

ADDING = ["on", "once", "addListener", "add_listener", "prependListener", "prependOnceListener"]


@pytest.fixture
def emitter():
    return NodeEmitter()


@pytest.fixture
def heard():
    return []


@pytest.mark.parametrize("kind", [SMTPConnection, XOAuth2Generator])
def test_what_emits_is_such_an_emitter(kind):
    assert issubclass(kind, NodeEmitter)
    assert issubclass(kind, EventEmitter)


# -- adding ----------------------------------------------------------------------------------------


def test_calls_can_be_chained(emitter, heard):
    chained = (
        emitter.on("a", partial(heard.append, "on"))
        .once("a", partial(heard.append, "once"))
        .addListener("a", partial(heard.append, "addListener"))
        .prependListener("a", partial(heard.append, "prepend"))
        .prependOnceListener("a", partial(heard.append, "prependOnce"))
        .setMaxListeners(1)
    )
    assert chained is emitter
    emitter.emit("a")
    emitter.emit("a")
    assert heard == ["prependOnce", "prepend", "on", "once", "addListener", *heard[5:]]
    assert heard[5:] == ["prepend", "on", "addListener"]


@pytest.mark.parametrize("name", ["on", "once", "listens_to"])
def test_without_a_listener_they_are_decorators(emitter, heard, name):
    @getattr(emitter, name)("a")
    def listener(value):
        heard.append(value)

    listener(1)
    emitter.emit("a", 2)
    emitter.emit("a", 3)
    assert heard == ([1, 2] if name == "once" else [1, 2, 3])


def test_pyee_s_own_way_returns_the_listener(emitter):
    assert emitter.add_listener("a", print) is print
    assert emitter.listeners("a") == [print]


def test_new_listeners_are_announced_as_they_were_given(emitter, heard):
    emitter.on("new_listener", lambda event, listener: heard.append((event, listener)))
    emitter.on("a", print).once("b", max)
    assert heard == [("a", print), ("b", max)]


@pytest.mark.parametrize("name", ADDING)
def test_a_listener_gets_what_it_declares(emitter, heard, name):
    add = getattr(emitter, name)
    add("error", lambda: heard.append(()))
    add("error", lambda err: heard.append((err,)))
    add("error", lambda err, more: heard.append((err, more)))
    add("error", lambda err, more="default": heard.append((err, more)))
    add("error", lambda *args: heard.append(args))
    assert emitter.emit("error", 1)
    assert sorted(heard, key=repr) == sorted([(), (1,), (1, None), (1, "default"), (1,)], key=repr)


class Own(NodeEmitter):
    _arguments: ClassVar[dict[str, int]] = {"error": 1}


@pytest.mark.parametrize("name", ADDING)
def test_the_number_of_arguments_may_be_known_before(heard, name):
    emitter = Own()
    add = getattr(emitter, name)
    add("error", lambda: heard.append(()))
    add("error", lambda err: heard.append((err,)))
    add("error", lambda err, more: heard.append((err, more)))
    add("error", lambda *args: heard.append(args))
    emitter.emit("error", 1)
    assert sorted(heard, key=repr) == sorted([(), (1,), (1, None), (1,)], key=repr)


def test_nothing_stands_between_an_event_and_a_listener_that_fits():
    """What stands there could be interrupted, and the event would be lost."""
    emitter, here = Own(), []
    emitter.on("error", lambda err: here.append(sys._getframe(1).f_code.co_filename))
    emitter.emit("error", 1)
    assert here == [sys.modules["pyee.base"].__file__]


@pytest.mark.parametrize("kind", [SMTPConnection, XOAuth2Generator])
def test_every_event_has_its_number(kind):
    documented = re.findall(r"- ``'(\w+)'``(.*?):", kind.__doc__)
    assert {name: int("(" in rest) for name, rest in documented} == kind._arguments


def test_a_program_s_own_event_may_have_keywords(emitter, heard):
    emitter.on("own", lambda value, **more: heard.append((value, more)))
    emitter.emit("own", 1, 2, key="word")
    assert heard == [(1, {"key": "word"})]


async def listener(*args):
    pass


class Awaitable:
    async def method(self):
        pass

    async def __call__(self):
        pass


@pytest.mark.parametrize(
    "unfit", [listener, Awaitable().method, Awaitable(), partial(listener, 1)], ids=range(4)
)
@pytest.mark.parametrize("name", ADDING)
def test_what_would_have_to_be_awaited_is_refused(emitter, name, unfit):
    with pytest.raises(TypeError, match=r"smtp_connection\.aio"):
        getattr(emitter, name)("a", unfit)
    assert emitter.listenerCount("a") == 0


@pytest.mark.parametrize("name", ["on", "once", "listens_to"])
def test_a_decorator_refuses_it_as_well(emitter, name):
    with pytest.raises(TypeError, match=r"smtp_connection\.aio"):
        getattr(emitter, name)("a")(listener)
    assert emitter.listenerCount("a") == 0


@pytest.mark.parametrize("name", ADDING)
def test_what_cannot_be_called_is_no_listener(emitter, name):
    with pytest.raises(TypeError, match="a callback is a callable or None; got str"):
        getattr(emitter, name)("a", "listener")
    assert emitter.eventNames() == []


# -- removing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["removeListener", "off"])
@pytest.mark.parametrize("add", ADDING)
def test_a_listener_can_be_removed(emitter, heard, add, name):
    def listener():
        heard.append("called")

    getattr(emitter, add)("a", listener)
    assert getattr(emitter, name)("a", listener) is emitter
    assert emitter.emit("a") is False
    assert heard == []


@pytest.mark.parametrize("name", ["removeListener", "off"])
def test_an_unknown_listener_is_ignored(emitter, name):
    remove = getattr(emitter, name)
    assert remove("a", print) is emitter
    emitter.on("a", max)
    assert remove("a", print) is emitter
    assert remove("b", max) is emitter
    assert emitter.listeners("a") == [max]


def test_all_listeners_can_be_removed(emitter):
    emitter.on("a", print).on("a", max).once("b", print)
    assert emitter.removeAllListeners("a") is emitter
    assert (emitter.listenerCount("a"), emitter.listenerCount("b")) == (0, 1)
    assert emitter.removeAllListeners() is emitter
    assert emitter.eventNames() == []


def test_a_listener_may_remove_itself_while_it_is_called(emitter, heard):
    def listener():
        heard.append("called")
        emitter.removeListener("a", listener)

    emitter.on("a", listener).on("a", lambda: heard.append("after"))
    emitter.emit("a")
    emitter.emit("a")
    assert heard == ["called", "after", "after"]


# -- counting --------------------------------------------------------------------------------------


def test_listeners_are_counted(emitter):
    assert emitter.listenerCount("a") == 0
    emitter.on("a", print).once("a", max).on("b", print)
    assert emitter.listenerCount("a") == 2
    assert emitter.eventNames() == ["a", "b"]
    emitter.removeAllListeners("a")
    assert emitter.eventNames() == ["b"]


def test_no_number_of_listeners_is_too_large(emitter):
    emitter.setMaxListeners(1)
    for number in range(20):
        emitter.on("a", partial(print, number))
    assert emitter.listenerCount("a") == 20
