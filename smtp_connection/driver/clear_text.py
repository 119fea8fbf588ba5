"""The warning that a login is readable on its way: the only one that nobody has to ask for."""

from __future__ import annotations

__all__ = ["warn_of_login"]


def warn_of_login(host: str, port: int, mechanism: str, sid: str) -> None:
    """Warn, through the standard library's logger ``smtp_connection``, that a login with
    ``mechanism`` is about to be sent in clear text.

    ``sid`` is the id of the connection, as in every entry of the log.
    """
    import logging  # slow to import, and nearly nobody is warned

    logging.getLogger("smtp_connection").warning(
        "Login at %s:%s with %s is not over TLS: user name and password (or access token) can be"
        " read by anybody on the way; use the option secure or requireTLS",
        host,
        port,
        mechanism,
        extra={"sid": sid},
    )
