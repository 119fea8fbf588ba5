"""The programs of README.rst and of the manual run as they stand, except for host and port."""

from __future__ import annotations

import ast
import base64
import contextlib
import email
import email.policy
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import AuthResult

from tests.support.helpers import wait_until
from tests.support.mail_server import Recorder, Running, context_of, mail_server
from tests.support.manual import PROGRAMS, ROOT, TEXTS, programs
from tests.support.oauth2_server import TokenEndpoint
from tests.support.proxy_servers import Tunnels
from tests.support.scripted_server import ScriptedServer
from tests.support.signatures import RSA_PEM, tags


@pytest.fixture
def run_program(authority, run_text, tmp_path) -> Any:
    """Run a program of the manual against a server: ``done = run_program(name, server)``.

    Each further argument is a pair of what is to be replaced and what takes its place.
    """
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def run(
        name: str, server: Running | ScriptedServer, *replacements: tuple[str, str]
    ) -> subprocess.CompletedProcess[str]:
        program = PROGRAMS[name].replace("'smtp.example.com'", f"'{server.host}'")
        for old, new in replacements:
            assert program.count(old) == 1
            program = program.replace(old, new)
        program, count = re.subn(r"'port': \d+", f"'port': {server.port}", program)
        assert count == 1
        return run_text(program)

    return run


class NodeUser(Recorder):
    """A server that knows the user of the examples."""

    def __init__(self) -> None:
        super().__init__()
        self.login = {"user": "username", "pass": "password"}


@pytest.fixture
def submission(authority) -> Iterator[Running]:
    """A server with STARTTLS and AUTH, as the examples expect it."""
    context = context_of(authority.issue_cert("127.0.0.1"))
    with mail_server(
        mailbox=NodeUser(), tls_context=context, require_starttls=True, auth_required=True
    ) as server:
        yield server


def test_every_program_is_run_by_a_test():
    blocks = sum(text.count(".. code-block:: python\n") for text in TEXTS.values())
    assert blocks == len(list(programs())) == len(PROGRAMS)
    tests = Path(__file__).parent.glob("test_*.py")
    tested = "".join(path.read_text(encoding="utf-8") for path in tests)
    for name in PROGRAMS:
        assert f'run_program("{name}", ' in tested or f'PROGRAMS["{name}"]' in tested, name


def test_first_program(run_program):
    with mail_server() as server:
        done = run_program("first-program", server)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("None SendInfo(accepted=['b@x.org'], rejected=[]")
    (envelope,) = server.mailbox.envelopes
    assert envelope.content == b"Subject: hi\r\n\r\nhello\r\n"


