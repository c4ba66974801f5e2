"""The labeling interface: what people see, and what is compared with it later."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from connectors.errors import LabelConfigMismatch
from connectors.label_studio.label_config import (
    compare,
    configured_classes,
    distinct_colors,
    label_config,
    tabs,
    valid_title,
)

CLASSES = ("person", "hard hat", "<b>\"x\" & 'y'</b>", "日本", "a,b", "$price", "two  blanks", "tab\tbed")


def parsed(labels: tuple[str, ...], **changes: object) -> dict[str, object]:
    return {"label": {"type": "RectangleLabels", "to_name": ["image"], "labels": list(labels), **changes}}


def test_every_class_name_survives_the_xml() -> None:
    labels = ElementTree.fromstring(label_config(CLASSES)).findall(".//Label")
    assert tuple(label.get("value") for label in labels) == CLASSES


def test_the_sdk_reads_the_config_and_its_classes() -> None:
    interface = LabelInterface(label_config(CLASSES))
    assert tuple(interface.get_control("label").labels) == CLASSES
    assert interface.get_control("label").tag == "RectangleLabels"


def test_the_labeler_sees_reason_priority_place_time_and_file() -> None:
    headers = [
        header.get("value") for header in ElementTree.fromstring(label_config(["a"])).findall("Header")
    ]
    assert headers == [
        "$reason",
        "priority $priority\u2003$site\u2003$camera\u2003$captured_at\u2003$file\u2003$slices",
    ]


@given(st.integers(1, 200))
def test_colors_are_distinct(count: int) -> None:
    colors = distinct_colors(count)
    assert len(set(colors)) == count
    assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in colors)


@pytest.mark.parametrize(("classes", "named"), [([], "no class"), (["a", "a "], "'a'"), (["a", "  "], "''")])
def test_names_that_nobody_can_tell_apart_are_refused(classes: list[str], named: str) -> None:
    with pytest.raises(LabelConfigMismatch, match=r"expected at least one class and distinct") as caught:
        label_config(classes)
    assert f"got {named}" in str(caught.value)
    assert "next: mend the names" in str(caught.value)


@pytest.mark.parametrize(
    ("title", "valid"),
    [
        ("Gate 7", "Gate 7"),
        ("ab", "ab fieldloop"),
        ("", "fieldloop"),
        ("  a \n b ", "a b"),
        ("x" * 60, "x" * 49 + "…"),
    ],
)
def test_titles_fit_label_studio(title: str, valid: str) -> None:
    assert valid_title(title) == valid
    assert 3 <= len(valid) <= 50


def test_tabs_show_the_most_valuable_first_by_number() -> None:
    first = tabs()[0]
    assert first["ordering"] == ["-tasks:data.priority"]
    assert first["columnsDisplayType"] == {"tasks:data.priority": "Number"}


def test_the_same_and_further_classes_are_no_mismatch() -> None:
    compare(parsed(("a", "b", "unsure")), ["b", "a"], "project 1")
    assert configured_classes(parsed(("a", "b"))) == ("a", "b")


def test_a_renamed_class_is_named_with_what_stands_there_instead() -> None:
    with pytest.raises(LabelConfigMismatch) as caught:
        compare(parsed(("person", "hard hat")), ["person", "helmet"], "project 7 at http://ls")
    assert (
        str(caught.value)
        == "expected the detector's classes in the label config of project 7 at http://ls, got a config"
        " without 'helmet', and 'hard hat' instead; next: where labelers call 'helmet' 'hard hat', set"
        " labels.class_names: {helmet: hard hat} in fieldloop.yaml; otherwise rename or add 'helmet' under"
        " Settings > Labeling Interface"
    )


@pytest.mark.parametrize(
    "config", [{}, {"other": {}}, parsed(("a",), type="PolygonLabels"), parsed(("a",), to_name=["picture"])]
)
def test_a_config_without_our_control_is_a_mismatch(config: dict[str, object]) -> None:
    with pytest.raises(
        LabelConfigMismatch, match=r'expected a RectangleLabels control "label" on the image "image"'
    ):
        compare(config, ["a"], "project 1")
