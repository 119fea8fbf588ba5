"""A few kills, where there is a Redis to run (the extra ``databases``)."""

from __future__ import annotations

from tests.ledger.databases import DATABASES

if "redis" in DATABASES:
    import pytest

    from .kills import run

    @pytest.mark.timeout(300)
    def test_nobody_gets_a_message_twice_although_workers_are_killed(tmp_path):
        report = run(400, 4, folder=tmp_path)
        assert report.wrong == []
        assert sum(report.states.values()) == 400
        assert report.states["refused"] == 8
