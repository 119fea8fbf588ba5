"""Signatures are right, whatever is signed: see ``signatures``, here with fewer messages."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp_connection.dkim.relaxed import RelaxedBody
from smtp_connection.mime.compose import compose
from smtp_connection.options.dkim import DKIMOptions
from tests.support.signatures import BOTH, ED25519, RSA, is_verified

from .signatures import message, run, signed


@pytest.mark.parametrize("options", [RSA, ED25519], ids=["RSA", "Ed25519"])
def test_somebody_else_verifies_each_of_them(options):
    assert run(100, 1, DKIMOptions.parse(options)).wrong == []


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]))
FILE = st.fixed_dictionaries({"content": st.binary(max_size=300), "filename": TEXT})


@given(
    st.fixed_dictionaries(
        {"subject": TEXT, "text": st.text(st.characters(codec="utf-8"))},
        optional={
            "html": TEXT,
            "to": st.builds(lambda name: {"name": name, "address": "b@y.org"}, TEXT),
            "attachments": st.lists(FILE, max_size=2),
            "headers": st.dictionaries(st.sampled_from(["X-A", "Comments"]), TEXT),
        },
    )
)
@settings(max_examples=100, deadline=None)
def test_any_mail_that_is_composed(mail):
    built = compose({"from": "a@x.org", **mail, "dkim": BOTH}).build()
    assert is_verified(built, 2)


def test_it_would_notice(monkeypatch):
    def careless(self):
        return right(self)[:-1] + b"x"

    right = RelaxedBody.digest
    monkeypatch.setattr(RelaxedBody, "digest", careless)
    assert run(3, 1, DKIMOptions.parse(ED25519)).wrong == [0, 1, 2]


def test_what_is_changed_afterwards_is_noticed():
    dkim, chance = DKIMOptions.parse(ED25519), random.Random(1)
    made = signed(message(chance), dkim, chance)
    assert is_verified(made)
    assert not is_verified(made + b"more\r\n")
    assert not is_verified(made.replace(b"From: a@", b"From: b@"))
    assert not is_verified(b"From: evil@y.org\r\n" + made)
