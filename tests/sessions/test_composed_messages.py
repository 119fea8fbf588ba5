"""Composed messages on connections: what is said, and what others notice of them."""

from __future__ import annotations

import email
import os
import re
from email.policy import default

import pytest

from smtp_connection import SMTPConnection
from tests.support.smtp_server import BackgroundServer

MAIL = {"from": "a@x.org", "to": "b@y.org", "subject": "s", "text": "hi"}
LARGE = bytes(range(256)) * 2000


def attached(content):
    content = re.sub(rb"(?m)^\.\.", b".", content)
    message = email.message_from_bytes(content, policy=default)
    return [part.get_payload(decode=True) for part in message.iter_attachments()]


@pytest.mark.parametrize("extensions", [[], ["PIPELINING"]])
def test_if_a_file_is_missing_nothing_is_said_and_the_connection_stays(talk, diary, extensions):
    connection, session, go_on = talk(*extensions)
    doomed = {**MAIL, "attachments": [{"path": "/nowhere/at.all"}]}
    connection.send(None, doomed, diary.callback("doomed"))
    connection.send(None, MAIL, diary.callback("sent"))
    go_on()
    error = diary.error("doomed")
    assert (error.code, error.permanent) == ("EMESSAGE", True)
    assert "'attachments[0]': cannot read the file '/nowhere/at.all'" in str(error)
    assert diary.of("sent")[0][0] is None
    assert len(session.messages) == 1
    assert len([line for line in diary.commands() if line.startswith("MAIL")]) == 1
    connection.close()


def test_a_file_over_the_servers_limit_is_refused_before_anything_is_said(talk, diary, tmp_path):
    connection, _, go_on = talk("SIZE 100000")
    path = tmp_path / "large.bin"
    path.write_bytes(b"x" * 90_000)
    connection.send(None, {**MAIL, "attachments": [{"path": path}]}, diary.callback("sent"))
    go_on()
    error = diary.error("sent")
    assert error.code == "EMESSAGE"
    assert "is larger than the 100000 bytes that the server allows" in str(error)
    assert not any(line.startswith("MAIL") for line in diary.commands())
    connection.close()


def test_the_size_of_a_composed_message_is_declared(talk, diary):
    connection, session, go_on = talk("SIZE 10000000")
    connection.send(None, {**MAIL, "attachments": {"content": LARGE}}, diary.callback("sent"))
    go_on()
    (message,) = session.messages
    assert f"MAIL FROM:<a@x.org> SIZE={len(message)}" in diary.commands()
    assert attached(message) == [LARGE]
    connection.close()


def test_a_content_that_fails_half_way_is_never_delivered(talk, diary):
    def pieces():
        yield LARGE
        raise OSError(5, "Input/output error")

    connection, session, go_on = talk("PIPELINING")
    connection.send(None, {**MAIL, "attachments": {"content": pieces()}}, diary.callback("sent"))
    go_on()
    error = diary.error("sent")
    assert error.code == "ESTREAM"
    assert str(error) == (
        "The message source failed: 'attachments[0].content' cannot be read: Input/output error"
    )
    assert session.messages == []
    assert diary.names()[-1] == "end"


def test_while_a_fifo_gives_nothing_other_connections_send(reactor, diary, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with BackgroundServer("PIPELINING") as server:
        waiting, other = (
            SMTPConnection(host=server.host, port=server.port, reactor=reactor) for _ in range(2)
        )
        for connection in (waiting, other):
            diary.listen(connection)
            connection.connect()
        files = [{"path": path, "filename": "f"}]
        waiting.send(None, {**MAIL, "attachments": files}, diary.callback("waited"))
        waiting.quit()

        def sent(err, info):
            diary.entries.append(("sent", err, info))
            other.quit()
            with open(path, "wb") as sender:
                sender.write(b"at last")

        other.send(None, MAIL, sent)
        reactor.run()
        assert diary.names().index("sent") < diary.names().index("waited")
        assert diary.of("waited")[0][0] is None


def test_a_closed_connection_lets_go_of_the_files(talk, diary, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    connection, _, go_on = talk()
    files = [{"path": path, "filename": "f"}]
    connection.send(None, {**MAIL, "attachments": files}, diary.callback("sent"))
    go_on()
    connection.close()
    go_on()
    assert diary.error("sent").code == "ECONNECTION"


def test_progress_of_a_composed_message_has_a_total(talk, diary):
    connection, _, go_on = talk()
    told = []
    connection.on("progress", told.append)
    connection.send(None, {**MAIL, "attachments": {"content": LARGE}}, diary.callback("sent"))
    go_on()
    size = diary.of("sent")[0][1].messageSize
    assert {progress.total for progress in told} == {size}
    assert told[-1].sent == size
    connection.close()
