"""Who a message is from and whom it is for, and what must not get into a command."""

from __future__ import annotations

import sys
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_connection import SMTPError
from smtp_connection.protocol.envelope import Envelope

FORBIDDEN = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"<>\u2028\u2029\ud800\udbff\udc00\udfff",
]


def refusal(envelope):
    """Return the text of the error that ``envelope`` leads to."""
    with pytest.raises(SMTPError) as caught:
        Envelope.parse(envelope)
    assert (caught.value.code, caught.value.command) == ("EENVELOPE", "API")
    return str(caught.value)


# -- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "recipients"),
    [
        ("b@x.org", ["b@x.org"]),
        (["b@x.org", "c@x.org"], ["b@x.org", "c@x.org"]),
        (("b@x.org",), ["b@x.org"]),
        (iter(["b@x.org", "b@x.org"]), ["b@x.org", "b@x.org"]),
        ({"address": "b@x.org", "name": "B, <C> & Co.\r\n"}, ["b@x.org"]),
        ([{"address": "b@x.org"}, "c@x.org"], ["b@x.org", "c@x.org"]),
        (" \t b@x.org \t", ["b@x.org"]),
        ('"quoted local part"@x.org', ['"quoted local part"@x.org']),
        ("b@x.org, c@x.org", ["b@x.org, c@x.org"]),
        ("b@[192.0.2.1]", ["b@[192.0.2.1]"]),
        ("postmaster", ["postmaster"]),
    ],
)
def test_recipients_are_taken_as_they_are(given, recipients):
    assert Envelope.parse({"from": "a@x.org", "to": given}).recipients == recipients


@pytest.mark.parametrize(
    ("given", "sender"),
    [
        ({"from": "a@x.org"}, "a@x.org"),
        ({"from": {"address": " a@x.org ", "name": "A"}}, "a@x.org"),
        ({"from": ""}, ""),
        ({"from": " "}, ""),
        ({"from": None}, ""),
        ({}, ""),
        ({"from": {"address": ""}}, ""),
    ],
)
def test_the_sender_may_be_empty(given, sender):
    assert Envelope.parse({**given, "to": "b@x.org"}).sender == sender


@pytest.mark.parametrize("char", FORBIDDEN, ids=lambda char: f"U+{ord(char):04X}")
@pytest.mark.parametrize("role", ["sender", "recipient"])
def test_what_could_change_a_command_is_refused(char, role):
    """Injected commands: 'b@x.org>\\r\\nRCPT TO:<c@x.org'."""
    for address in (f"a{char}b@x.org", f"a@x.org{char}b", f"\xe9{char}@x.org"):
        bad = {"sender": {"from": address}, "recipient": {"to": ["b@x.org", address]}}[role]
        text = refusal({"from": "a@x.org", "to": "b@x.org", **bad})
        assert text == f"Invalid {role} {address!r}: it contains {char!r}"


def test_line_breaks_at_the_edge_are_not_trimmed():
    text = refusal({"from": "a@x.org", "to": "b@x.org\r\n"})
    assert text == r"Invalid recipient 'b@x.org\r\n': it contains '\r'"


ADDRESSES = st.text(st.sampled_from("ab@.<> \t\xe9\x7f\n"), max_size=4)


@given(st.none() | ADDRESSES, ADDRESSES | st.lists(ADDRESSES | st.none(), max_size=3))
def test_the_usual_envelope_is_read_as_any_other(sender, to):
    def outcome(given):
        try:
            parsed = Envelope.parse(given)
        except SMTPError as error:
            return str(error)
        return [getattr(parsed, name) for name in Envelope.__slots__]

    usual = {"from": sender, "to": to}
    assert outcome(usual) == outcome(MappingProxyType(usual))


@given(st.text(), st.text())
def test_an_accepted_address_cannot_end_its_command(sender, recipient):
    try:
        envelope = Envelope.parse({"from": sender, "to": recipient})
    except SMTPError:
        return
    for address in (envelope.sender, *envelope.recipients):
        line = f"RCPT TO:<{address}> NOTIFY=NEVER"
        line.encode()
        assert line.splitlines() == [line]
        assert (line.count("<"), line.count(">")) == (1, 1)


