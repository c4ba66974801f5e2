"""A label that cannot be read is no background, and what nobody claimed is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from loop.datasets.imported import DatasetError, ImportedDataset
from loop.datasets.importers import read_dataset
from tests.loop.datasets.making import jpeg, write

GOOD = "0 0.5 0.5 0.25 0.5\n"
BOX = (0, 24.0, 12.0, 40.0, 36.0)


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """Three images in train; 0 and 1 are labeled, 2 is a background."""
    for number in range(3):
        write(tmp_path / f"images/train/{number}.jpg", jpeg(number))
    for number in range(2):
        write(tmp_path / f"labels/train/{number}.txt", GOOD)
    write(tmp_path / "data.yaml", "train: images/train\nnames: [person, car]\n")
    return tmp_path


def boxes_of(dataset: ImportedDataset) -> dict[str, object]:
    return {image.path.stem: image.boxes for image in dataset.images}


def told(dataset: ImportedDataset) -> dict[str, int]:
    """Labels and images lost, by code."""
    lost: dict[str, int] = {}
    for problem in dataset.problems:
        lost[problem.code] = lost.get(problem.code, 0) + problem.lost
    return lost


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"0 0.5 0.5 0.25 0.5 0.93\n", "label"),
        (b"0 320 240 40 60\n", "outside"),
        (b"0,0.5,0.5,0.25,0.5\n", "number"),
        (b"0 0,5 0,5 0,25 0,5\n", "number"),
        (b"person 0.5 0.5 0.25 0.5\n", "number"),
        (b"7 0.5 0.5 0.25 0.5\n", "class"),
        (b"0 0.5 0.5 0.001 0.001\n", "degenerate"),
        ("0 0.5 0.5 0.25 0.5 # caf\u00e9".encode("latin-1"), "label"),
        (GOOD.encode("utf-16-le"), "label"),
    ],
)
def test_a_label_that_cannot_be_read_makes_no_background(yolo: Path, text: bytes, code: str) -> None:
    write(yolo / "labels/train/1.txt", text)
    dataset = read_dataset(yolo)
    assert boxes_of(dataset) == {"0": [BOX], "1": None, "2": []}
    assert told(dataset) == {code: 1}
    assert dataset.share_lost == pytest.approx(1 / 3)


@pytest.mark.parametrize("text", [GOOD.encode("utf-16"), b"\xef\xbb\xbf" + GOOD.encode()])
def test_encodings_that_say_what_they_are_are_read(yolo: Path, text: bytes) -> None:
    write(yolo / "labels/train/1.txt", text)
    dataset = read_dataset(yolo)
    assert (boxes_of(dataset)["1"], dataset.problems) == ([BOX], [])


def test_a_label_of_which_a_part_is_read_keeps_that_part(yolo: Path) -> None:
    write(yolo / "labels/train/1.txt", GOOD + "0 0.1 0.1 nonsense 0.1\n")
    dataset = read_dataset(yolo)
    assert (boxes_of(dataset)["1"], told(dataset)) == ([BOX], {"number": 1})


def test_a_picture_that_was_cut_is_known_before_anything_is_written(yolo: Path) -> None:
    write(yolo / "images/train/1.jpg", jpeg(1)[:-200])
    write(yolo / "images/train/2.jpg", jpeg(2) + b"a trailer of the camera" * 9)
    dataset = read_dataset(yolo)
    assert (boxes_of(dataset), told(dataset)) == ({"0": [BOX], "2": []}, {"image": 1})
    assert dataset.share_lost == pytest.approx(1 / 3)


def test_an_empty_label_is_a_background(yolo: Path) -> None:
    write(yolo / "labels/train/1.txt", "\n")
    assert boxes_of(read_dataset(yolo))["1"] == []


@pytest.mark.parametrize("place", ["Labels/train/{}.txt", "images/train/{}.txt", "labels/train/{}.jpg.txt"])
def test_labels_are_found_in_capitals_beside_images_and_under_whole_names(yolo: Path, place: str) -> None:
    for number in range(2):
        label = yolo / f"labels/train/{number}.txt"
        write(yolo / place.format(number), label.read_bytes())
        label.unlink()
    (yolo / "labels/train").rmdir() if place.startswith("L") else None
    dataset = read_dataset(yolo)
    assert boxes_of(dataset) == {"0": [BOX], "1": [BOX], "2": []}
    assert dataset.problems == []


def test_images_in_capital_folders_find_their_labels(yolo: Path) -> None:
    (yolo / "images").rename(yolo / "Images")
    (yolo / "labels").rename(yolo / "Labels")
    write(yolo / "data.yaml", "train: Images/train\nnames: [person, car]\n")
    assert boxes_of(read_dataset(yolo)) == {"0": [BOX], "1": [BOX], "2": []}


def test_labels_beside_images_in_a_folder_called_images(tmp_path: Path) -> None:
    for number, folder in enumerate(("site-a", "site-b/images")):
        write(tmp_path / folder / "0.jpg", jpeg(number))
        write(tmp_path / folder / "0.txt", GOOD)
    write(tmp_path / "data.yaml", "train: [site-a, site-b/images]\nnames: [person]\n")
    dataset = read_dataset(tmp_path)
    assert ([image.boxes for image in dataset.images], dataset.problems) == ([[BOX], [BOX]], [])


def test_a_folder_without_labels_is_unlabeled(yolo: Path) -> None:
    for number in range(4):
        write(yolo / f"images/val/{number}.jpg", jpeg(50 + number))
    write(yolo / "data.yaml", "train: images/train\nval: images/val\nnames: [person, car]\n")
    dataset = read_dataset(yolo)
    assert [image.boxes for image in dataset.images if image.split == "val"] == [None] * 4
    assert told(dataset) == {"label": 4}
    assert "none of 4 images of val here has a label file" in dataset.problems[0].message


def test_label_files_without_an_image_are_counted_and_leave_no_background(yolo: Path) -> None:
    for name in ("x", "y", "z"):
        write(yolo / f"labels/train/{name}.txt", GOOD)
    dataset = read_dataset(yolo)
    assert boxes_of(dataset) == {"0": [BOX], "1": [BOX], "2": None}
    assert told(dataset) == {"unclaimed": 3, "label": 1}


def test_a_labeled_folder_that_no_split_names_is_told(yolo: Path) -> None:
    for number in range(2):
        write(yolo / f"images/more/{number}.jpg", jpeg(70 + number))
        write(yolo / f"labels/more/{number}.txt", GOOD)
    dataset = read_dataset(yolo)
    assert told(dataset) == {"unclaimed": 2}
    assert "2 labeled images whose labels lie here are in no split" in dataset.problems[0].message


@pytest.mark.parametrize(
    ("keys", "splits", "said"),
    [
        ("valid: images/val", {"train", "val"}, []),
        ("Val: images/val", {"train", "val"}, []),
        ("val:", {"train"}, ["val is empty: no image is taken for it"]),
        ("val: images/val\nholdout: images/x", {"train", "val"}, ["nothing is made of holdout; splits are"]),
        ("val: images/val\ntest: ../test/images", {"train", "val"}, ["test: nothing at ../test/images"]),
    ],
)
def test_keys_that_are_empty_unknown_or_lead_nowhere_are_told(
    yolo: Path, keys: str, splits: set[str], said: list[str]
) -> None:
    write(yolo / "images/val/9.jpg", jpeg(90))
    write(yolo / "labels/val/9.txt", GOOD)
    write(yolo / "data.yaml", f"train: images/train\n{keys}\nnames: [person, car]\n")
    dataset = read_dataset(yolo)
    assert {image.split for image in dataset.images} == splits
    keyed = [problem.message for problem in dataset.problems if problem.code == "key"]
    assert len(keyed) == len(said)
    assert all(start in message for start, message in zip(said, keyed, strict=True))


def test_a_link_that_leads_nowhere_is_told(yolo: Path) -> None:
    (yolo / "images/train/2.jpg").unlink()
    (yolo / "images/train/2.jpg").symlink_to(yolo / "gone.jpg")
    dataset = read_dataset(yolo)
    assert (boxes_of(dataset), told(dataset)) == ({"0": [BOX], "1": [BOX]}, {"missing_image": 1})


def test_linked_folders_are_followed_once(yolo: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = tmp_path_factory.mktemp("away")
    (yolo / "images/train").rename(away / "pictures")
    (yolo / "images/train").symlink_to(away / "pictures")
    (away / "pictures/again").symlink_to(away / "pictures")
    write(yolo / "data.yaml", "train: images\nnames: [person, car]\n")
    assert boxes_of(read_dataset(yolo)) == {"0": [BOX], "1": [BOX], "2": []}


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ("kpt_shape: [2, 2]\n", " 0.45 0.4 0.55 0.6"),
        ("kpt_shape: [2, 3]\n", " 0.45 0.4 2 0.55 0.6 1"),
        ("", " 0.45 0.4 2 0.55 0.6 1"),
        ("", " 0.45 0.4 2 0.55 0.6 0 0.5 0.5 1"),
    ],
)
def test_keypoints_after_a_box_leave_it_a_box(yolo: Path, head: str, tail: str) -> None:
    write(yolo / "data.yaml", f"{head}train: images/train\nnames: [person, car]\n")
    write(yolo / "labels/train/1.txt", f"{GOOD.strip()}{tail}\n")
    assert boxes_of(read_dataset(yolo))["1"] == [BOX]


def test_a_polygon_along_two_sides_is_no_box_with_keypoints(yolo: Path) -> None:
    write(yolo / "labels/train/1.txt", "0 0.5 0 0.5 0.5 0.25 0.5 0 0.25 0.25 0\n")
    assert boxes_of(read_dataset(yolo))["1"] == [(0, 0.0, 0.0, 32.0, 24.0)]


def test_a_confidence_and_a_track_after_a_box_make_no_triangle(yolo: Path) -> None:
    write(yolo / "labels/train/1.txt", "0 0.5 0.5 0.25 0.5 0.87 1\n0 0.5 0.5 0.25 0.5 0.87 12\n")
    dataset = read_dataset(yolo)
    assert (boxes_of(dataset)["1"], told(dataset)) == (None, {"label": 2})
    assert "seven are a prediction with its confidence and track" in dataset.problems[0].message


def test_a_triangle_stays_a_polygon(yolo: Path) -> None:
    write(yolo / "labels/train/1.txt", "0 0.25 0.25 0.75 0.25 0.5 0.5\n")
    assert boxes_of(read_dataset(yolo))["1"] == [(0, 16.0, 12.0, 48.0, 24.0)]


def test_one_label_of_two_images_is_told(yolo: Path) -> None:
    write(yolo / "images/train/1.png", jpeg(77))
    (problem,) = read_dataset(yolo).problems
    assert (problem.path.name, problem.code, problem.lost) == ("1.txt", "shared", 0)
    assert problem.message.startswith("it is the label of 2 images, 1.jpg, 1.png; where they show")


def tree() -> dict:
    """Two images; a box in the first."""
    return {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 64, "height": 48},
            {"id": 2, "file_name": "b.jpg", "width": 64, "height": 48},
        ],
        "categories": [{"id": 5, "name": "person"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "bbox": [24, 12, 16, 24]}],
    }


def coco(root: Path, content: dict, exif: bytes = b"") -> ImportedDataset:
    for number, name in enumerate("ab"):
        write(root / f"{name}.jpg", jpeg(number, exif=exif))
    return read_dataset(write(root / "train.json", json.dumps(content)))


def test_coco_ids_as_text_are_the_same_ids(tmp_path: Path) -> None:
    content = tree()
    content["images"][0]["id"] = "1"
    content["annotations"][0]["category_id"] = "5"
    assert boxes_of(coco(tmp_path, content)) == {"a": [BOX], "b": []}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"iscrowd": 1}, "crowd"),
        ({"bbox": [0.375, 0.25, 0.25, 0.5]}, "degenerate"),
        ({"bbox": None, "segmentation": {"counts": [1], "size": [48, 64]}}, "number"),
        ({"category_id": None}, "class"),
        ({"category_id": [5]}, "class"),
    ],
)
def test_a_coco_image_whose_annotations_cannot_be_read_is_unlabeled(
    tmp_path: Path, change: dict, code: str
) -> None:
    content = tree()
    content["annotations"][0] |= change
    dataset = coco(tmp_path, content)
    assert (boxes_of(dataset), told(dataset)) == ({"a": None, "b": []}, {code: 1})


def test_annotations_of_no_image_are_counted_once_and_leave_no_background(tmp_path: Path) -> None:
    content = tree()
    content["annotations"] += [content["annotations"][0] | {"image_id": n} for n in (100, 100, 101)]
    dataset = coco(tmp_path, content)
    assert (boxes_of(dataset), told(dataset)) == ({"a": [BOX], "b": None}, {"orphan": 3})


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_of_the_stored_pixels_are_turned_with_the_picture(tmp_path: Path, orientation: int) -> None:
    """The rectangle's place is read off the upright pixels themselves."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.new("RGB", (64, 48), "white")
    picture.paste((0, 0, 0), (8, 16, 24, 40))
    (tmp_path / "JPEGImages").mkdir()
    picture.save(tmp_path / "JPEGImages/a.jpg", exif=exif, quality=100)
    corners = "<xmin>8</xmin><ymin>16</ymin><xmax>24</xmax><ymax>40</ymax>"
    write(
        tmp_path / "Annotations/a.xml",
        "<annotation><size><width>64</width><height>48</height></size>"
        f"<object><name>car</name><bndbox>{corners}</bndbox></object></annotation>",
    )
    (image,) = read_dataset(tmp_path).images
    dark = decoded(tmp_path / "JPEGImages/a.jpg").mean(axis=2) < 128
    rows, columns = dark.any(axis=1).nonzero()[0], dark.any(axis=0).nonzero()[0]
    assert (image.width, image.height) == (48, 64)
    assert image.boxes == [(0, columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]


def decoded(path: Path):
    from connectors.images import decode

    return decode(path.read_bytes())


def test_a_coco_size_of_the_stored_pixels_turns_the_boxes(tmp_path: Path) -> None:
    dataset = coco(tmp_path, tree(), rotated())
    assert boxes_of(dataset) == {"a": [(0, 12.0, 24.0, 36.0, 40.0)], "b": []}
    assert dataset.problems == []


def test_a_rotation_that_no_size_tells_is_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    dataset = coco(tmp_path, tree(), exif.tobytes())
    assert boxes_of(dataset)["a"] == [BOX]
    assert told(dataset) == {"rotated": 0}


def test_a_voc_size_that_is_neither_leaves_the_image_out(tmp_path: Path) -> None:
    for name, width in (("a", 640), ("b", 64)):
        write(tmp_path / f"JPEGImages/{name}.jpg", jpeg(width))
        write(
            tmp_path / f"Annotations/{name}.xml",
            f"<annotation><size><width>{width}</width><height>48</height></size><object><name>car</name><bndbox>"
            "<xmin>4</xmin><ymin>4</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object></annotation>",
        )
    dataset = read_dataset(tmp_path)
    assert boxes_of(dataset) == {"b": [(0, 4.0, 4.0, 20.0, 30.0)]}
    assert told(dataset) == {"size": 1}


def test_voc_in_folders_with_lists_of_paths_and_annotations_of_no_list(tmp_path: Path) -> None:
    xml = (
        "<annotation><object><name>car</name><bndbox><xmin>4</xmin><ymin>4</ymin><xmax>20</xmax>"
        "<ymax>30</ymax></bndbox></object></annotation>"
    )
    for number, name in enumerate(("cam1/a", "cam1/b", "cam2/a")):
        write(tmp_path / f"JPEGImages/{name}.jpg", jpeg(number))
        write(tmp_path / f"Annotations/{name}.xml", xml)
    assert len(read_dataset(tmp_path).images) == 3
    write(tmp_path / "ImageSets/Main/default.txt", "cam1/a\ncam1/b.jpg\n")
    dataset = read_dataset(tmp_path)
    assert ([image.path.stem for image in dataset.images], told(dataset)) == (["a", "b"], {"unclaimed": 1})


def coco_file(folder: Path, name: str, content: dict) -> None:
    write(folder / name, json.dumps(content))
    for number, image in enumerate("ab"):
        write(folder / f"images/{image}.jpg", jpeg(number))


def test_an_image_listed_twice_has_the_boxes_of_both(tmp_path: Path) -> None:
    doubled = tree()
    doubled["images"].append({"id": 3, "file_name": "a.jpg", "width": 64, "height": 48})
    doubled["annotations"].append({"id": 2, "image_id": 3, "category_id": 5, "bbox": [0, 0, 8, 8]})
    doubled["annotations"].append({"id": 3, "image_id": 3, "category_id": 5, "bbox": [24, 12, 16, 24]})
    coco_file(tmp_path, "a.json", doubled)
    dataset = read_dataset(tmp_path)
    assert boxes_of(dataset) == {"a": [BOX, (0, 0.0, 0.0, 8.0, 8.0)], "b": []}
    assert told(dataset) == {"duplicate": 0}


def test_an_image_in_two_files_is_one_image_and_held_out(tmp_path: Path) -> None:
    part = tree()
    part["images"] = part["images"][:1]
    part["annotations"][0]["bbox"] = [0, 0, 8, 8]
    coco_file(tmp_path, "annotations/train.json", tree())
    coco_file(tmp_path, "annotations/val.json", part)
    dataset = read_dataset(tmp_path)
    assert [(image.path.name, image.split) for image in dataset.images] == [
        ("a.jpg", "val"),
        ("b.jpg", "train"),
    ]
    assert boxes_of(dataset)["a"] == [BOX, (0, 0.0, 0.0, 8.0, 8.0)]
    assert [problem.message for problem in dataset.problems] == [
        "listed in train and val: kept in val only",
        "labeled 2 times, each time otherwise: its 2 boxes are those of all",
    ]


def test_images_beside_those_of_a_json_are_told(tmp_path: Path) -> None:
    coco_file(tmp_path, "a.json", tree())
    write(tmp_path / "images/c.jpg", jpeg(5))
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.code, problem.lost) == ("unlabeled", 0)
    assert problem.message == "1 image, c.jpg, is in no JSON and not taken"


