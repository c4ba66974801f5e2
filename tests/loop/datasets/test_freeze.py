"""Splits that tear nothing apart, and manifests that are named by what they hold."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.datasets.freeze import check_trainable, freeze, label_hash, read_manifest, summary
from loop.datasets.imported import DatasetError
from loop.datasets.units import EXCLUDED, Item, split_groups, units
from tests.loop.datasets.making import item

CLASSES = ("person", "car")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def days(count: int, frames: int = 4, **options) -> list[Item]:
    return [
        item(day * frames + n, group=f"cam|{day}", **options) for day in range(count) for n in range(frames)
    ]


def test_a_camera_day_lies_on_one_side() -> None:
    items = days(40)
    sides = split_groups(items, {"train": 0.8, "val": 0.2})
    for day in range(40):
        assert len({sides[i.frame] for i in items if i.group == f"cam|{day}"}) == 1
    assert 4 * 3 <= sum(s == "val" for s in sides.values()) <= 4 * 14


def test_splits_are_repeatable_and_stay_while_the_data_grow() -> None:
    items = days(40)
    mixed = random.Random(1).sample(items, len(items))
    assert split_groups(items) == split_groups(mixed)
    grown = split_groups(days(80))
    assert all(grown[frame] == side for frame, side in split_groups(items).items())
    assert split_groups(items, seed=1) != split_groups(items)


def test_no_side_stays_empty_when_two_units_are_there() -> None:
    for seed in range(20):
        assert set(split_groups(days(2), seed=seed).values()) == {"train", "val"}
    assert len(set(split_groups(days(1)).values())) == 1


def test_evaluation_never_trains_and_takes_its_camera_day_along() -> None:
    items = days(10)
    items[5] = replace(items[5], purpose="evaluation")
    sides = split_groups(items)
    assert {sides[frame] for frame in (4, 5, 6, 7)} == {"test"}
    assert split_groups(items, evaluation="val")[4] == "val"


def test_imported_splits_are_kept() -> None:
    items = days(10)
    items[0], items[4] = replace(items[0], split="val"), replace(items[4], split="test")
    sides = split_groups(items)
    assert (sides[1], sides[5]) == ("val", "test")


def test_a_near_duplicate_of_a_held_out_frame_does_not_train() -> None:
    items = days(12)
    items[0] = replace(items[0], purpose="evaluation", cluster=3)
    items[20] = replace(items[20], cluster=3)
    sides = split_groups(items, {"train": 1.0})
    assert (sides[0], sides[20], sides[21]) == ("test", EXCLUDED, "train")
    manifest = freeze(items, CLASSES, sides, {})
    assert 20 not in {e.frame for e in manifest.entries}
    assert manifest.dropped == (
        (20, "frame left out: a near-duplicate of it lies on another side of the split"),
    )


def test_near_duplicates_of_imported_splits_stay_where_most_are() -> None:
    items = [item(n, group=f"imported:{n}", split="val" if n == 2 else "train", cluster=1) for n in range(5)]
    items.append(item(9, group="imported:9", split="val"))
    sides = split_groups(items, {"train": 1.0})
    assert [sides[n] for n in (0, 1, 2, 3, 4, 9)] == ["train", "train", EXCLUDED, "train", "train", "val"]
    assert split_groups(items[1:3], {"train": 1.0}) == {1: EXCLUDED, 2: "val"}


def test_a_sequence_over_midnight_ties_two_days() -> None:
    late, early = NOON.replace(hour=23, minute=59), NOON + timedelta(hours=12, minutes=1)
    one = item(1, group="cam|24", sequence="s", captured_at=late)
    other = item(2, group="cam|25", sequence="s", captured_at=early)
    assert len(set(units([one, other]).values())) == 1
    assert len(set(units([one, replace(other, captured_at=early + timedelta(hours=2))]).values())) == 2
    assert len(set(units([one, replace(other, group="another|25")]).values())) == 2
    timeless = [replace(i, captured_at=None) for i in (one, other)]
    assert len(set(units(timeless).values())) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.booleans()), min_size=1, max_size=40))
def test_nothing_that_belongs_together_is_torn(rows: list[tuple[int, int, bool]]) -> None:
    items = [
        item(n, group=f"cam|{group}", cluster=cluster or None, purpose="evaluation" if held else "train")
        for n, (group, cluster, held) in enumerate(rows)
    ]
    sides = split_groups(items, {"train": 0.7, "val": 0.3})
    kept = [i for i in items if sides[i.frame] != EXCLUDED]
    assert all(sides[i.frame] == "test" for i in items if i.purpose == "evaluation")
    for tie in ("group", "cluster"):
        for name in {getattr(i, tie) for i in kept} - {None}:
            assert len({sides[i.frame] for i in kept if getattr(i, tie) == name}) == 1


def test_a_manifest_is_named_by_its_content() -> None:
    items = days(6)
    sides = split_groups(items)
    one = freeze(items, CLASSES, sides, {0: 3}, parent="p", rounds=[2], settings={"seed": 1})
    other = freeze(items[::-1], CLASSES, sides, {0: 3}, parent="p", rounds=[2], settings={"seed": 1})
    assert one.sha256 == other.sha256
    assert read_manifest(one.to_json()) == one
    moved = [replace(items[0], boxes=((0, 4.0, 4.0, 20.0, 25.0),)), *items[1:]]
    assert freeze(moved, CLASSES, sides, {0: 3}, parent="p", rounds=[2]).sha256 != one.sha256
    assert freeze(items, CLASSES, sides, {0: 3}).sha256 != one.sha256


def test_a_label_hash_follows_names_not_ids() -> None:
    boxes = [(0, 1.0, 1.0, 5.0, 5.0), (1, 2.0, 2.0, 6.0, 6.0)]
    swapped = [(1, 1.0, 1.0, 5.0, 5.0), (0, 2.0, 2.0, 6.0, 6.0)]
    assert label_hash(boxes, ("a", "b")) == label_hash(swapped[::-1], ("b", "a"))
    assert label_hash(boxes, ("a", "b")) != label_hash(boxes, ("a", "c"))


def test_boxes_are_clipped_and_bad_ones_listed() -> None:
    boxes = (
        (0, -3.0, 4.0, 20.0, 60.0),
        (0, 5.0, 5.0, 5.0, 9.0),
        (0, float("nan"), 1.0, 2.0, 3.0),
        (1, 1.0, 1.0, 9.0, 9.0),
        (1, 1.0, 1.0, 9.0, 9.0),
    )
    manifest = freeze([item(1, boxes=boxes)], CLASSES, {1: "train"}, {})
    assert manifest.entries[0].boxes == ((0, 0.0, 4.0, 20.0, 48.0), (1, 1.0, 1.0, 9.0, 9.0))
    assert sorted(what.rpartition(": ")[2] for _, what in manifest.dropped) == [
        "no area inside 64x48 px",
        "not finite",
        "the same box twice",
    ]


def test_repeats_count_in_training_only() -> None:
    items = days(3, frames=1)
    manifest = freeze(items, CLASSES, {0: "train", 1: "train", 2: "val"}, {0: 3, 1: 0, 2: 5})
    assert {e.frame: e.repeats for e in manifest.entries} == {0: 3, 2: 1}
    counts = summary(manifest)
    assert counts["images"] == {"train": 1, "val": 1}
    assert counts["passes"] == 3
    assert counts["boxes"]["train"] == {"person": 1, "car": 0}
    assert counts["untrained"] == ["car"]
    assert counts["units"] == 2


def test_what_must_not_be_frozen() -> None:
    one = item(1)
    with pytest.raises(DatasetError, match=r"expected each content once, got .* twice"):
        freeze([one, replace(one, frame=2)], CLASSES, {1: "train", 2: "train"}, {})
    with pytest.raises(DatasetError, match=r"frame 1: expected class ids 0\.\.1, got \[4\]"):
        freeze([item(1, boxes=((4, 1.0, 1.0, 9.0, 9.0),))], CLASSES, {1: "train"}, {})
    with pytest.raises(DatasetError, match=r"frame 1 is for evaluation and must not train"):
        freeze([replace(one, purpose="evaluation")], CLASSES, {1: "train"}, {})
    with pytest.raises(DatasetError, match=r"unit group:g lies in \['train', 'val'\]"):
        freeze([item(1, group="g"), item(2, group="g")], CLASSES, {1: "train", 2: "val"}, {})
    with pytest.raises(DatasetError, match="expected split fractions that sum to 1"):
        split_groups([one], {"train": 0.5})
    with pytest.raises(DatasetError, match="expected a dataset manifest, got KeyError"):
        read_manifest("{}")


def test_what_cannot_be_trained_on_is_answered_clearly() -> None:
    nothing = freeze([], CLASSES, {}, {})
    with pytest.raises(DatasetError, match="expected labeled frames, got none"):
        check_trainable(nothing)
    with pytest.raises(DatasetError, match=r"expected frames to train on, got none \(val 1\)"):
        check_trainable(freeze([item(1)], CLASSES, {1: "val"}, {}))
    with pytest.raises(DatasetError, match=r"whole camera-days and sequences lie on one side"):
        check_trainable(freeze([item(1)], CLASSES, split_groups([item(1)], {"train": 1.0}), {}))
    empty = [item(1, boxes=()), item(2, boxes=())]
    with pytest.raises(DatasetError, match="expected boxes in the 1 training frames, got none"):
        check_trainable(freeze(empty, CLASSES, {1: "train", 2: "val"}, {}))
    check_trainable(freeze([item(1), item(2)], ("person",), {1: "train", 2: "val"}, {}))
