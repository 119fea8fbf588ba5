"""A ledger in Redis, for workers on many machines (extra ``redis``).

Each method is one script, which Redis carries out as a whole.  A message is a hash with a field for
each recipient; a set for each state has all that are in it.  All keys have the same hash tag, so
that they lie on one node of a cluster.

What Redis has acknowledged it may still lose when it crashes, unless it writes an append-only file
with ``appendfsync always``.  From 7.2 on it is asked to sync before the gate opens, whatever
``appendfsync`` is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

from ..errors import needs_extra
from .entries import IN_DOUBT, SENDING, STATES, Change, Entry

__all__ = ["RedisStore"]

# Every script begins with this.  An entry is kept as a JSON list: state, attempt, time, response.
_COMMON = """
local prefix = KEYS[1]
local function place(message) return prefix .. ':message:' .. message end
local function member(message, recipient) return cjson.encode({message, recipient}) end
local function read(message, recipient)
    local found = redis.call('HGET', place(message), recipient)
    return found and cjson.decode(found)
end
local function write(message, recipient, old, entry)
    redis.call('HSET', place(message), recipient, cjson.encode(entry))
    if old ~= entry[1] then
        if old then redis.call('SREM', prefix .. ':' .. old, member(message, recipient)) end
        redis.call('SADD', prefix .. ':' .. entry[1], member(message, recipient))
    end
end
"""

_CLAIM = f"""
local found = {{}}
for _, wanted in ipairs(cjson.decode(ARGV[1])) do
    local message, recipients = wanted[1], wanted[2]
    for _, recipient in ipairs(recipients) do
        local entry = read(message, recipient)
        if not entry then
            entry = {{'{SENDING}', 1, ARGV[2], ''}}
            write(message, recipient, nil, entry)
        elseif entry[1] == '{SENDING}' then
            entry[2], entry[3] = entry[2] + 1, ARGV[2]
            write(message, recipient, '{SENDING}', entry)
        end
        found[#found + 1] = cjson.encode(entry)
    end
end
return found
"""

_APPLY = """
local made = {}
for number, group in ipairs(cjson.decode(ARGV[1])) do
    local olds, possible = {}, 1
    for index, change in ipairs(group) do
        local entry = read(change[1], change[2])
        olds[index] = entry and entry[1]
        local fits = false
        for _, state in ipairs(change[4]) do fits = fits or state == olds[index] end
        if not fits or entry[2] ~= change[3] then possible = 0 end
    end
    if possible == 1 then
        for index, change in ipairs(group) do
            write(change[1], change[2], olds[index], {change[5], change[3], ARGV[2], change[6]})
        end
    end
    made[number] = possible
end
return made
"""

_DECIDE = f"""
local entry = read(ARGV[1], ARGV[2])
if not entry or entry[1] ~= '{IN_DOUBT}' then return 0 end
write(ARGV[1], ARGV[2], '{IN_DOUBT}', {{ARGV[3], entry[2] + 1, ARGV[4], entry[4]}})
return 1
"""


class RedisStore:
    """Keeps a ledger at ``url``: ``redis://host:6379/0?ledger=NAME``.

    ``NAME`` is ``ledger``, unless it is given; all other parameters are redis-py's.
    """

    def __init__(self, url: str) -> None:
        try:
            import redis
        except ModuleNotFoundError as exc:
            if exc.name != "redis":
                raise
            raise ModuleNotFoundError(
                needs_extra("a ledger in Redis", "redis"), name="redis"
            ) from None
        place, _, query = url.partition("?")
        given = parse_qs(query, keep_blank_values=True)
        name = given.pop("ledger", ["ledger"])[-1]
        self._client: Any = redis.Redis.from_url(
            f"{place}?{urlencode(given, doseq=True)}", decode_responses=True
        )
        self._prefix = f"{{smtp_connection:{name}}}"
        script = self._client.register_script
        self._claim, self._apply, self._decide = (
            script(_COMMON + each) for each in (_CLAIM, _APPLY, _DECIDE)
        )
        self._syncs = self._can_sync()

    def _can_sync(self) -> bool:
        """Whether the server has an append-only file, and can be asked to sync it."""
        from redis.exceptions import ResponseError

        try:
            self._client.execute_command("WAITAOF", 1, 0, 1)
        except ResponseError:
            return False
        return True

    def _call(self, script: Any, *arguments: object) -> Any:
        return script(keys=[self._prefix], args=arguments)

    def claim(self, wanted: Sequence[tuple[str, Sequence[str]]], now: float) -> list[list[Entry]]:
        found = iter(self._call(self._claim, json.dumps(wanted), now))
        return [
            [_entry(message, recipient, next(found)) for recipient in recipients]
            for message, recipients in wanted
        ]

    def apply(self, groups: Sequence[Sequence[Change]], now: float) -> list[bool]:
        made = [bool(each) for each in self._call(self._apply, json.dumps(groups), now)]
        if self._syncs:
            self._client.execute_command("WAITAOF", 1, 0, 0)
        return made

    def decide(self, message: str, recipient: str, state: str, now: float) -> bool:
        return bool(self._call(self._decide, message, recipient, state, now))

    def entries(self, state: str | None, message: str | None) -> Iterator[Entry]:
        if message is not None:
            for recipient, kept in sorted(self._client.hgetall(self._place(message)).items()):
                entry = _entry(message, recipient, kept)
                if state in (None, entry.state):
                    yield entry
            return
        for each in STATES if state is None else (state,):
            for member in self._client.sscan_iter(f"{self._prefix}:{each}"):
                name, recipient = json.loads(member)
                kept = self._client.hget(self._place(name), recipient)
                entry = _entry(name, recipient, kept)
                if entry.state == each:  # it may have changed since
                    yield entry

    def counts(self) -> Mapping[str, int]:
        return {state: self._client.scard(f"{self._prefix}:{state}") for state in STATES}

    def _place(self, message: str) -> str:
        return f"{self._prefix}:message:{message}"

    def close(self) -> None:
        self._client.close()


def _entry(message: str, recipient: str, kept: str) -> Entry:
    state, attempt, updated, response = json.loads(kept)
    return Entry(message, recipient, state, int(attempt), float(updated), response)
