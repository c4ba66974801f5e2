"""Malformed and hostile datasets and settings end in a clear error of ours."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from connectors.errors import SourceError
from connectors.sources.video import VideoSource
from loop.base.errors import ConfigError
from loop.datasets.imported import DatasetError
from loop.datasets.importers import read_dataset
from loop.datasets.label_files import MAX_BYTES
from loop.datasets.usable import check_usable
from loop.settings.conditions import load_conditions
from loop.settings.settings import load_settings
from tests.connectors.test_documents import HOSTILE

SOUND: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20]}],
    "categories": [{"id": 1, "name": "person"}],
}


def coco(folder: Path, **changed: Any) -> Path:
    Image.new("RGB", (64, 48)).save(folder / "a.jpg")
    file = folder / "labels.json"
    file.write_text(json.dumps(SOUND | changed))
    return file


def with_entry(where: str, **changed: Any) -> dict[str, Any]:
    return {where: [SOUND[where][0] | changed]}


@pytest.mark.parametrize(
    "changed",
    [
        {"images": [1, None, "x"]},
        {"annotations": ["x"]},
        {"annotations": [[1, 2]]},
        {"categories": [7]},
        {"categories": [{"id": [], "name": "x"}]},
        {"categories": [{"id": 1e999, "name": "x"}]},
        with_entry("images", id=[1]),
        with_entry("images", id={}),
        with_entry("annotations", image_id={}),
        with_entry("annotations", category_id=[1]),
        with_entry("images", file_name="a\0b.jpg"),
        with_entry("images", width={"wide": 1}),
    ],
    ids=lambda changed: json.dumps(changed)[:40],
)
def test_a_malformed_coco_file_is_a_clear_error(tmp_path: Path, changed: dict[str, Any]) -> None:
    file = coco(tmp_path, **changed)
    with pytest.raises(DatasetError, match=r"expected") as caught:
        check_usable(read_dataset(file), file, accepted=True)
    assert len(str(caught.value)) < 2000


def test_the_sound_one_is_read(tmp_path: Path) -> None:
    (image,) = read_dataset(coco(tmp_path)).images
    assert list(image.boxes or ()) == [(0, 4.0, 4.0, 24.0, 24.0)]


def test_deep_coco_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text('{"images": ' + "[" * 100_000)
    with pytest.raises(DatasetError, match=r"expected COCO JSON, got .*within one another"):
        read_dataset(file)


def test_very_many_categories_are_read_soon_and_told_in_short(tmp_path: Path) -> None:
    many = [{"id": number, "name": f"c{number}"} for number in range(100_000)]
    strange = [SOUND["annotations"][0] | {"category_id": -1}] * 1000
    file = coco(tmp_path, categories=many, annotations=SOUND["annotations"] + strange)
    begun = time.process_time()
    found = read_dataset(file)
    assert time.process_time() - begun < 4
    assert (len(found.classes), found.boxes, len(found.problems)) == (100_000, 1, 1000)
    assert max(len(str(problem)) for problem in found.problems) < 300
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 99990 more, got -1" in str(found.problems[0])


@pytest.mark.parametrize("text", ["0 0.5 0.5 0.1 0.1\n", "0 " + "0.5 " * 5000])
def test_an_endless_label_file_is_left_out_and_said(tmp_path: Path, text: str) -> None:
    for number, labels in enumerate(("0 0.5 0.5 0.5 0.5\n", text * (MAX_BYTES // len(text) + 1))):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(tmp_path / f"{number}.jpg")
        (tmp_path / f"{number}.txt").write_text(labels)
    data = tmp_path / "data.yaml"
    data.write_text("train: .\nnames: [a]\n")
    begun = time.process_time()
    found = read_dataset(data)
    assert time.process_time() - begun < 1
    assert [image.boxes and len(image.boxes) for image in found.images] == [1, None]
    (problem,) = found.problems
    assert (problem.path.name, problem.code) == ("1.txt", "label")
    assert "expected at most 5,000,000 bytes of labels for one image, got 5," in str(problem)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_a_clear_error_wherever_it_is_read(tmp_path: Path, name: str) -> None:
    text = HOSTILE[name][0]
    data, settings, conditions = (tmp_path / f"{each}.yaml" for each in ("data", "fieldloop", "conditions"))
    for path in (data, settings, conditions):
        path.write_text(text)
    with pytest.raises(DatasetError, match=r"data\.yaml: expected"):
        read_dataset(data)
    with pytest.raises(ConfigError, match=r"fieldloop\.yaml: expected YAML"):
        load_settings(settings)
    with pytest.raises(ConfigError, match=r"conditions\.yaml: expected YAML"):
        load_conditions(conditions)


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e999"])
@pytest.mark.parametrize("key", ["settle_s", "video_every_s"])
def test_infinity_is_no_number_of_seconds(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "fieldloop.yaml"
    path.write_text(f"frames: {{{key}: {value}}}\n")
    with pytest.raises(ConfigError, match=rf"frames\.{key}: expected (a finite|a number|at least|more)"):
        load_settings(path)


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0])
def test_frames_come_after_a_finite_time(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(SourceError, match="every_s: expected 0 or more seconds"):
        VideoSource(tmp_path / "a.mp4", seconds)
