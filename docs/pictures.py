"""A Sphinx extension: the directives ``house`` and ``rooms``, and a ``graphviz`` without ``dot``.

Without the program ``dot``, ``sphinx.ext.graphviz`` warns at every picture.  The manual then shows
the source of the picture instead.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList
from house import House, dot
from sphinx.application import Sphinx

__all__ = ["setup"]

PACKAGE = Path(__file__).parent.parent / "smtp_connection"


def _parsed(directive: Directive, lines: list[str]) -> list[nodes.Node]:
    """Return what ``lines`` are, read as a part of the page in the place of ``directive``."""
    container = nodes.Element()
    directive.state.nested_parse(
        StringList(lines, source=directive.state.document.current_source or ""),
        directive.content_offset,
        container,
    )
    return list(container.children)


class HouseDirective(Directive):
    """``.. house::`` draws the rooms of the package, and the arrows between them."""

    def run(self) -> list[nodes.Node]:
        picture = dot(House(PACKAGE)).splitlines()
        options = ["   :caption: The rooms, from the top floor to the bottom.", ""]
        return _parsed(self, [".. graphviz::", *options, *(f"   {line}" for line in picture)])


class RoomsDirective(Directive):
    """``.. rooms::`` lists the rooms, the modules in them, and the rooms that each room knows."""

    def run(self) -> list[nodes.Node]:
        house = House(PACKAGE)
        lines: list[str] = []
        for room, modules in house.modules.items():
            lines.append(f"**{room}**" if f"{room}.py" not in modules else f"**{room}.py**")
            known = ", ".join(sorted(house.arrows[room]))
            inside = [f"| ``{path}``: {summary}" for path, summary in modules.items() if summary]
            inside.append(f"| knows {known}" if known else "| knows no other room")
            lines += [f"    {line}" for line in inside]
            lines.append("")
        return _parsed(self, lines)


class PictureSource(Directive):
    """``.. graphviz::`` where there is no dot: shows the source of the picture."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        source = "\n".join(self.content)
        caption = self.options.get("caption", "")
        text, problems = self.state.inline_text(caption, self.lineno)
        return [nodes.literal_block(source, source), nodes.paragraph("", "", *text), *problems]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    if shutil.which("dot"):
        app.setup_extension("sphinx.ext.graphviz")
    else:
        app.add_directive("graphviz", PictureSource)
    app.add_directive("house", HouseDirective)
    app.add_directive("rooms", RoomsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
