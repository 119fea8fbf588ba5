"""Loggers of every style get what they take."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from smtp_connection.driver.loggers import writer_for

ERROR = LookupError("gone")


class Notes:
    """Makes loggers whose methods note how they are called."""

    def __init__(self):
        self.calls = []

    def logger(self, style, debug="debug", warning="warning"):
        """Return a logger whose methods are made by ``style(note)``."""
        return SimpleNamespace(
            **{
                name: style(lambda *call, name=name: self.calls.append((name, *call)))
                for name in (debug, "info", warning, "error")
            }
        )

    def of(self, logger):
        """Return the calls that one entry of each level leads to."""
        write = writer_for(logger, "s1d")
        write("debug", "client", "EHLO 100%s", None)
        write("debug", "server", "250 ok", None)
        write("debug", "stream", "hi", None)
        write("info", "socket", "Connected", None)
        write("error", "socket", "It is 100% gone", ERROR)
        return self.calls


@pytest.fixture
def notes():
    return Notes()


TEXTS = [
    ("debug", "C: EHLO 100%s"),
    ("debug", "S: 250 ok"),
    ("debug", "D: hi"),
    ("info", "Connected"),
    ("error", "It is 100% gone"),
]
TEMPLATES = [
    ("debug", ("C: %s", "EHLO 100%s")),
    ("debug", ("S: %s", "250 ok")),
    ("debug", ("D: %s", "hi")),
    ("info", ("%s", "Connected")),
    ("error", ("%s", "It is 100% gone")),
]
EXTRA = {"extra": {"sid": "s1d"}}

LIKE_LOGGING = {
    "text, args, keywords": lambda note: lambda text, *args, **more: note((text, *args), more),
    "args, keywords": lambda note: lambda *args, **more: note(args, more),
    "text, args, extra": lambda note: (
        lambda text, *args, extra: note((text, *args), {"extra": extra})
    ),
}


@pytest.mark.parametrize("style", LIKE_LOGGING.values(), ids=LIKE_LOGGING)
def test_a_logger_like_that_of_the_standard_library(notes, style):
    assert notes.of(notes.logger(style)) == [(*call, EXTRA) for call in TEMPLATES]


TEXT_ALONE = {
    "text": lambda note: lambda text: note(text),
    "text with default": lambda note: lambda text="": note(text),
    "args": lambda note: lambda *args: note(*args),
    "text, args": lambda note: lambda text, *args: note(text, *args),
    "text, option": lambda note: lambda text, end="\n": note(text),
}


@pytest.mark.parametrize("style", TEXT_ALONE.values(), ids=TEXT_ALONE)
@pytest.mark.parametrize("warning", ["warning", "warn"])
def test_one_that_takes_no_extra_gets_the_finished_text(notes, style, warning):
    assert notes.of(notes.logger(style, warning=warning)) == TEXTS


WITH_EXTRA = {
    "text, extra": lambda note: lambda text, extra: note(text, {"extra": extra}),
    "text, extra or not": lambda note: lambda text, extra=None: note(text, {"extra": extra}),
    "text, keywords": lambda note: lambda text, **more: note(text, more),
}


@pytest.mark.parametrize("style", WITH_EXTRA.values(), ids=WITH_EXTRA)
def test_one_that_takes_no_arguments_gets_the_finished_text_and_extra(notes, style):
    assert notes.of(notes.logger(style)) == [(*call, EXTRA) for call in TEXTS]


LIKE_BUNYAN = {
    "entry, text, args": lambda note: lambda entry, text, *args: note(entry, text, *args),
    "entry, text": lambda note: lambda entry, text: note(entry, text),
    "entry, text, keywords": lambda note: lambda entry, text, **more: note(entry, text),
}


@pytest.mark.parametrize("style", LIKE_BUNYAN.values(), ids=LIKE_BUNYAN)
def test_a_logger_like_bunyan_s_gets_an_entry_first(notes, style):
    entry = {"component": "smtp-connection", "sid": "s1d"}
    assert notes.of(notes.logger(style, warning="warn")) == [
        ("debug", {**entry, "tnx": "client"}, "EHLO 100%s"),
        ("debug", {**entry, "tnx": "server"}, "250 ok"),
        ("debug", {**entry, "tnx": "message"}, "hi"),
        ("info", {**entry, "tnx": "network"}, "Connected"),
        ("error", {**entry, "tnx": "network", "err": ERROR}, "It is 100% gone"),
    ]


def test_a_logger_like_npmlog_s_gets_a_prefix_first(notes):
    logger = notes.logger(
        lambda note: lambda prefix, text, *args: note(prefix, text, *args), "verbose", "warn"
    )
    assert notes.of(logger) == [
        (name.replace("debug", "verbose"), "smtp_connection[s1d]", text) for name, text in TEXTS
    ]


def test_each_method_has_its_own_style(notes):
    logger = notes.logger(lambda note: lambda text: note(text))
    logger.error = lambda text, *args, **more: notes.calls.append(("error", (text, *args), more))
    assert notes.of(logger) == [*TEXTS[:-1], (*TEMPLATES[-1], EXTRA)]


def test_an_adapter_of_the_standard_library_is_a_logger(caplog):
    caplog.set_level(logging.DEBUG, "own")
    adapter = logging.LoggerAdapter(logging.getLogger("own"), {"task": 5})
    writer_for(adapter, "s1d")("debug", "client", "EHLO me", None)
    assert caplog.messages == ["C: EHLO me"]


def test_print_is_a_method():
    logger = SimpleNamespace(debug=print, info=print, warn=print, error=print)
    writer_for(logger, "s1d")("debug", "client", "EHLO me", None)


async def method(*args):
    pass


@pytest.mark.parametrize("debug", ["debug", "verbose"])
def test_methods_are_not_async(notes, debug):
    logger = notes.logger(lambda note: method, debug)
    with pytest.raises(TypeError, match=r"smtp_connection\.aio"):
        writer_for(logger, "s1d")
