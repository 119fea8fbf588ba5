"""How much of what was sent the peer has not acknowledged yet.

A system may take megabytes at once and hand them on for minutes.  Only its queue tells whether the
peer still takes anything meanwhile.
"""

from __future__ import annotations

import socket
import struct
import sys

__all__ = ["queued_bytes"]

# SIOCOUTQ of Linux (tcp(7)), FIONWRITE of FreeBSD (ioctl(2)).
_REQUESTS = {"linux": 0x5411, "freebsd": 0x40046677}
_REQUEST = next((code for name, code in _REQUESTS.items() if sys.platform.startswith(name)), None)


def queued_bytes(sock: socket.socket) -> int:
    """Return how many bytes the system holds for the peer of ``sock``; 0 if it does not tell."""
    if _REQUEST is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    # Not at the top: few sessions last long enough to need it.
    import fcntl

    try:
        answer = fcntl.ioctl(sock.fileno(), _REQUEST, bytes(4))
    except (OSError, ValueError):
        return 0
    return int(struct.unpack("i", answer)[0])
