"""Type checkers find mistakes, find nothing in correct programs, and know the names of tables."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
import typing
from pathlib import Path

import pytest

from smtp_connection import SMTPConnection, listeners, types
from smtp_connection.auth.credentials import Credentials
from smtp_connection.mime import addresses, checks, content, lists, mail, parts
from smtp_connection.options import dkim
from smtp_connection.options.smtp import Options
from smtp_connection.options.tls import TLSOptions
from smtp_connection.options.transport import PoolOptions, TransportOptions
from smtp_connection.protocol import dsn, envelope
from smtp_connection.transports.mail import OF_A_TRANSPORT
from smtp_connection.xoauth2.options import XOAuth2Options
from tests.support.manual import ROOT

PROGRAMS = Path(__file__).parent / "typing"


# -- what a type checker says ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, int], list[str]]:
    """What mypy finds in the programs: the errors of each line."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=/dev/null"]
    done = subprocess.run(
        [*command, *map(str, sorted(PROGRAMS.glob("*.py")))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    errors: dict[tuple[str, int], list[str]] = {}
    for line in done.stdout.splitlines():
        match = re.fullmatch(r"(.*?)([\w.]+):(\d+): error: (.*)", line)
        if match:
            errors.setdefault((match[2], int(match[3])), []).append(match[4])
    assert done.returncode in (0, 1), done.stdout
    return errors


def test_every_mistake_is_found(found):
    mistakes = (PROGRAMS / "mistakes.py").read_text(encoding="utf-8").splitlines()
    marked = 0
    for number, line in enumerate(mistakes, 1):
        _, mark, text = line.partition("  # E: ")
        errors = found.pop(("mistakes.py", number), [])
        marked += bool(mark)
        if mark:
            assert any(text in error for error in errors), (number, line, errors)
        else:
            assert errors == [], (number, line)
    assert marked > 30


def test_nothing_is_found_in_correct_programs(found):
    assert {place: errors for place, errors in found.items() if place[0] == "correct.py"} == {}


# -- the names -------------------------------------------------------------------------------------


def asked_for(function: object) -> set[str]:
    """Return what ``function`` asks a mapping for: each ``name`` of a ``.get("name")``."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "get"
    }


TABLES = {
    "ConnectionOptions": Options.defaults,
    "TLSOptions": TLSOptions.defaults,
    # nodemailer's programs also say of which 'type' it is, which makes no difference here.
    "Auth": asked_for(Credentials.__init__) | {"type"},
    "TransportAuth": asked_for(Credentials.__init__)
    | {"type", "serviceClient"}
    | set(XOAuth2Options.defaults),
    "PoolOptions": PoolOptions.defaults,
    "TransportOptions": TransportOptions.defaults,
    "DKIM": dkim._NAMES._exact,
    "_DKIMKey": dkim._Key.defaults,
    "Envelope": envelope._KEYS._exact,
    "DSN": dsn._KEYS._exact,
    "Message": mail._NAMES._exact,
    "TransportMail": {*mail._NAMES._exact, *OF_A_TRANSPORT},
    "MailEnvelope": {*envelope._KEYS._exact, "cc", "bcc"},
    "Attachment": content.FILE._exact,
    "_Content": content._CONTENT._exact,
    "_Text": parts._TEXT._exact,
    "_Event": parts._EVENT._exact,
    "_ListEntry": lists._ENTRY._exact,
    "_HeaderValue": checks._HEADER_VALUE._exact,
    "_NamedAddress": addresses._OBJECT._exact,
    "_Header": checks._HEADER._exact,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_names_are_those_of_the_table(name):
    shape, table = set(getattr(types, name).__annotations__), set(TABLES[name])
    what_to_do = (
        f"{name} in smtp_connection/types.py is behind its table: add {sorted(table - shape)} with"
        f" the type of the values, remove {sorted(shape - table)}, and give each new name a value"
        " in tests/typing/correct.py"
    )
    assert shape == table, what_to_do


SHAPES = {
    Options: types.ConnectionOptions,
    TLSOptions: types.TLSOptions,
    PoolOptions: types.PoolOptions,
    TransportOptions: types.TransportOptions,
}


@pytest.mark.parametrize(("settings", "shape"), SHAPES.items())
def test_flags_and_numbers_are_of_the_kind_that_the_table_says(settings, shape):
    hints = typing.get_type_hints(shape)
    for name, option in settings._options.items():
        if name != "logger" and option.kind in (bool, int, float):
            accepted = {bool: {bool}, int: {int, float}, float: {float}}[option.kind]
            assert accepted & set(typing.get_args(hints[name])), name


def test_the_events_are_those_of_a_connection():
    events = set(SMTPConnection._arguments)
    assert set(typing.get_args(types.EventName)) == events, "see EventName in types.py"
    source = inspect.getsource(listeners)
    methods: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            constants = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            literals = {each for each in constants if isinstance(each, str)}
            methods.setdefault(node.name, set()).update(literals)
    assert set(methods) == {
        "on",
        "once",
        "addListener",
        "prependListener",
        "prependOnceListener",
    }
    for name, known in methods.items():
        missing = f"{name} in smtp_connection/listeners.py needs an overload for each event"
        assert known - {"new_listener"} == events, missing


# -- the cost --------------------------------------------------------------------------------------


def test_the_package_does_not_import_them():
    program = """
import sys
from smtp_connection import Reactor, SMTPConnection
SMTPConnection({"host": "localhost"}, reactor=Reactor()).login({"user": "me"})
assert not {"smtp_connection.types", "smtp_connection.listeners"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