def test_login_and_tls(run_program, submission):
    done = run_program("login-and-tls", submission)

    recipients = ["recipient@example.com", "second@example.com"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Sent to {recipients} and refused for []\n"
    (envelope,) = submission.mailbox.envelopes
    assert envelope.mail_from == "sender@example.com"
    assert envelope.rcpt_tos == recipients
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert message["Subject"] == "Gr\u00fc\u00dfe"
    assert "<b>test</b>" in message.get_body(("html",)).get_content()
    assert [part.get_filename() for part in message.iter_attachments()] == ["numbers.csv"]


def test_login_and_tls_without_tls(run_program):
    with mail_server(mailbox=NodeUser(), auth_require_tls=False) as server:
        done = run_program("login-and-tls", server)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("Not sent (ETLS): STARTTLS is required")
    assert server.mailbox.logins == []


def test_log_listener(run_program, submission):
    done = run_program("log-listener", submission)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"socket Connected to 127.0.0.1:{submission.port}"
    assert lines[1].startswith("server 220 mail.test Python SMTP ")
    assert lines[-2:] == ["client QUIT", "server 221 Bye"]


def test_logger(run_program, submission):
    done = run_program("logger", submission)

    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    ids = {re.search(r"\[(\w+)\] ", line)[1] for line in lines if "[" in line}
    assert len(ids) == 1
    bare = [re.sub(r" \[\w+\]", "", line) for line in lines]
    assert bare[0] == f"INFO Connected to 127.0.0.1:{submission.port}"
    assert bare[1].startswith("DEBUG S: 220 mail.test Python SMTP ")
    assert bare[2].startswith("DEBUG C: EHLO ")
    assert bare[-2:] == ["DEBUG C: QUIT", "DEBUG S: 221 Bye"]


def test_url(run_text, submission, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    place = f"{submission.host}:{submission.port}"
    done = run_text(PROGRAMS["url"].replace("smtp.example.com:587", place))

    assert (done.returncode, done.stdout, done.stderr) == (0, "Logged in\n", "")
    assert submission.mailbox.logins[0][1:] == (b"username", b"password")


def test_annotated_options(run_text):
    program = PROGRAMS["annotated-options"]
    done = run_text(program.replace("# SMTP", "SMTP"))
    assert done.returncode == 1
    assert done.stderr.endswith("TypeError: unknown option 'prot'; did you mean 'port'?\n")
    done = run_text(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_compose(run_text, tmp_path):
    done = run_text(PROGRAMS["compose"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "{'from': 'a@x.org', 'to': ['b@x.org']}\n"
    message = email.message_from_bytes(
        (tmp_path / "report.eml").read_bytes(), policy=email.policy.default
    )
    assert message["Subject"] == "Report"
    (report,) = message.iter_attachments()
    assert report.get_content() == "one,two"


def test_dkim(run_program, tmp_path):
    (tmp_path / "dkim.pem").write_text(RSA_PEM)
    with mail_server() as server:
        done = run_program("dkim", server)
    assert (done.returncode, done.stdout, done.stderr) == (0, "250 2.0.0 stored\n", "")
    (envelope,) = server.mailbox.envelopes
    found = tags(envelope.content)
    assert (found["d"], found["s"]) == ("example.com", "2026")


def test_proxy(run_program, serve, submission):
    tunnels = Tunnels(user="user", password="password")
    proxy = serve(tunnels.socks5)
    place = f"{proxy.host}:{proxy.port}"
    done = run_program("proxy", submission, ("proxy.example.com:1080", place))

    assert (done.returncode, done.stdout, done.stderr) == (0, "Connected\n", "")
    assert tunnels.asked == [(submission.host, submission.port)]


# In the place of ssh: both connect their standard input and output with a server.
RELAY = """
import socket, sys, threading

def pump(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)

server = socket.create_connection((sys.argv[1], int(sys.argv[2])))
client = socket.socket(fileno=0)
threading.Thread(target=pump, args=(client, server)).start()
pump(server, client)
"""


def test_tunnel(run_program, submission):
    relay = repr([sys.executable, "-c", RELAY, submission.host, str(submission.port)])
    ssh = "['ssh', '-W', 'mail.internal:587', 'gateway.example.com']"
    done = run_program("tunnel", submission, (ssh, relay))

    assert (done.returncode, done.stdout, done.stderr) == (0, "Connected\n", "")


def test_notifications(run_program, serve):
    def script(peer):
        peer.greet("DSN")
        said = []
        for command in ("MAIL", "RCPT", "DATA"):
            said += peer.expect(command)
            peer.send("354 go\r\n" if command == "DATA" else "250 ok\r\n")
        assert said[:2] == [
            "MAIL FROM:<sender@example.com> RET=HDRS ENVID=order+204711",
            "RCPT TO:<recipient@example.com> NOTIFY=SUCCESS,FAILURE",
        ]
        assert peer.read_message() == b"Subject: Your order\r\n\r\nIt is on its way.\r\n"
        peer.send("250 2.0.0 queued\r\n")
        peer.take_quit()

    done = run_program("notifications", serve(script))
    assert (done.returncode, done.stdout, done.stderr) == (0, "250 2.0.0 queued\n", "")


class DelegatingServer(Recorder):
    """Knows one user, who may act as one other."""

    identity = "boss@example.com"

    async def auth_PLAIN(self, server, args):
        response = base64.b64decode(args[1], validate=True).decode("ascii")
        if response == f"{self.identity}\0assistant@example.com\0password":
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False)


@pytest.mark.parametrize("identity", ["boss@example.com", "somebody@example.com"])
def test_custom_auth(run_program, identity):
    mailbox = DelegatingServer()
    mailbox.identity = identity
    with mail_server(mailbox=mailbox, auth_require_tls=False) as server:
        done = run_program("custom-auth", server)

    assert (done.returncode, done.stderr) == (0, "")
    if identity == "boss@example.com":
        assert done.stdout == "Authenticated\n"
    else:
        assert done.stdout.startswith("Login with PLAIN failed: no login in that name: 5")


def test_priorities_and_times(run_program, serve):
    def script(peer):
        peer.greet("MT-PRIORITY", "DELIVERBY", "FUTURERELEASE 999999999 2099-01-01T00:00:00Z")
        (mail,) = peer.expect("MAIL")
        assert mail == (
            "MAIL FROM:<sender@example.com> BY=86400;N HOLDUNTIL=2031-01-01T00:00:00Z MT-PRIORITY=4"
        )
        peer.play("S: 250 ok\nC: RCPT\nS: 250 ok\nC= DATA\nS: 354 go")
        peer.read_message()
        peer.send("250 2.0.0 held\r\n")
        peer.take_quit()

    done = run_program("priorities-and-times", serve(script))
    assert (done.returncode, done.stdout, done.stderr) == (0, "250 2.0.0 held\n", "")


def test_one_round_trip(run_program, serve):
    def script(peer):
        peer.greet("PIPELINING")
        peer.play("C: MAIL\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 354 go")
        peer.read_message()
        peer.send("250 2.0.0 first\r\n")
        peer.play("C: MAIL\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 354 go")
        peer.read_message()
        peer.play("C: MAIL\nC: RCPT\nC= DATA")  # before the verdict
        peer.play("S: 250 2.0.0 second\nS: 250 ok\nS: 250 ok\nS: 354 go")
        peer.read_message()
        peer.expect("QUIT")
        peer.send("250 2.0.0 third\r\n221 bye\r\n")

    done = run_program("one-round-trip", serve(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "250 2.0.0 first\n250 2.0.0 second\n250 2.0.0 third\n"


def test_auth_methods(run_program, submission):
    done = run_program("auth-methods", submission)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Authenticated\n", "")
    assert submission.mailbox.logins[0][1:] == (b"username", b"password")


def test_send_mail(run_text):
    program = PROGRAMS["send-mail"]
    assert program.count("2525") == 1
    with mail_server() as server:
        done = run_text(program.replace("2525", str(server.port)))

    assert (done.returncode, done.stdout, done.stderr) == (0, "['b@x.org']\n", "")
    assert email.message_from_bytes(server.mailbox.envelopes[0].content)["Subject"] == "hi"


def test_one_line(run_text, submission, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    place = f"{submission.host}:{submission.port}"
    done = run_text(PROGRAMS["one-line"].replace("smtp.example.com:587", place))

    assert (done.returncode, done.stdout, done.stderr) == (0, "['recipient@example.com']\n", "")
    assert submission.mailbox.logins[0][1:] == (b"username", b"password")
    assert submission.mailbox.envelopes[0].mail_from == "sender@example.com"


def test_blocking_session(run_program):
    mailbox = Recorder()
    mailbox.refused = {"nobody@x.org"}
    with mail_server(mailbox=mailbox) as server:
        done = run_program("blocking-session", server)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "b@x.org: 250 2.0.0 stored",
        "nobody@x.org: EENVELOPE 550 5.1.1 no such user",
        "c@x.org: 250 2.0.0 stored",
    ]


WEB_SERVERS = {
    "the manual's": PROGRAMS["beside-a-web-server"],
    "by hand": (Path(__file__).parent / "web_server_by_hand.py").read_text(encoding="utf-8"),
}


@pytest.mark.parametrize("program", WEB_SERVERS.values(), ids=WEB_SERVERS)
def test_beside_a_web_server(program):
    def posted(text):
        request = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with contextlib.closing(request):
            request.request("POST", "/", text)
            answer = request.getresponse()
            return answer.status, answer.read().decode()

    def listens():
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert program.count("2525") >= 1
    with mail_server() as server:
        program = program.replace("2525", str(server.port)).replace("8080", str(port))
        command = [sys.executable, "-W", "error", "-c", INTERRUPTIBLE + program]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_until(listens)
                with ThreadPoolExecutor(8) as pool:
                    answers = list(pool.map(posted, [f"number {n}" for n in range(8)]))
                server.mailbox.refused = {"b@x.org"}
                refused = posted("number 8")
            finally:
                process.send_signal(signal.SIGINT)
                _, complaints = process.communicate(timeout=30)

    assert answers == [(200, "250 2.0.0 stored")] * 8
    assert refused[0] == 502
    assert "550 5.1.1 no such user" in refused[1]
    assert len(server.mailbox.envelopes) == 8
    assert process.returncode == 0
    assert "Traceback" not in complaints


# A parent that ignores SIGINT, as nohup does, passes that on to its children.
INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def test_glue_beside_a_web_server():
    glue = re.findall(r"# glue begins\n(.*?)# glue ends", WEB_SERVERS["by hand"], re.DOTALL)
    lines = [line for line in "".join(glue).splitlines() if line.strip()]
    assert f"needs {len(lines)} lines of glue" in " ".join(TEXTS["threads_and_blocking"].split())
    ours = [
        line
        for line in WEB_SERVERS["the manual's"].splitlines()
        if re.search(r"start\(\)|future\(|stop\(\)", line)
    ]
    assert len(ours) == 3


def test_futures(run_program):
    with mail_server() as server:
        done = run_program("futures", server)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["['b@x.org']", "['c@x.org']"]


def test_the_log_of_the_node_readme(run_program, submission):
    done = run_program("ported-log", submission)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1].startswith("server 220 mail.test Python SMTP ")
    assert lines[-2:] == ["client QUIT", "server 221 Bye"]


def test_the_programs_of_the_node_readme(run_program, submission):
    done = run_program("ported-program", submission)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Connected to SMTP server", "Authenticated successfully"]
    assert lines[2].startswith("Email sent: SendInfo(accepted=['recipient@example.com']")
    (envelope,) = submission.mailbox.envelopes
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert [message[name] for name in ("From", "To", "Subject")] == [
        "sender@example.com",
        "recipient@example.com",
        "Test Email",
    ]
    assert message.get_content() == "Hello, this is a test email.\r\n"


def test_the_programs_of_the_node_readme_when_nobody_listens(run_program, submission):
    with mail_server() as gone:
        pass
    done = run_program("ported-program", gone)

    assert (done.returncode, done.stdout) == (0, "")
    reports = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert reports == ["Connection error", "Authentication error", "Send error"]
    assert done.stderr.count("ECONNREFUSED") == 3


def test_the_programs_of_the_node_readme_with_a_wrong_password(run_program, submission):
    submission.mailbox.login = {"user": "username", "pass": "another"}
    done = run_program("ported-program", submission)

    assert (done.returncode, done.stdout) == (0, "Connected to SMTP server\n")
    first, second = done.stderr.splitlines()
    assert first.startswith("Authentication error: Invalid login: 535 5.7.8")
    assert second.startswith(
        "Send error: Not sent, because the login before it failed: Invalid login: 535 5.7.8"
    )
    assert submission.mailbox.envelopes == []


class TokenServer(Recorder):
    """Announces XOAUTH2, and refuses the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.responses: list[bytes] = []
        self.answers: list[Any] = []

    async def auth_XOAUTH2(self, server, args):
        self.responses.append(base64.b64decode(args[1], validate=True))
        if len(self.responses) == 2:
            return AuthResult(success=True)
        self.answers.append(await server.challenge_auth('{"status":"401"}'))
        return AuthResult(success=False, handled=False)


@pytest.fixture
def token_server(authority) -> Iterator[Running]:
    context = context_of(authority.issue_cert("127.0.0.1"))
    with mail_server(mailbox=TokenServer(), tls_context=context) as server:
        yield server


def test_the_xoauth2_example(run_program, authority, token_server):
    tokens = ({"access_token": token, "expires_in": 3600} for token in ("first", "second"))
    endpoint = TokenEndpoint(tuple(tokens), context_of(authority.issue_cert("localhost")))
    try:
        # Of Google nobody would get a token here.
        own = f"'accessUrl': {endpoint.url!r}, 'tls': {{'ca': {authority_pem(authority)!r}}}, "
        done = run_program("ported-xoauth2", token_server, ("'clientId'", own + "'clientId'"))
    finally:
        endpoint.close()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "New token for {username}: first",
        "New token for {username}: second",
        "Authenticated",
    ]
    assert endpoint.requests[0].form == {
        "client_id": "{Client ID}",
        "client_secret": "{Client Secret}",
        "refresh_token": "{refresh-token}",
        "grant_type": "refresh_token",
    }
    assert token_server.mailbox.responses == [
        f"user={{username}}\1auth=Bearer {token}\1\1".encode() for token in ("first", "second")
    ]
    assert token_server.mailbox.answers == [b""]


def authority_pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode("ascii")


def test_the_xoauth2_example_with_a_generator_of_ones_own(
    token_server, authority, connect_to, reactor, diary
):
    class Generator:
        def getToken(self, callback):
            callback(None, base64.b64encode(b"the first").decode())

        def generateToken(self, callback):
            callback(None, base64.b64encode(b"the second").decode())

    connection = connect_to(token_server, tls={"ca": authority_pem(authority)})
    connection.connect()
    connection.login({"xoauth2": Generator()}, diary.callback("login"))
    connection.quit()
    reactor.run()

    assert diary.of("login") == [(None, True)]
    assert token_server.mailbox.responses == [b"the first", b"the second"]


def test_the_options_for_microsoft_365(run_text):
    done = run_text(PROGRAMS["microsoft-365"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_options_for_a_service_account(run_text, tmp_path):
    account = {
        "client_email": "robot@project.iam.gserviceaccount.com",
        "private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    }
    (tmp_path / "service-account.json").write_text(json.dumps(account), encoding="utf-8")
    done = run_text(PROGRAMS["gmail-service-account"] + "print(generator.options.service)\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{account['client_email']}\n"


# What the example uses of msal 1.39, with its signatures.
MSAL = """
class ConfidentialClientApplication:
    def __init__(self, client_id, client_credential=None, authority=None):
        self.answers = [
            {"access_token": "first", "expires_in": 3600},
            ANSWER,
        ]

    def remove_tokens_for_client(self):
        del self.answers[0]

    def acquire_token_for_client(self, scopes):
        assert scopes == ["https://outlook.office365.com/.default"]
        return self.answers[0]
"""


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({"access_token": "second", "expires_in": 3600}, "Authenticated"),
        ({"error": "invalid_client", "error_description": "no such client"}, "no such client"),
        ({"error": "invalid_client"}, "invalid_client"),
    ],
)
def test_tokens_from_msal(run_program, token_server, tmp_path, answer, shown):
    (tmp_path / "msal.py").write_text(MSAL.replace("ANSWER", repr(answer)), encoding="utf-8")
    done = run_program("microsoft-365-msal", token_server)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"{shown}\n")
    assert token_server.mailbox.responses[0] == b"user=someone@example.com\1auth=Bearer first\1\1"


def test_commands(run_program, serve):
    def script(peer):
        peer.greet()
        peer.play("C= VRFY postmaster\nS: 252 2.1.5 Send mail and see")
        peer.take_quit()

    done = run_program("commands", serve(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "252 (2.1.5): Send mail and see\n"


def test_abort(run_program):
    with mail_server() as server:
        done = run_program("abort", server)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "250 2.0.0 stored\n"


def test_abort_of_a_message_in_doubt(run_program, serve):
    def script(peer):
        peer.greet()
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        peer.read_message()
        peer.expect_end()

    options = ("'port': 25", "'debug': True, 'socketCloseTimeout': 0, 'port': 25")
    abort = """
connection.on('error', lambda: None)
connection.on('log', lambda entry: closing.abort('in vain') if entry.type == 'stream' else None)
connection.quit()"""
    done = run_program("abort", serve(script), options, ("connection.quit()", abort))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Given up: The operation was aborted: in vain")
    assert done.stdout.endswith("- it may have arrived\n")


@pytest.mark.parametrize("sender", ["250 ok", "554 5.7.1 no"])
def test_probe(run_program, serve, sender):
    verdicts = "\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 450 4.7.1 later\nC= RSET\nS: 250 ok"

    def script(peer):
        peer.greet()
        peer.play(f"C= MAIL FROM:<>\nS: {sender}" + verdicts * sender.startswith("250"))
        peer.take_quit()

    done = run_program("probe", serve(script))
    assert (done.returncode, done.stderr) == (0, "")
    if sender == "250 ok":
        taken, refused = done.stdout.splitlines()
        assert taken == "It would take: ['b@x.org']"
        assert refused == "It refuses c@x.org for now: 450 4.7.1 later"
    else:
        assert done.stdout == "No verdict: Sender refused: 554 5.7.1 no\n"


def test_info_recipients(run_program, serve):
    def script(peer):
        peer.greet()
        peer.play("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 2.1.5 fine\nC: RCPT\nS: 550 5.1.1 unknown")
        peer.play("C= DATA\nS: 354 go")
        peer.read_message()
        peer.send("250 2.0.0 queued\r\n")
        peer.take_quit()

    done = run_program("info-recipients", serve(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "b@x.org 250 2.1.5 fine\nc@x.org 550 5.1.1 unknown\n"


def test_progress(run_program):
    with mail_server() as server:
        done = run_program("progress", server)

    assert (done.returncode, done.stderr) == (0, "")
    shown = [line.split() for line in done.stdout.splitlines()]
    total = len(server.mailbox.envelopes[0].content) + len(".\r\n")
    assert shown[-1] == [str(total), "of", str(total), "bytes"]
    assert len(shown) > 5


def test_console(run_program, submission):
    done = run_program("console", submission)

    assert (done.returncode, done.stderr) == (0, "")
    heading, first, *_, last = done.stdout.splitlines()
    assert heading == "   ms  who     what"
    assert re.fullmatch(rf" +\d+  socket  Connected to 127\.0\.0\.1:{submission.port}", first)
    assert re.fullmatch(r" +\d+  server  221 Bye", last)


# -- docs/pool.rst ---------------------------------------------------------------------------------


@pytest.fixture
def sending_many(submission, authority, tmp_path) -> Any:
    """Start the program that sends to a list of recipients, in a folder with that list."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    people = "".join(f"r{number}@x.org,Reader {number}\n" for number in range(60))
    (tmp_path / "recipients.csv").write_text("address,name\n" + people, encoding="utf-8")
    program = INTERRUPTIBLE + PROGRAMS["sending-many"]
    program = program.replace("'smtp.example.com'", f"'{submission.host}'")
    program = re.sub(r"'port': 587", f"'port': {submission.port}", program)
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }

    def start(rate: int = 1000) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program.replace("'rateLimit': 100", f"'rateLimit': {rate}")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=tmp_path,
        )

    return start


def recipients_of(server: Running) -> list[str]:
    return [envelope.rcpt_tos[0] for envelope in server.mailbox.envelopes]


def test_sending_many(sending_many, submission):
    stdout, stderr = sending_many().communicate()
    assert (stdout, stderr) == ("60 sent; in doubt: []\n", "")
    assert sorted(recipients_of(submission)) == sorted(f"r{n}@x.org" for n in range(60))
    stdout, stderr = sending_many().communicate()
    assert (stdout, stderr) == ("0 sent; in doubt: []\n", "")


def outcome_of(stdout: str) -> tuple[int, list[str]]:
    """Return how many the program says it has sent, and who is in doubt."""
    sent, _, doubtful = stdout.partition(" sent; in doubt: ")
    return int(sent), ast.literal_eval(doubtful)


def test_sending_many_goes_on_after_ctrl_c_and_sends_nothing_twice(sending_many, submission):
    process = sending_many(rate=5)
    wait_until(lambda: len(submission.mailbox.envelopes) >= 2)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert (process.returncode, stderr) == (0, "")
    sent, doubtful = outcome_of(stdout)
    assert 2 <= sent + len(doubtful) < 60
    # The one whose callback the interrupt hits is left in doubt.
    assert len(doubtful) <= 1
    more, doubtful = outcome_of(sending_many().communicate()[0])
    assert sent + more + len(doubtful) == 60
    recipients = recipients_of(submission)
    assert len(set(recipients)) == len(recipients)
    assert set(recipients) | set(doubtful) == {f"r{n}@x.org" for n in range(60)}


def test_sending_many_sends_nothing_twice_after_a_kill(sending_many, submission):
    process = sending_many(rate=5)
    wait_until(lambda: len(submission.mailbox.envelopes) >= 2)
    process.kill()
    process.communicate()
    _, doubtful = outcome_of(sending_many().communicate()[0])
    recipients = recipients_of(submission)
    assert len(set(recipients)) == len(recipients)
    assert len(doubtful) <= 12
    assert set(recipients) | set(doubtful) == {f"r{n}@x.org" for n in range(60)}


def test_shared_limiter(run_text):
    # In the place of Redis: memory, which the program alone can see.
    program = PROGRAMS["shared-limiter"].replace("redis://localhost:6379", "memory://")
    done = run_text(
        program
        + """
from smtp_connection import SMTPPool
waits = [limiter.acquire() for _ in range(20)]
assert waits[:14] == [0] * 14, waits
assert all(0 < wait <= 1 for wait in waits[14:]), waits
SMTPPool(rateLimiter=limiter)
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_prometheus(run_text, submission, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    done = run_text(
        PROGRAMS["prometheus"]
        + f"""
from prometheus_client import generate_latest
from smtp_connection import SMTPPool, run

pool = SMTPPool({{
    'host': '{submission.host}',
    'port': {submission.port},
    'auth': {{'user': 'username', 'pass': 'password'}},
}})
export(pool)
for _ in range(3):
    pool.send({{'from': 'a@x.org', 'to': 'b@x.org'}}, 'hi', lambda err: err and print(err))
print(generate_latest().decode())
pool.close({{'drain': True}})
run()
print(generate_latest().decode())
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    before, after = done.stdout.split("\n\n")[:2]
    assert 'smtp_waiting{where="queued"} 3.0' in before
    assert 'smtp_messages_total{outcome="sent"} 3.0' in after
    assert 'smtp_connections{state="idle"} 0.0' in after


# -- docs/testing.rst ------------------------------------------------------------------------------


def test_the_tests_of_the_manual(tmp_path):
    tests = {
        "smtplib": PROGRAMS["testing-smtplib"],
        "aiosmtplib": PROGRAMS["testing-aiosmtplib"],
        "ours": PROGRAMS["testing-ours"],
        "faults": PROGRAMS["testing-faults"],
    }
    for name, program in tests.items():
        (tmp_path / f"test_{name}.py").write_text(program, encoding="utf-8")
    plugin = "smtp_connection.pytest_plugin"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", plugin],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert f"{len(tests)} passed" in done.stdout, done.stdout


def test_the_server_without_pytest(run_text):
    done = run_text(PROGRAMS["testing-without-pytest"])

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "{'nobody@x.org': (550, b'5.1.1 No such user here')}",
        "['b@x.org']",
    ]


# -- docs/many_machines.rst ------------------------------------------------------------------------


def test_before_commit(run_program):
    with mail_server() as server:
        done = run_program("before-commit", server)

    assert (done.returncode, done.stderr) == (0, "")
    gate, verdict = done.stdout.splitlines()
    assert gate == "about to be delivered to ['someone@example.com']"
    assert verdict.startswith("250 ")
    assert len(server.mailbox.envelopes) == 1


def test_the_ledger(run_program):
    with mail_server() as server:
        done = run_program("ledger", server)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "{'sending': 0, 'in doubt': 0, 'sent': 1, 'refused': 0}\n"
    assert len(server.mailbox.envelopes) == 1


# -- docs/transport.rst ----------------------------------------------------------------------------


def test_transport(run_program, submission):
    done = run_program("transport", submission)
    assert (done.returncode, done.stderr) == (0, "")
    said = sorted(re.sub("<.*>", "<id>", line) for line in done.stdout.splitlines())
    assert said == [
        "<id> accepted for ['ann@example.com']",
        "<id> accepted for ['bob@example.com']",
    ]
    assert sorted(recipients_of(submission)) == ["ann@example.com", "bob@example.com"]
    message = email.message_from_bytes(submission.mailbox.envelopes[0].content)
    assert message["From"] == "News <news@example.com>"


def test_transport_plugin(run_text):
    done = run_text(PROGRAMS["transport-plugin"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "SUBJECT: WELCOME, ANN\n" in done.stdout
    assert done.stdout.endswith("DEAR ANN,\n\nIT IS GOOD THAT YOU ARE HERE.\n\n")


def test_transport_with_coroutines(run_program):
    with mail_server() as server:
        done = run_program("transport-with-coroutines", server)
    assert (done.returncode, done.stdout, done.stderr) == (0, "10 accepted\n", "")
    assert len(server.mailbox.envelopes) == 10


def test_transport_waiting(run_program):
    with mail_server() as server:
        done = run_program("transport-waiting", server)
    assert (done.returncode, done.stdout, done.stderr) == (0, "10 accepted\n", "")
    assert len(server.mailbox.envelopes) == 10
