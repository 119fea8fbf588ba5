"""How the programs of README.rst and of the manual are run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.manual import ROOT


@pytest.fixture
def run_text(tmp_path) -> Any:
    """Run the text of a program, in a folder that also has its imports: ``done = run_text(text)``.

    The file ca.pem in there takes the place of the system's CAs, so that certificates are verified.
    """

    def run(program: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        }
        command = [sys.executable, "-W", "error", "-c", program]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    return run
