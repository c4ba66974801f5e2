"""`fieldloop init` with a dataset in another layout than YOLO's: its classes are matched by name."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from db.engine import read
from db.frames import frames
from db.labels import labels
from loop.cli.app import FAILED, OK, USAGE, main
from loop.project.project import open_project
from tests.fakes import FakeEmbedder, box_of, detector_from, picture, weights

Layout = Callable[[Path, dict[int, str]], Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`fieldloop init` into a folder: exit code, stdout, stderr. The weights know person and
    helmet, in this order.
    """
    monkeypatch.setattr("loop.project.init.read_classes", lambda path: detector_from(path).classes)
    monkeypatch.setattr("loop.project.init.build_embedder", lambda root, chosen: FakeEmbedder())
    monkeypatch.setattr("loop.project.init.try_weights", lambda weights, overrides: detector_from(weights))
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "best.pt").write_bytes(weights())

    def run(root: Path, dataset: Path, *more: str) -> tuple[int, str, str]:
        given = ["init", str(root), "--dataset", str(dataset), "--weights", str(tmp_path / "best.pt")]
        monkeypatch.setattr(sys, "argv", ["fieldloop", *given, "--clip", "small", *more])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def voc(folder: Path, objects: dict[int, str]) -> Path:
    for number, name in objects.items():
        image = folder / "JPEGImages" / f"{number}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(picture(seed=number))
        corners = "".join(
            f"<{side}>{value}</{side}>"
            for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box_of(number), strict=True)
        )
        annotation = folder / "Annotations" / f"{number}.xml"
        annotation.parent.mkdir(exist_ok=True)
        annotation.write_text(
            f"<annotation><object><name>{name}</name><bndbox>{corners}</bndbox></object></annotation>"
        )
    return folder


def coco(folder: Path, objects: dict[int, str]) -> Path:
    """Category ids in the alphabetical order of the names."""
    (folder / "images").mkdir(parents=True)
    ids = {name: 7 + place for place, name in enumerate(sorted(set(objects.values())))}
    answers = []
    for number, name in objects.items():
        (folder / "images" / f"{number}.jpg").write_bytes(picture(seed=number))
        x1, y1, x2, y2 = box_of(number)
        answers.append(
            {"id": number, "image_id": number, "category_id": ids[name], "bbox": [x1, y1, x2 - x1, y2 - y1]}
        )
    tree = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in objects],
        "annotations": answers,
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    (folder / "train.json").write_text(json.dumps(tree))
    return folder / "train.json"


LAYOUTS = pytest.mark.parametrize("layout", [voc, coco])


@LAYOUTS
def test_labels_keep_their_names_whatever_the_order_of_the_classes(
    layout: Layout, init: Run, tmp_path: Path
) -> None:
    objects = {1: "person", 2: "helmet", 3: "person", 4: "helmet"}
    code, out, err = init(tmp_path / "project", layout(tmp_path / "dataset", objects))
    assert (code, out.splitlines()[0]) == (OK, "imported 4 train images with 4 boxes of 2 classes"), err
    project = open_project(tmp_path / "project")
    with read(project.engine) as session:
        known = labels(session)
        found = {
            int(Path(row.source_key).stem): [(box.class_name, *box.xyxy) for box in known[row.seq].boxes]
            for row in frames(session)
        }
    project.engine.dispose()
    assert found == {number: [(name, *map(float, box_of(number)))] for number, name in objects.items()}
    assert project.classes == ("person", "helmet")


@LAYOUTS
def test_a_class_that_the_dataset_lacks_is_said(layout: Layout, init: Run, tmp_path: Path) -> None:
    dataset = layout(tmp_path / "dataset", {1: "helmet", 2: "helmet"})
    code, out, err = init(tmp_path / "project", dataset)
    assert code == OK, err
    assert out.splitlines()[:2] == [
        "imported 2 train images with 2 boxes of 1 class",
        (
            "the weights also know person, which the training images do not show: a round forgets what it"
            " never sees"
        ),
    ]
    said = "of which the training images show no object: the first round will forget them"
    assert (
        f"warning: the weights know person, {said}\n  nobody is here to be asked, so it goes on; --yes" in err
    )
    assert "warning" not in init(tmp_path / "project", dataset, "--yes")[2]


