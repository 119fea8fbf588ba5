"""The tables of the manual are complete."""

from __future__ import annotations

import configparser
import re

import pytest

from smtp_connection import (
    CommandReply,
    PoolStats,
    ProbeInfo,
    SendInfo,
    SMTPConnection,
    SMTPError,
    SMTPPool,
)
from smtp_connection.options.dkim import DKIMOptions
from smtp_connection.options.services import SERVICES
from smtp_connection.options.transport import PoolOptions, TransportOptions
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.xoauth2 import createXOAuth2Generator
from tests.support.manual import PAGES, ROOT, named_in, section, simple_rows


def first_column(page: str, title: str) -> set[str]:
    """Return what the first columns of the tables under ``title`` name."""
    return set().union(*(named_in(cells[0]) for cells in simple_rows(section(page, title))))


def test_the_options_are_those_of_the_table(reactor):
    options = SMTPConnection(reactor=reactor).options
    assert set(options) == first_column("options", "Connection options")


def test_the_tls_options_are_those_of_the_table(reactor):
    options = SMTPConnection(reactor=reactor, tls={}).options
    assert set(options.tls) == first_column("options", "TLS options")


def test_the_options_of_a_token_generator_are_those_of_the_table(reactor):
    options = createXOAuth2Generator(reactor=reactor).options
    assert set(options) == first_column("logins", "Access tokens")


def test_the_options_of_a_pool_are_those_of_the_table(reactor):
    own = set(SMTPPool(reactor=reactor).options) - set(SMTPConnection(reactor=reactor).options)
    reactor.run()
    assert own == first_column("pool", "The options of a pool")


def test_the_options_of_a_transport_are_those_of_the_table():
    own = set(TransportOptions.defaults) - set(PoolOptions.defaults)
    assert own == first_column("transport", "Options")


def test_all_services_are_named():
    listed = PAGES["transport"].partition(".. services begin")[2].partition(".. services end")[0]
    names = [service.name for service in SERVICES]
    assert " ".join(listed.split()).startswith(", ".join(names) + ", and Amazon SES")


def test_the_values_of_the_statistics_are_those_of_the_table():
    assert set(PoolStats._keys) == first_column("pool", "What it does just now")


def test_every_error_code_is_in_the_table():
    codes: set[str] = set()
    for source in (ROOT / "smtp_connection").rglob("*.py"):
        codes.update(re.findall(r'"(E[A-Z_]{3,})"', source.read_text(encoding="utf-8")))
    assert {"EAUTH", "ETLS", "ENOTFOUND"} < codes
    # Neither a verb nor a mechanism is a code, nor what the C library calls Node's ENOTFOUND.
    codes -= {"EHLO", "EXTERNAL", "EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY"}
    assert codes <= named_in(section("errors_and_log", "Errors"))


def test_the_options_of_a_signature_are_those_of_the_table():
    with pytest.raises(TypeError, match="known are") as caught:
        DKIMOptions.parse({"qqqqqqqqqqqq": 1})
    known = str(caught.value).rpartition("known are ")[2].split(", ")
    assert set(known) == first_column("dkim", "The options of a signature")


def test_the_values_of_the_info_are_those_of_the_table():
    assert set(SendInfo._keys) == first_column("messages", "The info")


def test_the_values_of_a_reply_and_of_a_probe_are_those_of_the_tables():
    assert set(CommandReply.__slots__) == first_column("connection", "Command by command")
    assert set(ProbeInfo.__slots__) == first_column("connection", "Probes")


def test_the_keys_of_an_envelope_are_those_of_the_table():
    with pytest.raises(SMTPError) as caught:
        Envelope.parse({"unknown": 1})
    known = caught.value.message.rpartition("known are ")[2].split(", ")
    assert set(known) == first_column("messages", "The envelope")


def test_the_extras_are_those_of_the_table():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert set(setup["options.extras_require"]) == first_column("quickstart", "Installation")


def test_every_page_is_in_the_table_of_contents():
    assert set(PAGES) - {"index"} == set(re.findall(r"^   (\w+)$", PAGES["index"], re.MULTILINE))
