"""An audit of a rendered dataset whose labels were spoiled, by a real detector, as its command does it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from connectors.ports import Detections
from connectors.yolo.detector import read_classes
from demo import train_detector
from demo.render import CLASSES, SceneSpec, render
from loop.cli.app import FAILED
from loop.datasets.export import label_line
from loop.rounds.audit import renumbered
from tests.loop.cli.test_cli import run

WEIGHTS = Path(train_detector.__file__).parent / "assets" / "detector" / "base.pt"


IMAGES = 16


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rendered images and their labels."""
    folder = tmp_path_factory.mktemp("clean")
    classes = read_classes(WEIGHTS)
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for seed in range(IMAGES):
        scene = render(SceneSpec("depot", "depot-1", "day", "clear", "sharp", None, seed, 0))
        Image.fromarray(scene.image).save(folder / "images" / f"{seed:02d}.jpg", quality=92)
        height, width = scene.image.shape[:2]
        boxes = zip(scene.class_ids, scene.xyxy.tolist(), strict=True)
        lines = [
            label_line((classes.index(CLASSES[i]), *box), width, height)
            for i, box in boxes
            if CLASSES[i] in classes
        ]
        (folder / "labels" / f"{seed:02d}.txt").write_text("".join(f"{line}\n" for line in lines))
    tree = {"train": "images", "names": list(classes)}
    (folder / "data.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return folder


def spoiled(clean: Path, folder: Path) -> tuple[Path, str, str]:
    """A copy, and the names of the image that lost a label and of the one that got a wrong class."""
    shutil.copytree(clean, folder / "set")
    labels = sorted((folder / "set" / "labels").glob("*.txt"))
    swapped, lost = sorted((path for path in labels if _lines(path)), key=_largest)[-2:]
    lost.write_text("".join(line for line in _lines(lost) if line != max(_lines(lost), key=_area)))
    big = max(_lines(swapped), key=_area)
    other = f"{(int(big.split()[0]) + 1) % 3} " + big.split(" ", 1)[1]
    swapped.write_text("".join(other if line == big else line for line in _lines(swapped)))
    return folder / "set" / "data.yaml", f"{lost.stem}.jpg", f"{swapped.stem}.jpg"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def _area(line: str) -> float:
    return float(line.split()[3]) * float(line.split()[4])


def _largest(path: Path) -> float:
    return max(map(_area, _lines(path)))


@pytest.mark.slow
def test_planted_errors_head_the_page(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, lost, swapped = spoiled(clean, tmp_path)
    out = tmp_path / "out"
    arguments = ["--dataset", str(data), "--weights", str(WEIGHTS), "--out", str(out), "--imgsz", "320"]
    code, said, _ = run(capsys, monkeypatch, "labels", "audit", *arguments)
    assert code == 0
    assert "where they were trained on these labels, they have learned many errors" in said
    found = json.loads((out / "suspects.json").read_text())
    first: dict[str, str] = {}
    for one in found["suspects"]:
        first.setdefault(one["kind"], Path(found["paths"][one["frame"]]).name)
    assert (first["overlooked"], first["class"]) == (lost, swapped), "the worst of their kinds"
    page = (out / "suspects.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == min(len(found["suspects"]), 200)
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.slow
def test_models_of_folds_judge_what_they_did_not_learn(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _, _ = spoiled(clean, tmp_path)
    out = tmp_path / "out"
    arguments = ["--dataset", str(data), "--weights", str(WEIGHTS), "--out", str(out)]
    more = ["--folds", "2", "--epochs", "1", "--imgsz", "160"]
    code, said, _ = run(capsys, monkeypatch, "labels", "audit", *arguments, *more)
    assert (code, "judged by 2 short, small models: 1 epoch at 160 px" in said) == (0, True)
    made = sorted((out / "folds").glob("*/model.pt"))
    before = [path.stat().st_mtime_ns for path in made]
    assert len(made) == 2
    run(capsys, monkeypatch, "labels", "audit", *arguments, *more)
    assert [path.stat().st_mtime_ns for path in made] == before, "what is there is not trained again"


def test_bad_input_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--weights", str(WEIGHTS), "--out", str(tmp_path / "out")]
    code, _, error = run(
        capsys, monkeypatch, "labels", "audit", "--dataset", str(tmp_path / "no.yaml"), *arguments
    )
    assert (code, "expected a dataset, got nothing at" in error) == (FAILED, True)
    code, _, error = run(
        capsys, monkeypatch, "labels", "audit", "--dataset", str(tmp_path), *arguments, "--folds", "1"
    )
    assert (code, "--folds: expected 0 or at least 2, got 1" in error) == (FAILED, True)


def test_detections_are_numbered_as_the_dataset_numbers_its_classes() -> None:
    boxes = np.array([[0, 0, 1, 1], [1, 1, 2, 2]], np.float32)
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.8]], np.float32)
    seen = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 2]), scores)
    told = renumbered(seen, ("car", "tram", "person"), ("person", "tram"))
    assert (told.class_id.tolist(), told.xyxy.tolist()) == ([0], [[1, 1, 2, 2]])
    assert told.class_scores is not None
    np.testing.assert_allclose(told.class_scores, [[0.8, 0.2]])
