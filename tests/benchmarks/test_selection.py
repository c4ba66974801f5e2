from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.selection.__main__ import DOCUMENT, RESULTS, held
from benchmarks.selection.contests import Contest, contests
from benchmarks.selection.report import TITLES, document
from benchmarks.selection.runs import radii
from benchmarks.selection.worlds import COPIES, world_of


def test_the_page_is_what_the_results_say() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert DOCUMENT.read_text(encoding="utf-8") == document(results)
    assert set(results) <= set(TITLES) == {contest.name for contest in contests(1000)}


def test_worlds_are_unit_vectors_and_repeatable(tmp_path: Path) -> None:
    for name in ("clustered", "isotropic", "copies"):
        rows = np.load(world_of(tmp_path / "a", name, 900))
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(rows, np.load(world_of(tmp_path / "b", name, 900)))
    copies = np.load(world_of(tmp_path / "a", "copies", 900))
    assert len(np.unique(copies, axis=0)) == 900 // COPIES
    other = np.load(world_of(tmp_path / "a", "clustered", 900, part=1))
    assert not (other == np.load(world_of(tmp_path / "a", "clustered", 900))).all(axis=1).any()


def test_radii_by_hand() -> None:
    points = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(radii(points, np.array([1, 2, 1]), points[:1]), [2**0.5, 2**0.5, 0], atol=1e-3)


def test_a_contest_of_ours_alone(tmp_path: Path) -> None:
    contest = Contest(
        "clustered", "clustered", 3000, 20, {"fieldloop": ("rows",), "from a map": ("mapped",)}, first=1
    )
    result = held(contest, tmp_path, runs=1)
    assert result["quality"]["fieldloop"] == result["quality"]["from a map"]
    assert 0 < result["quality"]["fieldloop"]["radius"] < 2
    assert result["runs"]["fieldloop"][0]["cpu"] > 0
    assert "| fieldloop | 1 |" in document({"clustered": result})
