"""The Message-ID that some services give a message, read from their final reply."""

from __future__ import annotations

import re

__all__ = ["server_message_id"]

# Microsoft 365: "250 2.0.0 OK <id@...prod.outlook.com> [Hostname=...]"
_MICROSOFT = r"250 2\.0\.0 OK (<[^<>\s]+\.prod\.outlook\.com>)"
# Amazon SES: "250 Ok 0100018b5c3c0a4f-...-000000"
_AMAZON = r"250 Ok ([0-9a-f]+(?:-[0-9a-f]+)+)\s*\Z"
_AMAZON_HOSTS = (".amazonaws.com", ".awsapps.com")
_AMAZON_REGION = r"[a-z]{2}(?:-[a-z]+)+-[0-9]+"


def server_message_id(response: str, host: str) -> str | None:
    """Return the Message-ID, in its angle brackets, that ``response`` names, or ``None``.

    ``host`` is the server's name.  Amazon's form counts only in the replies of its own hosts, whose
    names contain the region that is a part of the Message-ID.
    """
    # Plain look-ups come first, because nearly no message has such a reply.
    if ".outlook.com>" in response:
        found = re.match(_MICROSOFT, response, re.ASCII | re.IGNORECASE)
        return found.group(1) if found else None
    if not host.lower().rstrip(".").endswith(_AMAZON_HOSTS):
        return None
    found = re.match(_AMAZON, response, re.ASCII | re.IGNORECASE)
    region = _amazon_region(host)
    if found and region:
        domain = "email" if region == "us-east-1" else region
        return f"<{found.group(1).lower()}@{domain}.amazonses.com>"
    return None


def _amazon_region(host: str) -> str | None:
    labels = host.lower().split(".")
    return next((label for label in labels if re.fullmatch(_AMAZON_REGION, label)), None)
