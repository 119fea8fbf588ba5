"""Reads README.rst: its sections, its tables, and the programs in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")

_BLOCK = re.compile(
    r"^\.\. code-block:: python\n   :name: (?P<name>\S+)\n\n(?P<code>(?:   .*\n|\n)+)", re.MULTILINE
)
PROGRAMS = {
    match["name"]: re.sub("^   ", "", match["code"], flags=re.MULTILINE)
    for match in _BLOCK.finditer(README)
}


def section(title: str) -> str:
    """Return what stands under the heading ``title``, sections of a lower level included."""
    (heading,) = re.finditer(rf"^{title}\n(=+|-+)\n", README, re.MULTILINE)
    rest = README[heading.end() :]
    level = "=" if heading[1].startswith("=") else "[=-]"
    following = re.search(rf"^.+\n{level}{{3,}}\n", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def named_in(text: str) -> set[str]:
    """Return everything that is set in ``text`` as a literal, without quotes."""
    return {literal.strip("'") for literal in re.findall("``(.+?)``", text)}


def grid_rows(text: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of all grid tables of two columns in ``text``, headings left out."""
    left: list[str] = []
    right: list[str] = []
    for line in text.splitlines():
        if line.startswith("|"):
            cells = line[1:-1].split("|")
            left.append(cells[0].strip())
            right.append(cells[1].strip())
        elif line.startswith("+"):
            if left and "=" not in line:
                yield " ".join(filter(None, left)), " ".join(filter(None, right))
            left, right = [], []
