"""Every layout, every kind of bad input: reported, left out, never in silence."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from loop.datasets.imported import DatasetError, ImportedDataset
from loop.datasets.importers import read_dataset
from tests.loop.datasets.making import jpeg, write

REAL = Path(os.environ.get("FIELDLOOP_DATA") or "no data")
needs_data = pytest.mark.skipif(
    not (REAL / "bccd").is_dir() and not os.environ.get("CI"),
    reason="FIELDLOOP_DATA does not point to the real data sets",
)


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    for split, count in {"train": 3, "val": 1}.items():
        for number in range(count):
            write(tmp_path / "images" / split / f"{number}.jpg", jpeg(number + 10 * (split == "val")))
            write(tmp_path / "labels" / split / f"{number}.txt", "0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.1 0.1\n")
    write(tmp_path / "data.yaml", "train: images/train\nval: images/val\nnames: [person, car]\n")
    return tmp_path


def labels(root: Path, text: str) -> ImportedDataset:
    write(root / "labels/train/0.txt", text)
    return read_dataset(root)


def codes(dataset: ImportedDataset) -> list[tuple[int, str]]:
    return [(p.line, p.code) for p in dataset.problems]


def test_yolo_folders(yolo: Path) -> None:
    dataset = read_dataset(yolo / "data.yaml")
    assert dataset.classes == ("person", "car")
    assert Counter(i.split for i in dataset.images) == {"train": 3, "val": 1}
    assert [pytest.approx(box) for box in dataset.images[0].boxes or ()] == [
        (0, 24.0, 12.0, 40.0, 36.0),
        (1, 12.8, 9.6, 19.2, 14.4),
    ]
    assert (dataset.images[0].width, dataset.images[0].height) == (64, 48)
    assert dataset.problems == []
    assert dataset.boxes == 8


@pytest.mark.parametrize(
    "names", ["names: {0: person, 1: car}", "names:\n- person\n- car", "names: {1: car, 0: person}\nnc: 2"]
)
def test_yolo_names(yolo: Path, names: str) -> None:
    write(yolo / "data.yaml", f"train: images/train\n{names}\n")
    assert read_dataset(yolo).classes == ("person", "car")


def test_yolo_lists_root_and_sequences(yolo: Path, tmp_path: Path) -> None:
    write(yolo / "lists/train.txt", "./../images/train/0.jpg\nimages/train/1.jpg\n\nimages/train/gone.jpg\n")
    write(yolo / "images/val/cam1/a.jpg", jpeg(77))
    write(
        yolo / "sub/data.yaml",
        "path: ..\ntrain: [lists/train.txt]\nvalidation: images/val\nnames: [person, car]\n",
    )
    dataset = read_dataset(yolo / "sub/data.yaml")
    assert Counter(i.split for i in dataset.images) == {"train": 2, "val": 2}
    assert codes(dataset) == [(4, "missing_image")]
    assert {i.sequence for i in dataset.images if i.split == "val"} == {None, "cam1"}


def test_yolo_paths_of_unpacked_exports(yolo: Path) -> None:
    write(yolo / "data.yaml", "train: ../images/train\nnames: [person, car]\n")
    assert len(read_dataset(yolo).images) == 3


def test_a_missing_label_file_is_a_background(yolo: Path) -> None:
    (yolo / "labels/train/0.txt").unlink()
    assert read_dataset(yolo).images[0].boxes == []


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("0 0.5 0.5 0 0.2", "degenerate", "it has no area"),
        ("0 0.5 0.5 -0.1 0.2", "degenerate", "it has no area"),
        ("2 0.5 0.5 0.1 0.2", "class", r"expected a class id 0\.\.1, got 2"),
        ("-1 0.5 0.5 0.1 0.2", "class", r"expected a class id 0\.\.1, got -1"),
        ("0.5 0.5 0.5 0.1 0.2", "class", r"expected a class id 0\.\.1, got 0\.5"),
        ("nan 0.5 0.5 0.1 0.2", "class", "got nan"),
        ("0 nan 0.5 0.1 0.2", "number", "expected four finite numbers"),
        ("0 inf 0.5 0.1 0.2", "number", "expected four finite numbers"),
        ("0 a 0.5 0.1 0.2", "number", "expected numbers, got '0 a 0.5 0.1 0.2'"),
        ("0 0.5 0.5 0.1", "label", "expected class x y w h or a polygon, got 4 numbers"),
        ("0 1.2 0.5 0.1 0.2", "outside", "lies outside the image of 64x48 px"),
        ("0 320 240 40 60", "outside", "lies outside the image"),
    ],
)
def test_bad_boxes_are_reported_and_left_out(yolo: Path, line: str, code: str, text: str) -> None:
    dataset = labels(yolo, f"1 0.5 0.5 0.25 0.5\n{line}\n")
    assert codes(dataset) == [(2, code)]
    assert len(dataset.images[0].boxes or ()) == 1
    with pytest.raises(DatasetError, match=text):
        raise DatasetError(str(dataset.problems[0]))


def test_duplicates_polygons_and_clipping(yolo: Path) -> None:
    dataset = labels(
        yolo, "0 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.5 0.1 0.5 0.75\n1 0.95 0.5 0.11 0.5\n"
    )
    assert codes(dataset) == [(4, "clipped"), (2, "duplicate")]
    assert dataset.problems[1].message == "box left out: the same as number 1"
    boxes = dataset.images[0].boxes or []
    assert boxes[1] == pytest.approx((1, 6.4, 4.8, 32.0, 36.0))
    assert boxes[2][3] == 64.0


def test_bad_images_are_reported_and_left_out(yolo: Path) -> None:
    write(yolo / "images/train/1.jpg", b"not an image at all")
    write(yolo / "images/train/2.jpg", jpeg(1, size=(8, 30)))
    write(yolo / "images/val/0.jpg", b"")
    dataset = read_dataset(yolo)
    assert [i.path.name for i in dataset.images] == ["0.jpg"]
    assert [p.code for p in dataset.problems] == ["image"] * 3
    assert "expected at least 10 px a side, got 8x30" in dataset.problems[1].message
    big = read_dataset(yolo, max_pixels=64 * 48)
    assert len(big.images) == 1
    with pytest.raises(DatasetError, match=r"none can be read \(first problem: .*oversized"):
        read_dataset(yolo, max_pixels=100)


def test_a_rotated_jpeg_has_the_size_that_people_see(yolo: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write(yolo / "images/train/0.jpg", jpeg(0, exif=exif.tobytes()))
    first = read_dataset(yolo).images[0]
    assert (first.width, first.height) == (48, 64)
    assert (first.boxes or [])[0] == (0, 18.0, 16.0, 30.0, 48.0)


def test_a_file_in_two_splits_stays_held_out(yolo: Path) -> None:
    write(yolo / "data.yaml", "train: [images/train, images/val]\nval: images/val\nnames: [person, car]\n")
    dataset = read_dataset(yolo)
    assert Counter(i.split for i in dataset.images) == {"train": 3, "val": 1}
    assert dataset.problems[0].message == "listed in train and val: kept in val only"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [", r"data\.yaml: expected YAML, got"),
        ("train: images/train", "expected 'names' as a list or a dict of ids, got None"),
        ("train: gone\nnames: [a]", "expected a folder or list for 'train: gone', got nothing at"),
        ("train: labels\nnames: [a]", "expected images under train, none can be read"),
    ],
)
def test_unusable_yaml_says_what_is_wrong(yolo: Path, text: str, message: str) -> None:
    write(yolo / "data.yaml", text)
    with pytest.raises(DatasetError, match=message):
        read_dataset(yolo)


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a dataset, got nothing at"):
        read_dataset(tmp_path / "gone")
    with pytest.raises(DatasetError, match="got none of them in"):
        read_dataset(tmp_path)
    with pytest.raises(DatasetError, match=r"expected a data\.yaml, a COCO \.json or a folder, got a\.zip"):
        read_dataset(write(tmp_path / "a.zip", "x"))
    write(tmp_path / "a.yaml", "x: 1")
    write(tmp_path / "b.yaml", "x: 1")
    with pytest.raises(DatasetError, match=r"expected one data\.yaml in .*, got a\.yaml, b\.yaml"):
        read_dataset(tmp_path)
    with pytest.raises(DatasetError, match="expected format auto, yolo, coco or voc, got 'kitti'"):
        read_dataset(tmp_path, "kitti")


def coco_tree() -> dict:
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48, "video_id": 3},
            {"id": 8, "file_name": "b.jpg"},
            {"id": 9, "file_name": "../outside.jpg"},
            {"id": 10, "file_name": "c.jpg", "width": 640, "height": 480},
        ],
        "categories": [
            {"id": 0, "name": "things", "supercategory": "none"},
            {"id": 4, "name": "car", "supercategory": "things"},
            {"id": 2, "name": "person", "supercategory": "things"},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 4, "bbox": [4, 4, 10, 12]},
            {"id": 2, "image_id": 7, "category_id": 2, "segmentation": [[1, 2, 30, 2, 30, 40]]},
            {"id": 3, "image_id": 7, "category_id": 4, "bbox": [4, 4, 0, 12]},
            {"id": 4, "image_id": 7, "category_id": 9, "bbox": [4, 4, 5, 5]},
            {"id": 5, "image_id": 7, "category_id": 4, "bbox": [4, 4, "x", 5]},
            {"id": 6, "image_id": 7, "category_id": 4, "bbox": [4, 4, 9, 9], "iscrowd": 1},
            {"id": 7, "image_id": 7, "category_id": 4, "bbox": [4, 4, 10, 12]},
        ],
    }


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    for number, name in enumerate("abc"):
        write(tmp_path / "train" / f"{name}.jpg", jpeg(number))
    write(tmp_path / "outside.jpg", jpeg(9))
    write(tmp_path / "annotations/instances_train.json", json.dumps(coco_tree()))
    return tmp_path


def test_coco(coco: Path) -> None:
    dataset = read_dataset(coco)
    assert dataset.classes == ("person", "car")
    assert [(i.path.name, i.split, i.sequence) for i in dataset.images] == [
        ("a.jpg", "train", "3"),
        ("b.jpg", "train", None),
    ]
    assert dataset.images[0].boxes == [(1, 4.0, 4.0, 14.0, 16.0), (0, 1.0, 2.0, 30.0, 40.0)]
    assert dataset.images[1].boxes == []
    assert [p.code for p in dataset.problems] == [
        "degenerate",
        "class",
        "number",
        "crowd",
        "duplicate",
        "missing_image",
        "size",
    ]


def test_coco_splits_and_image_folder(coco: Path) -> None:
    tree = coco_tree() | {"images": [{"id": 7, "file_name": "z.jpg"}]}
    write(coco / "pictures/z.jpg", jpeg(44))
    file = write(coco / "annotations/instances_val2017.json", json.dumps(tree))
    only = read_dataset(file, images=coco / "pictures")
    assert [(i.path.name, i.split) for i in only.images] == [("z.jpg", "val")]
    write(coco / "val2017/z.jpg", jpeg(45))
    assert Counter(i.split for i in read_dataset(coco).images) == {"train": 2, "val": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": []}, "expected categories, got none"),
        ({"categories": [{"name": "x"}]}, "expected categories with a whole id and a name"),
        ({"annotations": None}, "expected lists images, annotations and categories, got no annotations"),
        ({"images": [{"id": 1, "file_name": "gone.jpg"}]}, "none.*first problem: .*no file for 'gone.jpg'"),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]},
            "expected distinct category names",
        ),
    ],
)
def test_unusable_coco_says_what_is_wrong(coco: Path, change: dict, message: str) -> None:
    file = write(coco / "annotations/instances_train.json", json.dumps(coco_tree() | change))
    with pytest.raises(DatasetError, match=message):
        read_dataset(file)


def test_broken_json_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected COCO JSON, got Expecting"):
        read_dataset(write(tmp_path / "a.json", '{"images": ['))


def voc_xml(*objects: str) -> str:
    return f"<annotation><size><width>64</width></size>{''.join(objects)}</annotation>"


def voc_object(name: str, *corners: object) -> str:
    places = "".join(
        f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False)
    )
    return f"<object><name>{name}</name><bndbox>{places}</bndbox></object>"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    for number, name in enumerate("abcd"):
        write(tmp_path / "JPEGImages" / f"{name}.jpg", jpeg(number))
    first = [voc_object("car", 4, 4, 20, 30), voc_object("car", 5, 5, 5, 5), voc_object("bus", 1, 1, "x", 2)]
    write(tmp_path / "Annotations/a.xml", voc_xml(*first, voc_object("", 1, 1, 5, 5)))
    write(tmp_path / "Annotations/b.xml", voc_xml())
    write(tmp_path / "Annotations/c.xml", "<annotation><object>")
    write(tmp_path / "ImageSets/Main/train.txt", "a\nb 1\nc\n../a\ngone\n")
    write(tmp_path / "ImageSets/Main/val.txt", "d\na\n")
    return tmp_path


def test_voc(voc: Path) -> None:
    dataset = read_dataset(voc)
    assert dataset.classes == ("bus", "car")
    by_name = {i.path.stem: i for i in dataset.images}
    assert {name: i.split for name, i in by_name.items()} == {
        "a": "val",
        "b": "train",
        "c": "train",
        "d": "val",
    }
    assert by_name["a"].boxes == [(1, 4.0, 4.0, 20.0, 30.0)]
    assert by_name["b"].boxes == []
    assert by_name["c"].boxes is None
    assert by_name["d"].boxes is None
    assert Counter(p.code for p in dataset.problems) == {
        "split": 1,
        "missing_image": 2,
        "label": 3,
        "class": 1,
        "degenerate": 1,
        "number": 1,
    }


def test_voc_and_coco_say_what_is_occluded_and_truncated(voc: Path, coco: Path) -> None:
    said = voc_object("car", 4, 4, 20, 30).replace("<bndbox>", "<occluded>1</occluded><bndbox>")
    whole = voc_object("car", 30, 4, 40, 30).replace("<bndbox>", "<truncated>0</truncated><bndbox>")
    write(voc / "Annotations/a.xml", voc_xml(said, whole))
    (image,) = [one for one in read_dataset(voc, "voc").images if one.boxes]
    assert image.seen == {(0, 4.0, 4.0, 20.0, 30.0): (True, False)}
    tree = coco_tree()
    tree["annotations"][0]["attributes"] = {"occluded": False, "truncated": True}
    write(coco / "annotations/instances_train.json", json.dumps(tree))
    assert read_dataset(coco, "coco").images[0].seen == {(1, 4.0, 4.0, 14.0, 16.0): (False, True)}


def test_voc_refuses_entities(voc: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation>&b;</annotation>'
    write(voc / "Annotations/b.xml", bomb)
    dataset = read_dataset(voc)
    assert {i.path.stem: i.boxes for i in dataset.images}["b"] is None
    assert any("cannot be read" in p.message and p.path.name == "b.xml" for p in dataset.problems)


def test_unusable_voc_says_what_is_wrong(voc: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a VOC folder with Annotations/, got none in"):
        read_dataset(tmp_path / "JPEGImages", "voc")
    write(voc / "Annotations/a.xml", voc_xml())
    with pytest.raises(DatasetError, match=r"expected objects in Annotations/\*\.xml, got none"):
        read_dataset(voc)


@needs_data
def test_real_voc_with_two_bad_boxes() -> None:
    dataset = read_dataset(REAL / "bccd")
    assert dataset.classes == ("Platelets", "RBC", "WBC")
    assert (len(dataset.images), dataset.boxes) == (364, 4886)
    assert [(p.code, p.path.name) for p in dataset.problems] == [
        ("degenerate", "BloodImage_00338.xml"),
        ("degenerate", "BloodImage_00343.xml"),
    ]


@pytest.mark.slow
@needs_data
def test_real_yolo_with_lists(tmp_path: Path) -> None:
    root = REAL / "fod_a"
    names = [line.strip() for line in (root / "classes.txt").read_text().splitlines() if line.strip()]
    files = [f"images/{file.name}" for file in sorted((root / "images").iterdir())]
    write(tmp_path / "train.txt", "\n".join(files))
    listing, classes = tmp_path / "train.txt", json.dumps(names)
    write(tmp_path / "data.yaml", f"path: {root.resolve()}\ntrain: {listing}\nnames: {classes}\n")
    dataset = read_dataset(tmp_path)
    assert len(dataset.images) == 4225
    assert dataset.boxes + sum(p.code != "clipped" for p in dataset.problems) == 4310


def test_of_several_datasets_below_a_folder_one_is_to_be_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / "data.yaml", "train: images\nnames: [person]\n")
    with pytest.raises(DatasetError, match=r"below which lie a/data\.yaml, b/data\.yaml; name one of them"):
        read_dataset(tmp_path)
