"""The arithmetic of the table of uncertainty signals; the table itself is measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.uncertainty_signals import OURS, PAGE, RESULTS, VERDICTS, apart, back, lower, mean_of, report
from connectors.ports import Detections

LEFT, RIGHT = [0.0, 0.0, 10.0, 10.0], [90.0, 0.0, 100.0, 10.0]


def found(*boxes: tuple[list[float], float]) -> Detections:
    return Detections(
        np.array([xyxy for xyxy, _ in boxes], dtype=np.float32).reshape(-1, 4),
        np.array([confidence for _, confidence in boxes], dtype=np.float32),
        np.zeros(len(boxes), dtype=np.int64),
    )


def test_a_mirrored_box_comes_back_where_it_was() -> None:
    image = np.zeros((20, 100, 3), dtype=np.uint8)
    assert back(found((LEFT, 0.5)), image).xyxy.tolist() == [RIGHT]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (found((LEFT, 0.8)), found((LEFT, 0.8)), 0.0),
        (found((LEFT, 0.8)), found((LEFT, 0.4)), 0.4 / 0.8),
        (found((LEFT, 0.8)), found((RIGHT, 0.2)), 1.0),
        (found((LEFT, 0.8)), found(), 1.0),
        (found(), found((LEFT, 0.8)), 1.0),
        (found(), found(), 0.0),
        (found((LEFT, 0.6), (RIGHT, 0.2)), found((LEFT, 0.6)), 0.2 / 0.8),
    ],
)
def test_two_views_differ_by_hand(one: Detections, other: Detections, expected: float) -> None:
    assert apart(one, other) == pytest.approx(expected, abs=1e-6)


def test_the_bound_lies_below_the_correlation() -> None:
    rng = np.random.default_rng(0)
    loss = rng.random(200)
    assert 0.3 < lower(loss + rng.normal(0, 0.3, 200), loss, np.arange(200) // 10) < 0.75
    assert lower(loss, loss, np.arange(200) // 10) == pytest.approx(1)


def test_the_page_is_what_the_files_say() -> None:
    results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob("*.json"))]
    assert results
    assert PAGE.read_text(encoding="utf-8") == report(results)
    assert all(OURS in run["signals"] for result in results for run in result["runs"])


def test_the_verdicts_are_what_the_figures_say() -> None:
    for file in sorted(RESULTS.glob("*.json")):
        runs = json.loads(file.read_text(encoding="utf-8"))["runs"]
        figure = {name: mean_of(runs, name, "all") for name in runs[0]["signals"]}
        assert {name for name, _ in VERDICTS} <= set(figure)
        assert all(
            figure[OURS] > figure[name] + 0.05 for name in figure if not name.startswith("expected loss")
        )
        assert figure[OURS] > figure["expected loss, with missed objects"] - 0.05
        assert figure["margin, size_corrected"] < figure["margin, mean"]
        assert max(figure[f"margin, {each}"] for each in ("sum", "max", "top")) < figure["margin, mean"]
