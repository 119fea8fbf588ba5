"""Names in Node's spelling, in Python's, and misspelt."""

from __future__ import annotations

import pytest

from smtp_connection.options.names import NameTable

TABLE = NameTable(
    "option",
    ["ignoreTLS", "requireTLS", "host", "use8BitMime"],
    {"secureProtocol": "use 'minVersion' and 'maxVersion'"},
)


@pytest.mark.parametrize(
    "name", ["ignoreTLS", "ignore_tls", "ignoretls", "IGNORETLS", "IgnoreTls", "_ignore__TLS_"]
)
def test_case_and_underscores_do_not_count(name):
    assert TABLE.canonical({name: 1, "host": 2}) == {"ignoreTLS": 1, "host": 2}


def test_nothing_is_changed_or_left_out():
    given = {"ignore_tls": None, "host": ""}
    assert TABLE.canonical(given) == {"ignoreTLS": None, "host": ""}
    assert given == {"ignore_tls": None, "host": ""}
    assert TABLE.canonical({}) == {}


def error(given):
    with pytest.raises(TypeError) as caught:
        TABLE.canonical(given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("requireTSL", "requireTLS"),
        ("require_tsl", "requireTLS"),
        ("requiresTLS", "requireTLS"),
        ("ingoreTLS", "ignoreTLS"),
        ("hots", "host"),
        ("8bitmime", "use8BitMime"),
    ],
)
def test_a_misspelt_name_leads_to_the_nearest_one(name, meant):
    assert error({"host": "x", name: True}) == f"unknown option {name!r}; did you mean {meant!r}?"


def test_a_name_that_is_like_no_other_leads_to_all_of_them():
    assert error({"frobnicate": 1}) == (
        "unknown option 'frobnicate'; known are host, ignoreTLS, requireTLS, use8BitMime"
    )


def test_a_name_may_be_given_once():
    text = "option 'ignoreTLS' is given twice, in two spellings"
    assert error({"ignoreTLS": True, "ignore_tls": False}) == text
    assert error({"ignore_tls": False, "ignoreTLS": True}) == text


@pytest.mark.parametrize("name", [5, None, b"host", ("host",)])
def test_names_are_strings(name):
    assert error({name: 1}) == f"option names are strings; got {name!r}"


@pytest.mark.parametrize("name", ["secureProtocol", "secure_protocol"])
def test_what_python_cannot_offer_leads_to_what_it_can(name):
    assert error({name: "TLSv1"}) == (
        "option 'secureProtocol' does not exist in Python: use 'minVersion' and 'maxVersion'"
    )


def test_advice_about_names_from_elsewhere():
    table = NameTable("option", ["host"], advice={"hostname": "use 'host'"}.get)
    with pytest.raises(TypeError, match=r"^unknown option 'hostname': use 'host'$"):
        table.canonical({"hostname": "x"})
    with pytest.raises(TypeError, match=r"^unknown option 'hots'; did you mean 'host'\?$"):
        table.canonical({"hots": "x"})
