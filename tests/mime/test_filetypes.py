"""The table of media types."""

from __future__ import annotations

import pytest

from smtp_connection.mime.filetypes import OPAQUE, extension_of, type_of

OFFICE = "application/vnd.openxmlformats-officedocument"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.docx", f"{OFFICE}.wordprocessingml.document"),
        ("a.xlsx", f"{OFFICE}.spreadsheetml.sheet"),
        ("a.pptx", f"{OFFICE}.presentationml.presentation"),
        ("invite.ics", "text/calendar"),
        ("a.webp", "image/webp"),
        ("README.md", "text/markdown"),
        ("a.rtf", "application/rtf"),
        ("a.7z", "application/x-7z-compressed"),
        ("a.b.PDF", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("m.eml", "message/rfc822"),
        ("page.html", "text/html"),
        ("pdf", OPAQUE),
        (".pdf", OPAQUE),
        ("a.", OPAQUE),
        ("a.unheard-of", OPAQUE),
        ("//[x", OPAQUE),
        ("", OPAQUE),
    ],
)
def test_types_do_not_depend_on_the_host(name: str, kind: str) -> None:
    assert type_of(name) == kind


@pytest.mark.parametrize(
    ("kind", "extension"),
    [
        ("application/pdf", ".pdf"),
        ("Image/JPEG", ".jpg"),
        ("text/plain", ".txt"),
        ("application/ics", ".ics"),
        ("text/unheard-of", ".txt"),
        ("x/unheard-of", ".bin"),
        (OPAQUE, ".bin"),
    ],
)
def test_a_name_ends_with_the_usual_end(kind: str, extension: str) -> None:
    assert extension_of(kind) == extension
