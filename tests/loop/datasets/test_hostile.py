"""Malformed and hostile datasets and settings end in a clear error of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from connectors.errors import SourceError
from connectors.sources.video import VideoSource
from loop.base.errors import ConfigError
from loop.datasets.imported import DatasetError
from loop.datasets.importers import read_dataset
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
