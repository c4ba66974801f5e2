from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from loop.base.errors import ConfigError
from loop.math.coverage.facets import measured_facets, prompt_facet
from loop.math.coverage.frame_arrays import Named
from loop.math.coverage.prompts import (
    Assignment,
    assign,
    option_vectors,
    similarities,
    smooth_by_sequence,
)
from loop.settings.conditions import Bin, PromptGroup, load_conditions, parse_conditions

TIME = PromptGroup("time", ("day", "night"), (("by day",), ("at night", "in the dark")), none_below=0.6)
TEXTS = {
    "by day": np.array([1, 0, 0], dtype=np.float32),
    "at night": np.array([0, 1, 0], dtype=np.float32),
    "in the dark": np.array([0, 0.8, 0.6], dtype=np.float32),
    "anything": np.array([0, 0, 1], dtype=np.float32),
}


def test_the_built_in_file_holds() -> None:
    conditions = load_conditions()
    assert [group.name for group in conditions.groups] == [
        "time of day",
        "weather",
        "camera view",
        "image quality",
    ]
    assert "a photo taken at night" in conditions.sentences()
    assert len(set(conditions.sentences())) == len(conditions.sentences())
    assert {bin_.name: bin_.measure for bin_ in conditions.bins} == {
        "dark": "brightness",
        "glaring": "brightness",
        "flat": "contrast",
        "foggy": "haze",
        "blurry": "sharpness",
        "motion blur": "motion",
        "noisy": "noise",
        "compressed": "compression",
        "dirty lens": "dirt",
    }
    assert all(bin_.per_camera for bin_ in conditions.bins)
    assert conditions.metadata == ("camera", "site", "daypart")


def test_a_condition_is_added_by_one_sentence(tmp_path: Path) -> None:
    document = yaml.safe_load("prompts: {air: {options: {clear: a photo in clear air}}}")
    document["prompts"]["air"]["options"]["dust"] = "a photo of a scene full of dust"
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(document))
    group = load_conditions(mine).groups[0]
    assert group.options == ("clear", "dust")
    assert group.prompts[1] == ("a photo of a scene full of dust",)


