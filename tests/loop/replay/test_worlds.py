"""The datasets that the replay is published on are laid out so that the replay can read them."""

from __future__ import annotations

import csv
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from benchmarks.replay_worlds import described_world, fod, labeled_set, world
from connectors.yolo.dataset import read_dataset
from loop.replay.data import load_data
from loop.replay.settings import read_settings
from tests.loop.replay.toy import make_dataset

CELLS = (("dry", "bright"), ("dry", "dim"), ("dry", "dark"), ("wet", "dim"))
EVERYWHERE, ONLY_BRIGHT = "Nut", "Bolt"
LENGTH = 3


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """As FOD-A lies there: three sequences of a class in each light and weather, one of another by
    bright light alone.
    """
    root = tmp_path / "fod_a"
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    (root / "classes.txt").write_text("Bolt\nNut\n")
    (root / "base.pt").write_bytes(b"base")
    recorded = [(EVERYWHERE, *cell) for cell in CELLS for _ in range(3)] + [(ONLY_BRIGHT, "dry", "bright")]
    rng = np.random.default_rng(0)
    with (root / "meta.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "sequence", "frame", "weather", "light", "official_split", "class"))
        for sequence, (name, weather, light) in enumerate(recorded):
            for frame in range(LENGTH):
                image = f"{sequence:03d}{frame:03d}.jpg"
                Pil.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(root / "images" / image)
                which = int(name == EVERYWHERE)
                (root / "labels" / image).with_suffix(".txt").write_text(f"{which} 0.5 0.5 0.2 0.4\n")
                rows.writerow((image, sequence, frame, weather, light, "trainval", name))
    return root


def laid_out(source: Path, out: Path, copies: int = 1, most: int = 0, all_classes: bool = False) -> Path:
    fod(source, source / "base.pt", out, Namespace(copies=copies, most=most, all_classes=all_classes))
    return out


def test_classes_that_some_condition_lacks_are_left_out(source: Path, tmp_path: Path) -> None:
    root = laid_out(source, tmp_path / "out")
    data = load_data(root, read_settings(root, None, {"budget": 2}))
    assert data.classes == (EVERYWHERE,)
    assert len(data.frames) == 12 * LENGTH
    assert set(data.slices) == {f"weather+light={weather}-{light}" for weather, light in CELLS}
    assert len({frame.group for frame in data.frames}) == 12
    assert data.frames[0].boxes[0] == (0, 16, 12, 24, 28)
    everything = load_data(
        laid_out(source, tmp_path / "all", all_classes=True),
        read_settings(root, None, {"budget": 2, "sidecar": str(tmp_path / "all" / "frames.csv")}),
    )
    assert everything.classes == ("Bolt", "Nut")


def test_copies_are_other_bytes_of_the_same_sequence(source: Path, tmp_path: Path) -> None:
    root = laid_out(source, tmp_path / "out", copies=3)
    settings = read_settings(root, None, {"budget": 2})
    data = load_data(root, settings)
    assert len(data.frames) == 12 * LENGTH * 3
    assert len({frame.group for frame in data.frames}) == 12
    assert settings.initial == pytest.approx(0.04 / 3)


def test_sequences_can_be_made_equally_long(source: Path, tmp_path: Path) -> None:
    root = laid_out(source, tmp_path / "out", most=2)
    assert len(load_data(root, read_settings(root, None, {"budget": 2})).frames) == 12 * 2


def test_without_the_data_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=r"expected meta.csv in .*, found none; give the folder of the data with --data"
    ):
        laid_out(tmp_path, tmp_path / "out")


def test_the_plain_world_is_the_planted_one_without_what_is_rare() -> None:
    planted, plain = described_world(False, None), described_world(True, None)
    assert len(planted.production.gaps) == 5
    assert not plain.production.gaps
    assert plain.training == planted.training
    assert plain.classes == planted.classes


def test_a_folder_with_another_world_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "world.sha256").write_text("another")
    with pytest.raises(
        SystemExit, match=r"expected this very world in .*, found another or none; leave --world out"
    ):
        world(tmp_path / "out", False, None, tmp_path)
    assert (tmp_path / "world.sha256").read_text() == "another"


def test_the_strong_base_is_trained_on_nothing_that_is_chosen_from_or_judges(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, labeled=8)
    dataset = labeled_set(root, read_settings(root, None, {}))
    trained = {Path(name).name for name in (dataset.parent / "labeled.txt").read_text().split()}
    with (root / "frames.csv").open(newline="") as file:
        labeled = {Path(row["file"]).name for row in csv.DictReader(file) if row["part"] == "labeled"}
    assert len(labeled) == 8
    assert trained == labeled
    assert len(read_dataset(dataset).train) == 8
