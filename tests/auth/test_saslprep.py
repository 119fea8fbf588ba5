"""One form for names and passwords that look the same."""

from __future__ import annotations

import pytest

from smtp_connection.auth.saslprep import is_allowed, saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013 section 3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # and more
        ("", ""),
        ("\u00ad", ""),
        (" a\u00a0b\u3000c ", " a b c "),
        ("gru\u0308\u00dfe", "gr\u00fc\u00dfe"),
        ("\u0627\u0628\u0629", "\u0627\u0628\u0629"),
        ("\u0627-1-\u0628", "\u0627-1-\u0628"),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        # later than Unicode 3.2: kept, also where its NFKC is another
        ("\U0001f511 key", "\U0001f511 key"),
        ("\U0001f130", "\U0001f130"),
    ],
)
def test_the_prepared_form(text, prepared):
    assert saslprep(text) == prepared
    assert is_allowed(text) is (bool(prepared) or not text)


@pytest.mark.parametrize(
    "forbidden",
    [
        *("\x07", "\x7f", "\x85", "\u2028", "\u06dd", "\ue000", "\ufdd0", "\ud800", "\ufffd"),
        *("\u2ff0", "\u200e", "\U000e0001"),
    ],
    ids=ascii,
)
def test_forbidden_characters(forbidden):
    text = f"CANARY{forbidden}"
    with pytest.raises(ValueError, match="that SASLprep") as caught:
        saslprep(text)
    assert "CANARY" not in str(caught.value)
    assert not is_allowed(text)


@pytest.mark.parametrize("text", ["\u06271", "1\u0627", "\u0627a\u0627", "\u05d0 CANARY \u05d0"])
def test_forbidden_directions(text):
    with pytest.raises(ValueError, match="it mixes directions of writing") as caught:
        saslprep(text)
    assert "CANARY" not in str(caught.value)
    assert not is_allowed(text)
