"""The programs that are measured, and how each of them is started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..tools import Missing, Program, Tools

__all__ = ["AIO", "BENCH_EXTRA", "CLIENTS", "OURS", "POOL", "WITH_LEDGER", "Client"]

OURS = "smtp_connection"
AIO = "smtp_connection.aio"
POOL = "smtp_connection.pool"
WITH_LEDGER = "smtp_connection.ledger"
BENCH_EXTRA = "pip install 'smtp_connection[bench]'"


@dataclass(frozen=True)
class Client:
    """One program; ``find`` raises :class:`Missing` where it cannot be had."""

    name: str
    about: str
    find: Callable[[Tools], Program]


def _python(module: str, *needed: str) -> Callable[[Tools], Program]:
    def find(tools: Tools) -> Program:
        for name in needed:
            if find_spec(name) is None:
                raise Missing(f"{name} is not installed: {BENCH_EXTRA}")
        return Program([sys.executable, "-m", f"{__name__}.{module}"])

    return find


def _node(package: str, entry: str, script: str = "node_client.mjs") -> Callable[[Tools], Program]:
    def find(tools: Tools) -> Program:
        node, folder = tools.node(package)
        path = Path(__file__).with_name(script)
        return Program([node, str(path), str(folder), package, entry])

    return find


def _smtp_source(tools: Tools) -> Program:
    program = tools.postfix("smtp-source")
    return Program([*_python("smtp_source")(tools).command, *program.command], program.env)


def _floor(tools: Tools) -> Program:
    if sys.platform != "linux":
        raise Missing("it needs epoll, which is Linux's")
    return _python("floor")(tools)


CLIENTS = {
    client.name: client
    for client in (
        Client(OURS, "this package", _python("ours", "pyee")),
        Client("floor", "a bare epoll loop in Python that replays the bytes", _floor),
        Client("smtp-source", "Postfix's test program, in C, without PIPELINING", _smtp_source),
        Client(
            "nodemailer",
            "its class SMTPConnection",
            _node("nodemailer", "nodemailer/lib/smtp-connection"),
        ),
        Client(
            "smtp-connection-1",
            "the Node module, 1.3.8",
            _node("smtp-connection-1", "smtp-connection-1"),
        ),
        Client(
            "smtp-connection-2",
            "the Node module, 2.12.2",
            _node("smtp-connection-2", "smtp-connection-2"),
        ),
        Client(
            "smtplib",
            "the standard library, one connection after the other",
            _python("smtplib_client"),
        ),
        Client(
            "pycurl",
            "libcurl, in C, one connection after the other, without PIPELINING",
            _python("pycurl_client", "pycurl"),
        ),
        Client(
            "aiosmtplib",
            "a task for each open connection",
            _python("aiosmtplib_client", "aiosmtplib"),
        ),
        Client(
            "twisted",
            "its ESMTPClient",
            _python("twisted_client", "twisted", "OpenSSL", "service_identity"),
        ),
        Client(AIO, "the same with coroutines", _python("ours_asyncio", "pyee")),
        Client(
            WITH_LEDGER,
            "the same with the gate and a ledger in SQLite",
            _python("ours_ledger", "pyee"),
        ),
        Client(POOL, "its class SMTPPool", _python("ours_pool", "pyee")),
        Client(
            "nodemailer-pool",
            "its class SMTPPool",
            _node("nodemailer", "nodemailer/lib/smtp-pool", "node_pool.mjs"),
        ),
        Client(
            "aiosmtplib-pool",
            "tasks that take messages out of a queue",
            _python("aiosmtplib_pool", "aiosmtplib"),
        ),
        Client("imports", "an import in a new interpreter", _python("imports")),
    )
}
"""By name."""
