"""Percent and pixels, and what of an answer may become a label."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from connectors.label_studio.label_config import label_config
from connectors.label_studio.results import (
    KEY,
    format_time,
    parse_annotation,
    parse_time,
    task_payload,
    to_percent,
    to_pixels,
)
from connectors.ports import Annotation, Box
from tests.studio import Corners, drawn, label_task

SIZE = (320, 240)
SIDES = st.integers(2, 8000)
FRACTION = st.floats(0, 1)


def answer(result: list[dict[str, Any]], **more: Any) -> Annotation:
    raw = {
        "id": 5,
        "created_at": "2026-05-01T10:00:00.5Z",
        "updated_at": "2026-05-01T12:00:00+02:00",
        "was_cancelled": False,
        "lead_time": 2.5,
        "result": result,
        **more,
    }
    task = {"id": 9, "data": {KEY: "k1", "width": SIZE[0], "height": SIZE[1]}}
    return parse_annotation(raw, task, ("person", "car"), "a@b")


@given(SIDES, SIDES, FRACTION, FRACTION, FRACTION, FRACTION)
def test_boxes_inside_the_image_survive_the_round_trip(
    w: int, h: int, a: float, b: float, c: float, d: float
) -> None:
    xyxy = (min(a, b) * w, min(c, d) * h, max(a, b) * w, max(c, d) * h)
    percent = to_percent(xyxy, w, h)
    if percent is None:
        assert xyxy[0] == xyxy[2] or xyxy[1] == xyxy[3]
    elif (back := to_pixels(percent, w, h)) is not None:
        assert back == pytest.approx(xyxy, abs=1e-6)
    else:
        assert min(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]) < 1e-6


def test_percent_by_hand() -> None:
    assert to_percent((32, 24, 96, 120), 320, 240) == {"x": 10, "y": 10, "width": 20, "height": 40}
    assert to_pixels({"x": 10, "y": 10, "width": 20, "height": 40}, 320, 240) == (32, 24, 96, 120)


@pytest.mark.parametrize(
    ("xyxy", "percent"),
    [
        ((-10, -10, 160, 120), {"x": 0, "y": 0, "width": 50, "height": 50}),
        ((160, 120, 999, 999), {"x": 50, "y": 50, "width": 50, "height": 50}),
        ((-20, 10, -5, 40), None),
        ((10, 10, 10, 40), None),
    ],
)
def test_boxes_are_cut_at_the_border(xyxy: Corners, percent: dict[str, float] | None) -> None:
    assert to_percent(xyxy, *SIZE) == percent


def test_a_payload_passes_the_sdks_own_check() -> None:
    boxes = [Box("person", (-5, 3, 100, 90), confidence=0.4), Box("car", (50, 60, 400, 300), confidence=1.0)]
    payload: Any = task_payload(label_task("k", Path("a.jpg"), boxes, priority=0.8), "/data/a.jpg")
    prediction = payload["predictions"][0]
    assert (
        LabelInterface(label_config(["person", "car"])).validate_prediction(prediction, return_errors=True)
        == []
    )
    assert "score" not in prediction
    assert [region["score"] for region in prediction["result"]] == [0.4, 1.0]


def test_a_task_tells_why_and_where_and_keeps_its_key() -> None:
    payload: Any = task_payload(label_task("k9", Path("a.jpg"), meta={"weather": "fog", KEY: "forged"}), "/u")
    assert payload["data"] == {
        "weather": "fog",
        "site": "",
        "camera": "",
        "captured_at": "",
        "file": "",
        "image": "/u",
        KEY: "k9",
        "reason": "rare class",
        "priority": 0.5,
        "slices": "",
        "purpose": "train",
        "model": "v1",
        "width": 320,
        "height": 240,
    }
    assert payload["predictions"] == [{"model_version": "fieldloop", "result": []}]


def test_an_answer_keeps_origin_confidence_times_and_person() -> None:
    accepted = {**drawn("person", (32, 24, 96, 120), SIZE), "origin": "prediction", "score": 0.7}
    got = answer([accepted, drawn("car", (0, 0, 160, 120), SIZE)])
    assert got.boxes == [
        Box("person", pytest.approx((32, 24, 96, 120)), "prediction", 0.7),
        Box("car", pytest.approx((0, 0, 160, 120)), "manual", None),
    ]
    assert (got.key, got.author, got.external_id, got.external_task_id) == ("k1", "a@b", 5, 9)
    assert got.created_at == datetime(2026, 5, 1, 10, 0, 0, 500000, tzinfo=UTC)
    assert got.updated_at == datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
    assert (got.lead_time_s, got.cancelled, got.unknown_classes) == (2.5, False, ())


BARE = {
    name: value
    for name, value in drawn("person", (40.0, 50.0, 120.0, 170.0), (320, 240)).items()
    if name != "origin"
}


@pytest.mark.parametrize(
    ("more", "origin", "unseen"),
    [
        ({"lead_time": None, "parent_prediction": 7}, "prediction", True),
        ({"lead_time": 0, "parent_prediction": 7}, "prediction", True),
        ({"lead_time": 2.5, "parent_prediction": 7}, "manual", False),
        ({"lead_time": None, "parent_annotation": 8}, "manual", True),
        ({"lead_time": None, "import_id": 3}, "manual", True),
        ({"lead_time": 2.5, "import_id": 3}, "manual", False),
        ({"lead_time": None}, "manual", False),
    ],
)
def test_what_nobody_took_a_second_for_is_unseen(more: dict[str, Any], origin: str, unseen: bool) -> None:
    given = answer([BARE], **more)
    assert [box.origin for box in given.boxes] == [origin]
    assert (given.unseen, given.ground_truth) == (unseen, False)


def test_what_a_person_marked_as_the_right_one_is_known() -> None:
    assert answer([], ground_truth=True).ground_truth


def test_skipped_and_empty_are_told_apart() -> None:
    assert (answer([], was_cancelled=True).cancelled, answer([]).cancelled) == (True, False)
    assert answer([], lead_time=None).lead_time_s is None


@pytest.mark.parametrize(
    ("region", "named"),
    [
        (drawn("hard hat", (0, 0, 10, 10), SIZE), "hard hat"),
        (drawn("car", (0, 0, 10, 10), SIZE, rotation=30), "[rotated car]"),
        ({**drawn("car", (0, 0, 10, 10), SIZE), "image_rotation": 90}, "[rotated car]"),
        ({"type": "polygonlabels", "value": {"points": [], "polygonlabels": ["car"]}}, "[polygonlabels]"),
        ({"type": "rectangle", "value": {"x": 1, "y": 1, "width": 5, "height": 5}}, "[box without a class]"),
        (
            {"type": "rectanglelabels", "value": {"rectanglelabels": ["car", "person"]}},
            "[box with several classes]",
        ),
    ],
)
def test_what_is_no_box_of_our_classes_is_reported(region: dict[str, Any], named: str) -> None:
    got = answer([region, drawn("person", (0, 0, 10, 10), SIZE)])
    assert got.unknown_classes == (named,)
    assert [box.class_name for box in got.boxes] == ["person"]
    assert got.result[0] == region


def spoiled(**value: Any) -> dict[str, Any]:
    """A car's box with other values."""
    region = drawn("car", (32, 24, 64, 48), SIZE)
    return region | {"value": region["value"] | value}


