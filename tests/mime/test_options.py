"""nodemailer's options of a mail, restated: what each does to the message and to the envelope."""

from __future__ import annotations

import email
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from smtp_connection import SMTPConnection, SMTPError, compose
from smtp_connection.mime.mail import Mail
from tests.mime.test_compose import shape
from tests.support.mails import (
    FILE,
    SMALL,
    built,
    composed,
    header_names,
    mailboxes,
    refused,
    sent,
    text_of,
    written,
)

EVENT = "BEGIN:VCALENDAR\r\nEND:VCALENDAR"


def test_the_versions_of_a_text_in_nodemailers_order() -> None:
    message = sent(
        {
            **SMALL,
            "alternatives": [{"content": "c", "contentType": "text/x"}],
            "icalEvent": EVENT,
            "html": "<p>",
            "amp": "<html amp4email>",
            "watchHtml": "<b>",
        }
    )
    assert shape(message) == [
        "multipart/mixed",
        [
            "multipart/alternative",
            *("text/plain", "text/watch-html", "text/x-amp-html", "text/html"),
            *("text/calendar", "text/x"),
        ],
        "application/ics",
    ]


@pytest.mark.parametrize(
    "event",
    [
        EVENT,
        EVENT.encode(),
        iter([EVENT]),
        {"content": EVENT, "method": "request", "filename": "meeting.ics"},
        {"path": "data:text/calendar," + EVENT.replace("\r\n", "%0D%0A")},
    ],
    ids=range(5),
)
def test_a_calendar_event_is_a_version_and_a_file(event: Any) -> None:
    message = sent({**SMALL, "icalEvent": event})
    parts = [part for part in message.walk() if not part.is_multipart()]
    shown, file = parts[1:]
    method = "REQUEST" if isinstance(event, dict) and "method" in event else "PUBLISH"
    assert shown["Content-Type"].params["method"] == method
    assert shown["Content-Disposition"] is None
    assert text_of(shown) == EVENT.replace("\r\n", "\n")
    assert file.get_payload(decode=True) == EVENT.encode()
    assert file.get_filename() == ("meeting.ics" if method == "REQUEST" else "invite.ics")
    assert file.get_content_disposition() == "attachment"


def test_an_alternative_page_with_images_is_related() -> None:
    picture = {"content": b"x", "cid": "1", "contentType": "image/png"}
    page = {"content": "<p>", "contentType": "text/html; charset=utf-8"}
    message = sent({**SMALL, "alternatives": [page], "attachments": [picture]})
    assert shape(message) == [
        "multipart/alternative",
        "text/plain",
        ["multipart/related", "text/html", "image/png"],
    ]


# -- encodings -------------------------------------------------------------------------------------


def test_transfer_encodings() -> None:
    assert sent({"text": "x", "encoding": "BASE64"})["Content-Transfer-Encoding"] == "base64"
    assert sent({"text": "ü" * 100, "encoding": "8bit"}).get_content().strip() == "ü" * 100
    text = {"content": "x", "contentTransferEncoding": "quoted-printable", "headers": {"X-A": 1}}
    message = sent({"text": text, "encoding": "base64"})
    assert (message["Content-Transfer-Encoding"], message["X-A"]) == ("quoted-printable", "1")
    data = b"\r\n=\n\xfc \t" * 50
    for encoding in ("quoted-printable", "base64", False):
        file = {"content": data, "contentTransferEncoding": encoding, "filename": "x.bin"}
        (part,) = sent({"attachments": [file]}).iter_attachments()
        assert part["Content-Transfer-Encoding"] == (encoding or "base64")
        assert part.get_payload(decode=True) == data
    lines = {"content": b"a\r\n.b", "contentTransferEncoding": "7bit", "filename": "x.bin"}
    (part,) = sent({"attachments": [lines]}).iter_attachments()
    assert part.get_payload() == "a\r\n.b"


@pytest.mark.parametrize(
    "mail",
    [
        {"encoding": "binary", "text": "x"},
        {"text": {"content": "ü", "contentTransferEncoding": "7bit"}},
        {"text": "x" * 999, "encoding": "8bit"},
        {
            "attachments": {
                "content": "a\nb",
                "filename": "x.bin",
                "contentTransferEncoding": "8bit",
            }
        },
        {"attachments": {"content": "x", "filename": "m.eml", "contentTransferEncoding": "base64"}},
        {"textEncoding": "X", "text": "x"},
    ],
)
def test_encodings_that_cannot_be(mail: Any) -> None:
    refused(composed, mail)