@pytest.mark.parametrize("to", [None, "", [], (), iter([])])
def test_no_recipients(to):
    assert refusal({"from": "a@x.org", "to": to}) == "No recipients defined"


def test_no_recipients_at_all():
    assert refusal({"from": "a@x.org"}) == "No recipients defined"


@pytest.mark.parametrize("to", [" ", [""], ["b@x.org", "\t"], {"address": ""}])
def test_an_empty_recipient(to):
    assert refusal({"from": "a@x.org", "to": to}) == "Invalid recipient '': it is empty"


AN_ADDRESS = "an address is a string or {'address': ..., 'name': ...}"


@pytest.mark.parametrize(
    ("envelope", "text"),
    [
        ({"to": 5}, "envelope 'to' is an address or a list of them; got 5"),
        ({"to": b"b@x.org"}, "envelope 'to' is an address or a list of them; got b'b@x.org'"),
        ({"to": [None]}, f"Invalid recipient None: {AN_ADDRESS}"),
        ({"to": [b"b@x.org"]}, f"Invalid recipient b'b@x.org': {AN_ADDRESS}"),
        ({"to": {"name": "B"}}, f"Invalid recipient {{'name': 'B'}}: {AN_ADDRESS}"),
        ({"to": "b@x.org", "from": 5}, f"Invalid sender 5: {AN_ADDRESS}"),
        ({"to": "b@x.org", "from": ["a@x.org"]}, f"Invalid sender ['a@x.org']: {AN_ADDRESS}"),
        ({"to": "b@x.org", "from": {"name": "A"}}, f"Invalid sender {{'name': 'A'}}: {AN_ADDRESS}"),
    ],
)
def test_what_is_no_address(envelope, text):
    assert refusal(envelope) == text


def test_any_mapping_is_an_envelope_or_an_address():
    envelope = Envelope.parse(
        MappingProxyType({"from": MappingProxyType({"address": "a@x.org"}), "to": "b@x.org"})
    )
    assert (envelope.sender, envelope.recipients) == ("a@x.org", ["b@x.org"])
    to = MappingProxyType({"address": "b@x.org"})
    assert Envelope.parse({"to": to}).recipients == ["b@x.org"]


@pytest.mark.parametrize("envelope", [None, "b@x.org", ["b@x.org"], 5])
def test_what_is_no_envelope(envelope):
    assert refusal(envelope) == (
        f"the envelope is a dict with 'from' and 'to', or None; got {type(envelope).__name__}"
    )


@pytest.mark.parametrize(
    ("sender", "recipient", "international"),
    [
        ("a@x.org", "b@x.org", False),
        ("\xe4@x.org", "b@x.org", True),
        ("a@x.org", "\xe4@\u4f8b.org", True),
        ("", "b@x.org", False),
    ],
)
def test_addresses_that_are_not_ascii_are_noted(sender, recipient, international):
    envelope = Envelope.parse({"from": sender, "to": ["c@x.org", recipient]})
    assert envelope.international is international


def test_domains_become_a_labels():
    given = {"from": "a@b\xfccher.example", "to": ["b@\u4f8b\u3048.jp", "c@x.org"]}
    envelope = Envelope.parse(given)
    assert not envelope.international
    assert envelope.recipients == given["to"], "they are reported as they were given"
    assert envelope.sender == given["from"]
    assert envelope.reverse_path == "a@xn--bcher-kva.example"
    assert envelope.forward_paths == ["b@xn--r8jz45g.jp", "c@x.org"]
    assert envelope.part([1]).forward_paths == ["c@x.org"]


# -- the other keys -------------------------------------------------------------------------------


def parse_with(**more):
    """Return the parameters of an envelope."""
    return Envelope.parse({"to": "b@x.org", **more}).parameters


def test_most_envelopes_have_none():
    assert parse_with(**{"from": "a@x.org"}) is None
    assert parse_with(beforeCommit=lambda envelope, callback: callback()) is None
    assert Envelope.parse({"from": {"address": "a@x.org"}, "to": ["b@x.org"]}).parameters is None


