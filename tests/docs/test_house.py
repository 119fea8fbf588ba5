"""The picture of the house in the manual is drawn from the sources."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.support.manual import ROOT


@pytest.fixture(scope="module")
def house() -> Any:
    """The module docs/house.py."""
    spec = importlib.util.spec_from_file_location("house", ROOT / "docs" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path) -> Path:
    """A house of five rooms, with each kind of import."""
    files = {
        "__init__.py": "from .top import name",
        "top.py": "import os\nfrom .middle.one import name\nfrom . import bottom, __version__",
        "middle/__init__.py": '"""The middle.\n\nMore."""',
        "middle/one.py": '"""The first\nof two."""\ndef later():\n    from .two import name',
        "middle/two.py": "from .. import bottom\nfrom ..cellar import deep",
        "bottom.py": "from .cellar.deep import name",
        "cellar/deep.py": "import middle",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_arrows_are_imports_from_other_rooms(house, package):
    assert house.House(package).arrows == {
        "__init__": {"top"},
        "top": {"middle", "bottom", "__init__"},
        "middle": {"bottom", "cellar"},
        "bottom": {"cellar"},
        "cellar": set(),
    }


def test_modules_speak_for_themselves(house, package):
    modules = house.House(package).modules
    assert modules["middle"] == {
        "middle/__init__.py": "The middle.",
        "middle/one.py": "The first of two.",
        "middle/two.py": "",
    }


def test_an_arrow_is_left_out_if_a_longer_way_leads_there(house):
    arrows = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}
    assert house.without_detours(arrows) == {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}


def test_a_circle_does_not_lose_anybody(house):
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": {"b"}}
    kept = house.without_detours(arrows)
    assert (kept["b"], kept["c"]) == ({"c"}, {"b"})
    assert len(kept["a"]) == 1


def test_the_picture_has_every_room_and_the_arrows(house, package):
    picture = house.dot(house.House(package)).splitlines()
    assert picture[0] == "digraph house {"
    assert picture[-1] == "}"
    assert '    "middle" [label="middle", shape=folder]' in picture
    assert '    "bottom" [label="bottom"]' in picture
    assert '    "bottom" -> "cellar"' in picture
    assert '    "middle" -> "cellar"' not in picture


def test_the_package_is_a_house_with_these_rooms(house):
    arrows = house.House(ROOT / "smtp_connection").arrows
    folders = {path.parent.name for path in (ROOT / "smtp_connection").glob("*/__init__.py")}
    assert folders < set(arrows)
    assert "protocol" in arrows["connection"]
    assert arrows["text"] == set()
