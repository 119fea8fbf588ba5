"""The front door of the room, and the size of what stands behind it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from smtp_connection import hosting

ADAPTERS = sorted(Path(hosting.__file__).parent.glob("with_*.py"))


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_a_loop_takes_less_than_thirty_lines(path):
    """Without blank lines, comments, docstrings, imports, and the list of public names."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    left_out = [
        node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom, ast.If))
    ]
    left_out += [node for node in tree.body if ast.unparse(node).startswith("__all__")]
    left_out += [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    numbers = {number for node in left_out for number in range(node.lineno, node.end_lineno + 1)}
    lines = [
        line
        for number, line in enumerate(text.splitlines(), 1)
        if number not in numbers and line.strip() and not line.strip().startswith("#")
    ]
    assert 0 < len(lines) < 30


def test_no_other_library_is_loaded_before_it_is_asked_for():
    program = """
import sys
from smtp_connection import hosting
assert not {"trio", "twisted", "tkinter", "PySide6", "PyQt6"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_name_is_there():
    for name in hosting.__all__:
        assert callable(getattr(hosting, name))
    assert set(hosting._ON_USE) < set(hosting.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'atach'"):
        hosting.atach  # noqa: B018
