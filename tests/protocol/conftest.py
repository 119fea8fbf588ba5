"""What the tests of transactions share."""

from __future__ import annotations

import pytest

from tests.support.desk import Answers


@pytest.fixture(params=[True, False], ids=["pipelined", "step by step"])
def pipelining(request):
    return request.param


@pytest.fixture
def answers(pipelining):
    return Answers(pipelining)