def without(name: str) -> dict[str, Any]:
    region = spoiled()
    del region["value"][name]
    return region


@pytest.mark.parametrize(
    ("region", "named"),
    [
        (without("x"), "[car box whose x is missing; expected a number]"),
        (spoiled(x=None), "[car box whose x is None; expected a number]"),
        (spoiled(y="abc"), "[car box whose y is 'abc'; expected a number]"),
        (
            spoiled(width=float("nan"), height=True),
            "[car box whose width is nan, height is True; expected a number]",
        ),
        (spoiled(x=-(10**400)), f"[car box whose x is -{'1' + 38 * '0'}; expected a number]"),
        (spoiled(x={"a": 1}), "[car box whose x is {'a': 1}; expected a number]"),
        (spoiled(rectanglelabels=[None]), "[box whose class is no name]"),
        (spoiled(rectanglelabels=[["car"]]), "[box whose class is no name]"),
        (spoiled(rectanglelabels="car"), "[box whose class is no name]"),
        ({**spoiled(), "value": "all of it"}, "[region without a value]"),
        ({**spoiled(), "value": None}, "[region without a value]"),
        ({"type": ["rectanglelabels"], "value": {}}, "[['rectanglelabels']]"),
    ],
)
def test_a_malformed_box_is_named_and_spoils_nothing_else(region: dict[str, Any], named: str) -> None:
    got = answer([region, drawn("person", (0, 0, 10, 10), SIZE)])
    assert got.unknown_classes == (named,)
    assert [box.class_name for box in got.boxes] == ["person"]


