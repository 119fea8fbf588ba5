"""The house, read from the sources: its rooms, what the modules in them say, and the arrows.

This module needs no Sphinx; ``pictures.py`` makes a part of the manual of what it finds.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

__all__ = ["House", "dot", "without_detours"]

Arrows = Mapping[str, set[str]]
"""Each room, and the rooms that it imports from."""


class House:
    """The rooms of the package in ``folder``, and what leads from one to another.

    - ``arrows``: each room, and the rooms that it imports from
    - ``modules``: each room, and its modules with the first sentence of their docstrings
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.arrows: dict[str, set[str]] = {}
        self.modules: dict[str, dict[str, str]] = {}
        for path in sorted(folder.rglob("*.py")):
            relative = path.relative_to(folder)
            room = relative.with_suffix("").parts[0]
            tree = ast.parse(path.read_text(encoding="utf-8"))
            known = self._known(tree, relative.parent.parts)
            self.arrows.setdefault(room, set()).update(known - {room})
            docstring = ast.get_docstring(tree) or ""
            summary = " ".join(docstring.partition("\n\n")[0].split())
            self.modules.setdefault(room, {})[relative.as_posix()] = summary

    def _known(self, tree: ast.Module, parts: tuple[str, ...]) -> set[str]:
        """Return the rooms that a module in the folder ``parts`` imports from."""
        rooms = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                start = parts[: len(parts) + 1 - node.level]
                path = (*start, *(node.module or "").split(".")) if node.module else start
                if path:
                    rooms.add(path[0])
                else:  # from .. import name: the name of a room, or of what __init__.py offers
                    rooms |= {self._room_of(alias.name) for alias in node.names}
        return rooms

    def _room_of(self, name: str) -> str:
        is_room = (self._folder / name).is_dir() or (self._folder / f"{name}.py").is_file()
        return name if is_room else "__init__"


def without_detours(arrows: Arrows) -> dict[str, set[str]]:
    """Return ``arrows`` without those whose end can be reached by a longer way, too."""
    kept = {room: set(known) for room, known in arrows.items()}
    for room in sorted(kept):
        for other in sorted(kept[room]):
            kept[room].discard(other)
            if not _leads(kept, room, other):
                kept[room].add(other)
    return kept


def _leads(arrows: Arrows, start: str, end: str) -> bool:
    reached: set[str] = set()
    pending = [start]
    while pending:
        for room in arrows.get(pending.pop(), set()) - reached:
            reached.add(room)
            pending.append(room)
    return end in reached


def dot(house: House) -> str:
    """Return ``house`` as a picture in the language of Graphviz."""
    lines = [
        "digraph house {",
        '    node [shape=box, fontname="sans-serif", fontsize=11]',
    ]
    for room, modules in house.modules.items():
        shape = "" if len(modules) == 1 and f"{room}.py" in modules else ", shape=folder"
        lines.append(f'    "{room}" [label="{room}"{shape}]')
    for room, known in without_detours(house.arrows).items():
        lines += [f'    "{room}" -> "{other}"' for other in sorted(known)]
    return "\n".join([*lines, "}"])
