"""SASLprep (RFC 4013): one form for user names and passwords that look the same."""

from __future__ import annotations

__all__ = ["is_allowed", "saslprep"]


def is_allowed(text: str) -> bool:
    """Whether ``text`` has a form in which it is compared; the empty text has one."""
    try:
        return bool(saslprep(text)) or not text
    except ValueError:
        return False


def saslprep(text: str) -> str:
    """Return ``text`` in the form in which it is compared.

    Characters that Unicode 3.2 did not have are kept as they are (RFC 3454 section 7), so that a
    password may contain an emoji.  Raises ``ValueError``, whose text does not show ``text``, if it
    contains what is forbidden: control characters, private ones, or letters that are written from
    right to left in a text that does not begin and end with one.
    """
    if text.isascii() and text.isprintable():
        return text
    import stringprep  # together 2 ms, for the few who need more than ASCII
    from unicodedata import ucd_3_2_0

    kept = (char for char in text if not stringprep.in_table_b1(char))
    mapped = "".join(" " if stringprep.in_table_c12(char) else char for char in kept)
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    forbidden = (
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    if any(is_forbidden(char) for char in prepared for is_forbidden in forbidden):
        raise ValueError("it contains a character that SASLprep (RFC 4013) forbids")
    # RFC 3454 section 6
    leftward = [stringprep.in_table_d1(char) for char in prepared]
    if any(leftward) and not (
        leftward[0] and leftward[-1] and not any(map(stringprep.in_table_d2, prepared))
    ):
        raise ValueError("it mixes directions of writing as SASLprep (RFC 4013) forbids")
    return prepared
