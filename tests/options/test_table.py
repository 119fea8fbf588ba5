"""The machine for sets of options, with a set of its own."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Mapping

import pytest

from smtp_connection.options.checks import (
    WrongType,
    WrongValue,
    flag,
    line,
    number,
    or_default,
    text,
)
from smtp_connection.options.table import Option, Settings


def size(value):
    if value == "half":
        raise ValueError("this one is no refusal")
    return len(value)


class Wishes(Settings, noun="item", instead={"crema": "use 'drink'"}):
    drink: Option[str] = Option(text, "tea")
    sugar: Option[float] = Option(or_default(number("a number of spoons")), 1)
    pin: Option[str] = Option(line("a PIN"), "", secret=True)
    toGo: Option[bool] = Option(flag, False, alias="takeAway")
    size: Option[int] = Option(size, 0)

    @classmethod
    def _complete(cls, values):
        if values.get("toGo") and "size" not in values:
            values["size"] = 7


class Strict(Settings, strict=True):
    drink: Option[str] = Option(line("a drink", empty=False), "tea")


class Anything(Settings, shows=repr):
    flag: Option[bool] = Option(flag, False)


DEFAULTS = {"drink": "tea", "sugar": 1, "pin": "", "toGo": False, "size": 0}


def error(kind, given, **more):
    with pytest.raises(kind) as caught:
        Wishes.parse(given, more)
    return str(caught.value)


# -- what is given -------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, {}, dict.fromkeys(DEFAULTS), {"takeAway": None}])
def test_what_is_not_given_has_its_default(given):
    assert dict(Wishes.parse(given)) == DEFAULTS


def test_what_a_check_returns_is_kept():
    wishes = Wishes.parse({"drink": " coffee ", "SUGAR": 2.5, "to_go": True})
    assert (wishes.drink, wishes.sugar, wishes.toGo) == ("coffee", 2.5, True)


def test_a_check_may_ask_for_the_default():
    assert dict(Wishes.parse({"drink": " ", "sugar": 0})) == DEFAULTS


@pytest.mark.parametrize("value", [False, 0, 0.0, ""])
def test_what_is_false_in_javascript_and_not_accepted_is_not_given(value):
    assert Wishes.parse({"drink": value}).drink == "tea"
    assert Wishes.parse({"toGo": value}).toGo is False
    assert Wishes.parse({"take_away": True, "toGo": None, "drink": value}).toGo is True


@pytest.mark.parametrize("value", [[], {}, b"", ()])
def test_other_values_that_are_false_in_python_are_checked(value):
    assert "takes a string" in error(TypeError, {"drink": value})


@pytest.mark.parametrize("value", [False, 0, ""])
def test_a_strict_set_takes_nothing_for_not_given(value):
    with pytest.raises((TypeError, ValueError), match="option 'drink' takes a drink"):
        Strict.parse({"drink": value})
    assert Strict.parse({"drink": None}).drink == "tea"


def test_keywords_win():
    wishes = Wishes.parse({"to_go": True, "drink": "milk"}, {"toGo": False, "sugar": 3})
    assert (wishes.toGo, wishes.drink, wishes.sugar) == (False, "milk", 3)


def test_a_default_may_depend_on_other_options():
    assert Wishes.parse({"toGo": True}).size == 7
    assert Wishes.parse({"toGo": True, "size": "abc"}).size == 3


def test_the_caller_s_dict_is_not_changed():
    given = {"take_away": True, "drink": " coffee ", "pin": None}
    before = dict(given)
    Wishes.parse(given)
    assert given == before


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["toGo", "to_go", "TOGO", "takeAway", "take_away", "takeaway"])
def test_an_option_may_have_two_names(name):
    for wishes in (Wishes.parse({name: True}), Wishes.parse({}, {name: True})):
        assert wishes.toGo is True
        assert "takeAway" not in wishes


def test_texts_become_values_of_the_kind_of_the_option():
    texts = {"sugar": "2", "to_go": "True", "DRINK": "1", "pin": "true"}
    assert Wishes.typed(texts) == {"sugar": 2, "toGo": True, "drink": "1", "pin": "true"}
    assert Wishes.typed({"toGo": "0", "size": "07"}) == {"toGo": False, "size": 7}


def test_texts_that_are_not_of_that_kind_stay_as_they_are():
    texts = {"sugar": "1e3", "toGo": "yes", "size": "\u0665"}
    assert Wishes.typed(texts) == texts
    assert Wishes.typed({"size": "1" * 5000}) == {"size": "1" * 5000}
    with pytest.raises(TypeError, match="did you mean 'drink'"):
        Wishes.typed({"drnk": "tea"})


def test_two_names_are_one_option():
    for one, other in ((True, False), (False, False)):
        assert error(TypeError, {"toGo": one, "take_away": other}) == (
            "items 'toGo' and 'takeAway' are one option; give one of them"
        )
    assert Wishes.parse({"toGo": None, "takeAway": True}).toGo is True
    assert Wishes.parse({"toGo": True, "takeAway": None}).toGo is True
    assert Wishes.parse({"toGo": True}, {"takeAway": False}).toGo is False


def test_unknown_names():
    assert error(TypeError, {"drnk": "x"}) == "unknown item 'drnk'; did you mean 'drink'?"
    assert error(TypeError, {"qqqqqq": "x"}) == (
        "unknown item 'qqqqqq'; known are drink, pin, size, sugar, takeAway, toGo"
    )
    assert error(TypeError, {}, tkeAway=1) == "unknown item 'tkeAway'; did you mean 'takeAway'?"
    assert error(TypeError, {"crema": 1}) == ("item 'crema' does not exist in Python: use 'drink'")


@pytest.mark.parametrize("given", ["drink", ["drink"], 5, True])
def test_options_are_a_dict(given):
    assert error(TypeError, given) == f"items are a dict; got {type(given).__name__}"


# -- what is refused -------------------------------------------------------------------------------


def test_an_error_names_the_option_and_shows_what_it_got():
    assert error(TypeError, {"drink": 5}) == "item 'drink' takes a string; got 5"
    assert error(ValueError, {"drink": "a\nb"}) == (
        "item 'drink' takes a string without '\\n'; got 'a\\nb'"
    )
    assert error(ValueError, {"sugar": -1}) == "item 'sugar' takes a number of spoons; got -1"


def test_only_the_type_of_an_object_is_shown_unless_the_set_wants_more():
    assert error(TypeError, {"toGo": [1]}) == "item 'toGo' takes True or False; got list"
    with pytest.raises(TypeError, match=r"option 'flag' takes True or False; got \[1\]$"):
        Anything.parse({"flag": [1]})


@pytest.mark.parametrize("pin", ["S3CR3T\n", b"S3CR3T", ["S3CR3T"], {"S3CR3T": 1}])
def test_no_error_shows_a_secret(pin):
    with pytest.raises((TypeError, ValueError)) as caught:
        Wishes.parse({"pin": pin})
    assert str(caught.value) == f"item 'pin' takes a PIN; got {type(pin).__name__}"
    assert "S3CR3T" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def refusing(says, *culprit):
    def check(value):
        raise WrongValue(says, *culprit)

    return check


def test_a_refusal_may_show_a_part_of_the_value_or_nothing_of_it():
    class Baskets(Settings):
        part: Option[object] = Option(refusing("takes eggs", 5, " in the middle"), None)
        none: Option[object] = Option(refusing("is an empty basket"), None)

    with pytest.raises(ValueError, match=r"^option 'part' takes eggs; got 5 in the middle$"):
        Baskets.parse({"part": [1, 5, 1]})
    with pytest.raises(ValueError, match=r"^option 'none' is an empty basket$"):
        Baskets.parse({"none": []})


def test_whatever_else_a_check_raises_is_left_alone():
    assert error(ValueError, {"size": "half"}) == "this one is no refusal"
    assert error(TypeError, {"size": 5}) == "object of type 'int' has no len()"


def test_a_refusal_is_no_error_of_the_package():
    assert not issubclass(WrongType, TypeError)
    assert not issubclass(WrongValue, ValueError)


# -- what is made ----------------------------------------------------------------------------------


def test_they_are_read_as_attributes_and_as_a_dict():
    wishes = Wishes(sugar=2)
    assert wishes.sugar == wishes["sugar"] == wishes.get("sugar") == 2
    assert wishes.drink == wishes["drink"] == wishes.get("drink") == "tea"
    assert list(wishes) == list(wishes.keys()) == list(Wishes.defaults) == list(DEFAULTS)
    assert len(wishes) == len(DEFAULTS)
    assert {**wishes} == dict(wishes) == {**DEFAULTS, "sugar": 2}
    assert "milk" not in wishes
    assert wishes.get("milk", "none") == "none"
    for name in ("milk", "defaults", "parse", "__dict__"):
        with pytest.raises(KeyError):
            wishes[name]


def test_defaults_are_those_of_the_class():
    assert Wishes.defaults == DEFAULTS
    assert Wishes.drink.default == "tea"
    assert Wishes.pin.secret
    assert not Wishes.drink.secret


def test_what_is_made_by_hand_is_not_checked_but_for_its_names():
    assert Wishes(drink=5).drink == 5
    with pytest.raises(TypeError, match="Wishes has no 'milk'"):
        Wishes(milk=True)


def test_they_are_compared_by_value():
    assert Wishes(sugar=1) == Wishes() == Wishes.parse({"drink": "tea"})
    assert Wishes(sugar=2) != Wishes()
    assert Wishes() != DEFAULTS
    assert Anything() != Wishes()


def test_they_can_be_given_again():
    wishes = Wishes(sugar=2)
    assert Wishes.parse(wishes) is wishes
    assert Anything.parse(Anything(flag=True), {"flag": False}) == Anything()


def test_they_are_a_mapping_that_no_json_is_made_of():
    """There may be secrets in them."""
    assert isinstance(Wishes(), Mapping)
    assert not hasattr(Wishes(), "toJSON")


def test_they_can_be_copied():
    wishes = Wishes(sugar=2)
    for other in (copy.copy(wishes), copy.deepcopy(wishes), pickle.loads(pickle.dumps(wishes))):
        assert other == wishes
        assert other.drink == "tea"


def test_they_never_change():
    wishes = Wishes()
    with pytest.raises(AttributeError, match="'sugar' cannot be set: Wishes never changes"):
        wishes.sugar = 2
    with pytest.raises(AttributeError, match="'milk' cannot be set"):
        wishes.milk = 2
    with pytest.raises(AttributeError, match="'sugar' cannot be deleted"):
        del wishes.sugar
    assert wishes.sugar == 1


def test_repr_hides_what_is_secret():
    text = "Wishes(drink='tea', sugar=1, toGo=False, size=0)"
    assert repr(Wishes(pin="1234")) == str(Wishes(pin="1234")) == text
