"""A ledger in one SQLite file, which any number of processes on one machine may share.

In WAL mode a commit is one ``fsync`` of the log.  Claims do without it: one that is lost was a
message that nobody has sent.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from .entries import IN_DOUBT, SENDING, Change, Entry

__all__ = ["SQLiteStore"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    message TEXT NOT NULL,
    recipient TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    updated REAL NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (message, recipient)
) WITHOUT ROWID
"""
_IN_DOUBT_INDEX = f"""
CREATE INDEX IF NOT EXISTS in_doubt ON entries (message, recipient) WHERE state = '{IN_DOUBT}'
"""

_COLUMNS = "message, recipient, state, attempt, updated, response"
_CLAIM = f"""
INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, '{SENDING}', 1, ?, '')
ON CONFLICT DO UPDATE SET attempt = attempt + 1, updated = excluded.updated
WHERE state = '{SENDING}'
"""
_LOOK = f"SELECT {_COLUMNS} FROM entries WHERE message = ? AND recipient = ?"
_CHANGE = """
UPDATE entries SET state = ?, response = ?, updated = ?
WHERE message = ? AND recipient = ? AND attempt = ? AND state IN (?, ?)
"""

# Another process may hold the file for as long as its disk takes to write.
_PATIENCE = 60.0  # seconds


class SQLiteStore:
    """Keeps a ledger in the file ``path``, and makes it if there is none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()  # a connection serves one thread at a time
        self._connection = sqlite3.connect(
            path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self._transaction(durable=True):
                self._connection.execute(_SCHEMA)
                self._connection.execute(_IN_DOUBT_INDEX)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._connection
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def claim(self, wanted: Sequence[tuple[str, Sequence[str]]], now: float) -> list[list[Entry]]:
        found: list[list[Entry]] = []
        with self._transaction(durable=False) as connection:
            for message, recipients in wanted:
                entries = []
                for recipient in recipients:
                    connection.execute(_CLAIM, (message, recipient, now))
                    row = connection.execute(_LOOK, (message, recipient)).fetchone()
                    entries.append(Entry(*row))
                found.append(entries)
        return found

    def apply(self, groups: Sequence[Sequence[Change]], now: float) -> list[bool]:
        with self._transaction(durable=True) as connection:
            return [self._apply(connection, group, now) for group in groups]

    def _apply(self, connection: sqlite3.Connection, group: Sequence[Change], now: float) -> bool:
        connection.execute("SAVEPOINT one")
        for change in group:
            before = (change.before[0], change.before[-1])
            place = (change.message, change.recipient, change.attempt)
            done = connection.execute(
                _CHANGE, (change.after, change.response, now, *place, *before)
            )
            if not done.rowcount:
                connection.execute("ROLLBACK TO one")
                return False
        connection.execute("RELEASE one")
        return True

    def decide(self, message: str, recipient: str, state: str, now: float) -> bool:
        with self._transaction(durable=True) as connection:
            done = connection.execute(
                "UPDATE entries SET state = ?, attempt = attempt + 1, updated = ?"
                f" WHERE message = ? AND recipient = ? AND state = '{IN_DOUBT}'",
                (state, now, message, recipient),
            )
            return done.rowcount > 0

    def entries(self, state: str | None, message: str | None) -> Iterator[Entry]:
        # On a connection of its own: who reads slowly must not hold anybody up.
        connection = sqlite3.connect(self._path, timeout=_PATIENCE, check_same_thread=False)
        try:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM entries"
                " WHERE (:state IS NULL OR state = :state)"
                " AND (:message IS NULL OR message = :message)"
                " ORDER BY message, recipient",
                {"state": state, "message": message},
            )
            for row in rows:
                yield Entry(*row)
        finally:
            connection.close()

    def counts(self) -> Mapping[str, int]:
        with self._lock:
            rows = self._connection.execute("SELECT state, count(*) FROM entries GROUP BY state")
            return dict(rows.fetchall())

    def close(self) -> None:
        with self._lock:
            self._connection.close()
