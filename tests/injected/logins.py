"""What logins are made with, and single commands."""

from __future__ import annotations

import hmac
from typing import Any

from smtp_connection.auth.login import login
from smtp_connection.protocol.session import Session
from tests.support.helpers import Talk

from .peers import READERS
from .values import CONTROL, Put, hidden
from .world import World


def authentication(method: str, key: str) -> Put:
    def put(world: World, text: str) -> str:
        auth = {"user": "someone", "pass": "geheim", "domain": "CORP", "method": method, key: text}
        return READERS[method](world.login(auth))[key]

    return put


def nested(key: str) -> Put:
    def put(world: World, text: str) -> str:
        auth = {"credentials": {"user": "someone", "pass": "geheim", key: text}, "method": "PLAIN"}
        return READERS["PLAIN"](world.login(auth))[key]

    return put


def xoauth2(key: str) -> Put:
    def put(world: World, text: str) -> str:
        auth = {"user": "me", "method": "XOAUTH2", key: text}
        said = world.login(auth if key != "user" else {**auth, "xoauth2": "t0k3n"})
        return READERS["XOAUTH2"](said)["user" if key == "user" else "token"]

    return put


def cram_md5_password(world: World, text: str) -> str:
    said = world.login({"user": "me", "pass": text, "method": "CRAM-MD5"})
    digest = hmac.new(text.encode(), b"<1@x>", "md5").hexdigest()
    return text if READERS["CRAM-MD5"](said) == {"user": "me", "digest": digest} else ""


def ntlm_password(world: World, text: str) -> str:
    said = world.login({"user": "me", "pass": text, "domain": "D", "method": "NTLM"})
    return text if READERS["NTLM"](said) == {"user": "me", "domain": "D"} else ""


def by_dialogue(mechanism: str, key: str) -> Put:
    """What a server hears that refuses the first line of the login."""

    def put(world: World, text: str) -> str:
        auth = {"user": "someone", "pass": "geheim", "xoauth2": "t0k3n", key: text}
        session = Session("me", auth_method=mechanism, secure=True)
        talk = Talk(login(auth, session), *() if CONTROL.search(text) else ("535 no",))
        if not talk.said:
            raise talk.error
        return READERS[mechanism](talk.said)[key]

    return put


def scram_password(world: World, text: str) -> str:
    """The password itself is not sent: it is looked at before."""
    return by_dialogue("SCRAM-SHA-256", "pass")(world, text) and text


def mechanism(world: World, text: str) -> str:
    (line,) = world.login({"user": "me", "pass": "geheim", "method": text})
    return line.split(" ")[1]


def mechanisms(world: World, text: str) -> str:
    auth = {"user": "me", "pass": "geheim", "method": ["GSSAPI", text]}
    (line,) = world.login(auth, customAuth={"GSSAPI": print})
    return line.split(" ")[1]


def own_command(world: World, text: str) -> str:
    def handler(context: Any) -> None:
        context.sendCommand(text, lambda: context.resolve())

    (line,) = world.login({"method": "X-OWN"}, customAuth={"X-OWN": handler})
    return line


def single_command(world: World, text: str) -> str:
    (line,) = world.server().hear(lambda connection, done: connection.command(text, done))
    return line


VALUES = [
    *(
        hidden(f"auth.{key} ({method})", "someone", authentication(method, key), f"'{key}'")
        for method in ("PLAIN", "LOGIN", "NTLM")
        for key in ("user", "pass")
        if (method, key) != ("NTLM", "pass")
    ),
    hidden("auth.domain", "CORP", authentication("NTLM", "domain"), "'domain'"),
    hidden("auth.pass (NTLM)", "geheim", ntlm_password, "'pass'"),
    hidden("auth.user (CRAM-MD5)", "someone", authentication("CRAM-MD5", "user"), "'user'"),
    hidden("auth.pass (CRAM-MD5)", "geheim", cram_md5_password, "'pass'"),
    hidden("auth.user (SCRAM)", "someone", by_dialogue("SCRAM-SHA-256", "user"), "'user'"),
    hidden("auth.pass (SCRAM)", "geheim", scram_password, "'pass'"),
    hidden("auth.user (OAUTHBEARER)", "someone", by_dialogue("OAUTHBEARER", "user"), "'user'"),
    hidden(
        "auth.xoauth2 (OAUTHBEARER)", "t0k3n", by_dialogue("OAUTHBEARER", "xoauth2"), "'xoauth2'"
    ),
    hidden("auth.user (EXTERNAL)", "someone", authentication("EXTERNAL", "user"), "'user'"),
    hidden("auth.method (several)", "PLAIN", mechanisms, "method", str.strip),
    hidden("auth.credentials (user)", "someone", nested("user"), "'user'"),
    hidden("auth.credentials (pass)", "geheim", nested("pass"), "'pass'"),
    hidden("auth.user (XOAUTH2)", "someone", xoauth2("user"), "'user'"),
    hidden("auth.xoauth2", "t0k3n", xoauth2("xoauth2"), "'xoauth2'"),
    hidden("auth.oauth2", "t0k3n", xoauth2("oauth2"), "'xoauth2'"),
    hidden("auth.method", "PLAIN", mechanism, "method", str.strip),
    hidden("command", "RSET x", single_command, "a command", str.strip),
    hidden("customAuth.sendCommand", "AUTH X-OWN YWJj", own_command, "a command"),
]
