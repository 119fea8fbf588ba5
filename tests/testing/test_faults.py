"""Which fault happens when, and what is refused as no fault."""

from __future__ import annotations

import pytest

from smtp_connection.testing.faults import Faults, checked_reply

UPON = ("drop", "reply", "silence")


@pytest.fixture
def faults() -> Faults:
    return Faults()


def taken(faults: Faults, command: str, *kinds: str) -> str | None:
    fault = faults.take(*(kinds or UPON), command=command)
    return None if fault is None else fault.reply or fault.kind


def test_they_happen_in_the_order_in_which_they_were_asked_for(faults):
    faults.reply("MAIL", "451 one", times=2)
    faults.drop_after("mail", times=1)
    faults.reply("MAIL", "452 for good")
    faults.silent("MAIL")
    happened = [taken(faults, "MAIL") for _ in range(6)]
    assert happened == ["451 one", "451 one", "drop", *["452 for good"] * 3]


def test_they_happen_only_upon_their_command(faults):
    faults.silent(times=1)
    faults.drop_after(".", times=1)
    assert [taken(faults, command) for command in ("MAIL", "X-ODD", "")] == [None] * 3
    assert [taken(faults, command) for command in ("CONNECT", ".")] == ["silence", "drop"]
    assert [taken(faults, command) for command in ("CONNECT", ".")] == [None] * 2


def test_a_delay_takes_nothing_from_the_others(faults):
    faults.delay(2, times=1)
    faults.delay(3, "DATA")
    faults.reply("DATA", "451 no")
    assert taken(faults, "DATA") == "451 no"
    first, second = (faults.take("delay", command="DATA") for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.amount, second.amount) == (2, 3)
    assert faults.take("delay", command="MAIL") is None


def test_a_connection_is_cut_when_enough_has_come(faults):
    faults.drop_at(10, times=1)
    faults.drop_at(5, times=1)
    cuts = [faults.take("cut", command="MAIL", amount=amount) for amount in (9, 10, 4, 6, 100)]
    assert [cut and cut.amount for cut in cuts] == [None, 10, None, 5, None]


def test_reset_forgets_them(faults):
    faults.drop_after("MAIL")
    faults.reset()
    assert taken(faults, "MAIL") is None


@pytest.mark.parametrize("reply", ["250", "250 ", "451 4.7.1 later", "250-a\n250 b\n"])
def test_replies(reply):
    assert checked_reply(reply) == reply.removesuffix("\n").replace("\n", "\r\n")
    assert checked_reply(checked_reply(reply)) == checked_reply(reply)


@pytest.mark.parametrize(
    "reply",
    ["", "no", "45 x", "651 x", "250x", "250 a\n250 b", "250-a", "250-a\n251 b", "250 a\rb", "\n"],
)
def test_what_is_no_reply(faults, reply):
    with pytest.raises(ValueError, match="is no reply: a line is a code and a text"):
        faults.reply("MAIL", reply)


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda f: f.drop_after("MAUL"), ValueError, "'MAUL' is none of the commands CONNECT, HE"),
        (lambda f: f.drop_after(None), TypeError, "a command is a string such as 'MAIL', not None"),
        (lambda f: f.silent(3), TypeError, "a command is a string"),
        (lambda f: f.silent(times=0), ValueError, "times is at least 1, or None for always"),
        (lambda f: f.silent(times="1"), TypeError, "times is a number of times, or None"),
        (lambda f: f.silent(times=True), TypeError, "times is a number of times, or None"),
        (lambda f: f.drop_at(0), ValueError, "byte is at least 1, not 0"),
        (lambda f: f.drop_at("9"), TypeError, "byte is a number of bytes, not '9'"),
        (lambda f: f.delay("1"), TypeError, "seconds is a number of seconds, not '1'"),
        (lambda f: f.delay(-1), ValueError, "seconds is at least 0, not -1"),
        (lambda f: f.delay(float("nan")), ValueError, "seconds is at least 0, not nan"),
        (lambda f: f.reply("MAIL", b"451 x"), TypeError, "a reply is a string such as"),
    ],
)
def test_what_is_no_fault(faults, ask, error, text):
    with pytest.raises(error) as caught:
        ask(faults)
    assert str(caught.value).startswith(text)
    assert taken(faults, "CONNECT") is None
