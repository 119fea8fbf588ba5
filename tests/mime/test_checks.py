"""What the values of a mail are checked for, and how bad ones are reported."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from smtp_connection.mime.checks import is_line
from smtp_connection.text import CONTROLS
from tests.support.mails import assert_refusal_names, case_name, composed, refused


def test_a_line_has_no_control_character_but_tab() -> None:
    forbidden = re.compile(f"[{CONTROLS}]")
    for character in map(chr, range(sys.maxunicode + 1)):
        expected = character == "\t" or not forbidden.match(character)
        assert is_line(f"a{character}b") == expected, hex(ord(character))
    assert not is_line(b"a")


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        (["a"], ["'mail'", "dict", "['a']"]),
        ({"subjet": "x"}, ["'subjet'", "did you mean 'subject'"]),
        ({"newline": "win"}, ["'newline'", "CRLF"]),
        ({"keepBcc": 1}, ["'keepBcc'", "True or False", "1"]),
        ({"subject": 5}, ["'subject'", "a str", "5"]),
        ({"headers": 5}, ["'headers'", "5", "{'key', 'value'}"]),
        ({"headers": {"X Y": "1"}}, ["'headers'", "X Y", "printable"]),
        ({"headers": {"X:Y": "1"}}, ["'headers'", "X:Y"]),
        ({"headers": {"X-Y": 5.5}}, ["'headers.X-Y'", "5.5", "a str"]),
        ({"headers": {"X-Y": True}}, ["'headers.X-Y'", "True", "a str"]),
        ({"headers": {"X-Y": {"valeu": "x"}}}, ["headers.X-Y", "did you mean 'value'"]),
        ({"headers": {"X-Y": {"prepared": 1}}}, ["'headers.X-Y.prepared'", "True or False"]),
        ({"headers": {"X-Y": {"prepared": True, "value": 5}}}, ["'headers.X-Y'", "finished", "5"]),
        ({"headers": [{"key": "X-Y"}]}, ["'headers.X-Y'", "None"]),
        ({"headers": [{"name": "X-Y"}]}, ["'headers'", "'name'", "known are key, value"]),
    ],
    ids=case_name,
)  # fmt: skip
def test_bad_values_are_named(mail: Any, words: list[str]) -> None:
    assert_refusal_names(mail, words)


def test_the_cause_of_an_unknown_name_is_chained() -> None:
    assert isinstance(refused(composed, {"x": 1}).__cause__, TypeError)
