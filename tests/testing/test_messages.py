"""Messages as tests see them."""

from __future__ import annotations

import threading

import pytest

from smtp_connection.testing import Messages, ReceivedMessage, Session


def received(content: bytes = b"Subject: hi\r\n\r\nhello\r\n") -> ReceivedMessage:
    return ReceivedMessage("a@x.org", ["b@x.org"], content, Session())


def test_the_content_is_parsed():
    content = (
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\nja \xc3\xbc\r\nnein\r\n"
    )
    got = received(content)
    assert got.content == content
    assert got.message["Subject"] == "Gr\u00fc\u00dfe"
    assert got.message.get_content() == "ja \u00fc\nnein\n"
    assert got.message is got.message
    assert repr(got) == f"<ReceivedMessage from 'a@x.org' to ['b@x.org'], {len(content)} bytes>"


def test_messages_are_a_list():
    messages = Messages()
    assert messages == []
    one = received()
    messages.append(one)
    assert messages == [one]
    assert messages.wait_for(1, timeout=0) == [one]
    messages.clear()
    assert not messages


def test_waiting_for_messages_from_another_thread():
    messages = Messages()
    thread = threading.Thread(target=lambda: [messages.append(received()) for _ in range(3)])
    thread.start()
    assert len(messages.wait_for(3, timeout=10)) == 3
    thread.join()


def test_waiting_in_vain():
    messages = Messages()
    messages.append(received())
    with pytest.raises(TimeoutError, match=r"^waited 0\.01 s for 2 message\(s\), but 1 came$"):
        messages.wait_for(2, timeout=0.01)
