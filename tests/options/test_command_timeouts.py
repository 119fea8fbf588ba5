"""commandTimeouts; what they are for is in tests/sessions/test_time_limits.py."""

from __future__ import annotations

import pytest

from smtp_connection.options.command_timeouts import CommandTimeouts


@pytest.mark.parametrize(
    ("given", "shortest"),
    [
        ({}, 120_000),
        ({"NOOP": 500, "QUIT": 0}, 500),
        ({"EHLO": 130_000}, 120_000),
        (dict.fromkeys(CommandTimeouts.defaults, 0), 120_000),
    ],
)
def test_the_shortest_of_them_counts_only_those_that_are_set(given, shortest):
    assert CommandTimeouts.parse(given).shortest == shortest
