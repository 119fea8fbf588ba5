"""The ways in which the content of texts and attachments can be given."""

from __future__ import annotations

import array
import io
from pathlib import Path
from typing import Any

import pytest

from tests.support.mails import FILE, assert_refusal_names, built, case_name, refused, sent


@pytest.mark.parametrize(
    "given",
    [
        "Grüße",
        "Grüße".encode(),
        bytearray("Grüße".encode()),
        {"content": "Grüße"},
        {"content": "R3LDvMOfZQ==", "encoding": "base64"},
        io.BytesIO("Grüße".encode()),
        io.StringIO("Grüße"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sources_of_text(given: Any) -> None:
    assert sent({"text": given}).get_content().rstrip() == "Grüße"


def test_text_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes("<p>Grüße</p>\r\n".encode())
    for path in (tmp_path / "page.html", str(tmp_path / "page.html")):
        assert sent({"html": {"path": path}}).get_content() == "<p>Grüße</p>\r\n"


@pytest.mark.parametrize(
    "given",
    [
        {"content": "Grüße"},
        {"content": "Grüße", "encoding": "UTF-8"},
        {"content": "Grüße".encode()},
        {"content": memoryview("Grüße".encode())},
        {"content": array.array("B", "Grüße".encode())},
        {"content": io.BytesIO("Grüße".encode())},
        {"content": io.StringIO("47 72 c3 bc c3 9f 65"), "encoding": "hex"},
        {"content": "R3LD\nvMOfZQ", "encoding": "base64"},
        {"content": "GrÃ¼Ã\x9fe", "encoding": "binary"},
        {"content": "Grüße".encode(), "encoding": "base64"},
    ],
    ids=range(10),
)
def test_sources_of_attachments(given: dict[str, Any]) -> None:
    (part,) = sent({"attachments": [given]}).iter_attachments()
    assert part.get_payload(decode=True) == "Grüße".encode()


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        ({"text": 5}, ["'text'", "5", "bytes"]),
        ({"text": {"file": "x"}}, ["'text'", "'file'", "known are content, contentTransfer"]),
        ({"text": {}}, ["'text'", "either 'content' or 'path'"]),
        ({"html": {"path": "/nowhere/at.all"}}, ["'html'", "/nowhere/at.all", "No such file"]),
        ({"attachments": "x"}, ["'attachments[0]'", "a dict", "'x'"]),
        ({"attachments": [FILE, {}]}, ["'attachments[1]'", "either 'content' or 'path'"]),
        ({"attachments": [{**FILE, "path": "x"}]}, ["'attachments[0]'", "either"]),
        ({"attachments": [{"path": "a\0b"}]}, ["'attachments[0]'", "null"]),
        ({"attachments": [{"path": 5}]}, ["'attachments[0]'", "int"]),
        ({"attachments": [{"href": "http://x"}]}, [".href'", "nothing is downloaded", "http://x"]),
        ({"attachments": [{"path": "HTTPS://x"}]}, [".path'", "download 'HTTPS://x' yourself"]),
        ({"text": {"content": {"content": {"content": "x"}}}}, ["'text.content.content'"]),
        ({"attachments": [{"contnet": "x"}]}, ["attachments[0]", "did you mean 'content'"]),
    ],
    ids=case_name,
)  # fmt: skip
def test_bad_values_are_named(mail: Any, words: list[str]) -> None:
    assert_refusal_names(mail, words)


def test_causes_are_chained() -> None:
    missing = refused(built, {"attachments": [{"path": "/nowhere/at.all"}]})
    assert isinstance(missing.__cause__, FileNotFoundError)

    class Broken:
        def read(self, size: int) -> bytes:
            raise RuntimeError("out of order")

    broken = refused(built, {"text": Broken()})
    assert "'text'" in str(broken)
    assert "out of order" in str(broken)
    assert isinstance(broken.__cause__, RuntimeError)
