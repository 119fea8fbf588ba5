"""Names of hosts: whether one is an IP address or this machine, and how this machine is called."""

from __future__ import annotations

from socket import gethostname

__all__ = ["is_ip", "is_loopback", "own_name"]

# ipaddress is slow to import, and most programs never ask.


def own_name() -> str:
    """Return the name that the system has for this machine, whatever it looks like."""
    return gethostname()


def is_ip(text: str) -> bool:
    """Whether ``text`` is an IP address, of either version, for IPv6 with or without a zone.

    Python accepts any text as a zone, line breaks included.
    """
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an IP address, is this very machine."""
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
