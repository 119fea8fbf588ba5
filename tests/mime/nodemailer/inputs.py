"""89 mails, each for one behaviour of nodemailer's composition, in a form that JSON has as well.

``{"$bytes": ...}`` stands for bytes (Latin-1), ``{"$stream": ...}`` for a stream, and
``{"$file": ...}`` for the path of a file.
"""

from __future__ import annotations

from typing import Any

_HEAD = {"from": "a@x.org", "to": "b@y.org", "date": "Tue, 02 Jan 2024 10:00:00 +0000"}
_EVENT = "BEGIN:VCALENDAR\r\nEND:VCALENDAR"
_PICTURE = {"filename": "p.png", "content": {"$bytes": "\x89PNG"}, "cid": "p@x"}
_CSV = {"filename": "n.csv", "content": "1,2"}
_RAW = "From: c@x.org\r\nTo: d@x.org\r\nSubject: as is\r\n\r\nhello"


def _mail(**fields: Any) -> dict[str, Any]:
    return {**_HEAD, **fields}


def _attached(**file: Any) -> dict[str, Any]:
    return _mail(text="hi", attachments=[file])


def _headers(headers: Any) -> dict[str, Any]:
    return _mail(text="hi", headers=headers)


INPUTS: dict[str, dict[str, Any]] = {
    # -- parts
    "a text alone is a single part": _mail(text="hello"),
    "a page alone is a single part": _mail(html="<p>hello"),
    "text and page are alternatives": _mail(text="hello", html="<p>hello"),
    "a page for watches stands before the page": _mail(text="t", watchHtml="<b>w", html="<p>h"),
    "a page for AMP stands before the page": _mail(text="t", amp="<html amp4email>", html="<p>h"),
    "no content at all is an empty text": _mail(),
    "an empty text is a text": _mail(text=""),
    "a file makes the message mixed": _mail(text="hi", attachments=[_CSV]),
    "a file alone": _mail(attachments=[_CSV]),
    "two files alone": _mail(attachments=[_CSV, _PICTURE]),
    "pictures of a page are related to it": _mail(html="<img>", attachments=[_PICTURE]),
    "text, page, picture and file": _mail(text="t", html="<img>", attachments=[_PICTURE, _CSV]),
    "a picture without a page is a file": _mail(text="t", attachments=[_PICTURE]),
    "a further version": _mail(
        text="t", alternatives=[{"contentType": "text/x-web-markdown", "content": "**t**"}]
    ),
    "a page among the versions, with a picture": _mail(
        text="t",
        alternatives=[{"contentType": "text/html", "content": "<img>"}],
        attachments=[_PICTURE],
    ),
    "a calendar event is a version and a file": _mail(text="t", icalEvent=_EVENT),
    "a calendar event with a method": _mail(
        text="t", icalEvent={"method": "request", "content": _EVENT}
    ),
    "a calendar event with a name of the file": _mail(
        text="t", icalEvent={"filename": "meeting.ics", "content": _EVENT}
    ),
    "a calendar event without a file": _mail(
        text="t", icalEvent={"filename": False, "content": _EVENT}
    ),
    # -- contents
    "a text from a stream": _mail(text={"$stream": "hello"}),
    "a page from a file": _mail(html={"path": {"$file": "page.html"}}),
    "a text as a dict of its content": _mail(text={"content": "hello"}),
    "a text in base64 that is to be decoded": _mail(
        text={"content": "aGVsbG8=", "encoding": "base64"}
    ),
    "a text in hexadecimal digits": _mail(text={"content": "68656c6c6f", "encoding": "hex"}),
    "a finished part as the text": _mail(
        text={"raw": "Content-Type: text/plain\r\nX-Own: x\r\n\r\nhello"}
    ),
    "a file of bytes": _attached(filename="x.bin", content={"$bytes": "\0\1\xff"}),
    "a file from a stream": _attached(filename="x.txt", content={"$stream": "from a stream"}),
    "a file from the disk is called as there": _attached(path={"$file": "notes.txt"}),
    "a file in base64 that is to be decoded": _attached(
        filename="x.txt", content="aGVsbG8=", encoding="base64"
    ),
    "a finished part among the files": _attached(
        raw="Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nhello"
    ),
    "a data: URL as a path": _attached(path="data:text/csv;base64,MSwy"),
    "a data: URL with percent signs": _attached(path="data:text/plain,one%20two"),
    "a data: URL as href": _attached(href="data:text/csv;base64,MSwy", filename="n.csv"),
    "pictures in a page become parts": _mail(
        html='<img src="data:image/png;base64,iVBORw==">', attachDataUrls=True
    ),
    # -- files
    "the type of a file follows from its name": _attached(filename="x.pdf", content="x"),
    "the type of a file that nobody knows": _attached(filename="x.unheard", content="x"),
    "the type of a file that the mail states": _attached(
        filename="x.pdf", content="x", contentType="text/x-own"
    ),
    "a type with a parameter": _attached(content="x", contentType="text/x-own; header=present"),
    "a file without a name": _attached(content="x"),
    "a file without a name, but with a type": _attached(content="x", contentType="text/csv"),
    "a file that is to have no name": _attached(filename=False, content="x"),
    "a name of a file that is not ASCII": _attached(filename="Grüße.txt", content="x"),
    "a long name of a file that is not ASCII": _attached(filename="ü" * 60 + ".txt", content="x"),
    "a name of a file with blanks and quotes": _attached(filename='a "b" c.txt', content="x"),
    "a file that is shown in its place": _attached(
        filename="x.txt", content="x", contentDisposition="inline"
    ),
    "an id of a file without brackets": _attached(filename="x.txt", content="x", cid="i@x"),
    "headers of a file": _attached(filename="x.txt", content="x", headers={"X-Own": "x"}),
    "a file in quoted-printable": _attached(
        filename="x.txt", content="Grüße", contentTransferEncoding="quoted-printable"
    ),
    "a file in 7bit": _attached(filename="x.txt", content="x", contentTransferEncoding="7bit"),
    "a message as a file": _attached(content=_RAW, contentType="message/rfc822"),
    "the end of a name in capitals": _attached(filename="X.PNG", content={"$bytes": "\x89PNG"}),
    # -- transfer encodings
    "a text that is not ASCII": _mail(text="Grüße"),
    "a text in another alphabet": _mail(text="日本語の本文です"),
    "a text with a long line": _mail(text="word " * 40),
    "all texts in base64": _mail(text="hello", html="<p>", encoding="base64"),
    "all texts in quoted-printable": _mail(text="hello", encoding="quoted-printable"),
    "line breaks of a text": _mail(text="one\ntwo\r\nthree"),
    "a line that begins with a dot": _mail(text=".\n..two\nFrom three"),
    # -- addresses
    "an address with a name": _mail(**{"from": "Joe Doe <a@x.org>"}, text="hi"),
    "an address as a dict": _mail(**{"from": {"name": "Joe Doe", "address": "a@x.org"}}, text="hi"),
    "a name that is not ASCII": _mail(**{"from": "Jõgeva Ärimees <a@x.org>"}, text="hi"),
    "a name with a comma": _mail(**{"from": {"name": "Doe, Joe", "address": "a@x.org"}}, text="hi"),
    "several addresses in one string": _mail(to="b@y.org, C <c@y.org>", text="hi"),
    "a list of addresses of all kinds": _mail(
        to=["b@y.org", "C <c@y.org>, d@y.org", {"name": "E", "address": "e@y.org"}], text="hi"
    ),
    "a group of addresses": _mail(to="Team: b@y.org, C <c@y.org>;", text="hi"),
    "Cc is in the header, Bcc in the envelope alone": _mail(cc="c@y.org", bcc="d@y.org", text="hi"),
    "an address that is there twice is told once": _mail(cc="b@y.org", text="hi"),
    "the sender is that of the envelope": _mail(sender="s@x.org", text="hi"),
    "where replies go": _mail(replyTo="R <r@x.org>", text="hi"),
    "a domain that is not ASCII": _mail(to="b@bücher.example", text="hi"),
    "an envelope of its own": _mail(envelope={"from": "E <e@x.org>", "to": ["f@y.org"]}, text="hi"),
    # -- headers
    "a subject": _mail(subject="Hello", text="hi"),
    "a subject that is not ASCII": _mail(subject="Grüße", text="hi"),
    "a subject in base64": _mail(subject="Grüße", textEncoding="base64", text="hi"),
    "a long subject": _mail(subject="word " * 40 + "end", text="hi"),
    "a line break in a subject": _mail(subject="one\r\nX-Evil: yes", text="hi"),
    "ids without brackets": _mail(messageId="i@x", inReplyTo="j@x", text="hi"),
    "references in a string": _mail(references="<i@x> j@x", text="hi"),
    "references in a list": _mail(references=["<i@x>", "j@x"], text="hi"),
    "headers of one's own": _headers({"X-Own": "one", "X-Number": 17}),
    "headers as a list": _headers([{"key": "X-Own", "value": "one"}]),
    "a header several times": _headers({"X-Own": ["one", "two"]}),
    "a header that is finished": _headers({"X-Own": {"prepared": True, "value": "=?x?="}}),
    "a high priority": _mail(priority="high", text="hi"),
    "how to leave a list": _mail(
        list={"unsubscribe": {"url": "http://x.org", "comment": "Leave"}, "help": "h@x.org"},
        text="hi",
    ),
    "the id of a list": _mail(list={"id": {"url": "l.x.org", "comment": "My list"}}, text="hi"),
    "no name of the program": _mail(xMailer=False, text="hi"),
    # -- finished messages
    "a finished message": {"envelope": {"from": "a@x.org", "to": "b@y.org"}, "raw": _RAW},
    "a finished message from a stream": {
        "envelope": {"from": "a@x.org", "to": "b@y.org"},
        "raw": {"$stream": _RAW},
    },
}
