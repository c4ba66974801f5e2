"""What the trainer gets: whole, checked, and never through a link that it could write to."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from loop.datasets import export
from loop.datasets.export import export_yolo, label_line, validate_export
from loop.datasets.freeze import Manifest, freeze, read_manifest
from loop.datasets.imported import DatasetError
from loop.datasets.importers import read_dataset
from tests.loop.datasets.making import stored, write

CLASSES = ("person", "forklift: large")
BOXES = ((0, 4.0, 4.0, 20.0, 24.0), (1, 0.0, 0.0, 64.0, 48.0))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def manifest(store: Path) -> Manifest:
    items = [stored(store, n, boxes=BOXES if n else ()) for n in range(5)]
    return freeze(items, CLASSES, dict(enumerate(["train", "train", "train", "val", "test"])), {1: 3})


def test_an_export_is_what_the_manifest_says(manifest: Manifest, store: Path, tmp_path: Path) -> None:
    data = export_yolo(manifest, store, tmp_path / "out dir")
    assert validate_export(data.parent) == []
    assert yaml.safe_load(data.read_text())["names"] == dict(enumerate(CLASSES))
    assert len((data.parent / "train.txt").read_text().splitlines()) == 5
    assert read_manifest((data.parent / "manifest.json").read_text()) == manifest
    back = read_dataset(data)
    assert back.classes == CLASSES
    assert {i.path.stem: i.split for i in back.images} == {e.content_hash: e.split for e in manifest.entries}
    found = {i.path.stem: i.boxes for i in back.images}
    for entry in manifest.entries:
        for box, other in zip(entry.boxes, found[entry.content_hash] or (), strict=True):
            assert other == pytest.approx(box, abs=1e-3)
    assert back.problems == []


def test_images_are_linked_but_not_those_that_the_trainer_would_mend(
    manifest: Manifest, store: Path, tmp_path: Path
) -> None:
    loose = stored(store, 9)
    data = (store / loose.path).read_bytes() + b"tail"
    digest = hashlib.sha256(data).hexdigest()
    write(store / "frames" / "tail.jpg", data)
    items = [replace(loose, content_hash=digest, path="frames/tail.jpg"), stored(store, 10)]
    frozen = freeze(items, CLASSES, {9: "train", 10: "val"}, {})
    out = export_yolo(frozen, store, tmp_path / "out").parent
    assert not (out / f"images/train/{digest}.jpg").samefile(store / "frames/tail.jpg")
    assert (out / f"images/val/{items[1].content_hash}.jpg").samefile(store / items[1].path)


def test_where_links_are_impossible_files_are_copied(
    manifest: Manifest, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(export.os, "link", refuse)
    assert validate_export(export_yolo(manifest, store, tmp_path / "out").parent) == []


def test_exporting_again_uses_what_is_there(manifest: Manifest, store: Path, tmp_path: Path) -> None:
    first = export_yolo(manifest, store, tmp_path / "out")
    marker = write(tmp_path / "out/marker", "x")
    assert export_yolo(manifest, store, tmp_path / "out") == first
    assert marker.exists()
    write(tmp_path / "out/manifest.json", "{}")
    with pytest.raises(DatasetError, match="to be free, it holds something else"):
        export_yolo(manifest, store, tmp_path / "out")


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_failed_export_leaves_nothing(manifest: Manifest, store: Path, tmp_path: Path, damage: str) -> None:
    file = store / manifest.entries[2].path
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"other")
    with pytest.raises(DatasetError, match=r"expected (its image at .* got nothing|content .*, got )"):
        export_yolo(manifest, store, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_paths_do_not_lead_out_of_the_store(store: Path, tmp_path: Path) -> None:
    items = [replace(stored(store, 1), path="../secret.jpg"), stored(store, 2)]
    sly = freeze(items, CLASSES, {1: "train", 2: "val"}, {})
    with pytest.raises(DatasetError, match=r"expected a path below the store, got '\.\./secret\.jpg'"):
        export_yolo(sly, store, tmp_path / "out")


def test_a_dataset_that_cannot_train_is_refused(store: Path, tmp_path: Path) -> None:
    one = freeze([stored(store, 1)], CLASSES, {1: "train"}, {})
    with pytest.raises(DatasetError, match="expected frames to validate on, got none"):
        export_yolo(one, store, tmp_path / "out")


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ("2 0.5 0.5 0.1 0.1", r"expected a class id 0..1, got 2"),
        ("0 0.5 0.5 1.1 0.1", "expected values in 0..1"),
        ("0 0.5 0.5 0 0.1", "the box has no area"),
        ("0 0.5 0.5 nan 0.1", "expected class x y w h, got"),
        ("0 0.5 0.5 0.1", "expected class x y w h, got"),
        ("zero 0.5 0.5 0.1 0.1", "expected five numbers, got"),
        ("0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1", "the same box twice"),
    ],
)
def test_bad_labels_are_found(
    manifest: Manifest, store: Path, tmp_path: Path, labels: str, problem: str
) -> None:
    out = export_yolo(manifest, store, tmp_path / "out").parent
    name = manifest.of("val")[0].content_hash
    write(out / f"labels/val/{name}.txt", labels)
    found = validate_export(out)
    assert len(found) == 1
    assert f"labels/val/{name}.txt" in found[0]
    assert problem in found[0]


def test_bad_folders_are_found(
    manifest: Manifest, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_left_alone", lambda source: False)
    out = export_yolo(manifest, store, tmp_path / "out").parent
    train, val, test = manifest.of("train"), manifest.of("val")[0], manifest.of("test")[0]
    image = out / f"images/train/{train[0].content_hash}.jpg"
    image.write_bytes(image.read_bytes()[:-300])
    (out / f"labels/train/{train[1].content_hash}.txt").unlink()
    (out / f"images/test/{test.content_hash}.jpg").unlink()
    with (out / "train.txt").open("a") as file:
        file.write(f"./images/val/{val.content_hash}.jpg\n")
    found = "\n".join(validate_export(out))
    assert "its content is not what its name says" in found
    assert "expected a whole JPEG, got: Premature end of JPEG file" in found
    assert f"no label file labels/train/{train[1].content_hash}.txt" in found
    assert f"{test.content_hash}.jpg: no such image" in found
    assert f"./images/val/{val.content_hash}.jpg: stands in train and in val" in found
    (out / "val.txt").write_text("")
    assert any("val.txt: expected images, got none" in p for p in validate_export(out))
    (out / "data.yaml").unlink()
    assert validate_export(out)[0].startswith(f"expected an exported dataset in {out}, got: ")


def test_an_export_without_boxes_is_found(manifest: Manifest, store: Path, tmp_path: Path) -> None:
    out = export_yolo(manifest, store, tmp_path / "out").parent
    for file in (out / "labels/train").iterdir():
        file.write_text("")
    assert validate_export(out) == ["train.txt: expected boxes, got none in any label file"]


def test_label_lines_keep_a_thousandth_of_a_pixel() -> None:
    words = label_line((3, 1001.25, 7.5, 7999.99, 4000.0), 8000, 4000).split()
    x, y, w, h = (float(v) for v in words[1:])
    assert words[0] == "3"
    assert ((x - w / 2) * 8000, (y + h / 2) * 4000) == pytest.approx((1001.25, 4000.0), abs=1e-3)


@pytest.mark.slow
def test_the_trainer_accepts_every_image(manifest: Manifest, store: Path, tmp_path: Path) -> None:
    utils = pytest.importorskip("ultralytics.data.utils")
    data = export_yolo(manifest, store, tmp_path / "images in a path" / "out")
    tree = utils.check_det_dataset(str(data), autodownload=False)
    assert tree["names"] == dict(enumerate(CLASSES))
    for split in ("train", "val", "test"):
        files = [str(data.parent / line) for line in Path(tree[split]).read_text().split()]
        for file, label in zip(files, utils.img2label_paths(files), strict=True):
            image, rows, *_, missing, _, _, corrupt, said = utils.verify_image_label(
                (file, label, "", False, len(CLASSES), 0, 0, False)
            )
            assert (image, missing, corrupt, said) == (file, 0, 0, "")
            expected = next(e for e in manifest.entries if e.content_hash in file)
            assert len(rows) == len(expected.boxes)
