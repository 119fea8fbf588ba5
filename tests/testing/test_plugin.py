"""The fixture as pytest finds it: by its entry point, and by its name."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.manual import ROOT

PLUGIN = "smtp_connection.pytest_plugin"
A_TEST = """
import smtplib

def test_it(smtp_server):
    with smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=10) as client:
        client.sendmail("a@x.org", ["b@x.org"], "Subject: hi\\n\\nhello")
    assert smtp_server.messages[0].message["Subject"] == "hi"
"""


def run_pytest(folder: Path, *arguments: str) -> str:
    """Run pytest in a project of somebody else; return what it prints."""
    (folder / "test_theirs.py").write_text(A_TEST, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def install_entry_point(folder: Path) -> None:
    """Lay into ``folder`` what an installer makes of the entry points in setup.cfg."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    info = folder / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = setup["options.entry_points"]["pytest11"].strip()
    (info / "entry_points.txt").write_text(f"[pytest11]\n{points}\n", encoding="utf-8")


def test_by_name(tmp_path):
    assert "1 passed" in run_pytest(tmp_path, "-p", PLUGIN)


def test_by_entry_point(tmp_path):
    install_entry_point(tmp_path)
    assert "1 passed" in run_pytest(tmp_path)
    # All ways together are one plugin.
    assert "1 passed" in run_pytest(tmp_path, "-p", PLUGIN)
    (tmp_path / "conftest.py").write_text(f"pytest_plugins = ['{PLUGIN}']\n")
    assert "1 passed" in run_pytest(tmp_path)


if find_spec("xdist") is not None:

    def test_with_xdist(tmp_path):
        (tmp_path / "test_more.py").write_text(A_TEST + A_TEST.replace("test_it", "test_other"))
        assert "3 passed" in run_pytest(tmp_path, "-p", PLUGIN, "-n", "2")


def test_where_the_fixture_is_not_used_no_server_is_imported():
    program = (
        f"import pytest, sys; before = set(sys.modules); import {PLUGIN};"
        " print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT
    )
    imported = set(done.stdout.split())
    assert PLUGIN in imported
    assert imported.isdisjoint({"smtp_connection.testing", "aiosmtpd", "trustme", "asyncio"})


def test_the_client_does_not_import_the_server():
    program = "import sys, smtp_connection; print('smtp_connection.testing' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("missing", "use"),
    [("aiosmtpd", "SMTPServer().start()"), ("trustme", "SMTPServer().tls.starttls()")],
)
def test_without_the_extra_it_says_what_to_install(missing, use):
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from smtp_connection.testing import SMTPServer\n{use}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "ModuleNotFoundError: the server of smtp_connection.testing needs the extra 'testing'"
    )
