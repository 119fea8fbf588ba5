"""README.rst is one page, and what it shows is true."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.helpers import unused_port
from tests.support.manual import PROGRAMS, README, ROOT, TEXTS, section, simple_rows


def test_it_is_one_page():
    assert len(README.splitlines()) <= 250


def test_the_commands_are_there():
    install = "    python3 -m venv .venv && .venv/bin/pip install"
    module = ".venv/bin/python -m"
    assert f"\n{install} '.[demo]' && {module} smtp_connection demo\n" in README
    assert f"\n{install} '.[test]' && {module} pytest\n" in README


def test_it_installs_from_the_checkout():
    for name, text in TEXTS.items():
        assert not re.search("pip install '?smtp_connection", text), name


def test_the_log_that_is_shown_is_that_of_the_demo():
    def dated(line: str) -> str:
        # Times, ports, our own name, sizes and the server's version are others each time.
        line = re.sub(r"^ +\d+  (\w)", r"0  \1", line.rstrip())
        return re.sub(r"EHLO .*|:\d+\b|SMTP [\d.]+$|SIZE=\d+", "", line)

    (shown,) = re.findall(r"^       ms  who     what\n(?:    .*\n)+", README, re.MULTILINE)
    command = [sys.executable, "-m", "smtp_connection", "demo"]
    done = subprocess.run(command, capture_output=True, text=True)
    printed = done.stdout.splitlines()
    start = printed.index("   ms  who     what")
    expected = [dated(line[4:]) for line in shown.splitlines()]
    assert [dated(line) for line in printed[start : start + len(expected)]] == expected


@contextlib.contextmanager
def local_server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the server of the first program, on a free port."""
    (command,) = re.findall(r"^    \.venv/bin/python (-m aiosmtpd .*)$", README, re.MULTILINE)
    port = unused_port()
    assert command.endswith(" localhost:2525")
    arguments = shlex.split(command.replace(":2525", f":{port}"))
    # With -d it says when it listens; unbuffered, because it is terminated at the end.
    server = subprocess.Popen(
        [sys.executable, "-u", *arguments, "-d"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if "Server is listening" in line:
                break
        yield server, port
    finally:
        server.terminate()
        server.communicate()


def test_the_local_server_prints_the_message_of_the_first_program():
    with local_server() as (server, port):
        program = PROGRAMS["first-program"].replace("2525", str(port))
        subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
        assert server.stdout is not None
        shown = [server.stdout.readline() for _ in range(2)]

    assert shown[1] == "Subject: hi\n"


WORKLOADS = {
    "connections-50": "a 1 KB message, on 50 connections",
    "no-pipelining": "the same without PIPELINING",
    "recipients-100": "a message to 100 recipients, 10 connections",
    "sessions-starttls": "a session with STARTTLS for each message",
    "large-file": "1 MB of a 20 MB message from a file",
}


PEERS = ["nodemailer", "smtplib", "aiosmtplib", "twisted"]


def test_the_costs_are_those_of_the_published_figures():
    results = (ROOT / "tests" / "benchmarks" / "RESULTS.rst").read_text(encoding="utf-8")
    # smtplib, aiosmtplib, ours; the columns of the last heading of that table.
    measured = {
        WORKLOADS[cells[0]]: [cells[6], cells[7], cells[1]]
        for cells in simple_rows(results)
        if len(cells) == 9 and cells[0] in WORKLOADS
    }
    rows = list(simple_rows(section("README", "Why not smtplib or aiosmtplib")))
    assert {cells[0]: cells[1:] for cells in rows} == measured


def test_the_ratios_are_those_of_the_published_figures():
    published = json.loads((ROOT / "tests/benchmarks/results.json").read_text(encoding="utf-8"))
    entries = {
        (workload["name"], entry["label"]): entry
        for workload in published["workloads"]
        for entry in workload["entries"]
    }
    rows = list(simple_rows(section("performance", "What it costs")))
    assert len(rows) == len(WORKLOADS)
    for workload, cells in zip(WORKLOADS, rows, strict=True):
        for peer, shown in zip(PEERS, cells[1:], strict=True):
            ratio = entries[workload, peer]["lead_over_it"]["median"]
            assert f"{ratio:.2f}" == shown, (workload, peer)


# -- links -----------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """Return the anchors that a page has when it is rendered: one for each heading."""
    headings = re.findall(r"^(\S.*)\n(?:=|-){3,}$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") for heading in headings}


def test_every_link_leads_somewhere():
    links = re.findall(r"<([^ >]+)>`__", README)
    assert len(links) > 15
    assert "://" not in "".join(links)
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).is_file(), link
        assert not anchor or anchor in anchors((ROOT / path).read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", [*sorted(TEXTS), "CHANGELOG.md"])
def test_every_path_that_is_named_exists(name):
    text = TEXTS.get(name) or (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|docs|smtp_connection|\.ci)/[\w./]*)`", text)
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", [*sorted(TEXTS), "CHANGELOG.md"])
def test_every_command_that_is_named_exists(name):
    text = TEXTS.get(name) or (ROOT / name).read_text(encoding="utf-8")
    for module in re.findall(r"python -m (tests\.[\w.]+)", text):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
