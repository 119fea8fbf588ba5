"""What the tests of the pool share: a mail server in virtual time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.site import Site
from tests.support.site import site as new_site


@pytest.fixture
def site() -> Iterator[Site]:
    with new_site() as site:
        yield site


@pytest.fixture
def slow_site() -> Iterator[Site]:
    """The same, 25 ms away."""
    with new_site(latency=0.025) as site:
        yield site
