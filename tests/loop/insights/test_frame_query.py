"""A set of frames is its address, the same wherever it is read."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.base.errors import ConfigError
from loop.insights.frame_query import (
    KEYS,
    MODEL_ERRORS,
    MOST_VALUES,
    SPLITS,
    TASKS,
    FrameQuery,
    frames_url,
)

NAMES = st.lists(st.text(min_size=1, max_size=20).filter(lambda t: t.strip() and "\x00" not in t), max_size=3)
NUMBERS = st.lists(st.integers(0, 10**15), max_size=3)


@st.composite
def queries(draw: st.DrawFn) -> FrameQuery:
    dataset = draw(NUMBERS)
    parts: dict[str, Any] = {
        "camera": draw(NAMES),
        "site": draw(NAMES),
        "class": draw(NAMES),
        "slice": draw(NUMBERS),
        "not_slice": draw(NUMBERS),
        "task": draw(st.lists(st.sampled_from(TASKS), max_size=2)),
        "from": draw(st.none() | st.dates().map(str)),
        "to": draw(st.none() | st.datetimes().map(lambda moment: moment.isoformat())),
        "labeled": draw(st.none() | st.sampled_from(["yes", "no"])),
        "dataset": dataset,
        "split": draw(st.lists(st.sampled_from(SPLITS), max_size=2)) if dataset else [],
        "model_error": draw(st.lists(st.sampled_from(MODEL_ERRORS), max_size=2)),
        "q": draw(st.none() | st.just("forklift at night & rain")),
    }
    return FrameQuery().but(**parts)


@given(queries())
def test_an_address_names_the_set_it_was_made_of(query: FrameQuery) -> None:
    assert FrameQuery.parse(query.address()) == query
    assert FrameQuery.parse(query.url()) == query
    assert FrameQuery.parse(query.pairs()) == query
    assert FrameQuery.parse(query.address()).address() == query.address()


@given(queries())
def test_each_value_can_be_taken_away_alone(query: FrameQuery) -> None:
    for name, value in query.pairs():
        if name == "dataset":
            continue
        assert (name, value) not in query.less(name, value).pairs()
        assert len(query.less(name, value).pairs()) == len(query.pairs()) - 1


def test_every_key_is_a_field_in_the_order_of_an_address() -> None:
    assert [key.field for key in KEYS] == [field.name for field in fields(FrameQuery)]


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "howto" / "frames.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {key.name for key in KEYS}


def test_all_frames_are_the_empty_address() -> None:
    for text in ("", "/frames", "?", "/frames?", "camera=&slice="):
        assert FrameQuery.parse(text) == FrameQuery()
    assert FrameQuery().url() == "/frames"


def test_keys_that_python_keeps_for_itself() -> None:
    assert frames_url(class_="hard hat", from_="2026-11-01") == "/frames?class=hard+hat&from=2026-11-01"
    night = FrameQuery.parse("slice=12&camera=gate")
    assert frames_url(night, camera=None, not_slice=3) == "/frames?slice=12&not_slice=3"
    assert frames_url(night, slice=[*night.slice, 4]) == "/frames?camera=gate&slice=12&slice=4"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("kamera=gate", "expected keys among camera, site"),
        ("slice=night", "slice: expected a whole number, got 'night'"),
        ("slice=-3", "slice: expected a whole number"),
        ("from=yesterday", "from: expected a day such as 2026-11-24"),
        ("origin=moon", "origin: expected one of production, imported, got 'moon'"),
        ("task=lost", "task: expected one of queued, none, pending"),
        ("origin=production&origin=imported", "origin: expected at most 1 of them, got 2"),
        ("q=rain&near=4", "either q or near, got both"),
        ("split=val", "a dataset beside split"),
        ("model=3", "model_error beside model"),
        ("order=clearest", "a slice beside order=clearest"),
        ("order=alike", "q or near beside order=alike"),
        ("camera", "expected an address such as camera=gate&labeled=no"),
        ("camera=a%00b", "camera: expected text without the character NUL"),
        ("q=" + "x" * 401, "q: expected at most 400 characters"),
        (
            "&".join(f"slice={n}" for n in range(MOST_VALUES + 1)),
            "slice: expected at most 50 of them",
        ),
    ],
)
def test_what_names_no_set_is_refused_with_what_was_expected(address: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        FrameQuery.parse(address)
    assert said in str(refused.value)


def test_changing_to_what_is_no_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of yes, no"):
        FrameQuery().but(labeled="perhaps")
    with pytest.raises(ConfigError, match="expected keys among"):
        FrameQuery().but(kamera="gate")
