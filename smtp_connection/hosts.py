"""Names of hosts: whether one is an IP address or this machine, how this machine is called, and how
an international name is written in ASCII."""

from __future__ import annotations

from socket import gethostname

__all__ = ["a_labels", "is_domain", "is_ip", "is_loopback", "own_name", "path_of"]

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


def is_domain(name: str) -> bool:
    """Whether ``name``, which is ASCII, is a domain (RFC 5321 section 4.1.2); an underscore is let
    through, because machines are called so."""
    return len(name) <= 255 and all(
        len(label) <= 63
        and label.replace("-", "").replace("_", "").isalnum()
        and "-" not in (label[0], label[-1])
        for label in name.split(".")
    )


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


# -- international names (RFC 5890) ----------------------------------------------------------------


def a_labels(domain: str) -> str:
    """Return ``domain`` with each label that is not ASCII as an A-label (IDNA 2008, RFC 5891, after
    the mapping of UTS #46 that makes small letters of capital ones).

    Raises ``ImportError`` without the package idna, and ``ValueError`` for a label that has none.
    """
    import idna  # an extra

    labels = [
        label if label.isascii() else idna.encode(label, uts46=True).decode("ascii")
        for label in domain.split(".")
    ]
    return ".".join(labels)


def path_of(address: str) -> str:
    """Return the e-mail ``address`` with A-labels where that makes it ASCII, else as it is.

    If its local part is not ASCII, the domain stays as it is (RFC 6531 section 3.7.3).
    """
    local, at, domain = address.rpartition("@")
    if not at or not local.isascii() or domain.isascii():
        return address
    try:
        return f"{local}{at}{a_labels(domain)}"
    except (ImportError, ValueError):
        return address
