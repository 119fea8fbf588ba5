from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from smtp_connection.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


@pytest.fixture
def ledger(path: str) -> Iterator[Ledger]:
    with Ledger(path) as ledger:
        yield ledger