def test_a_rotation_is_told_where_no_size_stands_beside_the_boxes(yolo: Path, tmp_path: Path) -> None:
    write(yolo / "images/train/0.jpg", jpeg(0, exif=rotated()))
    write(yolo / "images/train/2.jpg", jpeg(2, exif=rotated()))
    (problem,) = read_dataset(yolo).problems
    assert (problem.path.name, problem.code, problem.lost) == ("0.jpg", "rotated", 0)
    assert "they are taken as drawn on the upright picture, as ultralytics does" in problem.message
    unsized = tree()
    del unsized["images"][0]["width"]
    assert told(coco(tmp_path / "coco", unsized, rotated())) == {"rotated": 0}


XML = (
    "<annotation><filename>a.png</filename><object><name>car</name><bndbox><xmin>4</xmin><ymin>4</ymin>"
    "<xmax>20</xmax><ymax>30</ymax></bndbox></object></annotation>"
)


@pytest.mark.parametrize(("images", "labels"), [("JPEGImages", "Annotations"), (".", ".")])
def test_of_pictures_of_one_name_the_one_that_the_xml_names_is_taken(
    tmp_path: Path, images: str, labels: str
) -> None:
    for seed, name in enumerate(("a.jpg", "a.png")):
        write(tmp_path / images / name, jpeg(seed))
    write(tmp_path / labels / "a.xml", XML)
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.images] == ["a.png"]
    assert dataset.problems[0].message == "taken for a.xml; of the same name and not taken: a.jpg"