@pytest.mark.parametrize(
    ("given", "size"),
    [(1000, 1000), ("1000", 1000), (0, None), (None, None), (10**20 - 1, 10**20 - 1)],
)
def test_the_size(given, size):
    assert parse_with(size=given).size == size
    assert parse_with(size=given, **{"from": "a@x.org"}).size == size


@pytest.mark.parametrize("size", [-1, 1.5, True, "", "1e3", "-1", "9" * 20, 10**20, "٣", [1]])
def test_a_wrong_size(size):
    assert refusal({"to": "b@x.org", "size": size}) == (
        f"envelope 'size' is a number of bytes, at most 20 digits; got {size!r}"
    )


@pytest.mark.parametrize(
    ("key", "attribute"),
    [("use8BitMime", "use_8bit_mime"), ("requireTLSExtensionEnabled", "require_tls")],
)
def test_flags(key, attribute):
    for value, flag in [(True, True), (False, False), (None, False)]:
        assert getattr(parse_with(**{key: value}), attribute) is flag
        assert getattr(parse_with(**{key: value, "from": "a@x.org"}), attribute) is flag
    assert getattr(parse_with(size=1), attribute) is False
    for value in ("yes", 1, 0, ""):
        text = refusal({"to": "b@x.org", key: value})
        assert text == f"envelope {key!r} takes True or False; got {value!r}"


def test_notifications_are_read_by_their_own_module():
    assert parse_with(size=1).dsn is None
    assert parse_with(dsn={}).dsn is None
    assert parse_with(dsn={"ret": "HDRS"}).dsn.mail == " RET=HDRS"


def test_keys_are_matched_as_options_are():
    envelope = Envelope.parse({"FROM": "a@x.org", "To": "b@x.org", "use_8bit_mime": True})
    assert (envelope.sender, envelope.recipients) == ("a@x.org", ["b@x.org"])
    assert envelope.parameters.use_8bit_mime
    assert refusal({"to": "b@x.org", "form": "a@x.org"}) == (
        "unknown envelope key 'form'; did you mean 'from'?"
    )


def test_a_part_of_an_envelope_is_the_same_for_some_of_the_recipients():
    whole = Envelope.parse(
        {
            "from": "a@x.org",
            "to": ["b@x.org", {"address": "c@x.org", "dsn": {"notify": "NEVER"}}, "\xe4@x.org"],
            "size": 7,
            "use8BitMime": True,
            "requireTLSExtensionEnabled": True,
            "dsn": {"ret": "HDRS"},
            "mtPriority": 3,
        }
    )
    part = whole.part([1, 0])
    assert part.recipients == ["c@x.org", "b@x.org"]
    assert part.parameters.own_dsn == {0: " NOTIFY=NEVER"}
    assert (whole.international, part.international) == (True, False)
    assert part.sender is whole.sender
    for name in ("size", "use_8bit_mime", "dsn", "require_tls", "requests"):
        assert getattr(part.parameters, name) is getattr(whole.parameters, name)


def test_the_caller_s_dict_is_not_changed():
    given = {"from": " a@x.org ", "To": [" b@x.org "], "size": "5"}
    before = {**given, "To": list(given["To"])}
    Envelope.parse(given)
    assert given == before


ADDRESS = {"address": "b@y.org", "name": "B"}


@pytest.mark.parametrize(
    "envelope",
    [
        {"from": "a@x.org", "to": "b@y.org"},
        {"from": "a@x.org", "to": ["b@y.org", "c@z.org"], "size": 1024, "use8BitMime": True},
        {"from": ADDRESS, "to": ADDRESS},
        {"from": ADDRESS, "to": [ADDRESS] * 10},
    ],
)
def test_of_dicts_lists_and_strings_nobody_asks_an_abstract_class(envelope):
    """To ask whether something is a Mapping takes longer than to read an address."""
    asked = []

    def note(frame, event, argument):
        if event == "c_call" and argument.__name__ == "_abc_instancecheck":
            asked.append(frame)

    sys.setprofile(note)
    try:
        Envelope.parse(envelope)
    finally:
        sys.setprofile(None)
    assert not asked
