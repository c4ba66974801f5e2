from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gate.__main__ import read_results
from benchmarks.gate.aims import Aim
from benchmarks.gate.chances import wilson
from benchmarks.gate.plays import case_of
from benchmarks.gate.report import SECTIONS, lines
from benchmarks.gate.runs import measured, step_of
from benchmarks.gate.situations import BROKEN, FLAT, GONE, HIGH, LOW, Situation, situations
from benchmarks.gate.worlds import RATES, Kind, detections, scene_of
from loop.math.evaluation.ap import average_precision


def test_the_files_hold_every_situation() -> None:
    now, _, _ = read_results()
    keys = [each.key for each in situations()]
    assert list(now["situations"]) == keys
    assert len(set(keys)) == len(keys)
    assert {row.situation.key for section in SECTIONS for row in lines(section)} == set(keys)


def test_two_situations_end_to_end() -> None:
    equal = Situation("equal", "small", 4, 10, slices=4)
    better = Situation("power", "sure", 4, 15, slices=4, targeted=False, rise=0.2)
    found = dict(measured([equal, better], processes=1, share=0.5))
    assert list(found) == [equal.key, better.key]
    assert found[equal.key]["rounds"] == 2
    assert found[equal.key]["said"]["promoted"] == [0, 2]
    assert found[better.key]["said"]["promoted"][0] >= 1
    worth = found[better.key]["worth"]
    assert worth["AP50 after"] > worth["AP50 before"] + 0.1
    again = dict(measured([equal], processes=1, share=0.5))[equal.key]
    assert {**again, "cpu": 0} == {**found[equal.key], "cpu": 0}


def test_wilson_by_hand() -> None:
    assert wilson(0, 0) == (0, 1)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    low, high = wilson(0, 20)
    assert low == 0
    assert high == pytest.approx(0.1611, abs=1e-4)


def test_an_aim_by_hand() -> None:
    most, least = Aim("at most", 0.05), Aim("at least", 0.95)
    assert [most.judged(yes, 100) for yes in (5, 7, 30)] == ["yes", "no, by chance?", "**no**"]
    assert [least.judged(yes, 100) for yes in (95, 93, 70)] == ["yes", "no, by chance?", "**no**"]


def test_a_step_gives_the_rise_that_is_asked_for() -> None:
    small, large = (Situation("power", "x", 1, 15, targeted=False, rise=rise) for rise in (0.07, 0.2))
    assert 0 < step_of(small) < step_of(large) < 4
    assert step_of(Situation("equal", "x", 1, 15)) == 0


def test_a_case_is_what_it_says() -> None:
    rng = np.random.default_rng(0)
    case = case_of(rng, Situation("broken", "x", 1, 60, 10, broken=0.05, told="target"), 1.0)
    assert case.targets[-1] == "lost"
    assert len(case.targets) == 4
    np.testing.assert_array_equal(case.masks["lost"], case.lost)
    lost, mended = (each[case.scene.image] for each in (case.lost, case.mended))
    assert set(case.after[lost]) == {BROKEN}
    assert set(case.before[lost]) == {HIGH}
    assert set(case.before[mended]) == {LOW}
    assert set(case.after[mended] - case.before[mended]) == {1.0}
    flat = case_of(rng, Situation("power", "x", 1, 15, targeted=False), 0.5)
    assert (set(flat.before), set(flat.after), flat.targets) == ({FLAT}, {FLAT + 0.5}, ())
    unnamed = case_of(rng, Situation("broken", "x", 1, 60, 10, broken=0.05, told="nothing"), 1.0)
    assert unnamed.lost.any()
    assert "lost" not in unnamed.masks
    forgot = case_of(rng, Situation("broken", "x", 1, 60, rise=0.3, told="class"), 1.0)
    rare = forgot.scene.class_id == RATES.argmin()
    assert set(forgot.after[rare]) == {GONE}
    assert (forgot.after[~rare] >= forgot.before[~rare]).all()
    camera = case_of(rng, Situation("broken", "x", 1, 60, told="camera"), 1.0)
    np.testing.assert_array_equal(camera.lost, next(iter(camera.masks.values())))


def test_detectors_of_more_skill_find_more_and_loose_boxes_fit_less() -> None:
    scene = scene_of(np.random.default_rng(0), 40, 4, 4)
    objects = len(scene.image)

    def worth(skill: float, kind: Kind) -> list[float]:
        matches = detections(np.random.default_rng(1), scene, np.full(objects, skill), kind)
        assert matches.truths.sum() == objects
        return list(np.nanmean(average_precision(matches).table, axis=1))

    low, high, loose = worth(0.0, Kind()), worth(1.0, Kind()), worth(1.0, Kind(loose=0.5))
    assert high[0] > low[0] + 0.1
    assert loose[0] == pytest.approx(high[0])
    assert np.mean(loose) < np.mean(high) - 0.05
    assert worth(1.0, Kind(power=3.0)) == pytest.approx(high)
    assert worth(1.0, Kind(rounded=True))[0] == pytest.approx(high[0], abs=0.1)
