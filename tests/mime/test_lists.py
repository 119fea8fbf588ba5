"""The List-* headers."""

from __future__ import annotations

from typing import Any

import pytest

from smtp_connection.mime.lists import list_headers
from tests.support.mails import SMALL, composed, refused, sent, written


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"help": "a@x.org?subject=help"}, [("List-Help", "<mailto:a@x.org?subject=help>")]),
        ({"unsubscribe": "https://x.org/u"}, [("List-Unsubscribe", "<https://x.org/u>")]),
        ({"archive": "x.org"}, [("List-Archive", "<http://x.org>")]),
        (
            {"subscribe": ["a@x.org", {"url": "http://x.org", "comment": "Sub (scribe)"}]},
            [
                ("List-Subscribe", "<mailto:a@x.org>"),
                ("List-Subscribe", "<http://x.org> (Sub \\(scribe\\))"),
            ],
        ),
        (
            {"post": [[{"url": "http://x.org"}, {"url": "a@x.org", "comment": "ü"}]]},
            [("List-Post", "<http://x.org>, <mailto:a@x.org> (=?utf-8?b?w7w=?=)")],
        ),
        (
            {"id": {"url": "l.x.org", "comment": 'The "List"'}},
            [("List-ID", '"The \\"List\\"" <l.x.org>')],
        ),
        ({"id": "http://l.x.org"}, [("List-ID", "<l.x.org>")]),
        (
            {"unsubscribe-post": "List-Unsubscribe=One-Click"},
            [("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")],
        ),
        ({"help": None, "post": []}, []),
    ],
)
def test_headers(given: Any, expected: list[tuple[str, str]]) -> None:
    assert list(list_headers(given)) == expected
    assert sent({**SMALL, "list": given})["From"] == "a@x.org"


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (5, "'list'"),
        ({5: "x"}, "'list'"),
        ({"a b": "x"}, "'list'"),
        ({"help": 5}, "'list.help'"),
        ({"help": "http://x.org> (x)\r\nBcc: y"}, "'list.help'"),
        ({"help": "http://x.org/ü"}, "'list.help'"),
        ({"help": {"url": "x", "comment": "a\nb"}}, "'list.help.comment'"),
        ({"help": {"urll": "x"}}, "did you mean 'url'"),
        ({"unsubscribe-post": "x"}, "'list.unsubscribe-post'"),
    ],
)
def test_what_cannot_be_such_a_header(given: Any, label: str) -> None:
    assert label in str(refused(composed, {**SMALL, "list": given}))


def test_a_long_url_is_not_taken_apart() -> None:
    url = f"https://x.org/{'u' * 950}"
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in written(
        {**SMALL, "list": {"unsubscribe": url}}
    )
