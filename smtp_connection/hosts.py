"""The one warning that is given unasked: a login that others can read."""

from __future__ import annotations

__all__ = ["is_loopback", "warn_of_login"]


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an IP address, is this very machine."""
    from ipaddress import IPv6Address, ip_address  # of use to few, and slow to import

    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def warn_of_login(host: str, port: int, mechanism: str, sid: str) -> None:
    """Warn, through the standard library's logger, that a login is about to be sent in clear text;
    ``sid`` marks the connection, as in all that is logged."""
    import logging  # likewise

    logging.getLogger("smtp_connection").warning(
        "Login at %s:%s with %s is not over TLS: user name and password (or access token) can be"
        " read by anybody on the way; use the option secure or requireTLS",
        host,
        port,
        mechanism,
        extra={"sid": sid},
    )
