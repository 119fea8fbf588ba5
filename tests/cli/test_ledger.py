"""``smtp-connection ledger``."""

from __future__ import annotations

import json

import pytest

from smtp_connection.cli import exits
from smtp_connection.cli.main import main
from smtp_connection.ledger.entries import Change
from smtp_connection.ledger.sqlite import SQLiteStore


@pytest.fixture
def place(tmp_path):
    """A ledger with two entries in doubt, one that was sent, and one that is to be sent."""
    path = str(tmp_path / "sent.db")
    store = SQLiteStore(path)
    store.claim([("hello", ["a@x.org", "b@x.org", "c@x.org"]), ("bye", ["a@x.org"])], 1.8e9)
    doubts = [("hello", "a@x.org"), ("bye", "a@x.org")]
    groups = [[Change(*each, 1, ("sending",), "in doubt", "")] for each in doubts]
    groups.append([Change("hello", "b@x.org", 1, ("sending",), "sent", "250 ok")])
    assert store.apply(groups, 1.8e9) == [True] * 3
    store.close()
    return path


@pytest.fixture
def ledger(capsys):
    def run(*arguments, status=exits.OK):
        assert main(["ledger", *arguments]) == status
        captured = capsys.readouterr()
        return captured.out if status in (exits.OK, exits.DATA_ERROR) else captured.err

    return run


def test_counts(ledger, place):
    assert ledger(place).splitlines() == [
        "sending           1",
        "in doubt          2",
        "sent              1",
        "refused           0",
    ]
    counts = {"sending": 1, "in doubt": 2, "sent": 1, "refused": 0}
    assert json.loads(ledger(place, "--json")) == counts


def test_the_place_may_come_from_the_environment(ledger, place, monkeypatch):
    monkeypatch.setenv("SMTP_CONNECTION_LEDGER", place)
    assert ledger().startswith("sending           1\n")


def test_entries_are_listed(ledger, place):
    head, *rows = ledger(place, "--list", "in doubt").splitlines()
    assert head.split() == ["message", "recipient", "state", "since", "response"]
    assert rows == [
        "  bye      a@x.org    in doubt  2027-01-15 08:00:00Z",
        "  hello    a@x.org    in doubt  2027-01-15 08:00:00Z",
    ]
    (row,) = ledger(place, "--list", "sent", "--json").splitlines()
    assert json.loads(row) == {
        "message": "hello",
        "recipient": "b@x.org",
        "state": "sent",
        "attempt": 1,
        "updated": 1.8e9,
        "response": "250 ok",
    }
    assert len(ledger(place, "--message", "hello", "--json").splitlines()) == 3
    assert len(ledger(place, "--recipient", "a@x.org", "--json").splitlines()) == 2


def test_what_is_in_doubt_is_decided(ledger, place):
    assert ledger(place, "--decide", "sent", "--message", "hello") == "1 decided\n"
    assert ledger(place, "--decide", "resend", "--json") == '{"decided": 1}\n'
    assert ledger(place, "--decide", "drop", status=exits.DATA_ERROR) == "0 decided\n"
    counts = {"sending": 2, "in doubt": 0, "sent": 2, "refused": 0}
    assert json.loads(ledger(place, "--json")) == counts


def test_what_cannot_be_opened_is_said(ledger, tmp_path, monkeypatch):
    monkeypatch.delenv("SMTP_CONNECTION_LEDGER", raising=False)
    missing = str(tmp_path / "missing.db")
    assert f"there is no ledger {missing}" in ledger(missing, status=exits.NO_INPUT)
    assert "set SMTP_CONNECTION_LEDGER" in ledger(status=exits.USAGE)
    assert "got mysql://" in ledger("mysql://x", status=exits.CONFIG)
    (tmp_path / "other.txt").write_text("not a database, and long enough to be seen as none\n" * 9)
    other = ledger(str(tmp_path / "other.txt"), status=exits.NO_INPUT)
    assert "the ledger cannot be opened: file is not a database" in other
