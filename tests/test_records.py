"""Records are read as attributes and as dicts."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping

import pytest

from smtp_connection import LogEntry, SendInfo, SMTPError
from smtp_connection.protocol.replies import Reply
from smtp_connection.records import RecipientInfo, recipients_told

ENTRY = LogEntry("client", "EHLO me")
INFO = SendInfo(
    accepted=["a@x.org"],
    rejected=["b@x.org"],
    rejectedErrors=[],
    response="250 ok",
    envelopeTime=1,
    messageTime=2,
    messageSize=3,
    ehlo=["PIPELINING"],
)
TOLD = SendInfo(
    accepted=["a@x.org"],
    rejected=["b@x.org", "c@x.org"],
    rejectedErrors=[],
    response="250 2.0.0 queued",
    envelopeTime=1,
    messageTime=2,
    messageSize=3,
    ehlo=[],
    addresses=["a@x.org", "b@x.org", "c@x.org"],
    replies=[Reply(250, "250 2.1.5 fine"), Reply(550, "550 unknown"), None],
)


@pytest.mark.parametrize("record", [ENTRY, INFO, TOLD])
def test_each_value_is_read_in_every_way(record):
    assert len(record) == len(list(record)) == len(record.keys())
    for name, value in dict(record).items():
        assert record[name] == getattr(record, name) == record.get(name) == value
        assert name in record
    assert {**record} == dict(record)


@pytest.mark.parametrize("record", [ENTRY, INFO])
def test_they_are_mappings(record):
    assert isinstance(record, Mapping)
    assert list(record.items()) == list(zip(record, record.values(), strict=True))
    assert record.keys() == set(record)
    match record:
        case {"type": kind} | {"response": kind}:
            assert kind in ("client", "250 ok")
        case _:
            pytest.fail("it does not match")


def test_they_become_json():
    assert json.loads(json.dumps(ENTRY.toJSON())) == {"type": "client", "message": "EHLO me"}
    refused = SMTPError(
        "Recipient refused", code="EENVELOPE", command="RCPT TO", response="550 5.1.1 unknown"
    )
    info = SendInfo(["a@x.org"], ["b@x.org"], [refused], "250 ok", 1, 2, 3, [])
    assert json.loads(json.dumps(info.toJSON())) == {
        **info,
        "rejectedErrors": [
            {
                "message": "Recipient refused: 550 5.1.1 unknown",
                "code": "EENVELOPE",
                "command": "RCPT TO",
                "response": "550 5.1.1 unknown",
                "responseCode": 550,
            }
        ],
    }
    assert info.rejectedErrors == [refused]


def test_the_names_are_node_s():
    assert list(ENTRY) == ["type", "message"]
    assert list(INFO) == [
        "accepted",
        "rejected",
        "rejectedErrors",
        "recipients",
        "response",
        "enhancedCode",
        "envelopeTime",
        "messageTime",
        "messageSize",
        "ehlo",
        "serverMessageId",
    ]
    assert INFO.serverMessageId is None


def test_each_recipient_has_what_the_server_said_of_it():
    assert [dict(each) for each in TOLD.recipients] == [
        {
            "address": "a@x.org",
            "accepted": True,
            "code": 250,
            "enhancedCode": "2.1.5",
            "text": "fine",
        },
        {
            "address": "b@x.org",
            "accepted": False,
            "code": 550,
            "enhancedCode": None,
            "text": "unknown",
        },
        {
            "address": "c@x.org",
            "accepted": False,
            "code": None,
            "enhancedCode": None,
            "text": "",
        },
    ]
    assert TOLD.recipients is TOLD.recipients
    assert TOLD.toJSON()["recipients"] == [dict(each) for each in TOLD.recipients]
    assert INFO.recipients == []


@pytest.mark.parametrize(
    ("code", "accepted"), [(0, False), (199, False), (200, True), (299, True), (354, False)]
)
def test_2xx_accepts_a_recipient(code, accepted):
    assert RecipientInfo("a@x.org", Reply(code, f"{code} x")).accepted is accepted


def test_there_is_a_reply_for_each_recipient():
    with pytest.raises(ValueError, match="shorter"):
        recipients_told(["a@x.org", "b@x.org"], [None])


def test_the_enhanced_code_is_that_of_the_last_reply():
    assert (TOLD.enhancedCode, INFO.enhancedCode) == ("2.0.0", None)


@pytest.mark.parametrize("name", ["unknown", "keys", "__class__", 0, None])
def test_other_names_are_not_there(name):
    with pytest.raises(KeyError):
        ENTRY[name]
    assert name not in ENTRY
    assert ENTRY.get(name) is None
    assert ENTRY.get(name, "default") == "default"


def test_no_other_attribute_can_be_set():
    with pytest.raises(AttributeError):
        ENTRY.mesage = "misspelt"


def test_they_are_compared_by_value():
    assert LogEntry("client", "EHLO me") == ENTRY
    assert LogEntry("server", "EHLO me") != ENTRY
    assert dict(ENTRY) != ENTRY
    assert copy.copy(INFO) == INFO
    assert pickle.loads(pickle.dumps(INFO)) == INFO
    assert pickle.loads(pickle.dumps(TOLD)) == TOLD
    with pytest.raises(TypeError, match="unhashable"):
        hash(ENTRY)


def test_they_show_themselves():
    assert repr(ENTRY) == "LogEntry(type='client', message='EHLO me')"