def test_the_encoding_of_headers() -> None:
    for encoding, word in (("Q", b"=?utf-8?q?=C3=BC?="), ("base64", b"=?utf-8?b?w7w=?=")):
        wire = written({**SMALL, "subject": "ü", "from": "ü <a@x.org>", "textEncoding": encoding})
        assert wire.count(word) == 2


# -- headers ---------------------------------------------------------------------------------------


def test_headers_of_all_kinds() -> None:
    wire = written(
        {
            **SMALL,
            "xMailer": "mine",
            "headers": {
                "X-Number": 5,
                "X-Many": [1, {"value": "ü"}, {"value": " "}],
                "X-Ready": {"prepared": True, "value": "=?utf-8?q?x?=\n folded"},
                "X-Folded": {"prepared": True, "foldLines": True, "value": "word " * 40 + "end"},
                "Disposition-Notification-To": "Jörg <j@x.org>",
            },
        }
    )
    assert b"\r\nX-Mailer: mine\r\n" in wire
    assert b"\r\nX-Number: 5\r\nX-Many: 1\r\nX-Many: =?utf-8?b?w7w=?=\r\n" in wire
    assert b"\r\nX-Ready: =?utf-8?q?x?=\r\n folded\r\n" in wire
    assert mailboxes(wire, "Disposition-Notification-To") == [("Jörg", "j@x.org")]
    assert max(map(len, wire.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    "value", ["a\nBcc: b@x.org", "a\r\n\r\nbody", "a\n \nx", "a\r b", "a\0", "\nBcc: b@x.org"]
)
def test_a_prepared_header_does_not_break_out(value: str) -> None:
    for fold in (False, True):
        header = {"prepared": True, "value": value, "foldLines": fold}
        refused(composed, {**SMALL, "headers": {"X-A": header}})
        refused(composed, {**SMALL, "attachments": {**FILE, "headers": {"X-A": header}}})


# -- finished parts, and finished messages ---------------------------------------------------------


def test_raw_parts() -> None:
    raw = "Content-Type: text/x-own\nX-Own: 1\n\nhello"
    message = sent(
        {**SMALL, "attachments": [{"raw": raw}], "alternatives": [{"raw": {"content": raw}}]}
    )
    assert shape(message) == [
        "multipart/mixed",
        ["multipart/alternative", "text/plain", "text/x-own"],
        "text/x-own",
    ]
    assert shape(sent({"text": {"raw": raw}})) == ["multipart/mixed", "text/x-own"]
    for more in ({"filename": "x"}, {"content": "x"}):
        refused(composed, {"attachments": [{"raw": raw, **more}]})


def test_a_raw_part_does_not_end_its_message() -> None:
    mail = {**SMALL, "baseBoundary": "b", "attachments": [{"raw": "\n--=_b_1\nX: y\n\nz"}]}
    assert "delimiter" in str(refused(built, mail))


def test_text_does_not_end_its_part_where_the_boundary_is_known() -> None:
    text = "a\n--=_b_1\nContent-Type: text/html\n\n<script>"
    message = sent({"text": text, "baseBoundary": "b", "attachments": [FILE]})
    assert shape(message) == ["multipart/mixed", "text/plain", "application/octet-stream"]
    assert text_of(message.get_payload(0)) == text


def test_a_fixed_boundary_makes_the_same_message_each_time() -> None:
    mail = {
        **SMALL,
        "date": "2024-05-06T07:08:09Z",
        "messageId": "1@x.org",
        "baseBoundary": "fixed",
        "boundaryPrefix": "mine",
        "html": "<p>",
        "attachments": [FILE],
    }
    assert written(mail) == written(mail)
    assert b'boundary="mine=_fixed_' in written(mail)
    for name in ("baseBoundary", "boundaryPrefix"):
        for bad in ("a b", "x" * 25, 'a"', 5):
            refused(composed, {**mail, name: bad})


def test_a_raw_message() -> None:
    message = compose({"from": "A <a@x.org>", "to": "b@x.org", "raw": "X-A: 1\n\nhi"})
    assert message.build() == b"X-A: 1\r\n\r\nhi"
    assert message.envelope == {"from": "a@x.org", "to": ["b@x.org"]}
    letter = EmailMessage()
    letter["Bcc"] = "c@x.org"
    letter.set_content("hi")
    assert b"Bcc" not in compose({"from": "a@x.org", "raw": letter}).build()
    assert "'subject' cannot be added" in str(refused(composed, {"raw": "x", "subject": "y"}))
    assert "Empty message" in str(refused(composed, {"raw": ""}))


# -- the envelope ----------------------------------------------------------------------------------


def test_an_envelope_of_its_own() -> None:
    mail = {
        **SMALL,
        "envelope": {
            "from": "E <e@x.org>",
            "TO": ["f@x.org, g@x.org"],
            "bcc": "h@x.org",
            "size": 5,
        },
        "dsn": {"ret": "HDRS"},
        "requireTLSExtensionEnabled": True,
    }
    assert Mail(mail).envelope() == {
        "from": "e@x.org",
        "to": ["f@x.org", "g@x.org", "h@x.org"],
        "size": 5,
        "dsn": {"ret": "HDRS"},
        "requireTLSExtensionEnabled": True,
    }
    assert Mail({**SMALL, "envelope": {"from": "", "to": "b@x.org"}}).envelope()["from"] == ""
    for bad in (5, {"to": "b@x.org"}, {"from": "a b", "to": "b@x.org"}, {"from": "", "FROM": ""}):
        refused(lambda given: Mail({**SMALL, "envelope": given}).envelope(), bad, "EENVELOPE")


def test_what_a_mail_asks_for_is_not_lost_beside_an_envelope(by_hand: Any) -> None:
    connection, peer = by_hand()
    connection.connect()
    peer.feed("220 mx\r\n")
    peer.settle()
    peer.feed("250 mx\r\n")
    errors: list[Any] = []
    mail = {**SMALL, "requireTLSExtensionEnabled": True}
    connection.send({"from": "a@x.org", "to": "b@x.org"}, mail, lambda err: errors.append(err))
    peer.settle()
    assert errors[0].code == "EREQUIRETLS"
    connection.close()


def test_a_bcc_is_kept_on_request_and_never_sent(reactor: Any) -> None:
    mail = {**SMALL, "bcc": "c@x.org", "keepBcc": True}
    assert "Bcc" in header_names(built(mail))
    from smtp_connection.message.message import Message

    for message in (mail, compose(mail)):
        with pytest.raises(SMTPError, match="'keepBcc' is for compose"):
            Message(message, reactor)


# -- whose files -----------------------------------------------------------------------------------

PATHS: list[dict[str, Any]] = [
    {"attachments": [{"path": "/etc/passwd"}]},
    {"attachments": {"content": {"path": "/etc/passwd"}}},
    {"attachments": {"raw": {"path": "/etc/passwd"}}},
    {"attachments": {"path": Path("/etc/passwd")}},
    {"attachments": {"path": b"/etc/passwd"}},
    {"alternatives": [{"path": "/etc/passwd"}]},
    {"text": {"path": "/etc/passwd"}},
    {"html": {"path": "/etc/passwd"}, "attachDataUrls": True},
    {"amp": {"content": {"path": "/etc/passwd"}}},
    {"watchHtml": {"raw": {"path": "/etc/passwd"}}},
    {"icalEvent": {"path": "/etc/passwd"}},
    {"raw": {"path": "/etc/passwd"}},
]


@pytest.mark.parametrize("fields", PATHS, ids=range(len(PATHS)))
@pytest.mark.parametrize("where", ["mail", "connection", "connection, after compose()"])
def test_no_file_is_read_where_files_are_closed(
    fields: dict[str, Any], where: str, by_hand: Any, diary: Any
) -> None:
    mail = {"from": "a@x.org", "to": "b@x.org", **fields}
    if where == "mail":
        refused(composed, {**mail, "disableFileAccess": True}, "EFILEACCESS")
        return
    connection, _ = by_hand(disableFileAccess=True)
    connection.connect()
    message = compose(mail) if "compose" in where else {**mail, "disableFileAccess": False}
    if "compose" in where and "attachDataUrls" in fields:
        return  # the program has read it itself
    connection.send(None, message, diary.callback("sent"))
    connection.close()
    connection.reactor.run()
    assert diary.error("sent").code == "EFILEACCESS"


def test_urls_are_refused_in_any_case() -> None:
    for fields in ({"href": "http://x.org/a"}, {"path": "https://x.org/a"}):
        mail = {"attachments": [fields]}
        assert "nothing is downloaded" in str(refused(composed, mail))
        refused(composed, {**mail, "disableUrlAccess": True}, "EURLACCESS")
    data = {"attachments": [{"path": "data:,x"}]}
    assert sent({**data, "disableUrlAccess": True, "disableFileAccess": True})


def test_connections_have_the_options(reactor: Any) -> None:
    options = {"disableFileAccess": True, "disableUrlAccess": True, "attachDataUrls": True}
    connection = SMTPConnection(options, reactor=reactor)
    assert connection._rules == options
    assert SMTPConnection({}, reactor=reactor)._rules == {}


def test_a_message_that_is_composed_is_read_by_the_email_package() -> None:
    wire = built({**SMALL, "html": "<p>ü", "icalEvent": EVENT, "attachments": [FILE]})
    message = email.message_from_bytes(wire, policy=default)
    assert [part.defects for part in message.walk() if part.defects] == []
