from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from loop.math.coverage.facets import UNKNOWN, Facet, by_daypart, metadata_facet
from loop.math.coverage.frame_arrays import Named
from loop.math.coverage.frame_slices import frame_slices_of
from loop.math.coverage.gaps import (
    Candidate,
    LabeledScores,
    Reference,
    candidates_of,
    class_candidates,
    rank_gaps,
    spread_examples,
    suspicion_limit,
)
from loop.math.coverage.overlap import merge_overlapping
from loop.settings.settings import load_settings

USUAL = load_settings(None).gaps
ranked = partial(rank_gaps, min_share=USUAL.min_share, max_share=USUAL.max_share)


TRAINING = np.arange(1000)
"""The groups of as many training images, that came one by one."""
ALL = np.ones(1000, dtype=bool)


def candidate(name: str, inside: np.ndarray, training_share: float = 0.0, **more: object) -> Candidate:
    ones = np.ones(len(inside))
    there = Reference(np.arange(1000) < 1000 * training_share, ALL, TRAINING)
    made = Candidate(name, "prompt", inside, ones.astype(bool), ones, training_share, there)
    return replace(made, **more)  # type: ignore[arg-type]


def conditions(facet: Facet, imported: int = 0) -> list[Candidate]:
    """imported: how many of the training images came with the set, the first."""
    size = len(facet.training)
    return candidates_of(facet, np.arange(size), np.arange(size) < imported)


def labeled(scores: np.ndarray, has: np.ndarray, production: bool = False) -> LabeledScores:
    size = len(scores)
    return LabeledScores(scores[:, None], has[:, None], np.arange(size), np.full(size, production))


NOBODY = labeled(np.zeros(0), np.zeros(0, dtype=bool))


def rows(size: int, *chosen: int) -> np.ndarray:
    inside = np.zeros(size, dtype=bool)
    inside[list(chosen)] = True
    return inside


