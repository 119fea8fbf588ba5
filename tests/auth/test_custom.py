"""``customAuth``: mechanisms that the caller brings along."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from smtp_connection import SMTPError

AUTH = {"user": "me", "pass": "s3cr3t", "method": "X-Own"}


def login_script(*answers, extensions=("AUTH X-OWN PLAIN", "SIZE 1000")):
    def script(peer):
        peer.greet(*extensions)
        peer.said = []
        for answer in answers:
            peer.said.append(peer.read_line())
            peer.send(f"{answer}\r\n")
        peer.take_quit()

    return script


@pytest.fixture
def login(serve, connect_to, reactor, diary):
    def run(handler, *answers, auth=AUTH, name="x-own", **more):
        server = serve(login_script(*answers, **more))
        connection = connect_to(server, customAuth={name: handler})
        connection.connect()
        connection.login(auth, diary.callback("login"))
        connection.quit()
        reactor.run()
        assert diary.names() == ["connect", "login", "end"]
        diary.connection = connection
        return server.peers[0].said

    return run


def test_a_handler_converses_and_resolves(login, diary):
    seen = {}

    def handler(context):
        seen["context"] = context

        def answered(err, reply):
            seen["reply"] = reply
            context.sendCommand("c2VjcmV0", lambda err: context.resolve())

        context.sendCommand("AUTH X-OWN first", answered)

    said = login(handler, "334 2.0.0 go on", "235 2.7.0 welcome")

    assert said == ["AUTH X-OWN first", "c2VjcmV0"]
    assert diary.of("login") == [(None, True)]
    assert diary.connection.authenticated
    context = seen["context"]
    assert (context.auth, context.method) == (AUTH, "X-OWN")
    assert context.authMethods == ["X-OWN", "PLAIN"]
    assert context.extensions == ["AUTH", "SIZE"]
    assert context.maxAllowedSize == 1000
    reply = seen["reply"]
    assert dict(reply) == {
        "command": "AUTH X-OWN first",
        "response": "334 2.0.0 go on",
        "status": 334,
        "code": "2.0.0",
        "text": "go on",
    }


def test_a_handler_that_only_looks_like_a_function_fails_at_once(login, diary):
    async def handler(context):
        context.resolve()

    assert login(lambda context: handler(context)) == []
    assert diary.error("login").code == "EAUTH"
    assert str(diary.error("login")) == (
        "Login with X-OWN failed: the handler has returned a coroutine, which nobody would await"
    )


def test_only_the_mechanism_is_logged(login, diary):
    def handler(context):
        context.sendCommand("AUTH X-OWN s3cr3t")
        context.sendCommand("s3cr3t")
        context.sendCommand("AUTH X-OWN")
        context.resolve()

    login(handler, "334 more", "334 more", "235 ok")
    assert diary.commands()[1:-1] == ["AUTH X-OWN /* secret */", "/* secret */", "AUTH X-OWN"]


def test_a_rejection_is_eauth_with_the_last_reply(login, diary):
    def handler(context):
        context.sendCommand("AUTH X-OWN", lambda err, reply: context.reject("not for you"))

    login(handler, "535 5.7.8 no")
    error = diary.error("login")
    assert (error.code, error.command, error.responseCode) == ("EAUTH", "AUTH X-OWN", 535)
    assert str(error) == "Login with X-OWN failed: not for you: 535 5.7.8 no"


def test_a_handler_that_raises_fails_the_login_only(login, diary):
    def handler(context):
        raise ValueError("oops")

    login(handler)
    assert diary.error("login").code == "EAUTH"
    assert isinstance(diary.error("login").__cause__, ValueError)


def test_an_error_of_ours_that_a_handler_raises_is_told_as_it_is(login, diary):
    own = SMTPError("the account is locked", code="EAUTH", command="AUTH X-OWN")

    def handler(context):
        raise own

    login(handler)
    assert diary.of("login") == [(own, None)]


def test_a_callback_that_raises_fails_the_login_only(login, diary):
    def handler(context):
        context.sendCommand("AUTH X-OWN", lambda err, reply: reply.no_such_name)

    login(handler, "334 more")
    assert diary.error("login").code == "EAUTH"


@pytest.mark.parametrize("command", ["AUTH X\r\nRSET", "a\0b", "\u2028", "\udc80", 5])
def test_a_command_with_a_control_character_is_not_sent(login, diary, command):
    login(lambda context: context.sendCommand(command))
    error = diary.error("login")
    assert error.code == "EAUTH"
    assert "a command" in str(error)


@pytest.mark.parametrize("outcome", ["result", "exception", "cancelled"])
def test_a_handler_may_return_a_future(login, diary, outcome):
    future = Future()

    def settle():
        if outcome == "result":
            future.set_result("whatever")
        elif outcome == "exception":
            future.set_exception(OSError("backend down"))
        else:
            future.cancel()

    def handler(context):
        thread = threading.Thread(target=settle)
        thread.start()
        return future

    login(handler)
    if outcome == "result":
        assert diary.of("login") == [(None, True)]
    else:
        assert diary.error("login").code == "EAUTH"
        assert ("backend down" if outcome == "exception" else "cancelled") in str(
            diary.error("login")
        )


def test_another_thread_may_speak(login, diary):
    def handler(context):
        def converse():
            context.send_command("AUTH X-OWN", lambda err, reply: context.resolve())

        threading.Thread(target=converse).start()

    login(handler, "235 ok")
    assert diary.of("login") == [(None, True)]


def test_a_handler_takes_the_place_of_a_built_in_mechanism(login, diary):
    said = login(
        lambda context: context.sendCommand("AUTH PLAIN x", lambda: context.resolve()),
        "235 ok",
        auth={"user": "me", "pass": "x"},
        name="plain",
    )
    assert said == ["AUTH PLAIN x"]


def test_a_handler_is_chosen_if_nothing_else_is_announced(login, diary):
    said = login(
        lambda context: context.sendCommand("AUTH X-OWN", lambda: context.resolve()),
        "235 ok",
        auth={},
        extensions=("AUTH X-OTHER X-OWN",),
    )
    assert said == ["AUTH X-OWN"]


def test_closing_from_within_the_handler_ends_everything(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet("AUTH X-OWN")
        peer.expect_end()

    connection = connect_to(serve(script), customAuth={"X-OWN": lambda context: connection.close()})
    connection.connect()
    connection.login(AUTH, diary.callback("login"))
    reactor.run()
    assert diary.error("login").code == "ECONNECTION"
    assert diary.names() == ["connect", "login", "end"]
