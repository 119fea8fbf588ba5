"""The programs of the page about other event loops, and how much of them is glue."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.hosting.loops import KINDS, binding, show
from tests.support.manual import PROGRAMS, TEXTS, simple_rows


@pytest.fixture
def run_hosted(smtp_server, run_text) -> Any:
    """Run the text of a program: ``printed = run_hosted(text)``."""

    def run(text: str) -> str:
        assert text.count("'port': 2525") == 1
        done = run_text(text.replace("2525", str(smtp_server.port)))
        assert (done.returncode, done.stderr) == (0, "")
        (message,) = smtp_server.messages
        assert message.rcpt_tos == ["b@x.org"]
        return done.stdout

    return run


def test_inside_asyncio(run_hosted):
    assert run_hosted(PROGRAMS["inside-asyncio"]) == "['b@x.org']\n"


def test_inside_trio(run_hosted):
    assert run_hosted(PROGRAMS["inside-trio"]) == "['b@x.org']\n"


def test_inside_twisted(run_hosted):
    assert run_hosted(PROGRAMS["inside-twisted"]) == "['b@x.org']\n"


if "tk" in KINDS:

    def test_inside_tk(run_hosted):
        show()
        assert run_hosted(PROGRAMS["inside-tk"]) == "Sent to ['b@x.org']\n"


if binding:

    def test_inside_qt(run_hosted, monkeypatch, tmp_path):
        monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        program = PROGRAMS["inside-qt"].replace("PySide6", str(binding))
        assert run_hosted(program) == "Sent to ['b@x.org']\n"


# -- glue ------------------------------------------------------------------------------------------

# What a program needed before; the first is the recipe that the manual had.
BEFORE = {
    "asyncio": """
        async def host(reactor):
            loop = asyncio.get_running_loop()
            work = asyncio.Event()
            loop.add_reader(reactor.fileno(), work.set)
            try:
                while True:
                    work.clear()
                    try:
                        if not reactor.run_once(0):
                            return
                        seconds = reactor.next_timeout()
                    except Exception as exc:
                        loop.call_exception_handler({'message': 'failed', 'exception': exc})
                        seconds = 0
                    timer = None if seconds is None else loop.call_later(seconds, work.set)
                    await work.wait()
                    if timer is not None:
                        timer.cancel()
            finally:
                loop.remove_reader(reactor.fileno())

        with Reactor() as reactor:
            hosting = asyncio.create_task(host(reactor))
            try:
                ...
            finally:
                await hosting
    """,
    "tkinter": """
        def turn():
            try:
                get_reactor().run_once(0)
            finally:
                root.after(10, turn)  # a hundred times a second

        turn()
    """,
    "a thread beside others": """
        def stay():  # or run() returns as soon as there is nothing to do
            reactor.call_later(3600, stay)

        def serve():
            while not stopped.is_set():
                try:
                    reactor.run()
                except Exception:
                    logging.exception('a callback has failed')

        reactor, stopped = Reactor(), threading.Event()
        stay()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
    """,
    "a test with pytest": """
        class Handler:
            def __init__(self):
                self.messages = []

            async def handle_DATA(self, server, session, envelope):
                self.messages.append(email.message_from_bytes(envelope.content))
                return '250 OK'

        @pytest.fixture
        def server():
            controller = Controller(Handler(), hostname='127.0.0.1', port=0)
            controller.start()
            yield controller
            controller.stop()
    """,
}

# What it needs now.
AFTER = {
    "asyncio": "attach()",
    "tkinter": "attach_tk(root)",
    "a thread beside others": "reactor.start()",
    "a test with pytest": "",
}


def lines_in(text: str) -> int:
    return sum(bool(line.strip()) and line.strip() != "..." for line in text.splitlines())


def test_the_table_counts_the_glue():
    table = TEXTS["hosting"].partition(".. glue table begins")[2].partition(".. glue table ends")[0]
    rows = {name: (int(before), int(after)) for name, before, after in simple_rows(table)}
    assert rows == {name: (lines_in(BEFORE[name]), lines_in(AFTER[name])) for name in BEFORE}


@pytest.mark.parametrize(
    ("name", "glue"),
    [
        ("inside-asyncio", "attach()"),
        ("inside-trio", "nursery.start_soon(host_trio)"),
        ("inside-tk", "attach_tk(root)"),
        ("inside-qt", "attach_qt()"),
        ("inside-twisted", "attach_twisted()"),
    ],
)
def test_the_programs_need_no_more_glue(name, glue):
    (line,) = re.findall(r"^(?!from).*(?:attach|host_trio).*$", PROGRAMS[name], re.MULTILINE)
    assert line.partition("#")[0].strip() == glue
