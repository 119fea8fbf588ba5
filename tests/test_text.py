from __future__ import annotations

import re
import sys
import unicodedata

import pytest

from smtp_connection.text import (
    CONTROLS,
    control_in,
    escaped,
    has_surrogate,
    printable,
    undecoded,
    without_controls,
)

FORBIDDEN = {*map(chr, (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0xD800, 0xE000)))}


def test_every_character_there_is():
    found = {one for one in map(chr, range(sys.maxunicode + 1)) if control_in(f"a{one}b") == one}
    assert found == FORBIDDEN


def test_what_cannot_be_printed_need_not_be_forbidden():
    for one in "\u00a0\u00ad\u200b\ufeff":
        assert not one.isprintable(), unicodedata.name(one)
        assert control_in(one) is None


def test_the_first_one_is_returned():
    assert control_in("a\u00a0b\x85c\n") == "\x85"
    assert control_in("") is None
    assert control_in("user@bücher.example") is None


def test_each_becomes_a_blank():
    for one in FORBIDDEN:
        assert without_controls(f"a{one}b") == "a b"
    assert without_controls("a\u00a0b") == "a\u00a0b"


def test_surrogates():
    assert {one for one in map(chr, range(sys.maxunicode + 1)) if has_surrogate(f"a{one}b")} == {
        *map(chr, range(0xD800, 0xE000))
    }


def test_surrogates_stand_for_bytes_in_the_name_of_a_file():
    assert control_in("caf\udce9\x07", surrogates=False) == "\x07"
    assert control_in("caf\udce9", surrogates=False) is None
    assert control_in("caf\udce9") == "\udce9"


def test_the_class_may_stand_among_other_characters():
    wanted = {*FORBIDDEN, "<", ">"}
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    assert set(re.findall(f"[<{CONTROLS}>]", every)) == wanted


def test_what_is_not_printable_becomes_a_question_mark():
    assert printable("bücher\r\n\x1b[2J\u2028\udc80") == "bücher???[2J??"
    assert printable("bücher") == "bücher"


def test_control_characters_are_escaped_as_repr_shows_them():
    assert escaped("a\x1b[2J\r\x00\t\x7f\x9b\u2028\udc80b") == (
        r"a\x1b[2J\r\x00\t\x7f\x9b\u2028\udc80b"
    )
    for one in FORBIDDEN - {"\n"}:
        assert escaped(f"a{one}b") == f"a{one!r}b".replace("'", "")
        assert escaped(escaped(one)) == escaped(one)


def test_what_changes_the_direction_of_writing_is_escaped():
    changing = {one for one in map(chr, range(sys.maxunicode + 1)) if escaped(one) != one}
    changing -= FORBIDDEN
    assert changing == set(
        "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def test_what_need_not_be_escaped_stays():
    for text in ("", "bücher 日本\u00a0\u200d", "250-a\n250 b", "\\x1b", 'it\'s "so"', "א\n\u00ad"):
        assert escaped(text) == text
    assert escaped("250-a\r\n250 b\n") == "250-a\\r\n250 b\n"


def test_surrogates_that_stand_for_bytes_become_these():
    data = b"a\x80\xff\r\n"
    assert undecoded(data.decode("ascii", "surrogateescape")) == data
    for text in ("\u00e9", "\ud800"):
        with pytest.raises(UnicodeEncodeError):
            undecoded(text)