@pytest.mark.parametrize("seed", range(40))
def test_a_planted_gap_ranks_first(seed: int) -> None:
    """3 % night that training lacks, among conditions that both sides show alike up to chance."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(40), 50)
    weather, training_weather = rng.integers(0, 12, 2000), rng.integers(0, 12, 1000)
    night = np.isin(np.arange(2000) // 10, rng.choice(200, 6, replace=False))
    facets = [
        Facet(
            "weather", "prompt", tuple(f"w{i}" for i in range(12)), weather, training_weather, np.ones(2000)
        ),
        Facet("time", "prompt", ("night",), np.where(night, 0, -1), np.full(1000, -1), np.ones(2000)),
    ]
    loss = np.where(night, 0.8, 0.2) + 0.05 * rng.normal(size=2000)
    gaps = ranked([c for facet in facets for c in conditions(facet)], group, loss)
    assert gaps[0].name == "time: night"
    assert {gap.name for gap in gaps if gap.shown} <= {"time: night"}
    assert gaps[0].production_share == pytest.approx(0.03)
    assert gaps[0].interval is None or gaps[0].interval[0] < 0.03 < gaps[0].interval[1]
    assert night[gaps[0].frames].all()


def test_numbers_and_sentence_by_hand() -> None:
    inside = rows(100, 0, 1, 50)
    loss = np.where(inside, 0.79, 0.22)
    gap = ranked([candidate("time: night", inside)], np.arange(100) // 10, loss)[0]
    assert gap.why == (
        "time: night: 3.0 % of production, 0.0 % of training; errors expected there 79 %, elsewhere 22 %"
    )
    assert (gap.deficit, gap.groups) == (pytest.approx(0.03), 2)
    assert gap.score == pytest.approx(0.03 * (0.79 - 0.22))
    assert gap.shown, "of a thousand images that came one by one none shows it"
    assert gap.interval is None, "two camera-days do not tell how common it is"


def test_few_labeled_frames_do_not_speak_for_an_imported_set_that_does_not_say_its_cameras() -> None:
    """Production has four cameras alike. 75 frames were labeled after 1,500 imported ones of which
    the camera is not known; the night that is lacking in all of them must not come after the
    cameras that the 75 happen to show less.
    """
    cameras = Facet(
        "camera",
        "metadata",
        ("a", "b", "c", "d"),
        np.arange(2000) % 4,
        np.concatenate([np.full(1500, UNKNOWN), np.repeat([0, 1, 2, 3], [25, 25, 15, 10])]),
        np.ones(2000),
    )
    night = np.isin(np.arange(2000) // 10, np.arange(3, 200, 33))
    loss, group = np.where(night, 0.6, 0.2), np.arange(2000) // 50
    both = [*conditions(cameras, imported=1500), candidate("time: night", night)]
    assert [gap.name for gap in ranked(both, group, loss, max_share=0.5)] == ["time: night"]
    told = replace(cameras, training=np.concatenate([np.full(500, UNKNOWN), cameras.training[500:]]))
    told.training[500:1500] = np.arange(1000) % 3
    (few,) = ranked(conditions(told, imported=1500), group, loss, max_share=0.5)
    assert few.name == "camera: d"
    assert few.training_known == pytest.approx(1075 / 1575)
    assert "25.0 % of production, 0.9 % of training as far as known (68.3 % of it)" in few.why
    alone = replace(told, training=told.training[500:])
    (whole,) = ranked(conditions(alone, imported=1000), group, loss, max_share=0.5)
    assert few.score == pytest.approx(1075 / 1575 * whole.score)
    assert "0.9 % of training;" in whole.why
    nearly = replace(told, training=np.concatenate([np.full(800, UNKNOWN), told.training[800:]]))
    assert conditions(nearly, imported=1500) == [], "less than half of the imported images say it"


def test_what_is_no_gap() -> None:
    group, loss = np.arange(100), np.full(100, 0.5)
    assert ranked([candidate("alike", rows(100, *range(10)), 0.08)], group, loss) == []
    assert ranked([candidate("frequent", rows(100, *range(30)), 0.08)], group, loss) == []
    assert ranked([candidate("rare", rows(1000, 1))], np.arange(1000), np.ones(1000)) == []
    assert ranked([candidate("absent", rows(100))], group, loss) == []


def test_what_training_hardly_knows_is_a_gap_however_large() -> None:
    night = candidate("night", rows(100, *range(42)), 0.02)
    assert [gap.name for gap in ranked([night], np.arange(100), np.ones(100))] == ["night"]


def test_the_blinder_of_two_equal_gaps_comes_first() -> None:
    seen, unseen = rows(100, *range(5)), rows(100, *range(50, 55))
    loss = np.where(unseen, 0.9, 0.2)
    gaps = ranked([candidate("seen", seen), candidate("unseen", unseen)], np.arange(100), loss)
    assert [gap.name for gap in gaps] == ["unseen", "seen"]


def test_unknown_frames_count_in_no_share() -> None:
    facet = metadata_facet("camera", Named.of(["a", "a", "b", None]), Named.of(["a", "a", "", None, "c"]))
    assert facet.production.tolist() == [0, 0, 1, -2]
    assert facet.training.tolist() == [0, 0, -2, -2, -1]
    a, b = conditions(facet)
    assert (a.training_share, b.training_share) == (pytest.approx(2 / 3), 0)
    assert b.known.tolist() == [True, True, True, False]
    gap = ranked([b], np.arange(4), np.ones(4))[0]
    assert gap.production_share == pytest.approx(1 / 3)


def test_where_nothing_is_known_of_training_nothing_is_claimed() -> None:
    assert conditions(metadata_facet("camera", Named.of(["a", "b"]), Named.of([None, ""]))) == []


def test_parts_of_the_day_may_pass_midnight() -> None:
    parts = [("night", 21.0, 6.0), ("noon", 11.0, 13.0)]
    hours = np.array([23, 5.9, 6, 12, np.nan])
    assert by_daypart(hours, parts).listed() == ["night", "night", None, "noon", None]


def test_examples_take_turns_over_groups() -> None:
    strength = np.array([0.9, 0.8, 0.7, 0.95, 0.1])
    group = np.array([5, 5, 5, 2, 2])
    assert spread_examples(np.arange(5), strength, group).tolist() == [3, 0, 4, 1, 2]
    assert spread_examples(np.zeros(0, np.int64), strength, group).tolist() == []


def forklifts(scores: np.ndarray, boxes: int, known: LabeledScores) -> list[Candidate]:
    return class_candidates(["forklift"], np.array([boxes]), np.array([4]), 600, scores[:, None], known)


def test_a_class_with_few_boxes_that_the_detector_suspects() -> None:
    scores = np.full((1000, 2), 0.01)
    scores[:, 0] = 0.9
    scores[[3, 77, 205, 401, 800], 1] = [0.2, 0.4, 0.3, 0.35, 0.25]
    two = LabeledScores(np.zeros((0, 2)), np.zeros((0, 2), bool), np.zeros(0, np.int64), np.zeros(0, bool))
    found = class_candidates(["person", "forklift"], np.array([900, 5]), np.array([500, 4]), 600, scores, two)
    assert [c.name for c in found] == ["class: forklift"]
    loss = np.full(1000, 0.2)
    loss[[3, 77, 205, 401, 800]] = 0.7
    gap = ranked(found, np.arange(1000) // 4, loss)[0]
    assert gap.frames.tolist() == [77, 401, 205, 800, 3]
    assert gap.deficit == pytest.approx(0.02 * 0.95), "suspected in .5 %, taken to be 2 %"
    assert gap.why == (
        "forklift: suspected in 0.5 % of production and in 0.0 % of labeled frames without it, 5 boxes in"
        " training; errors expected there 70 %, elsewhere 20 %"
    )
    assert not gap.shown
    slices = frame_slices_of([gap], 1000)
    assert slices.sure[[77, 401, 205, 800, 3]].tolist() == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])


def test_a_class_that_is_not_there_is_no_gap() -> None:
    """The detector is wrong in .5 % of frames, in production as in what people looked at."""
    listed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scores, known = np.where(rng.random((2, 2000)) < 0.005, 0.3, 0.01)
        alarms = labeled(known, np.zeros(2000, dtype=bool))
        listed += len(ranked(forklifts(scores, 5, alarms), np.arange(2000) // 40, np.ones(2000)))
    assert listed <= 15


def test_a_class_that_people_found_in_production_is_shown() -> None:
    scores = np.where(np.arange(1000) % 40 == 0, 0.3, 0.01)
    for frames, shown in ((2, True), (1, False)):
        people = labeled(np.full(600, 0.01), np.arange(600) < frames, production=True)
        (gap,) = ranked(forklifts(scores, 5, people), np.arange(1000) // 20, np.ones(1000))
        assert gap.shown == shown
    imported = labeled(np.full(600, 0.01), np.arange(600) < 2)
    (gap,) = ranked(forklifts(scores, 5, imported), np.arange(1000) // 20, np.ones(1000))
    assert not gap.shown, "those boxes are the few that it knows"


def test_classes_take_nothing_from_the_test_of_conditions() -> None:
    """Night is shown by seven of twelve camera-days, and by none of as many of training."""
    group = np.arange(240) // 20
    night = candidate("night", np.isin(group, (1, 2, 4, 5, 7, 9, 11)))
    there = Reference(np.zeros(240, bool), np.ones(240, bool), group)
    night = replace(night, reference=there)
    rare = [
        replace(night, name=f"class: {n}", kind="class", inside=group == 0, lacking=1.0) for n in range(40)
    ]
    found = ranked([night, *rare], group, np.ones(240), max_share=1.0)
    assert next(gap.shown for gap in found if gap.name == "night")


def test_few_suspected_frames_or_one_camera_day_are_no_class_gap() -> None:
    for suspects, group in ((4, np.arange(1000)), (9, np.zeros(1000, dtype=np.int64))):
        scores = np.where(np.arange(1000) < suspects, 0.9, 0.01)
        assert ranked(forklifts(scores, 5, NOBODY), group, np.ones(1000)) == []


def test_suspicion_goes_down_only_where_something_stands_out() -> None:
    flat = np.full(1000, 0.03)
    assert suspicion_limit(flat, 0.1) == 0.1
    peaked = np.where(np.arange(1000) < 20, 0.06, 0.002)
    assert suspicion_limit(peaked, 0.1) == pytest.approx(0.06)
    assert suspicion_limit(np.zeros(0), 0.1) == 0.1


def test_gaps_with_the_same_frames_become_one() -> None:
    group, loss = np.arange(100), np.ones(100)
    night, dark, other = rows(100, 1, 2, 3, 4), rows(100, 1, 2, 3), rows(100, 4, 5, 6)
    region = candidate("region 1", rows(100, 2, 3), kind="region")
    gaps = ranked(
        [candidate("night", night), candidate("dark", dark), candidate("other", other), region],
        group,
        loss,
    )
    merged = merge_overlapping(gaps, 100)
    assert {gap.name: gap.also for gap in merged} == {"night": ("dark", "region 1"), "other": ()}


def test_a_pure_region_does_not_vanish_in_a_mixed_gap() -> None:
    region = candidate("region 1", rows(100, *range(4)), kind="region")
    mixed = candidate("tilted", rows(100, *range(16)), 0.08)
    gaps = ranked([region, mixed], np.arange(100), np.where(np.arange(100) < 4, 0.9, 0.1))
    assert [gap.name for gap in merge_overlapping(gaps, 100)] == ["region 1", "tilted"]


def test_a_cause_names_the_gap_and_explains_its_symptoms() -> None:
    group, loss = np.arange(200), np.where(np.arange(200) < 12, 0.9, 0.1)
    dark = candidate("dark", rows(200, *range(6)), 0.01, kind="measured")
    night = candidate("night", rows(200, *range(1, 6)), 0.004)
    fog = candidate("fog", rows(200, *range(6, 12)), 0.004)
    blurry = candidate("blurry", rows(200, *range(13)), 0.01, kind="measured")
    gaps = ranked([dark, night, fog, blurry], group, loss)
    assert gaps[0].name == "blurry", "the broadest has the largest deficit"
    sure = [replace(gap, shown=True) for gap in gaps]
    assert [(gap.name, gap.also) for gap in merge_overlapping(sure, 200)] == [
        ("fog", ()),
        ("night", ("dark",)),
    ]
    unsure = [replace(gap, shown=gap.name == "blurry") for gap in gaps]
    assert [gap.name for gap in merge_overlapping(unsure, 200)] == ["blurry", "fog", "night"]


def test_a_gap_known_of_a_part_of_production_is_explained_by_others_alone() -> None:
    part = candidate("motion", rows(100, *range(6)), 0.04, known=np.arange(100) < 30)
    (gap,) = ranked([part], np.arange(100), np.ones(100))
    assert [each.name for each in merge_overlapping([gap], 100)] == ["motion"]


def test_what_worse_gaps_explain_is_left_out() -> None:
    blind = np.where(np.arange(100) < 8, 0.9, 0.1)
    day = candidate("day", rows(100, *range(8)))
    compressed = candidate("compressed", rows(100, *range(4, 10)), 0.02)
    snow = candidate("snow", rows(100, 0, 1))
    gaps = ranked([day, compressed, snow], np.arange(100), blind)
    assert [gap.name for gap in gaps] == ["day", "compressed", "snow"]
    assert [gap.name for gap in merge_overlapping(gaps, 100)] == ["day", "snow"]


def test_slices_a_frame_belongs_to_the_rarest_gap() -> None:
    group, loss = np.arange(100), np.ones(100)
    broad, narrow = candidate("broad", rows(100, *range(8))), candidate("narrow", rows(100, 6, 7, 8))
    gaps = ranked([broad, narrow], group, loss)
    slices = frame_slices_of(gaps, 100)
    assert slices.names == ("broad", "narrow")
    assert slices.code[:10].tolist() == [0] * 6 + [1] * 3 + [-1]
    scores = {gap.name: gap.score for gap in gaps}
    np.testing.assert_allclose(slices.deficit, [scores["broad"] * 6 / 8, scores["narrow"]])
    assert slices.sure.tolist() == [1.0] * 100


def test_without_gaps_every_frame_is_of_no_slice() -> None:
    assert frame_slices_of([], 3).code.tolist() == [-1, -1, -1]


def test_what_is_labeled_is_counted_among_frames_of_which_it_is_known() -> None:
    """A thousand imported images tell no time of day; of forty labeled frames that do, four are of
    the night.
    """
    facet = metadata_facet(
        "daypart",
        Named.of(["night"] * 300 + ["day"] * 700),
        Named.of([None] * 1000 + ["night"] * 4 + ["day"] * 36),
    )
    (night,) = ranked(conditions(facet), np.arange(1000) // 20, np.full(1000, 0.5), max_share=0.5)
    assert night.training_share == pytest.approx(0.1)
    assert night.training_known == pytest.approx(40 / 1040)
    assert night.labeled(1040) == pytest.approx(4)