def test_what_is_no_region_at_all_is_named_too() -> None:
    rubbish: Any = ["a box", None, 7]
    assert answer(rubbish).unknown_classes == ("[region that is no object]",)
    unsized = parse_annotation(
        {"id": 1, "created_at": "2026-05-01", "updated_at": "2026-05-01", "result": [spoiled()]},
        {"id": 2, "data": {KEY: "k", "width": 0, "height": "tall"}},
        ("car",),
        "a@b",
    )
    assert unsized.boxes[0].xyxy == pytest.approx((32, 24, 64, 48))
    bare = spoiled()
    del bare["original_width"]
    unsized = parse_annotation(
        {"id": 1, "created_at": "2026-05-01", "updated_at": "2026-05-01", "result": [bare]},
        {"id": 2, "data": {KEY: "k"}},
        ("car",),
        "a@b",
    )
    assert unsized.unknown_classes == ("[box on an image of unknown size]",)


@pytest.mark.parametrize(
    ("numbers", "at"),
    [
        ({"width": 0}, "x 10, y 10, width 0, height 10"),
        ({"width": -5}, "x 10, y 10, width -5, height 10"),
        ({"x": 100}, "x 100, y 10, width 10, height 10"),
        ({"y": -30.5}, "x 10, y -30.5, width 10, height 10"),
        ({"height": 1e-6}, "x 10, y 10, width 10, height 1e-06"),
        ({"height": 0.08}, "x 10, y 10, width 10, height 0.08"),
    ],
)
def test_a_box_without_area_is_named_and_never_makes_a_background(numbers: dict[str, float], at: str) -> None:
    got = answer([spoiled(**numbers)])
    assert got.boxes == []
    assert got.unknown_classes == (f"[car box without area inside the image: {at} (percent)]",)


def test_a_thin_box_is_a_box() -> None:
    got = answer([spoiled(height=0.09)])
    assert got.boxes[0].xyxy == pytest.approx((32, 24, 64, 24.216))
    assert got.unknown_classes == ()


def test_a_score_that_is_no_number_is_no_confidence() -> None:
    got = answer([{**spoiled(), "score": "high", "origin": ["prediction"]}], lead_time="long")
    assert (got.boxes[0].confidence, got.boxes[0].origin, got.lead_time_s) == (None, "manual", None)


def test_a_teams_own_choices_do_not_spoil_an_answer() -> None:
    choice = {"type": "choices", "value": {"choices": ["blurred"]}}
    assert answer([choice, drawn("car", (0, 0, 9, 9), SIZE)]).unknown_classes == ()


def test_times_are_written_as_the_filters_want_them() -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(time) == "2026-01-02T02:04:05.000006Z"
    assert parse_time(format_time(time)) == time
