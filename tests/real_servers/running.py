"""Starting programs that serve, and finding them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

USER = "tim"
PASSWORD = "tanstaaf tänstaaf"
MEMBER = "member@example.com"
"""Whoever has the client's certificate."""

_SECONDS = 20


class Site(NamedTuple):
    """What a server is made of.

    - ``folder``: for its files; everybody may read what is in it
    - ``certificate``: a file with the server's certificate and key
    - ``ca``: a file with the CA of that certificate, and of those of clients
    """

    folder: Path
    certificate: Path
    ca: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder, with what stands in <brackets> filled in."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for mark in ("folder", "certificate", "ca"):
            text = text.replace(f"<{mark}>", str(getattr(self, mark)))
        path.write_text(text, encoding="utf-8")
        return path

    def share(self, name: str, user: str) -> Path:
        """Make a folder that belongs to ``user``."""
        path = self.folder / name
        path.mkdir()
        if os.geteuid() == 0:
            shutil.chown(path, user)
        return path


def unpacked() -> Path:
    """Return the folder with packages that are not installed, or the root of the system."""
    return Path(os.environ.get("UNPACKED", "/"))


def found(name: str, package: str) -> Path:
    """Return the path of the program ``name``; without it, skip the test."""
    for folder in ("usr/sbin", "usr/bin", "usr/lib/postfix/sbin"):
        for root in (Path("/"), unpacked()):
            if os.access(root / folder / name, os.X_OK):
                return root / folder / name
    pytest.skip(f"{name} is not installed (package {package} of Debian)")


def needs_root(name: str, user: str) -> None:
    """Skip the test unless it may start ``name``, which changes to ``user``."""
    if os.geteuid() != 0:
        pytest.skip(f"only root can start {name}")
    try:
        pwd.getpwnam(user)
    except KeyError:
        pytest.skip(f"there is no user {user}, whom the package of {name} brings with it")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a temporary folder that all users can look into, unlike those of pytest; its name is
    short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="mail-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(
    command: list[str | Path], at: int | Path, log: Path, env: dict[str, str] | None = None
) -> Iterator[Path]:
    """Run ``command``, with all its children, as long as the block lasts; return ``log``.

    The block begins when somebody says something ``at`` a port, or a Unix socket.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for(process, at, log)
        yield log
    finally:
        process.terminate()
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], at: int | Path, log: Path) -> None:
    limit = time.monotonic() + _SECONDS
    while time.monotonic() < limit:
        if _speaks(at):
            return
        try:
            process.wait(0.05)
            break
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError(f"{process.args!r} does not serve: {log.read_text(errors='replace')}")


def _speaks(at: int | Path) -> bool:
    unix = isinstance(at, Path)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as sock:
        sock.settimeout(_SECONDS)
        try:
            sock.connect(str(at) if unix else ("127.0.0.1", at))
            return bool(sock.recv(1))
        except OSError:
            return False