def broken(path: str, value: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "prompts": {"air": {"options": {"clear": "clear air", "dust": "dusty air"}}},
        "measured": {"dark": {"of": "brightness", "below": 0.01}},
        "metadata": ["camera"],
        "dayparts": {"night": [21, 6]},
    }
    *parents, last = path.split("/")
    place = document
    for key in parents:
        place = place[key]
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("promts", {}, r"c.yaml: expected the keys prompts, .*, got 'promts'; nearest valid: prompts"),
        ("prompts/air/option", 1, r"prompts.air: expected the keys .*, got 'option'; nearest valid: options"),
        (
            "prompts/air/options",
            ["clear"],
            r"prompts.air.options: expected names with values, got \['clear'\]",
        ),
        ("prompts/air/options", {"clear": "clear air"}, "expected at least two options"),
        (
            "prompts/air/options/dust",
            5,
            "prompts.air.options.dust: expected a sentence or a list of sentences, got 5",
        ),
        ("prompts/air/options/dust", [""], "prompts.air.options.dust: expected a sentence, got ''"),
        ("prompts/air/none_below", 2, "prompts.air.none_below: expected a number from 0 to 1, got 2"),
        ("prompts/air/background", [], "prompts.air.background: expected a sentence"),
        ("measured/dark/of", "brightnes", r"measured.dark.of: expected one of .*; nearest valid: brightness"),
        ("measured/dark/above", 0.9, "measured.dark: expected either below or above"),
        ("measured/dark/below", "low", "measured.dark.below: expected a number from 0 to 1, got 'low'"),
        ("measured/dark/per_camera", 1, "measured.dark.per_camera: expected true or false, got 1"),
        ("metadata", ["camra"], r"metadata: expected one of .*, got 'camra'; nearest valid: camera"),
        ("metadata", "camera", "metadata: expected a list"),
        ("dayparts/night", [21], r"dayparts.night: expected two hours \[from, to\], got \[21\]"),
        ("dayparts/night", [21, 25], "dayparts.night: expected a number from 0 to 24, got 25"),
    ],
)
def test_errors_name_the_key(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_conditions(broken(path, value), "c.yaml")


def test_files_that_name_what_was_measured_before_go_on_working() -> None:
    found = parse_conditions(
        {
            "measured": {
                "dark": {"of": "brightness", "below": 0.01},
                "flat": {"of": "contrast", "below": 0.01, "per_camera": True},
                "blurry": {"of": "sharpness", "below": 0.01, "per_camera": True},
                "blocky": {"of": "blockiness", "above": 0.99},
            }
        }
    )
    assert [bin_.measure for bin_ in found.bins] == ["brightness", "contrast", "sharpness", "blockiness"]


def test_unreadable_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a readable file, got .*none.yaml"):
        load_conditions(tmp_path / "none.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [")
    with pytest.raises(ConfigError, match=r"bad.yaml: expected YAML"):
        load_conditions(bad)


def asked(
    images: np.ndarray,
    group: PromptGroup,
    unlike: np.ndarray | None = None,
    scale: float = 10,
    texts: dict[str, Any] = TEXTS,
) -> Assignment:
    similar = similarities(images.astype(np.float32), option_vectors(group, texts))
    return assign(similar, group, scale, unlike)


def test_prompts_of_an_option_are_averaged() -> None:
    day, night = option_vectors(TIME, TEXTS)
    np.testing.assert_allclose(day, [1, 0, 0])
    np.testing.assert_allclose(night, np.array([0, 1.8, 0.6]) / np.hypot(1.8, 0.6))


def test_assignment_by_hand_with_none_of_these() -> None:
    images = np.array([[1, 0, 0], [0, 1, 0], [0.7, 0.714, 0]], dtype=np.float32)
    found = asked(images, TIME)
    assert found.option.tolist() == [0, 1, -1], "the third is neither: both near .5"
    night = 1.8 / np.hypot(1.8, 0.6)
    assert found.probability[0, 0] == pytest.approx(1 / (1 + np.exp(-10)), rel=1e-5)
    assert found.probability[1, 1] == pytest.approx(1 / (1 + np.exp(-10 * night)), rel=1e-5)


def test_a_background_takes_what_is_nearer_to_it() -> None:
    group = PromptGroup("time", TIME.options, TIME.prompts, none_below=0.0, background=("anything",))
    images = np.array([[0, 0, 1], [1, 0, 0]], dtype=np.float32)
    assert asked(images, group).option.tolist() == [-1, 0]


def test_of_an_unlike_frame_texts_say_nothing_however_near_they_are() -> None:
    images = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    lenient = PromptGroup("time", TIME.options, TIME.prompts, none_below=0.0)
    found = asked(images, lenient, np.array([False, True]))
    assert found.option.tolist() == [0, -1]
    assert found.probability[1].tolist() == [0, 0]


@pytest.mark.parametrize(("strange", "option"), [(1, 0), (2, -1)])
def test_a_sequence_of_mostly_unlike_frames_is_none_of_these(strange: int, option: int) -> None:
    images = np.tile(np.array([[1, 0, 0]], dtype=np.float32), (3, 1))
    alone = asked(images, TIME, np.arange(3) < strange)
    assert smooth_by_sequence(alone, TIME, np.zeros(3, np.int64)).option.tolist() == [option] * 3


def test_exchanging_two_texts_exchanges_their_shares() -> None:
    rng = np.random.default_rng(0)
    images = np.concatenate(
        [np.tile([1, 0.1, 0], (30, 1)), np.tile([0.1, 1, 0], (10, 1))]
    ) + 0.05 * rng.normal(size=(40, 3))
    swapped = TEXTS | {"by day": TEXTS["at night"], "at night": TEXTS["by day"]}
    group = PromptGroup("time", ("day", "night"), (("by day",), ("at night",)))
    assert np.bincount(asked(images, group, scale=100).option).tolist() == [30, 10]
    assert np.bincount(asked(images, group, scale=100, texts=swapped).option).tolist() == [10, 30]


def test_a_sequence_decides_together() -> None:
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.3, 0.7]])
    single = Assignment(probability.argmax(axis=1), probability)
    voted = smooth_by_sequence(single, TIME, np.array([4, 4, 4, -1]))
    assert voted.option.tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(voted.probability[:3], [[2 / 3, 1 / 3]] * 3)
    alone = smooth_by_sequence(single, TIME, np.full(4, -1))
    np.testing.assert_array_equal(alone.probability, probability)


def test_prompt_facet_orders_by_probability() -> None:
    probability = np.array([[0.9, 0.1], [0.2, 0.8]])
    facet = prompt_facet(
        TIME, Assignment(np.array([0, 1]), probability), Assignment(np.array([0]), probability[:1])
    )
    assert facet.options == ("day", "night")
    np.testing.assert_allclose(facet.strength, [0.9, 0.8])


