"""The examples run whole on the real data, as a reader would run them, and their figures are those
of a loop that turned.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.studio import absent

ROOT = Path(__file__).resolve().parents[1]
CELLS = {"dry-bright", "dry-dim", "dry-dark", "wet-dim"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def data() -> Path:
    given = Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data")
    folder = given if given.is_absolute() else ROOT / given
    if not (folder / "weights" / "yolov8n_from_int8.pt").is_file():
        absent(f"the real data is not in {folder}; FIELDLOOP_DATA names its folder")
    return folder


@pytest.mark.studio
def test_the_runway_walk_runs_whole(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a runway"
    said, results = walk("runway.py", data, out, "--tiny")
    assert results["gaps"]
    assert results["ap"].keys() == CELLS
    for scores in results["ap"].values():
        assert all(0 <= scores[when]["ap"] <= scores[when]["ap50"] <= 1 for when in ("before", "after"))
    assert results["answered"] > 0
    assert results["round"]["status"] in {"promoted", "rejected"}
    assert results["round"]["checks"]
    assert_words_follow_figures(said, results)
    assert_nothing_of_light_was_told(out)


def assert_words_follow_figures(said: str, results: dict[str, Any]) -> None:
    assert results["found"].keys() == {"dark", "dim", "wet"}
    for condition, gaps in results["found"].items():
        assert f"{condition:<5} {'found by ' + '; '.join(gaps) if gaps else 'not found'}" in said
        for name in gaps:
            gap = next(gap for gap in results["gaps"] if gap["name"] == name)
            assert gap["kind"] != "class"
            assert gap["shares"][condition] > 0.5
    for cell, scores in results["ap"].items():
        assert f"{cell} " in said
        assert f"{scores['after']['ap50']:.3f}" in said


def assert_nothing_of_light_was_told(out: Path) -> None:
    """The camera's folder holds images and one sidecar without a word of the withheld columns; no
    held-out image is in the project.
    """
    camera = out / "data" / "camera"
    assert {path.suffix for path in camera.iterdir()} == {".jpg", ".csv"}
    sidecar = (camera / "frames.csv").read_text()
    assert sidecar.splitlines()[0] == "file,camera,sequence,captured_at"
    assert not any(word in sidecar for word in ("dark", "dim", "bright", "wet", "dry"))
    stored = {path.stem for path in (out / "project" / "store").rglob("*.jpg")}
    held_out = [sha256(path) for path in (out / "data" / "held-out").rglob("*.jpg")]
    assert stored.isdisjoint(held_out)
    assert stored >= {sha256(path) for path in camera.glob("*.jpg")}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_video_walk_runs_whole(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a video"
    said, results = walk("traffic_video.py", data, out)
    assert results["stored"] > 50
    assert len(list((out / "project" / "store").rglob("*.jpg"))) == results["stored"] + sum(
        results["images"].values()
    )
    assert all(gap["name"] in said for gap in results["gaps"])
    assert "<html" in (out / "gaps.html").read_text()


def test_missing_data_is_said_clearly(tmp_path: Path) -> None:
    for script in ("runway.py", "traffic_video.py"):
        ended = run(script, tmp_path, tmp_path / "out")
        assert ended.returncode == 1
        assert "expected weights/yolov8n_from_int8.pt in" in ended.stderr
        assert "--data or FIELDLOOP_DATA" in ended.stderr


def walk(script: str, data: Path, out: Path, *more: str) -> tuple[str, dict[str, Any]]:
    """What it said, and its results."""
    ended = run(script, data, out, *more)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout, json.loads((out / "results.json").read_text())


def run(script: str, data: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        str(ROOT / "examples" / script),
        "--data",
        str(data),
        "--out",
        str(out),
        "--clip",
        "small",
        *more,
    ]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        words,
        cwd=out.parent,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