def test_an_xml_means_the_picture_of_its_own_folders(tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        write(tmp_path / name / "JPEGImages/a.png", jpeg(seed))
        write(tmp_path / name / "Annotations/a.xml", XML)
    dataset = read_dataset(tmp_path)
    assert [image.path.parts[-3] for image in dataset.images] == ["one", "two"]
    assert dataset.problems == []


def test_what_is_broken_in_a_json_is_told_and_stops_nothing_else(tmp_path: Path) -> None:
    broken = tree()
    broken["categories"] += [None, {"id": 7}]
    broken["images"] += ["c.jpg"]
    broken["annotations"] += [None, {"image_id": 1, "category_id": 5, "bbox": "1234"}]
    coco_file(tmp_path, "a.json", broken)
    dataset = read_dataset(tmp_path)
    assert (dataset.classes, boxes_of(dataset)) == (("person",), {"a": [BOX], "b": []})
    assert told(dataset) == {"key": 0, "missing_image": 1, "label": 1, "number": 1}
    assert [problem.message for problem in dataset.problems] == [
        "category left out: expected a whole id and a name, got None",
        "category left out: expected a whole id and a name, got {'id': 7}",
        "annotation 2: expected an object, got None",
        "image left out: expected an object with a file_name, got 'c.jpg'",
        "annotation 3: box left out: expected bbox [x, y, w, h], got '1234'",
    ]


def test_captions_and_keypoints_beside_the_boxes_of_coco(tmp_path: Path) -> None:
    captions = {key: value for key, value in tree().items() if key != "categories"}
    coco_file(tmp_path, "annotations/captions_train.json", captions)
    coco_file(tmp_path, "annotations/instances_train.json", tree())
    coco_file(tmp_path, "annotations/person_keypoints_train.json", tree())
    dataset = read_dataset(tmp_path)
    assert boxes_of(dataset) == {"a": [BOX], "b": []}
    assert [problem.message for problem in dataset.problems] == [
        "nothing is made of it: it has no categories"
    ]


def test_images_in_folders_that_the_json_does_not_name(tmp_path: Path) -> None:
    coco_file(tmp_path / "in", "a.json", tree())
    for number, name in enumerate("ab"):
        (tmp_path / f"in/images/{name}.jpg").unlink()
        write(tmp_path / f"apart/cam{number}/{name}.jpg", jpeg(number))
    with pytest.raises(DatasetError, match="name their folder with --images"):
        read_dataset(tmp_path / "in")
    assert boxes_of(read_dataset(tmp_path / "in", images=tmp_path / "apart")) == {"a": [BOX], "b": []}
    write(tmp_path / "apart/cam2/a.jpg", jpeg(9))
    dataset = read_dataset(tmp_path / "in", images=tmp_path / "apart")
    assert (boxes_of(dataset), told(dataset)["missing_image"]) == ({"b": []}, 1)


def test_labels_of_pictures_that_are_not_read_say_so(yolo: Path) -> None:
    (yolo / "images/train/1.jpg").rename(yolo / "images/train/1.GIF")
    dataset = read_dataset(yolo)
    assert (boxes_of(dataset), told(dataset)) == ({"0": [BOX], "2": []}, {"image": 1})
    assert dataset.problems[0].path.name == "1.GIF"
    assert "are of a kind that is not read; convert them to JPEG or PNG" in dataset.problems[0].message


@pytest.mark.parametrize("layout", ["data.yaml", "classes.txt"])
def test_ids_that_count_from_1_are_refused(yolo: Path, layout: str) -> None:
    (yolo / "data.yaml").rename(yolo / layout)
    if layout == "classes.txt":
        write(yolo / layout, "person\ncar\n")
    for number in range(2):
        write(yolo / f"labels/train/{number}.txt", f"{number + 1} 0.5 0.5 0.25 0.5\n")
    with pytest.raises(DatasetError, match=r"class ids 0\.\.1 in the label files, got 2 and no 0; they seem"):
        read_dataset(yolo)
    write(yolo / "labels/train/2.txt", GOOD)
    assert told(read_dataset(yolo)) == {"class": 1}
