"""The checks that several sets share; how errors are worded is tested with the sets."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import pytest

from smtp_connection.options.checks import (
    Refusal,
    WrongType,
    WrongValue,
    flag,
    is_instance,
    line,
    many,
    number,
    one_of,
    or_default,
    text,
)

A_NUMBER = number("a number", most=9)


@pytest.mark.parametrize(
    ("check", "value", "kept"),
    [
        (flag, True, True),
        (flag, False, False),
        (text, " plain ", "plain"),
        (text, " ", None),
        (line(), " kept ", " kept "),
        (line(), "", ""),
        (one_of(("a", "b")), "b", "b"),
        (A_NUMBER, 0, 0),
        (A_NUMBER, 9, 9),
        (A_NUMBER, 0.5, 0.5),
        (or_default(A_NUMBER), 0, None),
        (or_default(A_NUMBER), 3, 3),
        (or_default(line()), "", None),
        (many(flag), True, (True,)),
        (many(flag), [True, False], (True, False)),
        (many(text), ("a", "b"), ("a", "b")),
    ],
)
def test_what_is_accepted(check, value, kept):
    assert check(value) == kept
    assert type(check(value)) is type(kept)


@pytest.mark.parametrize(
    ("check", "value", "kind", "sentence"),
    [
        (flag, "false", WrongType, "x takes True or False; got 'false'"),
        (flag, 1, WrongType, "x takes True or False; got 1"),
        (flag, None, WrongType, "x takes True or False; got None"),
        (text, b"a", WrongType, "x takes a string; got b'a'"),
        (text, "a\x85", WrongValue, r"x takes a string without '\x85'; got 'a\x85'"),
        (text, "\t", WrongValue, r"x takes a string without '\t'; got '\t'"),
        (line("a name"), 5, WrongType, "x takes a name; got 5"),
        (line("a name"), "a\n", WrongValue, r"x takes a name; got 'a\n'"),
        (line("a name", empty=False), "", WrongValue, "x takes a name; got ''"),
        (one_of(("a", "b")), 1, WrongType, "x takes one of 'a', 'b'; got 1"),
        (one_of(("a", "b")), "A", WrongValue, "x takes one of 'a', 'b'; got 'A'"),
        (A_NUMBER, True, WrongType, "x takes a number; got True"),
        (A_NUMBER, "5", WrongType, "x takes a number; got '5'"),
        (A_NUMBER, Fraction(1, 2), WrongType, "x takes a number; got Fraction(1, 2)"),
        (A_NUMBER, -1, WrongValue, "x takes a number; got -1"),
        (A_NUMBER, 9.5, WrongValue, "x takes a number; got 9.5"),
        (A_NUMBER, math.nan, WrongValue, "x takes a number; got nan"),
        (number("a number"), math.inf, WrongValue, "x takes a number; got inf"),
        (many(flag), [], WrongValue, "x is an empty list; leave it out instead"),
        (many(flag), [True, 5], WrongType, "x takes True or False; got 5"),
        (many(flag), [None], WrongType, "x takes True or False; got None"),
    ],
)
def test_what_is_refused(check, value, kind, sentence):
    with pytest.raises(Refusal) as caught:
        check(value)
    assert type(caught.value) is kind
    assert caught.value.text("x", repr) == sentence


def test_what_each_refusal_becomes():
    assert WrongType("").error is TypeError
    assert WrongValue("").error is ValueError


def test_a_class_that_is_not_imported_has_no_instances():
    assert is_instance(pytest, "types", "ModuleType")
    assert not is_instance(5, "types", "ModuleType")
    assert not is_instance(5, "types", "NoSuchType")
    assert not is_instance(5, "no.such.module", "ModuleType")


def test_options_need_no_module_that_does_io():
    """A program that only checks its options loads none of them, whatever the options are."""
    program = """if True:
        import sys, types
        # Without smtp_connection/__init__.py, which imports everything.
        package = types.ModuleType("smtp_connection")
        package.__path__ = [sys.argv[1]]
        sys.modules["smtp_connection"] = package
        before = set(sys.modules)
        from smtp_connection.options.tls import TLSOptions
        TLSOptions.parse({"ca": "/ca.pem", "minVersion": "TLSv1.3"})
        for wrong in ({"context": 5}, 5):
            try:
                TLSOptions.parse(wrong)
            except TypeError as exc:
                print(exc)
        print(sorted({"ssl", "socket", "selectors", "pyee"} & (set(sys.modules) - before)))
    """
    folder = sys.modules["smtp_connection"].__path__[0]
    done = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "tls option 'context' takes an ssl.SSLContext for clients; got 5",
        "option 'tls' takes a dict or an ssl.SSLContext; got int",
        "[]",
    ]
