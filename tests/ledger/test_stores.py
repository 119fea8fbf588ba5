"""All stores keep the same promises: SQLite, and the databases that are installed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smtp_connection.ledger.entries import Change, Store
from smtp_connection.ledger.ledger import open_store
from tests.support.manual import ROOT

from .databases import DATABASES
from .racer import MESSAGES, REFUSED

NOW = 1_800_000_000.25


@pytest.fixture(scope="module", params=["sqlite", *DATABASES])
def place(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield str(folder / "ledger.db")
    else:
        with DATABASES[request.param](folder) as url:
            yield url


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    store = open_store(place)
    yield store
    store.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A message that no other test knows; with what a database might stumble over."""
    return f"{request.node.name}: 'quoted' \"twice\" {{%s}} ? \\ \u00e9\u20ac\U0001f4e7"


def change(message, recipient, attempt=1, before=("sending",), after="in doubt", response=""):
    return Change(message, recipient, attempt, before, after, response)


def states(store, message):
    return [(each.recipient, each.state) for each in store.entries(None, message)]


def test_what_is_new_is_claimed(store, name):
    (found,) = store.claim([(name, ["b@x.org", "a@x.org"])], NOW)
    assert [tuple(each) for each in found] == [
        (name, "b@x.org", "sending", 1, NOW, ""),
        (name, "a@x.org", "sending", 1, NOW, ""),
    ]


def test_what_is_still_to_be_sent_is_claimed_anew(store, name):
    store.claim([(name, ["a@x.org"])], NOW)
    ((entry,),) = store.claim([(name, ["a@x.org"])], NOW + 1)
    assert (entry.attempt, entry.updated) == (2, NOW + 1)
    assert store.apply([[change(name, "a@x.org", attempt=1)]], NOW) == [False]
    assert store.apply([[change(name, "a@x.org", attempt=2)]], NOW) == [True]


def test_what_is_settled_or_in_doubt_is_not(store, name):
    store.claim([(name, ["a", "b", "c"])], NOW)
    for recipient, after in (("a", "sent"), ("b", "in doubt"), ("c", "refused")):
        words = f"250 {name}"
        assert store.apply([[change(name, recipient, after=after, response=words)]], NOW) == [True]
    (found,) = store.claim([(name, ["a", "b", "c"])], NOW + 1)
    assert [(each.state, each.attempt, each.updated) for each in found] == [
        ("sent", 1, NOW),
        ("in doubt", 1, NOW),
        ("refused", 1, NOW),
    ]
    assert {each.response for each in found} == {f"250 {name}"}


def test_many_messages_are_claimed_together(store, name):
    wanted = [(f"{name} {number}", [f"{number}@x.org", "a@x.org"]) for number in range(100)]
    found = store.claim(wanted, NOW)
    assert [(each[0].message, [entry.recipient for entry in each]) for each in found] == wanted


def test_changes_of_one_group_are_made_all_or_none(store, name):
    store.claim([(name, ["a", "b", "c"])], NOW)
    groups = [
        [change(name, "a"), change(name, "b", attempt=2)],
        [change(name, "b", after="refused")],
        [change(name, "c", before=("in doubt", "sent"))],
        [change(name, "nobody")],
        [],
        [change(name, "c", before=("in doubt", "sending"), after="sent")],
    ]
    assert store.apply(groups, NOW) == [False, True, False, False, True, True]
    assert states(store, name) == [("a", "sending"), ("b", "refused"), ("c", "sent")]
    assert store.apply([], NOW) == []


def test_a_person_decides(store, name):
    store.claim([(name, ["a"])], NOW)
    assert not store.decide(name, "a", "sent", NOW)
    assert not store.decide(name, "nobody", "sent", NOW)
    store.apply([[change(name, "a", response="why")]], NOW)
    assert store.decide(name, "a", "sending", NOW + 1)
    (entry,) = store.entries(None, name)
    assert tuple(entry) == (name, "a", "sending", 2, NOW + 1, "why")


def test_entries_are_found_by_state_and_message(store, name):
    store.claim([(name, ["a", "b"]), (f"{name}!", ["c"])], NOW)
    store.apply([[change(name, "b", after="refused")]], NOW)
    mine = [each for each in store.entries("refused", None) if each.message.startswith(name)]
    assert [each.recipient for each in mine] == ["b"]
    assert [each.recipient for each in store.entries("sending", name)] == ["a"]
    assert [each.recipient for each in store.entries("sent", name)] == []
    everything = {(each.message, each.recipient) for each in store.entries(None, None)}
    assert {(name, "a"), (name, "b"), (f"{name}!", "c")} <= everything


def test_counts(store, name):
    before = store.counts()
    store.claim([(name, ["a", "b"])], NOW)
    store.apply([[change(name, "b", after="refused")]], NOW)
    after = store.counts()
    added = {state: count - before.get(state, 0) for state, count in after.items()}
    assert {state: count for state, count in added.items() if count} == {"sending": 1, "refused": 1}


def test_processes_that_race_pass_the_gate_once(place, name):
    command = [sys.executable, "-m", "tests.ledger.racer", place, name]
    racers = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(3)
    ]
    passed: Counter[int] = Counter()
    for racer in racers:
        lines = racer.communicate()[0].splitlines()
        assert racer.returncode == 0
        passed.update(int(line) for line in lines)
    # Where it was refused, it may have been sent again, by another racer.
    assert {number for number, times in passed.items() if times != 1} <= set(REFUSED)
    assert set(passed) == set(range(MESSAGES))


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("redis://localhost", "redis", "a ledger in Redis needs the extra 'redis'"),
        (
            "postgresql://localhost",
            "psycopg",
            "a ledger in PostgreSQL needs the extra 'postgresql'",
        ),
    ],
)
def test_without_the_extra_it_says_what_to_install(monkeypatch, url, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=extra):
        open_store(url)
