"""What annotation tools write themselves: the same two pictures with the same boxes from each."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from loop.datasets.imported import DatasetError, ImportedDataset
from loop.datasets.importers import read_dataset
from loop.datasets.zipped import unpacked
from tests.loop.datasets.making import jpeg, write

W, H = 64, 48
TRUTH = {"a": [("car", (8, 12, 24, 36)), ("bus", (32, 0, 64, 24))], "b": [("car", (16, 12, 48, 24))]}
IDS = {"bus": 0, "car": 1}
Writer = Callable[[Path], Path]


def pictures(folder: Path, **named: str) -> None:
    for number, name in enumerate(TRUTH):
        write(folder / (named.get(name) or f"{name}.jpg"), jpeg(number))


def yolo_text(name: str) -> str:
    lines = (
        f"{IDS[one]} {(x1 + x2) / 2 / W} {(y1 + y2) / 2 / H} {(x2 - x1) / W} {(y2 - y1) / H}"
        for one, (x1, y1, x2, y2) in TRUTH[name]
    )
    return "\n".join(lines) + "\n"


def label_studio_yolo(root: Path) -> Path:
    pictures(root / "images", a="0a1b2c3d-a.jpg", b="0a1b2c3d-b.jpg")
    for name in TRUTH:
        write(root / f"labels/0a1b2c3d-{name}.txt", yolo_text(name))
    write(root / "classes.txt", "bus\ncar\n")
    notes = {"categories": [{"id": 0, "name": "bus"}, {"id": 1, "name": "car"}], "info": {}}
    write(root / "notes.json", json.dumps(notes))
    return root


def label_studio_notes(root: Path) -> Path:
    label_studio_yolo(root)
    write(root / "classes.txt", "")
    return root


def cvat_yolo(root: Path) -> Path:
    pictures(root / "obj_train_data")
    for name in TRUTH:
        write(root / f"obj_train_data/{name}.txt", yolo_text(name))
    write(root / "train.txt", "".join(f"data/obj_train_data/{name}.jpg\n" for name in TRUTH))
    write(root / "obj.names", "bus\ncar\n")
    write(
        root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
    )
    return root


def labelimg_yolo(root: Path) -> Path:
    pictures(root)
    for name in TRUTH:
        write(root / f"{name}.txt", yolo_text(name))
    write(root / "classes.txt", "bus\ncar\n")
    return root


def labelimg_voc(root: Path) -> Path:
    pictures(root)
    for name, boxes in TRUTH.items():
        objects = "".join(
            f"<object><name>{one}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax>"
            f"<ymax>{y2}</ymax></bndbox></object>"
            for one, (x1, y1, x2, y2) in boxes
        )
        size = f"<size><width>{W}</width><height>{H}</height><depth>3</depth></size>"
        write(
            root / f"{name}.xml", f"<annotation><filename>{name}.jpg</filename>{size}{objects}</annotation>"
        )
    return root


def labelme(root: Path) -> Path:
    pictures(root)
    for name, boxes in TRUTH.items():
        shapes = [
            {"label": one, "points": [[x2, y1], [x1, y2]], "shape_type": "rectangle", "flags": {}}
            for one, (x1, y1, x2, y2) in boxes
        ]
        tree = {"version": "5.4", "shapes": shapes, "imagePath": f"..\\x\\{name}.jpg"}
        write(root / f"{name}.json", json.dumps(tree | {"imageHeight": H, "imageWidth": W}))
    return root


def cvat_xml(root: Path) -> Path:
    pictures(root / "images")
    images = "".join(
        f'<image id="{n}" name="{name}.jpg" width="{W}" height="{H}">'
        + "".join(
            f'<box label="{one}" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" occluded="0"></box>'
            for one, (x1, y1, x2, y2) in boxes
        )
        + "</image>"
        for n, (name, boxes) in enumerate(TRUTH.items())
    )
    write(
        root / "annotations.xml",
        f"<?xml version='1.0'?><annotations><version>1.1</version>{images}</annotations>",
    )
    return root


def region(one: str, x1: float, y1: float, x2: float, y2: float, **more: object) -> dict:
    value = {
        "x": 100 * x1 / W,
        "y": 100 * y1 / H,
        "width": 100 * (x2 - x1) / W,
        "height": 100 * (y2 - y1) / H,
    }
    return {
        "type": "rectanglelabels",
        "original_width": W,
        "original_height": H,
        "image_rotation": 0,
        "value": value | {"rotation": 0, "rectanglelabels": [one]},
    } | more


def answer(*boxes: tuple, **more: object) -> dict:
    return {"result": [region(one, *corners) for one, corners in boxes], "was_cancelled": False} | more


def task(name: str, *answers: dict) -> dict:
    return {"data": {"image": f"/data/upload/1/0a1b2c3d-{name}.jpg"}, "annotations": list(answers)}


def label_studio_json(root: Path) -> Path:
    pictures(root)
    tasks = [task(name, answer(*boxes)) for name, boxes in TRUTH.items()]
    return write(root / "project-1-at-2026.json", json.dumps(tasks))


def label_studio_json_min(root: Path) -> Path:
    pictures(root / "pictures")
    tasks = [
        {
            "id": n,
            "image": f"/data/local-files/?d=some/where/{name}.jpg",
            "annotator": 1,
            "annotation_id": n,
            "label": [
                region(*one)["value"] | {"original_width": W, "original_height": H} for one in flat(name)
            ],
        }
        for n, name in enumerate(TRUTH)
    ]
    write(root / "min.json", json.dumps(tasks))
    return root


def flat(name: str) -> list[tuple]:
    return [(one, *corners) for one, corners in TRUTH[name]]


def server_coco(root: Path, start: str) -> Path:
    pictures(root / "images")
    tree: dict = {
        "images": [],
        "annotations": [],
        "categories": [{"id": v, "name": k} for k, v in IDS.items()],
    }
    for n, (name, boxes) in enumerate(TRUTH.items()):
        tree["images"].append({"id": n, "width": W, "height": H, "file_name": f"{start}0a1b2c3d-{name}.jpg"})
        for one, (x1, y1, x2, y2) in boxes:
            box = {"id": 1, "image_id": n, "category_id": IDS[one], "bbox": [x1, y1, x2 - x1, y2 - y1]}
            tree["annotations"].append(box)
    write(root / "result.json", json.dumps(tree))
    return root


def coco_upload(root: Path) -> Path:
    return server_coco(root, "/label-studio/data/media/upload/3/")


def coco_relative(root: Path) -> Path:
    return server_coco(root, "../../label-studio/data/media/upload/3/")


def coco_windows(root: Path) -> Path:
    return server_coco(root, "C:\\data\\upload\\")


def coco_address(root: Path) -> Path:
    return server_coco(root, "https://studio.example/data/upload/3/")


TOOLS = [
    label_studio_yolo,
    label_studio_notes,
    cvat_yolo,
    labelimg_yolo,
    labelimg_voc,
    labelme,
    cvat_xml,
    label_studio_json,
    label_studio_json_min,
    coco_upload,
    coco_relative,
    coco_windows,
    coco_address,
]


def named(dataset: ImportedDataset) -> dict[str, list | None]:
    return {
        image.path.stem.split("-")[-1]: image.boxes
        and [(dataset.classes[one[0]], tuple(round(v, 6) for v in one[1:])) for one in image.boxes]
        for image in dataset.images
    }


@pytest.mark.parametrize("writer", TOOLS)
def test_what_a_tool_writes_is_read(writer: Writer, tmp_path: Path) -> None:
    dataset = read_dataset(writer(tmp_path / "set"))
    assert named(dataset) == TRUTH
    assert dataset.problems == []
    assert not dataset.ordered
    assert {image.split for image in dataset.images} == {"train"}


@pytest.mark.parametrize("writer", [labelimg_yolo, labelimg_voc, labelme])
def test_folders_name_splits_and_a_folder_around_it_is_opened(writer: Writer, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        writer(tmp_path / "around" / "set" / split)
    dataset = read_dataset(tmp_path / "around")
    assert sorted(image.split for image in dataset.images) == ["train", "train", "val", "val"]
    assert dataset.boxes == 6


def test_darknet_lists_give_the_splits(tmp_path: Path) -> None:
    cvat_yolo(tmp_path)
    write(tmp_path / "train.txt", "data/obj_train_data/a.jpg\n")
    write(tmp_path / "valid.txt", "data/obj_train_data/b.jpg\ndata/obj_train_data/gone.jpg\n")
    write(tmp_path / "obj.data", "train = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n")
    dataset = read_dataset(tmp_path)
    assert {image.path.stem: image.split for image in dataset.images} == {"a": "train", "b": "val"}
    assert [problem.code for problem in dataset.problems] == ["missing_image"]


BOX, OTHER = ("car", (8, 12, 24, 36)), ("car", (8, 12, 24, 40))


@pytest.mark.parametrize(
    ("answers", "boxes", "lost"),
    [
        ([answer(BOX), answer(BOX)], [BOX], 0),
        ([answer(BOX), answer(OTHER)], None, 1),
        ([answer(OTHER), answer(BOX, ground_truth=True)], [BOX], 0),
        ([answer(OTHER, was_cancelled=True), answer(BOX)], [BOX], 0),
        ([answer(BOX, was_cancelled=True)], None, 0),
        ([], None, 0),
        ([answer()], [], 0),
        ([{"result": [region("car", 1, 1, 9, 9) | {"value": {"rle": [1, 2]}}]}], None, 1),
        ([{"result": [region("car", 1, 1, 9, 9, image_rotation=90)]}], None, 1),
    ],
)
def test_which_answer_of_label_studio_counts(
    tmp_path: Path, answers: list[dict], boxes: list | None, lost: int
) -> None:
    pictures(tmp_path)
    tasks = [task("a", *answers), task("b", answer(BOX))]
    dataset = read_dataset(write(tmp_path / "tasks.json", json.dumps(tasks)))
    assert (named(dataset)["a"], dataset.lost) == (boxes, lost)


def test_a_turned_box_is_taken_as_the_box_around_it(tmp_path: Path) -> None:
    """Turned by a right angle about its upper left corner (Label Studio) and about its middle (CVAT)."""
    pictures(tmp_path / "ls")
    turned = region("car", 40, 12, 48, 16)
    turned["value"]["rotation"] = 90
    tasks = [task("a", {"result": [turned]}), task("b", answer(BOX))]
    write(tmp_path / "ls/tasks.json", json.dumps(tasks))
    assert named(read_dataset(tmp_path / "ls"))["a"] == [("car", (36, 12, 40, 20))]
    pictures(tmp_path / "cvat")
    write(
        tmp_path / "cvat/annotations.xml",
        '<annotations><image name="a.jpg" width="64" height="48"><box label="car" xtl="40" ytl="12" xbr="48"'
        ' ybr="16" rotation="90"/></image></annotations>',
    )
    assert named(read_dataset(tmp_path / "cvat"))["a"] == [("car", (42, 10, 46, 18))]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "car 0.00 0 1.5 1 2 3 4 1.5 1.6 3.7 1 2 8 0.1\n", "KITTI: export it as YOLO or COCO"),
        ("a.txt", "0 0.5 0.5 0.1 0.1\n", "YOLO labels without class names: add classes.txt"),
        ("a.json", '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]', "COCO results"),
        ("a.json", '[{"image": "a.jpg", "annotations": []}]', "CreateML: export it as YOLO or COCO"),
        ("a.json", '{"_via_img_metadata": {}}', "VGG Image Annotator: export its annotations as COCO"),
        ("a.json", '{"items": [], "categories": {}}', "Datumaro"),
        ("a.json", '{"objects": [], "size": {}}', "Supervisely"),
        ("a.tfrecord", "x", "TFRecord: export it as YOLO or COCO"),
        ("a.csv", "filename,class,xmin\n", "a CSV of boxes"),
    ],
)
def test_what_is_not_taken_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    write(tmp_path / name, content)
    with pytest.raises(DatasetError, match="got none of them in") as refused:
        read_dataset(tmp_path)
    assert f"which looks like {said}" in str(refused.value)
    if not name.endswith(".txt"):
        with pytest.raises(DatasetError, match=r"or a folder, got a\."):
            read_dataset(tmp_path / name)


def test_exports_without_their_images_say_how_to_export(tmp_path: Path) -> None:
    write(tmp_path / "yolo/classes.txt", "car\n")
    write(tmp_path / "yolo/labels/a.txt", "0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(
        DatasetError, match="in Label Studio as 'YOLO with Images', in CVAT with 'Save images'"
    ):
        read_dataset(tmp_path / "yolo")
    tasks = json.dumps([task("a", answer(BOX))])
    with pytest.raises(DatasetError, match=r"no file for '/data/upload/1/.*name their folder with --images"):
        read_dataset(write(tmp_path / "ls/tasks.json", tasks))
    pictures(tmp_path / "elsewhere")
    assert read_dataset(tmp_path / "ls/tasks.json", images=tmp_path / "elsewhere").boxes == 1


def test_tracks_of_a_video_say_how_to_export(tmp_path: Path) -> None:
    write(tmp_path / "annotations.xml", "<annotations><track id='0' label='car'/></annotations>")
    with pytest.raises(
        DatasetError, match=r"looks like CVAT for video.*export the task as CVAT for images 1\.1"
    ):
        read_dataset(tmp_path)


def test_images_without_an_annotation_are_told(tmp_path: Path) -> None:
    labelme(tmp_path)
    write(tmp_path / "extra.jpg", jpeg(9))
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.code, problem.lost) == ("unlabeled", 0)
    assert problem.message == "1 image such as extra.jpg has no annotation and is not taken"


def test_an_ambiguous_name_is_no_image(tmp_path: Path) -> None:
    coco_upload(tmp_path)
    write(tmp_path / "other/a.jpg", jpeg(5))
    dataset = read_dataset(tmp_path)
    assert named(dataset) == {"b": TRUTH["b"]}
    assert [problem.code for problem in dataset.problems] == ["missing_image"]
    assert dataset.problems[0].message.startswith("left out: 2 files may be meant by '/label-studio/data/")


def test_tasks_of_one_image_that_contradict_each_other_leave_it_unlabeled(tmp_path: Path) -> None:
    pictures(tmp_path)
    one, other = (answer(box) for box in TRUTH["a"])
    again = [task("a", one), task("a", one), task("a"), task("b", answer(*TRUTH["b"]))]
    assert named(read_dataset(write(tmp_path / "same.json", json.dumps(again)))) == {
        "a": TRUTH["a"][:1],
        "b": TRUTH["b"],
    }
    tasks = [*again, task("a", other)]
    dataset = read_dataset(write(tmp_path / "other.json", json.dumps(tasks)))
    assert {image.path.name: image.boxes is None for image in dataset.images} == {
        "a.jpg": True,
        "b.jpg": False,
    }
    assert [problem.message for problem in dataset.problems if problem.lost] == [
        "3 annotations of it contradict each other; it counts as unlabeled"
    ]


def test_shapes_of_cvat_that_are_no_box_are_counted_and_tags_are_told(tmp_path: Path) -> None:
    cvat_xml(tmp_path)
    label = tmp_path / "annotations.xml"
    new = '<tag label="car"/><cuboid label="car"/><something label="car" points="1,1"/></image>'
    write(label, label.read_text().replace("</image>", new, 1))
    dataset = read_dataset(tmp_path)
    assert named(dataset) == TRUTH
    assert [(problem.code, problem.lost) for problem in dataset.problems] == [
        ("key", 0),
        ("number", 1),
        ("number", 1),
    ]
    assert dataset.problems[0].message.startswith("1 image has tags, of which nothing is made")


def test_a_broken_task_is_told_and_stops_no_other(tmp_path: Path) -> None:
    label_studio_json(tmp_path)
    (file,) = tmp_path.glob("*.json")
    file.write_text(json.dumps([*json.loads(file.read_text()), None]))
    dataset = read_dataset(tmp_path)
    assert named(dataset) == TRUTH
    assert [problem.message for problem in dataset.problems] == [
        "task 3: left out: expected an object, got None"
    ]


def zipped(file: Path, folder: Path, part: str = "/", *litter: str) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo()
            info.filename = path.relative_to(folder.parent).as_posix().replace("/", part)
            archive.writestr(info, path.read_bytes())
        for name in litter:
            archive.writestr(name, b"x")
    return file


@pytest.mark.parametrize("part", ["/", "\\"])
def test_a_zip_of_windows_or_of_a_mac_is_read_as_it_is_meant(tmp_path: Path, part: str) -> None:
    folder = label_studio_yolo(tmp_path / "a set")
    zip_file = zipped(
        tmp_path / "a.zip", folder, part, ".DS_Store", "__MACOSX/a set/._classes.txt", "Thumbs.db"
    )
    with unpacked(zip_file) as place:
        assert {path.name for path in place.iterdir()} == {"images", "labels", "classes.txt", "notes.json"}
        assert named(read_dataset(place)) == TRUTH
    assert not place.exists()


def test_a_zip_within_a_zip_is_named_where_it_lies(tmp_path: Path) -> None:
    write(tmp_path / "set/inner.zip", b"PK")
    file = zipped(tmp_path / "outer.zip", tmp_path / "set")
    with pytest.raises(DatasetError) as refused, unpacked(file) as place:
        read_dataset(place)
    assert (
        f"got none of them in {file}/set, which looks like an archive: unpack it, and name the folder"
        in str(refused.value)
    )


@pytest.mark.parametrize("name", ["a.tar.gz", "a.7z", "a.rar", "a.zip"])
def test_an_archive_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="looks like an archive: unpack it, and name the folder"):
        read_dataset(write(tmp_path / name, b"x"))


@pytest.mark.parametrize("writer", [cvat_xml, label_studio_json])
def test_of_several_exports_in_a_folder_one_is_to_be_named(tmp_path: Path, writer: Writer) -> None:
    for name in ("one", "two"):
        writer(tmp_path / name)
    with pytest.raises(
        DatasetError, match=r"expected one file with annotations, got 2: one/.*, two/.*; name"
    ):
        read_dataset(tmp_path)


def test_a_second_layout_in_a_folder_is_told(tmp_path: Path) -> None:
    labelimg_voc(tmp_path)
    for name in TRUTH:
        for folder, end in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / f"{name}.{end}").rename(tmp_path / folder / f"{name}.{end}")
    write(tmp_path / "data.yaml", "train: JPEGImages\nnames: [car]\n")
    dataset = read_dataset(tmp_path)
    assert named(dataset) == TRUTH
    assert [problem.message for problem in dataset.problems] == [
        "read as VOC; it also holds a YOLO dataset, of which nothing is read: name its file to read that"
    ]


def test_regions_on_several_images_of_a_task_are_no_label_of_the_first(tmp_path: Path) -> None:
    pictures(tmp_path)
    both = answer(*TRUTH["a"])
    for region, image in zip(both["result"], ("left", "right"), strict=True):
        region["to_name"] = image
    tasks = [task("a", both), task("b", answer(*TRUTH["b"]))]
    dataset = read_dataset(write(tmp_path / "tasks.json", json.dumps(tasks)))
    assert named(dataset) == {"a": None, "b": TRUTH["b"]}
    (problem,) = dataset.problems
    assert (problem.code, problem.lost) == ("label", 1)
    assert "task 1: its regions lie on several images (left, right)" in problem.message
