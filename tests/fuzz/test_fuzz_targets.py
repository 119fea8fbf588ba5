"""The targets of ``tests/fuzz/``, without a fuzzer: over their seeds, over mutations of these, and
over bytes that make no sense."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz import TARGETS

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
SEEDS = sorted(CORPUS.glob("*/*"))
CHECKS = {target: import_module(f"tests.fuzz.{target}").check for target in TARGETS}

few = settings(max_examples=60, deadline=None)
each_target = pytest.mark.parametrize("target", TARGETS)


def seeds_of(target):
    return [path.read_bytes() for path in SEEDS if path.parent.name == target]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_seed_keeps_the_invariant_of_its_target(seed):
    CHECKS[seed.parent.name](seed.read_bytes())


@each_target
def test_any_bytes_keep_the_invariant(target):
    @few
    @given(st.binary(max_size=200))
    @example(b"")
    def check(data):
        CHECKS[target](data)

    check()


@each_target
def test_parts_of_seeds_in_any_order_keep_the_invariant(target):
    """What a fuzzer would try first: seeds that are cut, mixed and marred."""
    seed = st.sampled_from(seeds_of(target))
    part = st.builds(lambda data, at, end: data[at:end], seed, st.integers(0, 200), st.none())
    marred = st.lists(part | st.binary(max_size=3), max_size=4).map(b"".join)

    @few
    @given(marred)
    def check(data):
        CHECKS[target](data)

    check()


@each_target
def test_every_target_states_its_invariant_and_has_a_few_small_seeds(target):
    sentence = import_module(f"tests.fuzz.{target}").__doc__
    assert sentence.startswith(("Whatever", "No "))
    seeds = seeds_of(target)
    assert 10 <= len(seeds) <= 30
    assert max(map(len, seeds)) <= 2048


def test_every_folder_of_seeds_has_its_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert set(TARGETS) <= {path.stem for path in FOLDER.glob("*.py")}


def test_an_assertion_of_a_target_is_no_idle_one(monkeypatch):
    """A parser that drops what it waits for is found by the first seed that is cut."""
    from smtp_connection.protocol.replies import ReplyParser

    feed = ReplyParser.feed

    def forgetful(parser, data):
        parser._tail.clear()
        return feed(parser, data)

    monkeypatch.setattr(ReplyParser, "feed", forgetful)
    seed = (CORPUS / "replies" / "cut_everywhere").read_bytes()
    with pytest.raises(AssertionError):
        CHECKS["replies"](seed)


def test_a_login_that_believes_any_proof_is_found(monkeypatch):
    from smtp_connection.auth import scram

    monkeypatch.setattr(scram.hmac, "compare_digest", lambda *_: True)
    seed = (CORPUS / "scram" / "wrong_proof").read_bytes()
    with pytest.raises(AssertionError, match="nobody has proved anything"):
        CHECKS["scram"](seed)
