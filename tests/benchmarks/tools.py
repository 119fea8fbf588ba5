"""Other people's programs: found where they are installed, or fetched into a cache folder.

Nothing is installed on the system, and nothing is put into the checkout.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .processes import environment, explanation

__all__ = ["Missing", "Program", "Tools"]

NODE_PACKAGES = {
    "nodemailer": "nodemailer@latest",
    "smtp-connection-1": "smtp-connection-1@npm:smtp-connection@1.3.8",
    "smtp-connection-2": "smtp-connection-2@npm:smtp-connection@2.12.2",
}
"""The names under which npm installs them, and what it is asked for."""

_FETCH_SECONDS = 300
_USAGE_SECONDS = 20


class Missing(Exception):
    """Something is not there; the text says what, and what can be done."""


@dataclass(frozen=True)
class Program:
    """How to start a program."""

    command: list[str]
    env: dict[str, str] = field(default_factory=dict)


def _run(command: list[str], cwd: Path) -> None:
    try:
        subprocess.run(
            command,
            cwd=cwd,
            check=True,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.CalledProcessError as exc:
        raise Missing(f"{command[0]} failed: {explanation(exc.stderr or exc.stdout)}") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Missing(f"{command[0]} failed: {exc}") from exc


def _which(*names: str) -> str:
    for name in names:
        if shutil.which(name) is None:
            raise Missing(f"{name} is not installed")
    return str(shutil.which(names[0]))


class Tools:
    """Finds programs; ``fetch`` says whether what is missing may be fetched."""

    def __init__(self, fetch: bool) -> None:
        self._fetch = fetch
        self._failed: dict[str, Missing] = {}

    @property
    def cache(self) -> Path:
        """The cache folder."""
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "smtp_connection-benchmarks"

    def _fetched(self, name: str, fill: Callable[[Path], None]) -> Path:
        """Return the folder ``name`` of the cache; ``fill`` fills it when it is not there."""
        folder = self.cache / name
        if folder.is_dir():
            return folder
        if not self._fetch:
            raise Missing("it has not been fetched yet")
        if name not in self._failed:
            try:
                self._fetch_into(folder, fill)
            except Missing as exc:
                self._failed[name] = exc
        if name in self._failed:
            raise self._failed[name]
        return folder

    def _fetch_into(self, folder: Path, fill: Callable[[Path], None]) -> None:
        self.cache.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self.cache))
        try:
            fill(scratch)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    # -- Node -------------------------------------------------------------------------------------

    def node(self, package: str) -> tuple[str, Path]:
        """Return the path of node, and the folder in which ``package`` is installed."""
        node = _which("node")
        folder = self._fetched("node", _install_node_packages)
        if not (folder / "node_modules" / package).is_dir():
            raise Missing(f"{package} is not in the cache folder; delete that to fetch it again")
        return node, folder

    # -- Postfix ----------------------------------------------------------------------------------

    def postfix(self, name: str) -> Program:
        """Return the program ``name`` of Postfix, ``smtp-sink`` or ``smtp-source``."""
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
        installed = shutil.which(name, path=path)
        program = Program([installed]) if installed else self._unpacked(name)
        # Unpacked, it may lack libraries.
        try:
            usage = subprocess.run(
                program.command,
                env={**environment(), **program.env},
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=_USAGE_SECONDS,
            ).stderr
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise Missing(f"{name} does not run: {exc}") from exc
        if "usage" not in usage:
            raise Missing(f"{name} does not run: {explanation(usage)}")
        return program

    def _unpacked(self, name: str) -> Program:
        folder = self._fetched("postfix", _unpack_postfix)
        found = list(folder.glob(f"usr/*bin/{name}"))
        libraries = list(folder.glob("usr/lib/**/libpostfix-util.so*"))
        if not found:
            raise Missing(f"the package of Postfix has no {name}")
        env = {"LD_LIBRARY_PATH": str(libraries[0].parent)} if libraries else {}
        return Program([str(found[0])], env)


def _install_node_packages(folder: Path) -> None:
    _which("npm")
    (folder / "package.json").write_text(json.dumps({"private": True}), "utf-8")
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier"]
    _run(["npm", "install", *quiet, *NODE_PACKAGES.values()], folder)


def _unpack_postfix(folder: Path) -> None:
    """Take the package of a Debian or one of its kin apart; that needs no privileges."""
    _which("apt-get", "dpkg")
    with tempfile.TemporaryDirectory() as download:
        _run(["apt-get", "download", "postfix"], Path(download))
        for package in Path(download).glob("*.deb"):
            _run(["dpkg", "-x", str(package), str(folder)], folder)
