"""The house: which folder may know which, who does I/O, and what an import costs.

What is imported inside of a function counts as well: it is only later.  What is imported for type
checkers alone is never run: it counts as knowledge of another room, but not as I/O.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import smtp_connection

FOLDER = Path(smtp_connection.__file__).parent

# From the top to the bottom.  A file that lies in no folder is a room of its own.  Rooms on one
# floor do not know one another.
FLOORS = [
    "__main__",
    "cli pytest_plugin",
    "testing",
    "__init__",
    "celery blocking aio",
    "wrapped transports",
    "pool",
    "connection terminal hosting futures ledger",
    "listeners",
    "driver auth xoauth2",
    "protocol",
    "message",
    "net mime",
    "types",
    "abort",
    "options",
    "records emitter dkim",
    "reactor errors callbacks hosts _version",
    "text status",
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}

# These do no I/O, not even by way of an event loop.
SANS_IO = {"protocol", "mime", "options", "records", "errors", "callbacks", "text", "status"}
IO = {"asyncio", "select", "selectors", "socket", "ssl", "subprocess", "threading", "time", "pyee"}

# Outer modules that are the business of a few, and of nobody else.
RESERVED = {
    "selectors": {"reactor.handles", "reactor.loop"},
    "threading": {
        "reactor.loop",
        "reactor.threads",
        "reactor.background",
        "reactor.default",
        "blocking.thread",
        "blocking.connection",
        "xoauth2.generator",
        "ledger.ledger",
        "celery.sender",
        "celery.task",
        "ledger.sqlite",
        "ledger.postgresql",
        "hosting.core",  # where a loop or the selector has no descriptor to watch
        # The server for tests runs beside the program under test, which may block.
        "testing.loopback",
        "testing.faults",
        "testing.messages",
    },
    "signal": {"reactor.wakeup"},
    "heapq": {"reactor.timers"},
    "asyncio": {
        "hosting.with_asyncio",
        "aio.answers",
        "aio.connection",
        "aio.listeners",
        "aio.reactors",
        "aio.transport",
        # for aiosmtpd
        "testing.loopback",
        "testing.conversation",
        "cli.demo",
    },
    "pyee": {"emitter"},
}

# Modules of the standard library that are slow to import, and needed by few: none of them is loaded
# until it is.
SLOW = {"asyncio", "dataclasses", "email", "inspect", "ipaddress", "logging", "tempfile", "urllib"}

# Extras, which not everybody has: these are only imported when they are needed.
WITH_EXTRAS = {
    "cli.demo",
    "testing.conversation",
    "pytest_plugin",
    "xoauth2.token_request",
    # The other loop is there, or nobody asks for them.
    "hosting.with_trio",
    "hosting.with_twisted",
}


class Module:
    """What one file imports.

    - ``own``, ``outer``: modules of the package, and others
    - ``at_once``: those of them that are imported when the module is
    - ``names``: what is imported from modules of the package
    """

    def __init__(self, path: Path) -> None:
        parts = path.relative_to(FOLDER).with_suffix("").parts
        self.name = ".".join(parts)
        self.room = parts[0]
        self._folder = parts[:-1]
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self._for_types = {
            node
            for block in ast.walk(self.tree)
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
            for node in block.body
        }
        self.names: set[str] = set()
        self.own, self.outer = self._imports(ast.walk(self.tree))
        own, outer = self._imports(self.tree.body)
        self.at_once = own | outer

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("__init__")

    def _imports(self, nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
        own: set[str] = set()
        outer: set[str] = set()
        for node in nodes:
            if node in self._for_types and not getattr(node, "level", 0):
                continue
            if isinstance(node, ast.Import):
                outer |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                outer.add(str(node.module).partition(".")[0])
            elif isinstance(node, ast.ImportFrom):
                folder = self._folder[: len(self._folder) + 1 - node.level]
                names = {alias.name for alias in node.names}
                self.names |= names
                if node.module:
                    own.add(".".join([*folder, node.module]))
                else:
                    own |= {self._sibling(folder, name) for name in names}
        return own, outer

    @staticmethod
    def _sibling(folder: tuple[str, ...], name: str) -> str:
        """Return the module that ``from . import name`` in ``folder`` gets ``name`` from."""
        is_module = (FOLDER.joinpath(*folder, f"{name}.py")).exists()
        return ".".join([*folder, name if is_module else "__init__"])


MODULES = {module.name: module for module in map(Module, sorted(FOLDER.rglob("*.py")))}


def rooms_known() -> Iterator[tuple[str, str]]:
    """Yield every arrow that leaves a room: its name, and that of the room it leads to."""
    for module in MODULES.values():
        for other in module.own:
            if other.partition(".")[0] != module.room:
                yield module.name, other.partition(".")[0]


def test_every_room_is_on_a_floor_and_no_floor_is_kept_for_one_that_is_gone():
    assert {module.room for module in MODULES.values()} == set(FLOOR_OF)


def test_arrows_go_down():
    wrong = {
        (name, room)
        for name, room in rooms_known()
        if FLOOR_OF[room] <= FLOOR_OF[MODULES[name].room]
    }
    assert not wrong


def test_the_server_for_tests_knows_nothing_of_the_client():
    for module in MODULES.values():
        if module.room == "testing":
            others = {other for other in module.own if not other.startswith("testing.")}
            assert others <= {"errors"}, module.name
            assert module.name == "testing.extra" or not others, module.name


def test_nobody_imports_in_a_circle():
    order: list[str] = []
    rest = {name: (module.own & set(MODULES)) - {name} for name, module in MODULES.items()}
    while rest:
        free = {name for name, own in rest.items() if own <= set(order)}
        assert free, f"these import one another: {sorted(rest)}"
        order += sorted(free)
        for name in free:
            del rest[name]


def test_some_rooms_do_no_io():
    wrong = {
        (module.name, *(module.outer & IO))
        for module in MODULES.values()
        if module.room in SANS_IO and module.outer & IO
    }
    assert not wrong


def test_some_things_are_the_business_of_a_few():
    for outer, few in RESERVED.items():
        assert {name for name, module in MODULES.items() if outer in module.outer} <= few, outer


def test_what_not_everybody_has_is_not_imported_at_once():
    for module in MODULES.values():
        assert not module.at_once & WITH_EXTRAS, module.name
        if module.name not in WITH_EXTRAS:
            everybody_has = {*sys.stdlib_module_names, "pyee"}
            assert module.at_once - module.own <= everybody_has, module.name


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
    # What dials comes with the first connection.
    assert not any(name.startswith("smtp_connection.net.") for name in added)


def test_nobody_imports_what_is_private():
    for module in MODULES.values():
        private = {name for name in module.names if name.startswith("_")}
        assert private <= {"__version__"}, module.name


def test_nobody_sleeps():
    for module in MODULES.values():
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.Attribute, ast.Name)):
                called = getattr(node, "attr", getattr(node, "id", None))
                assert called != "sleep", module.name


def test_every_module_says_what_is_in_it():
    for module in MODULES.values():
        if module.name in WITH_EXTRAS | {"__main__", "_version"}:
            continue
        assert ast.get_docstring(module.tree), module.name
        if module.is_folder and not module.own:
            continue
        dotted = f"smtp_connection.{module.name}".removesuffix(".__init__")
        found = importlib.import_module(dotted)
        for name in found.__all__:
            assert hasattr(found, name), (module.name, name)
        assert len(set(found.__all__)) == len(found.__all__), module.name


def test_the_front_door_holds_the_public_names_and_nothing_else():
    tree = MODULES["__init__"].tree
    imports = [each for each in tree.body if isinstance(each, ast.ImportFrom) and each.level]
    (for_types,) = [each for each in tree.body if isinstance(each, ast.If)]
    assert ast.unparse(for_types.test) == "TYPE_CHECKING"
    at_once, on_use = imported_names(imports), imported_names(for_types.body)
    assert not at_once & on_use
    assert at_once | on_use == set(smtp_connection.__all__)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions] == ["__dir__", "__getattr__"]
    assert at_once == {
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


def imported_names(imports: Iterable[ast.stmt]) -> set[str]:
    """Return the names that these statements import, all of them from modules of the package."""
    assert all(isinstance(each, ast.ImportFrom) and each.level == 1 for each in imports)
    return {
        alias.asname or alias.name
        for each in imports
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }


def test_what_few_programs_need_is_imported_when_it_is_asked_for():
    on_use = smtp_connection._ON_USE
    (for_types,) = [each for each in MODULES["__init__"].tree.body if isinstance(each, ast.If)]
    assert on_use == {
        alias.name: each.module
        for each in for_types.body
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }
    program = """
import sys, smtp_connection
for name, module in smtp_connection._ON_USE.items():
    assert f"smtp_connection.{module}" not in sys.modules, module
    assert name in dir(smtp_connection) and name not in vars(smtp_connection), name
for name, module in smtp_connection._ON_USE.items():
    value = getattr(smtp_connection, name)
    assert value is getattr(sys.modules[f"smtp_connection.{module}"], name), name
    assert vars(smtp_connection)[name] is value, name
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    for name, module in on_use.items():
        # The import system would put the module in the place of what it is to offer.
        assert name != module, name
    with pytest.raises(AttributeError, match="has no attribute 'SMTPConnectoin'"):
        smtp_connection.SMTPConnectoin  # noqa: B018
