"""Reads README.rst and the manual in docs/: their sections, tables and programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.rst")}
TEXTS = {"README": README, **PAGES}
"""Everything that users read: README.rst, and each page of the manual by its name."""

_BLOCK = re.compile(
    r"^\.\. code-block:: python\n   :name: (?P<name>\S+)\n\n(?P<code>(?:   .*\n|\n)+)", re.MULTILINE
)
_HEADING = re.compile(r"^(?P<title>\S.*)\n(?P<line>=+|-+)\n", re.MULTILINE)


def programs() -> Iterator[tuple[str, str]]:
    """Yield the name and the code of each program in :data:`TEXTS`."""
    for text in TEXTS.values():
        for match in _BLOCK.finditer(text):
            yield match["name"], re.sub("^   ", "", match["code"], flags=re.MULTILINE)


PROGRAMS = dict(programs())


def section(page: str, title: str) -> str:
    """Return what stands under the heading ``title`` of ``page``, lower levels included."""
    text = TEXTS[page]
    (heading,) = (each for each in _HEADING.finditer(text) if each["title"] == title)
    for following in _HEADING.finditer(text, heading.end()):
        if heading["line"][0] == "-" or following["line"][0] == "=":
            return text[heading.end() : following.start()]
    return text[heading.end() :]


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


def simple_rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each line of the simple tables in ``text``, headings left out."""
    borders = 0
    for line in text.splitlines():
        if re.fullmatch(r"=+( +=+)+", line):
            borders += 1
            columns = [match.span() for match in re.finditer("=+", line)]
        elif borders % 3 == 2 and line.strip():
            yield [line[start:end].strip() for start, end in columns]
