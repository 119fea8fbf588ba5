"""``data:`` URLs as paths, and in pages."""

from __future__ import annotations

from typing import Any

import pytest

from smtp_connection.mime.dataurls import is_data_url, parse_data_url, without_data_urls
from tests.support.mails import composed, refused, sent

PNG = "data:image/png;base64,iVBORw=="


@pytest.mark.parametrize(
    ("url", "kind", "data"),
    [
        ("data:,hello%20world", "", b"hello world"),
        ("DATA:text/html;charset=utf-8,%C3%BC%", "text/html;charset=utf-8", b"\xc3\xbc%"),
        (PNG, "image/png", b"\x89PNG"),
        ("data:image/png;BASE64,iVBO Rw", "image/png", b"\x89PNG"),
        ("data:;base64,", "", b""),
    ],
)
def test_urls(url: str, kind: str, data: bytes) -> None:
    assert is_data_url(url)
    assert parse_data_url(url) == (kind, data)


@pytest.mark.parametrize(
    "url", ["data:", "data:text/plain", "data:,ü", "data:;base64,a", "data:;base64,!"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"data|base64"):
        parse_data_url(url)
    text = str(refused(composed, {"attachments": [{"path": url}]}))
    assert "attachments[0].path" in text


def test_a_url_as_a_path() -> None:
    files: list[dict[str, Any]] = [
        {"path": PNG},
        {"href": PNG, "filename": "a.gif", "contentType": "x/y"},
    ]
    first, second = sent({"attachments": files}).iter_attachments()
    assert first.get_payload(decode=True) == second.get_payload(decode=True) == b"\x89PNG"
    assert (first.get_content_type(), first.get_filename()) == ("image/png", "attachment-1.png")
    assert (second.get_content_type(), second.get_filename()) == ("x/y", "a.gif")
    assert sent({"text": {"path": "data:,hi"}}).get_content().strip() == "hi"


def test_images_of_a_page_become_attachments() -> None:
    others = f'<img src=x.png data-src="{PNG}">'
    page = f"""<p><img alt="a" src="{PNG}"><IMG class=x SRC='{PNG}' >{others}"""
    assert without_data_urls(page, lambda url: "cid:1").count("cid:1") == 2
    message = sent({"html": page, "attachDataUrls": True, "baseBoundary": "b", "attachments": []})
    assert message.get_content_type() == "multipart/related"
    root, *images = message.get_payload()  # type: ignore[misc]
    html = root.get_content()  # type: ignore[union-attr]
    assert [image["Content-ID"].strip("<>") in html for image in images] == [True, True]
    assert images[0].get_filename() == "image-1.png"
    assert sent({"html": page}).get_content_type() == "text/html"
    refused(composed, {"html": iter([page]), "attachDataUrls": True})


def test_a_page_takes_linear_time() -> None:
    for piece in ("<img ", "<img src ", "<img src=" + " " * 1000, "<img  src='data:", " src=data:"):
        without_data_urls(piece * 20_000, lambda url: "")
