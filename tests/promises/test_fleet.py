"""The simulated fleet, in a size for the suite."""

from __future__ import annotations

from tests.support.site import site

from .fleet import LATENCY, Fleet


def test_many_workers_send_each_message_once():
    with site(latency=LATENCY) as where:
        fleet = Fleet(where, workers=60, messages=600, kills=40)
        fleet.run()
        assert fleet.wrong() == []
        assert fleet.killed >= 20
        assert sum(fleet.store.counts().values()) == 600
