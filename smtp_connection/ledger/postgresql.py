"""A ledger in PostgreSQL, for workers on many machines (extra ``postgresql``)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import needs_extra
from .entries import IN_DOUBT, SENDING, Change, Entry

__all__ = ["PostgreSQLStore"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS smtp_ledger (
    message text NOT NULL,
    recipient text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL,
    updated double precision NOT NULL,
    response text NOT NULL,
    PRIMARY KEY (message, recipient)
)
"""
_IN_DOUBT_INDEX = f"""
CREATE INDEX IF NOT EXISTS smtp_ledger_in_doubt
ON smtp_ledger (message, recipient) WHERE state = '{IN_DOUBT}'
"""
_SCHEMA_LOCK = (
    0x534D5450  # of pg_advisory_xact_lock: two that make one table get in each other's way
)

_COLUMNS = "message, recipient, state, attempt, updated, response"
# In one order, so that two claims wait for each other in turn.
_CLAIM = f"""
INSERT INTO smtp_ledger AS known ({_COLUMNS})
SELECT message, recipient, '{SENDING}', 1, %s, ''
FROM unnest(%s::text[], %s::text[]) AS wanted (message, recipient)
ORDER BY message, recipient
ON CONFLICT (message, recipient)
DO UPDATE SET attempt = known.attempt + 1, updated = excluded.updated
WHERE known.state = '{SENDING}'
RETURNING {_COLUMNS}
"""
_LOOK = f"""
SELECT {_COLUMNS} FROM smtp_ledger
JOIN unnest(%s::text[], %s::text[]) AS wanted (message, recipient) USING (message, recipient)
"""
_APPLY = """
UPDATE smtp_ledger AS known
SET state = wanted.after, response = wanted.response, updated = %s
FROM unnest(%s::int[], %s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::text[],
    %s::text[]) AS wanted (number, message, recipient, attempt, one, other, after, response)
WHERE known.message = wanted.message AND known.recipient = wanted.recipient
    AND known.attempt = wanted.attempt AND known.state IN (wanted.one, wanted.other)
RETURNING wanted.number
"""
_DECIDE = f"""
UPDATE smtp_ledger SET state = %s, attempt = attempt + 1, updated = %s
WHERE message = %s AND recipient = %s AND state = '{IN_DOUBT}'
"""


class PostgreSQLStore:
    """Keeps a ledger in the table ``smtp_ledger`` of the database at ``url``."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ModuleNotFoundError as exc:
            if exc.name != "psycopg":
                raise
            raise ModuleNotFoundError(
                needs_extra("a ledger in PostgreSQL", "postgresql"), name="psycopg"
            ) from None
        self._url = url
        self._psycopg: Any = psycopg
        self._connection: Any = self._psycopg.connect(self._url)
        self._lock = threading.Lock()  # guards the connection
        try:
            with self._transaction() as cursor:
                cursor.execute(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
                cursor.execute(_SCHEMA)
                cursor.execute(_IN_DOUBT_INDEX)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._lock:
            if self._connection.closed:  # by the server, since the last time
                self._connection = self._psycopg.connect(self._url)
            with self._connection.transaction(), self._connection.cursor() as cursor:
                yield cursor

    def claim(self, wanted: Sequence[tuple[str, Sequence[str]]], now: float) -> list[list[Entry]]:
        known: dict[tuple[str, str], Entry] = {}
        missing = [(message, recipient) for message, to in wanted for recipient in to]
        with self._transaction() as cursor:
            while missing:
                names = [list(column) for column in zip(*dict.fromkeys(missing), strict=True)]
                cursor.execute(_CLAIM, (now, *names))
                ours = {row[:2]: Entry(*row) for row in cursor.fetchall()}
                cursor.execute(_LOOK, names)
                known.update((row[:2], Entry(*row)) for row in cursor.fetchall())
                known.update(ours)
                # Not ours, and yet to be sent: it was in doubt a moment ago.
                missing = [
                    each for each in missing if each not in ours and known[each].state == SENDING
                ]
        return [[known[message, recipient] for recipient in to] for message, to in wanted]

    def apply(self, groups: Sequence[Sequence[Change]], now: float) -> list[bool]:
        possible = set(range(len(groups)))
        with self._transaction() as cursor:
            while possible:
                rows = [
                    (number, *each[:3], each.before[0], each.before[-1], *each[4:])
                    for number in possible
                    for each in groups[number]
                ]
                if not rows:
                    break
                cursor.execute("SAVEPOINT before")
                cursor.execute(_APPLY, (now, *(list(column) for column in zip(*rows, strict=True))))
                changed = [number for (number,) in cursor.fetchall()]
                partly = {each for each in possible if changed.count(each) != len(groups[each])}
                if not partly:
                    break
                cursor.execute("ROLLBACK TO before")
                possible -= partly
        return [number in possible for number in range(len(groups))]

    def decide(self, message: str, recipient: str, state: str, now: float) -> bool:
        with self._transaction() as cursor:
            cursor.execute(_DECIDE, (state, now, message, recipient))
            return bool(cursor.rowcount)

    def entries(self, state: str | None, message: str | None) -> Iterator[Entry]:
        # On a connection of its own: who reads slowly must not hold anybody up.
        with self._psycopg.connect(self._url) as connection, connection.cursor("entries") as cursor:
            cursor.execute(
                f"SELECT {_COLUMNS} FROM smtp_ledger"
                " WHERE (%(state)s::text IS NULL OR state = %(state)s)"
                " AND (%(message)s::text IS NULL OR message = %(message)s)"
                " ORDER BY message, recipient",
                {"state": state, "message": message},
            )
            for row in cursor:
                yield Entry(*row)

    def counts(self) -> Mapping[str, int]:
        with self._transaction() as cursor:
            cursor.execute("SELECT state, count(*) FROM smtp_ledger GROUP BY state")
            return dict(cursor.fetchall())

    def close(self) -> None:
        with self._lock:
            self._connection.close()
