"""Nodemailer's composition, input by input: each is the same here, or different for a reason.

What nodemailer makes of 89 inputs stands in ``facts.json``.  Where something else is made of one
here, :data:`DIFFERENT` says what the difference is, and why.
"""

from __future__ import annotations

import io
import re
from typing import Any, NamedTuple

import pytest

from smtp_connection import createTransport
from tests.support.helpers import end_workers

from .facts import FACTS, facts_of, write_files
from .inputs import INPUTS


class Difference(NamedTuple):
    """``pattern`` in nodemailer's facts, all lines of them, is ``here`` in ours."""

    because: str
    pattern: str
    here: str

    def in_ours(self, facts: str) -> str:
        """Return nodemailer's ``facts`` with this difference."""
        changed, times = re.subn(self.pattern, self.here, facts)
        assert times, "there is no such difference"
        return changed


NAME = Difference(
    "the name of a file stands in Content-Disposition (RFC 2183), and not once more in the type",
    r"; name=[^|\n]+ \|",
    " |",
)
CHARSET = Difference(
    "text that was given as text is sent as UTF-8: the charset says so, and nobody has to guess",
    r"(?m)^( *text/(?!.*charset)[\w-]+)",
    r"\1; charset=utf-8",
)
SHORTEST = Difference(
    "the transfer encoding is the shortest that does, also for what does not come as text",
    r"\[quoted-printable\]",
    "[7bit]",
)
ALONE = Difference(
    "a file stays an attachment if it is all that there is; clients show a lone part as the text",
    r"(?s)\n(text/csv.*?)\n(  '1,2')",
    r"\nmultipart/mixed\n  \1\n  \2",
)
LONE_PART = Difference(
    "a message has headers: nodemailer sends the part alone, without From and To",
    r"(?s)X-Own: x\n(text/plain.*)\n(  'hello')",
    "Date: Tue, 02 Jan 2024 10:00:00 +0000\nFrom: a@x.org\nMessage-Id: <new>\nTo: b@y.org\n"
    r"multipart/mixed\n  \1\n    X-Own: x\n  \2",
)
NO_END = Difference(
    "a file that has neither a name nor a type is called '.bin'; a name does not end with a dot",
    r"'attachment-1\.'",
    "'attachment-1.bin'",
)
INLINE = Difference(
    "what has an id is shown where the page names it, whatever its type is",
    r"attachment 'x\.txt' \| <i@x>",
    "inline 'x.txt' | <i@x>",
)
MESSAGE = Difference(
    "a message that is attached is an attachment, and has a name, as other files do",
    "inline None",
    "attachment 'attachment-1.eml'",
)
SENDER = Difference(
    "the sender is who has handed the message in (RFC 5322 section 3.6.2): errors go there",
    r"^from a@x\.org",
    "from s@x.org",
)
AS_GIVEN = Difference(
    "the info tells addresses as they were given; A-labels are what the server is told",
    r"^(.*)b@xn--bcher-kva\.example",
    r"\1b@bücher.example",
)
REFUSED = Difference(
    "a line break in a header is an attack or a slip: it is refused, and not repaired",
    r"(?s)\A.+",
    "error: 'subject' takes a str without line breaks and control characters;"
    r" got 'one\\r\\nX-Evil: yes'",
)

DIFFERENT = {
    "no content at all is an empty text": [CHARSET],
    "an empty text is a text": [CHARSET],
    "a file makes the message mixed": [NAME, CHARSET],
    "a file alone": [NAME, CHARSET, ALONE],
    "two files alone": [NAME, CHARSET],
    "pictures of a page are related to it": [NAME],
    "text, page, picture and file": [NAME, CHARSET],
    "a picture without a page is a file": [NAME],
    "a further version": [CHARSET],
    "a page among the versions, with a picture": [NAME, CHARSET],
    "a calendar event is a version and a file": [NAME],
    "a calendar event with a method": [NAME],
    "a calendar event with a name of the file": [NAME],
    "a calendar event without a file": [NAME],
    "a text from a stream": [SHORTEST],
    "a text in base64 that is to be decoded": [SHORTEST],
    "a text in hexadecimal digits": [SHORTEST],
    "a finished part as the text": [LONE_PART],
    "a file of bytes": [NAME],
    "a file from a stream": [NAME],
    "a file from the disk is called as there": [NAME],
    "a file in base64 that is to be decoded": [NAME],
    "a data: URL as a path": [NAME],
    "a data: URL with percent signs": [NAME],
    "a data: URL as href": [NAME],
    "pictures in a page become parts": [NAME],
    "the type of a file follows from its name": [NAME],
    "the type of a file that nobody knows": [NAME],
    "the type of a file that the mail states": [NAME, CHARSET],
    "a type with a parameter": [NAME, CHARSET],
    "a file without a name": [NAME, NO_END],
    "a file without a name, but with a type": [NAME, CHARSET],
    "a name of a file that is not ASCII": [NAME, CHARSET],
    "a long name of a file that is not ASCII": [NAME, CHARSET],
    "a name of a file with blanks and quotes": [NAME, CHARSET],
    "a file that is shown in its place": [NAME, CHARSET],
    "an id of a file without brackets": [NAME, CHARSET, INLINE],
    "headers of a file": [NAME, CHARSET],
    "a file in quoted-printable": [NAME],
    "a file in 7bit": [NAME, CHARSET],
    "a message as a file": [MESSAGE],
    "the end of a name in capitals": [NAME],
    "the sender is that of the envelope": [SENDER],
    "a domain that is not ASCII": [AS_GIVEN],
    "a line break in a subject": [REFUSED],
}


@pytest.fixture
def facts_here(reactor, tmp_path):
    """Return what is made of an input here, in the same lines as nodemailer's."""
    write_files(tmp_path)

    def revived(value: Any) -> Any:
        if isinstance(value, list):
            return [revived(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$bytes" in value:
            return value["$bytes"].encode("latin-1")
        if "$stream" in value:
            return io.BytesIO(value["$stream"].encode())
        if "$file" in value:
            return str(tmp_path / value["$file"])
        return {key: revived(each) for key, each in value.items()}

    def compose(mail: Any) -> list[str]:
        results = []
        transport = createTransport({"streamTransport": True, "buffer": True}, reactor=reactor)
        transport.sendMail(revived(mail), lambda err, info: results.append((err, info)))
        reactor.run()
        ((err, info),) = results
        return [f"error: {err}"] if err else facts_of(info.envelope, info.message)

    yield compose
    end_workers()


@pytest.mark.parametrize("name", INPUTS)
def test_it_is_the_same_or_different_for_a_reason(facts_here, name):
    expected = "\n".join(FACTS[name])
    for difference in DIFFERENT.get(name, ()):
        expected = difference.in_ours(expected)
    assert "\n".join(facts_here(INPUTS[name])) == expected


def test_every_behaviour_is_accounted_for():
    assert len(INPUTS) == 89
    assert set(FACTS) == set(INPUTS) >= set(DIFFERENT)
    assert not [name for name, facts in FACTS.items() if facts[0].startswith("error")]
    same = set(INPUTS) - set(DIFFERENT)
    assert len(same) == 44
    assert all(difference.because for each in DIFFERENT.values() for difference in each)
