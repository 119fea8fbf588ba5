"""Any mail that is composed arrives as it was given: an independent parser finds all of it again.

The parser is that of the standard library, no part of which takes part in composing.
``python -m tests.promises.round_trips`` composes 20,000 mails that hypothesis makes up.
"""

from __future__ import annotations

import argparse
import email
import re
import sys
import time
from collections import Counter
from email.policy import default
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from smtp_connection import compose
from tests.support.mails import mailboxes

_LINE = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])
_LINES = st.text(_LINE)
_TEXTS = st.text(st.characters(codec="utf-8"))
_WORDS = st.text(_LINE, min_size=1)
_BOXES = st.builds(
    lambda name, local, domain: {"name": name, "address": f"{local}@{domain}"},
    st.one_of(st.just(""), _LINES),
    st.text("abcxyz0189.-_+", min_size=1, max_size=20).filter(
        lambda local: local.strip(".") == local and ".." not in local
    ),
    st.sampled_from(["x.org", "mail.example.com", "y-z.example"]),
)
_FILES = st.fixed_dictionaries(
    {"content": st.one_of(st.binary(max_size=300), _TEXTS), "filename": _WORDS},
    optional={
        "contentType": st.sampled_from(["text/plain", "application/x-own", "image/png"]),
        "contentTransferEncoding": st.sampled_from(["base64", "quoted-printable"]),
        "contentDisposition": st.sampled_from(["inline", "attachment"]),
    },
)

MAILS = st.fixed_dictionaries(
    {"from": _BOXES, "subject": _LINES, "text": _TEXTS},
    optional={
        "to": st.lists(_BOXES, max_size=4),
        "cc": st.lists(_BOXES, max_size=2),
        "bcc": st.lists(_BOXES, max_size=2),
        "replyTo": _BOXES,
        "html": _TEXTS,
        "attachments": st.lists(_FILES, max_size=3),
        "headers": st.dictionaries(st.sampled_from(["X-A", "X-B", "Comments"]), _LINES),
        "encoding": st.sampled_from(["base64", "quoted-printable"]),
        "textEncoding": st.sampled_from(["Q", "B"]),
        "priority": st.sampled_from(["high", "low"]),
    },
)
"""Mails as hypothesis makes them up."""

seen: Counter[str] = Counter()
"""How many mails were composed, and how many of them had what."""


def check(mail: dict[str, Any]) -> None:
    """Compose ``mail``, and compare what the parser finds with what was given."""
    composed = compose(mail)
    wire = composed.build()
    seen.update(["mails", *mail])
    seen["bytes"] += len(wire)
    _check_lines(wire)
    message: Any = email.message_from_bytes(wire, policy=default)
    for part in message.walk():
        assert part.defects == []
        assert [defect for header in part.values() for defect in header.defects] == []
    _check_headers(mail, message, wire)
    _check_envelope(mail, composed.envelope)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    files = mail.get("attachments", [])
    texts = leaves[: len(leaves) - len(files)] if files else leaves
    given = [mail[name] for name in ("text", "html") if mail.get(name)]
    assert [_unified(part.get_payload(decode=True)) for part in texts if given] == [
        _unified(text.encode()) for text in given
    ]
    for part, file in zip(leaves[len(texts) :], files, strict=True):
        content, found = file["content"], part.get_payload(decode=True)
        if isinstance(content, bytes) and not _is_text_in_lines(part):
            assert found == content
        else:  # line breaks of text are line breaks, whatever they were
            given_bytes = content if isinstance(content, bytes) else content.encode()
            assert _unified(found) == _unified(given_bytes)
        assert part["Content-Disposition"].params["filename"] == file["filename"]


def _is_text_in_lines(part: Any) -> bool:
    """Whether the transfer encoding of a file keeps its lines, as those of a text."""
    encoding = part["Content-Transfer-Encoding"]
    return part.get_content_maintype() == "text" and encoding == "quoted-printable"


def _check_lines(wire: bytes) -> None:
    """RFC 5322 section 2.1.1, RFC 2045 sections 6.7 and 6.8, RFC 2047 section 2."""
    assert wire.count(b"\n") == wire.count(b"\r") == wire.count(b"\r\n")
    assert wire.isascii()
    assert max(map(len, wire.split(b"\r\n"))) <= 998
    head = wire.partition(b"\r\n\r\n")[0]
    words = re.findall(rb"=\?utf-8\?[bq]\?[^? ]*\?=", head)
    assert max(map(len, words), default=0) <= 75


def _check_headers(mail: dict[str, Any], message: Any, wire: bytes) -> None:
    assert "Bcc" not in message
    names = {"from": "From", "to": "To", "cc": "Cc", "replyTo": "Reply-To"}
    for field, name in names.items():
        given = mail.get(field, [])
        boxes = given if isinstance(given, list) else [given]
        found = mailboxes(wire, name)
        assert {address for _, address in found} == {box["address"] for box in boxes}
        for shown, address in found:
            expected = [box["name"].strip() for box in boxes if box["address"] == address]
            assert shown.strip() in expected
    for name, text in {"Subject": mail["subject"], **mail.get("headers", {})}.items():
        assert str(message.get(name, "")).strip() == text.strip()


def _check_envelope(mail: dict[str, Any], envelope: dict[str, Any]) -> None:
    assert envelope["from"] == mail["from"]["address"]
    boxes = [box for field in ("to", "cc", "bcc") for box in mail.get(field, [])]
    assert envelope["to"] == list(dict.fromkeys(box["address"] for box in boxes))


def _unified(content: bytes) -> bytes:
    return re.sub(rb"\r\n?", b"\n", content).removesuffix(b"\n")


def run(count: int, number: int) -> None:
    """Check ``count`` mails; ``number`` chooses which."""

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(MAILS)
    def all_of_them(mail: dict[str, Any]) -> None:
        check(mail)

    all_of_them()


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises.round_trips")
    parser.add_argument("--count", type=int, default=20_000, help="mails")
    parser.add_argument("--seed", type=int, default=1, help="which of them")
    arguments = parser.parse_args()
    begun = time.monotonic()
    run(arguments.count, arguments.seed)
    seconds = time.monotonic() - begun
    with_it = ", ".join(f"{name} {count}" for name, count in seen.most_common() if name != "bytes")
    print(f"{with_it}; {seen['bytes'] / 1e6:.1f} MB; {seconds:.0f} s; all of it was found again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
