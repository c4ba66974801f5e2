"""Rules of collections: stored as they are written, and refused with what was expected."""

from __future__ import annotations

import pytest

from loop.base.errors import ConfigError
from loop.settings.collections import (
    Address,
    AllOf,
    Crowd,
    Definition,
    Measured,
    OfSlice,
    Orientation,
    Overlap,
    Rule,
    Sentence,
    Touching,
    as_stored,
    built_in,
    definition_of,
    flat,
    in_words,
    notes,
    parse_collections,
    rule_of,
    stored_rule,
)

RULES: tuple[Rule, ...] = (
    OfSlice("weather/fog"),
    Measured("sharpness", "below", 5.0),
    Crowd(8),
    Overlap(0.2, 0.25),
    Touching(0.1, 0.5),
    Orientation(4.0),
    Sentence("a photo of a ramp"),
    Address("camera=gate&from=2026-05-01&not_slice=3"),
    AllOf((Crowd(8), Address("site=north"))),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_rule_is_read_as_it_was_stored_and_said_in_words(rule: Rule) -> None:
    assert rule_of(stored_rule(rule)) == rule
    assert len(in_words(rule)) > 10


def test_a_definition_is_read_as_it_was_stored() -> None:
    one = Definition(RULES, (3, 4), (5,), False, True, True, {"a": [1.0, 2.0]})
    assert definition_of(as_stored(one)) == one
    assert definition_of({}) == Definition()


def test_rules_within_others_are_found() -> None:
    assert [*flat([AllOf((Crowd(3), AllOf((Crowd(4), Crowd(5)))))])] == [Crowd(3), Crowd(4), Crowd(5)]


def test_the_built_in_ones() -> None:
    assert set(built_in()) == {
        "night",
        "blur",
        "reflections",
        "weather",
        "occlusion",
        "crowds",
        "odd orientation",
    }
    assert not any(one.judged or one.tab or one.examples for one in built_in().values())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"crowd": 0}, "crowd: expected a whole number of boxes, 1 or more, got 0"),
        ({"crowd": True}, "crowd: expected a whole number"),
        ({"crowds": 3}, "expected one of slice, measured, crowd, .*, got {'crowds': 3}"),
        ({"crowd": 3, "share": 0.2}, "expected crowd alone, got 'share'"),
        ({"overlap": 2}, "overlap: expected a number from 0.01 to 1, got 2"),
        ({"measured": "haze"}, "expected either below or above"),
        ({"measured": "haze", "above": 2, "below": 2}, "expected either below or above"),
        ({"orientation": "much"}, "expected a number from 1 to 100"),
        ({"sentence": " "}, "expected a text of at most 300 characters"),
        ({"sentence": "x" * 301}, "expected a text of at most 300 characters"),
        ({"frames": "labeled=no"}, "expected an address with the keys camera, .*, got 'labeled'"),
        ({"frames": "gate"}, "expected an address with the keys"),
        ({"frames": "slice=night"}, "expected the number of a slice behind slice, got 'night'"),
        ({"frames": "from=may"}, "expected a day such as 2026-11-24, or a time, got 'may'"),
        ({"all": [{"crowd": 3}]}, "all: expected two rules or more"),
        (["crowd"], "expected names with values"),
    ],
)
def test_what_is_no_rule_is_refused(written: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rule_of(written)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"night": {"rules": []}}, "collections.yaml: night: rules: expected a list of rules"),
        ({"night": {"rule": [{"crowd": 3}]}}, "night: expected rules, got 'rule'"),
        ({"night": [{"crowd": 3}]}, "night: expected names with values"),
    ],
)
def test_what_is_no_file_of_collections_is_refused(document: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_collections(document)


def test_a_note_says_how_far_a_built_in_one_can_be_trusted() -> None:
    assert set(notes()) <= set(built_in())
    assert "on their side" in notes()["odd orientation"]
    told = parse_collections({"mine": {"rules": [{"crowd": 3}], "note": "as it is"}})
    assert told["mine"].rules == (Crowd(3),)
