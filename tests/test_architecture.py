"""The ladder of imports: who may know whom.

The values and the dialogues do no I/O; the network knows no SMTP; the connection joins the two.
What is imported inside of a function counts as well: it is only later.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import smtp_connection

FOLDER = Path(smtp_connection.__file__).parent

# Who lives where, from the bottom to the top, and the rooms and single modules below (or beside)
# that those who live there may import.  A new module has to say where it lives.
ROOMS = {
    "values": (
        """_version callbacks capabilities clear_text controls dsn encoder envelope errors hints
        masking message_ids names proxy_url records replies session""",
        "values",
    ),
    "network": (
        "connector proxy reactor resolver signals tls tls_errors transport workers",
        "network controls errors names proxy_url records",
    ),
    "messages": (
        "addresses compose fields headers message serialize sources",
        "messages encoder errors names reactor",
    ),
    "dialogues": (
        "custom_auth dialogues ntlm sasl steps",
        "dialogues values message",
    ),
    "settings": (
        "options trace",
        "values reactor tls",
    ),
    "driver": ("exchange operations timeouts", "values dialogues message reactor trace transport"),
    "face": ("connection", "values network messages dialogues settings driver"),
    "tokens": (
        "token_request xoauth2 xoauth2_options",
        "tokens values reactor tls tls_errors transport workers",
    ),
    "door": ("__init__", "face tokens values reactor"),
    "programs": ("__main__ cli demo", "programs __init__"),
}

IO = {"asyncio", "select", "selectors", "socket", "ssl", "subprocess", "threading", "time", "pyee"}

# Outer modules that are the business of a few, and of nobody else.
RESERVED = {
    "selectors": {"reactor"},
    "threading": {"reactor", "workers", "xoauth2", "demo"},
    "asyncio": {"demo"},
    "pyee": {"connection", "xoauth2"},
}

# Modules of the standard library that are slow to import, and needed by few: none of them is loaded
# until it is.
SLOW = {"asyncio", "dataclasses", "email", "inspect", "ipaddress", "logging", "tempfile", "urllib"}

# Extras, which not everybody has: these are only imported when they are needed.
WITH_EXTRAS = {"demo", "token_request"}


class Module:
    """What one file imports.

    - ``own``, ``outer``: modules of the package, and others
    - ``at_once``: those of them that are imported when the module is
    - ``names``: what is imported from modules of the package
    """

    def __init__(self, path):
        self.name = path.stem
        self.tree = ast.parse(path.read_text())
        self.own, self.outer, self.names = self._imports(ast.walk(self.tree))
        own, outer, _ = self._imports(self.tree.body)
        self.at_once = own | outer

    @staticmethod
    def _imports(nodes):
        own, outer, names = set(), set(), set()
        for node in nodes:
            if isinstance(node, ast.Import):
                outer |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                outer.add(node.module.partition(".")[0])
            elif isinstance(node, ast.ImportFrom):
                own.add(node.module or "__init__")
                names |= {alias.name for alias in node.names}
        return own, outer, names


MODULES = {path.stem: Module(path) for path in sorted(FOLDER.glob("*.py"))}
ROOM_OF = {name: room for room, (names, _) in ROOMS.items() for name in names.split()}

each_module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def may_import(room):
    """Return the modules that those in ``room`` may import."""
    allowed = set()
    for name in ROOMS[room][1].split():
        allowed |= set(ROOMS[name][0].split()) if name in ROOMS else {name}
    return allowed


@each_module
def test_every_module_has_its_room(module):
    assert module.name in ROOM_OF


def test_no_room_is_kept_for_a_module_that_is_gone():
    assert set(ROOM_OF) == set(MODULES)


def test_nobody_below_may_import_somebody_above():
    """The table itself keeps the order that it is written in."""
    seen = set()
    for room, (names, _) in ROOMS.items():
        seen |= set(names.split())
        assert may_import(room) <= seen, room


@each_module
def test_nobody_imports_what_is_not_below(module):
    assert module.own <= may_import(ROOM_OF[module.name])


def test_nobody_imports_in_a_circle():
    order = []
    rest = {name: module.own - {name} for name, module in MODULES.items()}
    while rest:
        free = {name for name, own in rest.items() if own <= set(order)}
        assert free, f"these import one another: {sorted(rest)}"
        order += sorted(free)
        for name in free:
            del rest[name]


@pytest.mark.parametrize("room", ["values", "dialogues"])
def test_values_and_dialogues_do_no_io(room):
    for name in ROOMS[room][0].split():
        assert not MODULES[name].outer & IO, name


@pytest.mark.parametrize("outer", RESERVED)
def test_some_things_are_the_business_of_a_few(outer):
    assert {name for name, module in MODULES.items() if outer in module.outer} <= RESERVED[outer]


@each_module
def test_what_not_everybody_has_is_not_imported_at_once(module):
    assert not module.at_once & WITH_EXTRAS
    if module.name not in WITH_EXTRAS:
        everybody_has = {*sys.stdlib_module_names, *MODULES, "pyee"}
        assert module.at_once <= everybody_has


def test_what_few_need_and_is_slow_to_import_is_not_imported_at_once():
    program = "import sys; before = set(sys.modules); import ssl, selectors, pyee, smtp_connection"
    # What pyee or ssl load on some Python is not our doing.
    program += "; ours = set(sys.modules); print(*ours - before)"
    loaded = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    theirs = subprocess.run(
        [sys.executable, "-c", program.replace(", smtp_connection", "")],
        stdout=subprocess.PIPE,
        check=True,
    )
    added = set(loaded.stdout.decode().split()) - set(theirs.stdout.decode().split())
    assert "smtp_connection.connection" in added
    assert not added & SLOW


@each_module
def test_nobody_imports_what_is_private(module):
    assert {name for name in module.names if name.startswith("_")} <= {"__version__"}


@each_module
def test_nobody_sleeps(module):
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            assert getattr(node, "attr", getattr(node, "id", None)) != "sleep"


@each_module
def test_every_module_says_what_is_in_it(module):
    if module.name in WITH_EXTRAS | {"__main__", "_version"}:
        return
    found = importlib.import_module(
        "smtp_connection" if module.name == "__init__" else f"smtp_connection.{module.name}"
    )
    assert ast.get_docstring(module.tree)
    for name in found.__all__:
        assert hasattr(found, name), name
    assert len(set(found.__all__)) == len(found.__all__)


def test_the_front_door_holds_the_public_names_and_nothing_else():
    first, *imports, last = MODULES["__init__"].tree.body
    assert isinstance(first, ast.Expr)
    assert all(isinstance(each, ast.ImportFrom) and each.level == 1 for each in imports)
    imported = {alias.asname or alias.name for each in imports for alias in each.names}
    assert isinstance(last, ast.Assign)
    assert imported == set(smtp_connection.__all__)
    assert imported >= {
        "SMTPConnection",
        "SMTPError",
        "Reactor",
        "get_reactor",
        "run",
        "SendInfo",
        "LogEntry",
        "Capabilities",
        "__version__",
    }
