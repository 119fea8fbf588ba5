"""Records are read as attributes and as dicts."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping

import pytest

from smtp_connection import LogEntry, SendInfo, SMTPError

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


@pytest.mark.parametrize("record", [ENTRY, INFO])
def test_each_value_is_read_in_every_way(record):
    assert len(record) == len(list(record)) == len(record.keys())
    for name, value in dict(record).items():
        assert record[name] is getattr(record, name) is record.get(name) is value
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
        "response",
        "envelopeTime",
        "messageTime",
        "messageSize",
        "ehlo",
        "serverMessageId",
    ]
    assert INFO.serverMessageId is None


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
    with pytest.raises(TypeError, match="unhashable"):
        hash(ENTRY)


def test_they_show_themselves():
    assert repr(ENTRY) == "LogEntry(type='client', message='EHLO me')"
