"""One reading of a data.yaml, for the importer and for the trainer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from connectors.data_yaml import ListedImage, MissingImage, images_of, label_path, read_data_yaml
from connectors.errors import DataYamlError
from connectors.yolo.dataset import read_dataset as for_training
from loop.datasets.importers import read_dataset as imported
from tests.fakes import picture


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("train/a.jpg", "train/cam1/b.PNG", "train/.hidden.jpg", "train/notes.txt", "val/c.heic"):
        place(tmp_path, f"images/{name}")
    return written(tmp_path, train="images/train", val="images/val", names=["person", "car"])


def place(root: Path, name: str, content: bytes = b"x") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def written(root: Path, **tree: object) -> Path:
    path = root / "data.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def names(path: Path, split: str = "train") -> list[str]:
    read = read_data_yaml(path)
    found = [item for item in images_of(read, split) if isinstance(item, ListedImage)]
    return [os.path.relpath(item.path, path.parent) for item in found]


def test_folders_give_what_the_trainer_takes_for_images_by_name(data: Path) -> None:
    read = read_data_yaml(data)
    assert (read.names, read.root, dict(read.places)) == (
        ("person", "car"),
        data.parent,
        {"train": ("images/train",), "val": ("images/val",)},
    )
    train = data.parent / "images" / "train"
    assert list(images_of(read, "train")) == [
        ListedImage(train / "a.jpg"),
        ListedImage(train / "cam1" / "b.PNG", "cam1"),
    ]
    assert names(data, "val") == ["images/val/c.heic"]
    assert names(data, "test") == []


def test_a_list_keeps_order_and_repeats_and_says_what_is_missing(data: Path) -> None:
    root = data.parent
    lines = ["./../images/train/a.jpg", "", "images/val/c.heic", "images/val/c.heic", "images/gone.jpg"]
    listing = place(root, "lists/train.txt", "\ufeff".encode() + "\n".join(lines).encode())
    written(root, train=["lists/train.txt", "images/train/a.jpg"], names={1: "car", 0: "person"})
    found = list(images_of(read_data_yaml(data), "train"))
    assert [item.path.name for item in found if isinstance(item, ListedImage)] == [
        "a.jpg",
        "c.heic",
        "c.heic",
        "a.jpg",
    ]
    assert found[3] == MissingImage(listing, 5, "images/gone.jpg")


def test_names_beside_the_list_count_where_the_root_has_none(data: Path) -> None:
    place(data.parent, "lists/own.jpg")
    place(data.parent, "lists/train.txt", b"own.jpg\n")
    written(data.parent, path="images", train="../lists/train.txt", names=["a"])
    assert names(data) == ["lists/own.jpg"]


def test_a_list_that_is_no_utf_8_loses_only_the_names_that_are_none(data: Path) -> None:
    place(data.parent, "train.txt", b"images/train/a.jpg\nimages/caf\xe9.jpg\n")
    written(data.parent, train="train.txt", names=["a"])
    assert names(data) == ["images/train/a.jpg"]


def test_exports_that_were_meant_to_lie_elsewhere_are_found(data: Path) -> None:
    written(data.parent, train="../images/train", names=["a"])
    assert names(data) == ["images/train/a.jpg", "images/train/cam1/b.PNG"]


@pytest.mark.parametrize(
    "tree",
    [
        {"path": "/content/drive/set-1", "train": "images/train", "test": "images/test"},
        {"path": "/content/drive/set-1", "train": "../images/train", "test": "../images/test"},
        {"train": "/home/joe/set-1/images/train"},
        {"train": "C:\\sets\\images\\train"},
        {"train": "images\\train"},
        {"train": "/elsewhere/list.txt", "path": "."},
    ],
)
def test_places_of_another_machine_are_found_by_their_ends(data: Path, tree: dict[str, str]) -> None:
    root = data.parent
    lines = ["data/images/train/a.jpg", "/mnt/nas/set/images/train/cam1/b.PNG", "D:\\x\\images\\gone.jpg"]
    place(root, "elsewhere/list.txt", "\n".join(lines).encode())
    written(root, names=["a"], **tree)
    assert names(data) == ["images/train/a.jpg", "images/train/cam1/b.PNG"]


def test_a_place_that_is_not_there_is_never_taken_for_the_folder_above_it(data: Path) -> None:
    (data.parent / "valid").mkdir()
    for gone in ("../images/valid", "/home/joe/images/valid", "../nothing/images"):
        written(data.parent, train="images/train", val=gone, names=["a"])
        with pytest.raises(DataYamlError, match="got nothing at"):
            names(data, "val")


def test_a_place_in_a_folder_called_as_the_root_is(data: Path) -> None:
    written(data.parent, train=f"/home/joe/{data.parent.name}/images", names=["a"])
    assert names(data) == ["images/train/a.jpg", "images/train/cam1/b.PNG", "images/val/c.heic"]


def test_a_yaml_in_utf_16_is_read(data: Path) -> None:
    data.write_bytes(data.read_text().encode("utf-16"))
    assert read_data_yaml(data).names == ("person", "car")


@pytest.mark.parametrize("named", ["names: {0: person, 1: car}", "names: [person, car]\nnc: 2"])
def test_classes_are_a_list_or_a_dict_of_ids(data: Path, named: str) -> None:
    data.write_text(f"\ufeffvalidation: images/val\n{named}\n", encoding="utf-8")
    read = read_data_yaml(data)
    assert (read.names, list(read.places)) == (("person", "car"), ["val"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [", r"data\.yaml: expected YAML, got"),
        ("- a\n- b", "expected keys such as train, val and names, got list"),
        ("", "expected keys such as train, val and names, got NoneType"),
        ("names: [a]", "expected 'train', 'val' or 'test', got names"),
        ("train: images/train", "expected 'names' as a list or a dict of ids, got None"),
        ("train: images/train\nnames: []", r"expected 'names' as a list or a dict of ids, got \[\]"),
        ("train: images/train\nnc: 2", "expected 'names', got only nc: 2"),
        ("train: images/train\nnc: 3\nnames: [a, b]", "expected nc: 2 for its 2 names, got 3"),
        ("train: images/train\nnames: {0: a, 2: b}", r"expected names with ids 0\.\.1, got 0, 2"),
        ("train: images/train\nnames: {x: a}", r"expected names with ids 0\.\.0, got x"),
        ("train: images/train\nnames: [a, ' a']", "expected distinct class names, got a, a"),
        ("train: images/train\nnames: [a, '']", "expected distinct class names, got ''; rename"),
        (
            "train: images/train\nnames: [yes, car]",
            "expected class names as text, got True.*YAML makes something else of words",
        ),
        ("train: images/train\nnames: [a, no]", "expected class names as text, got False; put quotes"),
        ("train: images/train\nnames: [car, ~]", "expected class names as text, got None"),
        ("train: images/train\nnames: [a, {b: c}]", "expected class names as text, got {'b': 'c'}"),
        ("train: images/train\nnames: [a, .nan]", "expected class names as text, got nan"),
        (
            f"train: images/train\nnames: {['x'] * 5000}",
            "got x, x, x, x, x, x, x, x, x, x and 4990 more; rename",
        ),
        ("train: 3\nnames: [a]", "expected a path under 'train', got 3"),
        ("path: nowhere\ntrain: x\nnames: [a]", "expected the folder of 'path: nowhere', got nothing"),
        ("train: !!python/object/apply:os.system [ls]\nnames: [a]", "expected YAML, got could not determine"),
    ],
)
def test_what_cannot_be_used_says_what_is_wrong(data: Path, text: str, message: str) -> None:
    data.write_text(text)
    with pytest.raises(DataYamlError, match=message):
        read_data_yaml(data)


def test_numbers_are_names(data: Path) -> None:
    data.write_text("train: images/train\nnames: [3, 0.5, '007']\n")
    assert read_data_yaml(data).names == ("3", "0.5", "007")


def test_what_is_not_there_is_named(data: Path) -> None:
    with pytest.raises(DataYamlError, match=r"expected a data.yaml, got no file at .*; check the path"):
        read_data_yaml(data.with_name("gone.yaml"))
    written(data.parent, train="images/train", val="gone", names=["a"])
    with pytest.raises(DataYamlError, match="expected a folder or list for 'val: gone', got nothing at"):
        names(data, "val")


def test_label_files_lie_where_the_trainer_looks() -> None:
    assert label_path(Path("/images/a/images/train/x.y.jpg")) == Path("/images/a/labels/train/x.y.txt")
    assert label_path(Path("/a/x.jpg")) == Path("/a/x.txt")


def test_importer_and_trainer_see_the_same_images_and_classes(tmp_path: Path) -> None:
    for number in range(4):
        place(tmp_path, f"images/{'train' if number else 'val'}/{number}.jpg", picture(seed=number))
    place(tmp_path, "labels/train/1.txt", b"1 0.5 0.5 0.2 0.2\n")
    place(tmp_path, "lists/train.txt", b"./../images/train/2.jpg\nimages/train/1.jpg\n")
    data = written(
        tmp_path, train=["lists/train.txt", "images/train/3.jpg"], val="images/val", names=["a", "b"]
    )
    ours, trained = imported(data), for_training(data)
    assert ours.classes == trained.names == ("a", "b")
    by_split = {
        split: [each.path for each in ours.images if each.split == split] for split in ("train", "val")
    }
    assert [path.resolve() for path in by_split["train"]] == [path.resolve() for path in trained.train]
    assert [path.resolve() for path in by_split["val"]] == [path.resolve() for path in trained.val]
    assert (ours.boxes, trained.boxes) == (1, 1)
