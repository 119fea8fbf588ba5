"""Characters that could end a command or a header line, or that UTF-8 cannot express."""

from __future__ import annotations

import re

__all__ = ["CONTROLS", "control_in", "has_surrogate", "without_controls"]

# The inside of a class in a regular expression: C0, DEL, C1 (with NEL), the line and paragraph
# separators of Unicode, surrogates.
CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CONTROL = f"[{CONTROLS}]"


def control_in(text: str) -> str | None:
    """Return the first such character in ``text``, ``None`` if there is none."""
    # None of them is printable, and nearly every text is: so the expression, which takes 1 ms to
    # compile, is not even compiled in most programs.
    if text.isprintable():
        return None
    found = re.search(_CONTROL, text)
    return found.group() if found else None


def without_controls(text: str) -> str:
    """Return ``text`` with a blank in place of each such character."""
    return text if text.isprintable() else re.sub(_CONTROL, " ", text)


def has_surrogate(text: str) -> bool:
    """Whether ``text`` has a lone surrogate in it, so that UTF-8 cannot express it."""
    return not text.isprintable() and re.search("[\ud800-\udfff]", text) is not None
