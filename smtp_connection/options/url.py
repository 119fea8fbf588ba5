"""Options in a URL: ``smtps://user:password@host:465/?requireTLS=true``.

No text of an error shows the user, the password, or anything that may be a piece of them.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from ..text import has_surrogate
from .table import Settings
from .tls import TLSOptions

__all__ = ["options_in"]

_SAYS = "options are a dict, or a URL such as 'smtp://user:password@host:587/?requireTLS=true'"

# What each scheme says. 'smtp' leaves open whether there is TLS from the first byte: with port 465
# there is.
_SCHEMES: dict[str, dict[str, Any]] = {
    "smtp": {},
    "smtps": {"secure": True},
    "lmtp": {"lmtp": True},
}

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?P<fragment>#.*)?",
    re.DOTALL,
)
_PLACE = re.compile(r"(?:\[(?P<ip>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]*))?")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def options_in(url: str, options: type[Settings]) -> dict[str, Any]:
    """Return the options that ``url`` stands for, for ``options.parse()``.

    The scheme is ``smtp``, ``smtps`` (with ``secure``) or ``lmtp`` (with ``lmtp``).  User and
    password, percent-encoded, become ``auth``.  Parameters are the names of options, and
    ``tls.`` and the name of a TLS option; each text becomes a value of the option's own kind.

    Raises ``TypeError`` for what is no URL and for a name that is unknown or given twice,
    ``ValueError`` for a URL that is malformed.
    """
    url = url.strip()
    found = _URL.fullmatch(url)
    if found is None:
        raise TypeError(f"{_SAYS}; got a string that is no URL")
    scheme = found["scheme"].lower()
    if scheme not in _SCHEMES:
        raise ValueError(
            f"a URL of options begins with smtp://, smtps:// or lmtp://; got {scheme}://"
        )
    login, at, place = found["authority"].rpartition("@")
    objection = _objection(found, bool(at))
    if objection:
        raise ValueError(f"{_SAYS}; {objection}")
    said = {**_SCHEMES[scheme], **_server(place)}
    if at:
        said["auth"] = _auth(login)
    texts, tls_texts = _parameters(found["query"] or "")
    given = options.typed(texts)
    for name in given:
        if name in said:
            raise TypeError(f"option {name!r} is given twice: the URL says it without a parameter")
    tls = {"tls": TLSOptions.typed(tls_texts)} if tls_texts else {}
    return {**said, **given, **tls}


def _objection(found: re.Match[str], has_login: bool) -> str:
    """Return what is wrong with a URL, or an empty string."""
    behind = found["path"] + (found["query"] or "") + (found["fragment"] or "")
    if "@" in behind:
        # A password with one of these characters ends where nobody expects it to.
        where = "elsewhere than before the host" if has_login else "behind the host"
        return f"there is an @ {where}: write / ? # @ in a user or password as %2F %3F %23 %40"
    if _BROKEN_PERCENT.search(found[0]):
        return "a percent sign is not followed by two hexadecimal digits: write it as %25"
    if found["path"] not in ("", "/"):
        return "there is a path behind the host"
    if found["fragment"]:
        return "there is a # in it: write it as %23"
    return ""


def _decoded(text: str) -> str:
    # Bytes that are not UTF-8 become surrogates, which nothing accepts.
    return unquote(text, errors="surrogateescape")


def _server(place: str) -> dict[str, Any]:
    found = _PLACE.fullmatch(place)
    host = "" if found is None else _decoded(found["ip"] or found["name"] or "")
    if found is None or not host:
        raise ValueError(f"{_SAYS}; there is no host in it, or a port that is no number")
    if found["ip"] and ":" not in host:
        raise ValueError(f"{_SAYS}; only an IPv6 address may stand in brackets")
    return {"host": host, "port": found["port"]} if found["port"] else {"host": host}


def _auth(login: str) -> dict[str, str]:
    user, colon, password = login.partition(":")
    auth = {"user": _decoded(user), **({"pass": _decoded(password)} if colon else {})}
    if has_surrogate("".join(auth.values())):
        raise ValueError(f"{_SAYS}; its user or password is not UTF-8")
    if not user:
        raise ValueError(f"{_SAYS}; there is no user in front of the @")
    return auth


def _parameters(query: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the options, and the TLS options, that ``query`` names."""
    texts: dict[str, str] = {}
    tls_texts: dict[str, str] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, errors="surrogateescape"):
        if not text:
            # To leave it out silently would be wrong for most of the flags.
            raise ValueError(f"{_SAYS}; the parameter {name!r} has no value")
        group, dot, inner = name.partition(".")
        into, key = (tls_texts, inner) if dot and group.lower() == "tls" else (texts, name)
        if key in into:
            raise TypeError(f"the parameter {name!r} of the URL is given twice")
        into[key] = text
    return texts, tls_texts
