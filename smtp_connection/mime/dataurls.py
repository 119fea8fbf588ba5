"""``data:`` URLs (RFC 2397): as the path of a file, and in the images of a page."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["DataURL", "is_data_url", "parse_data_url", "without_data_urls"]


class DataURL(NamedTuple):
    """What a URL consists of: ``kind`` is its media type with the parameters, ``''`` for none."""

    kind: str
    data: bytes


def is_data_url(path: str) -> bool:
    """Return whether ``path`` is such a URL, and not the name of a file."""
    return path[:5].lower() == "data:"


def parse_data_url(url: str) -> DataURL:
    """Read a URL.  Raises ``ValueError`` if it is none, or has no data that can be read."""
    kind, comma, data = url[5:].partition(",")
    if not comma:
        raise ValueError("a data: URL has a comma in front of its data")
    if not data.isascii():
        raise ValueError("a data: URL is ASCII")
    octets = re.sub(rb"%[0-9A-Fa-f]{2}", _octet, data.encode())
    kind, semicolon, last = kind.rpartition(";")
    if last.strip().lower() != "base64":
        return DataURL(f"{kind}{semicolon}{last}".strip(), octets)
    compact = b"".join(octets.split()).rstrip(b"=")
    return DataURL(
        kind.strip(), base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    )


def _octet(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[0][1:], 16)])


# The source of an image: what stands in front of it, and the URL.  No part of the expression can
# match in more than one way, so a page takes linear time.
_IMAGE = re.compile(
    r"""(<img(?=\s)[^<>]*?\ssrc[ \t\r\n]{0,9}=[ \t\r\n]{0,9}["']?)(data:[^\s"'<>]+)""",
    re.IGNORECASE,
)


def without_data_urls(page: str, attach: Callable[[str], str]) -> str:
    """Return ``page``, HTML, with what ``attach(url)`` returns for each ``data:`` URL that is the
    source of an image in its place."""
    return _IMAGE.sub(lambda found: found[1] + attach(found[2]), page)