def test_measured_bins_are_relative_to_the_training_set() -> None:
    training = {"brightness": np.linspace(0.3, 0.7, 101)}
    production = {"brightness": np.array([0.1, 0.5, 0.9, np.nan])}
    bins = [Bin("dark", "brightness", "below", 0.01), Bin("glaring", "brightness", "above", 0.99)]
    dark, glaring = measured_facets(bins, production, training, Named.of(["c"] * 4), Named.of(["c"] * 101))
    assert dark.production.tolist() == [0, -1, -1, -2]
    assert glaring.production.tolist() == [-1, -1, 0, -2]
    assert (dark.training == 0).sum() == 1
    np.testing.assert_allclose(dark.strength, [0.204, -0.196, -0.596, 0], atol=1e-9)


def test_sharpness_is_compared_within_a_camera() -> None:
    training = {"sharpness": np.r_[np.linspace(0.9, 1.1, 50), np.linspace(0.2, 0.3, 50)]}
    camera = ["clear"] * 50 + ["soft"] * 50
    production = {"sharpness": np.array([0.5, 0.25, 0.25])}
    blurry = Bin("blurry", "sharpness", "below", 0.01, per_camera=True)
    facet = measured_facets(
        [blurry], production, training, Named.of(["clear", "soft", "new"]), Named.of(camera)
    )[0]
    assert facet.production.tolist() == [0, -1, -1]
    globally = Bin("blurry", "sharpness", "below", 0.01)
    assert (
        measured_facets(
            [globally], production, training, Named.of(["clear", "soft", "new"]), Named.of(camera)
        )[0].production[0]
        == -1
    )


def test_frames_of_unknown_cameras_count_as_one_camera() -> None:
    training = {"sharpness": np.r_[np.linspace(0.9, 1.1, 50), np.linspace(0.2, 0.3, 50)]}
    blurry = Bin("blurry", "sharpness", "below", 0.01, per_camera=True)
    camera = [None] * 50 + ["soft"] * 50
    (facet,) = measured_facets(
        [blurry], {"sharpness": np.array([0.5, 0.25])}, training, Named.of([None, "soft"]), Named.of(camera)
    )
    assert facet.production.tolist() == [0, -1]


def test_a_measurement_that_one_side_lacks_is_left_out() -> None:
    bins = [Bin("dark", "brightness", "below", 0.01)]
    assert measured_facets(bins, {}, {"brightness": np.ones(3)}, Named.of([]), Named.of(["c"] * 3)) == []
    assert (
        measured_facets(
            bins,
            {"brightness": np.ones(1)},
            {"brightness": np.full(3, np.nan)},
            Named.of(["c"]),
            Named.of(["c"] * 3),
        )
        == []
    )


def test_a_condition_called_otherwise_keeps_its_id() -> None:
    found = parse_conditions(
        {
            "prompts": {
                "hour": {
                    "id": "time of day",
                    "options": {
                        "day": "by day",
                        "nighttime": {"id": "night", "sentences": ["at night", "dark"]},
                    },
                }
            },
            "measured": {"gloomy": {"of": "brightness", "below": 0.01, "id": "dark"}},
            "dayparts": {"late": {"id": "evening", "hours": [16, 21]}, "morning": [6, 10]},
        }
    )
    (group,) = found.groups
    assert group.options == ("day", "nighttime")
    assert group.ids == ("time of day", "day", "night")
    assert group.prompts[1] == ("at night", "dark")
    assert [bin_.id for bin_ in found.bins] == ["dark"]
    assert found.dayparts == (("late", 16, 21), ("morning", 6, 10))
    assert found.daypart_ids == {"late": "evening", "morning": "morning"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {"prompts": {"time": {"options": {"a": "x", "b": {"id": "a", "sentences": "y"}}}}},
            "an id for each condition, got 'a'",
        ),
        (
            {"prompts": {"camera": {"options": {"a": "x", "b": "y"}}}},
            "another name than camera, .*, got 'camera'",
        ),
        (
            {"prompts": {"time": {"options": {"a": "x", "b": {"id": "b"}}}}},
            "a sentence or a list of sentences, got None",
        ),
        (
            {"prompts": {"time": {"options": {"a": "x", "b": {"id": 7, "sentences": "y"}}}}},
            "a short text .*, got 7",
        ),
        ({"dayparts": {"late": {"id": "x"}}}, r"two hours \[from, to\], got None"),
    ],
)
def test_ids_that_could_be_mistaken_are_refused(document: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_conditions(document)