class Terminal(io.StringIO):
    """A person who types this."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("y\n", OK), ("n\n", FAILED)])
def test_who_sits_at_a_terminal_is_asked(
    typed: str, code: int, init: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    ended, _, err = init(tmp_path / "project", coco(tmp_path / "dataset", {1: "helmet"}))
    assert (ended, "the weights know person, of which the training images show no object" in err) == (
        code,
        True,
    )
    assert (tmp_path / "project").exists() == (code == OK)


@LAYOUTS
def test_a_class_of_another_name_is_mapped(layout: Layout, init: Run, tmp_path: Path) -> None:
    dataset = layout(tmp_path / "dataset", {1: "worker", 2: "hat", 3: "worker", 4: "cap"})
    names = ("--map", "worker=person", "--map", "hat=helmet", "--map", "cap = helmet")
    code, out, err = init(tmp_path / "project", dataset, *names)
    assert (code, out.splitlines()[0]) == (OK, "imported 4 train images with 4 boxes of 2 classes"), err
    project = open_project(tmp_path / "project")
    with read(project.engine) as session:
        found = [box.class_name for label in labels(session).values() for box in label.boxes]
    project.engine.dispose()
    assert sorted(found) == ["helmet", "helmet", "person", "person"]


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("worker", "--map: expected a class of the dataset=a class of the weights, got 'worker'"),
        (
            "workers=person",
            "--map: expected a class of the dataset (hat, worker), got 'workers', the nearest",
        ),
        (
            "hat=person",
            "--map: expected one class of the weights for each of the dataset, got hat=helmet and",
        ),
        ("worker=persons", "expected the dataset's classes among those of the weights (person, helmet), got"),
    ],
)
def test_a_map_that_leads_nowhere_is_refused(pair: str, said: str, init: Run, tmp_path: Path) -> None:
    dataset = coco(tmp_path / "dataset", {1: "worker", 2: "hat"})
    code, _, err = init(tmp_path / "project", dataset, "--map", "hat=helmet", "--map", pair)
    assert (code, said in err) == (FAILED, True), err
    assert not (tmp_path / "project").exists()


@LAYOUTS
def test_what_is_said_of_the_images_is_told_back(layout: Layout, init: Run, tmp_path: Path) -> None:
    dataset = layout(tmp_path / "dataset", {1: "person", 2: "helmet"})
    said = (
        "--train-site",
        "north",
        "--train-pattern",
        "{camera}/{n}.jpg",
        "--train-time",
        "2026-03-01T14:00",
    )
    rome = ("--set", "frames.timezone=Europe/Rome")
    code, out, err = init(tmp_path / "project", dataset, *said, *rome)
    assert code == OK, err
    assert out.splitlines()[1] == (
        "camera known of 2 of 2 images, time of 0; the others count as taken at the time of day of"
        " 2026-03-01T13:00:00+00:00"
    )
    code, _, err = init(tmp_path / "other", dataset, "--train-time", "noon")
    assert (code, "expected a time such as 2026-11-24T08:30:00+01:00, got 'noon'" in err) == (USAGE, True)
    code, _, err = init(tmp_path / "other", dataset, "--train-pattern", "{camera}.jpg")
    assert (code, "which fits none of 2 images" in err) == (FAILED, True)
    assert not (tmp_path / "other").exists()


@LAYOUTS
def test_a_class_that_the_weights_lack_is_an_error(layout: Layout, init: Run, tmp_path: Path) -> None:
    dataset = layout(tmp_path / "dataset", {1: "person", 2: "helmets", 3: "dog"})
    code, out, err = init(tmp_path / "project", dataset)
    assert (code, out) == (FAILED, "")
    assert "expected the dataset's classes among those of the weights (person, helmet), got 'dog'; " in err
    assert "; 'helmets', the nearest is 'helmet'; rename or remove them in the dataset" in err
    assert "or give the weights with --start" in err
    assert not (tmp_path / "project").exists()


def test_a_category_that_no_box_has_does_no_harm(init: Run, tmp_path: Path) -> None:
    path = coco(tmp_path / "dataset", {1: "person", 2: "helmet"})
    tree = json.loads(path.read_text())
    tree["categories"].append({"id": 0, "name": "workers", "supercategory": "none"})
    path.write_text(json.dumps(tree))
    code, out, err = init(tmp_path / "project", path)
    assert code == OK, err
    assert "imported 2 train images with 2 boxes" in out
