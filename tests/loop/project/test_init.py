"""`fieldloop init`: what is looked at before anything is written, and going on after a stop."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from connectors.errors import ModelError, WeightsUnavailable
from connectors.files import sha256_of_file
from connectors.yolo.detector import read_classes
from db.engine import read
from db.frames import frames
from db.labels import labels
from db.models import deployed
from db.states import Origin, Role
from loop.base.errors import ConfigError, ProjectError
from loop.cli.app import OK, USAGE, main
from loop.datasets.imported import DatasetError
from loop.ingest.metadata import import_metadata
from loop.project.init import NewProject, create_project
from loop.project.project import Project, open_project
from tests.fakes import (
    CLASSES,
    FakeEmbedder,
    create,
    picture,
    quiet,
    stopped_import,
    weights,
    write_dataset,
)

BASE = Path(__file__).parents[3] / "demo" / "assets" / "detector" / "base.pt"


@pytest.fixture
def plan(tmp_path: Path) -> NewProject:
    data = write_dataset(tmp_path / "dataset", train=8, val=4)
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(weights())
    return NewProject(tmp_path / "project", data, checkpoint, str(tmp_path / "incoming"), clip="small")


def plan_with(plan: NewProject, *overrides: str) -> NewProject:
    return NewProject(plan.root, plan.dataset, plan.weights, plan.frames, clip="small", overrides=overrides)


def imported(project: Project) -> dict[str, tuple[str, str]]:
    """Split and purpose by content."""
    with read(project.engine) as session:
        known = labels(session, source="imported")
        return {
            row.content_hash: (str(row.split), known[row.seq].purpose)
            for row in frames(session, origin=Origin.IMPORTED)
        }


def test_a_project_holds_dataset_model_and_settings(plan: NewProject) -> None:
    report = create(plan)
    project = open_project(plan.root)
    assert report.images == {"train": 8, "val": 4}
    assert report.boxes == 12
    assert sorted(imported(project).values()) == [("train", "train")] * 8 + [("val", "evaluation")] * 4
    assert project.classes == CLASSES
    with read(project.engine) as session:
        model = deployed(session)
        roles = {row.split: row.role for row in frames(session)}
    assert model is not None
    assert model.sha256 == sha256_of_file(plan.weights) == sha256_of_file(project.deployed_weights)
    assert roles == {"train": Role.POOL, "val": Role.EVALUATION}
    text = (plan.root / "fieldloop.yaml").read_text()
    assert "# frames of one batch" in text
    assert project.settings.frames.path == plan.frames
    assert project.settings.embedder.model == "small"
    project.engine.dispose()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["person", "hat"],
            r"part at class 1; only in the dataset: \['hat'\]; only in the weights: \['helmet'\]",
        ),
        (["helmet", "person"], "they part at class 0; only in the dataset: none; only in the weights: none"),
        (["person", "helmet", "dog"], r"got 3 and 2; they part at class 2; only in the dataset: \['dog'\]"),
    ],
)
def test_classes_that_disagree_stop_it_before_anything_is_written(
    plan: NewProject, names: list[str], said: str
) -> None:
    plan.dataset.write_text(yaml.safe_dump(yaml.safe_load(plan.dataset.read_text()) | {"names": names}))
    with pytest.raises(ProjectError, match=said):
        create(plan)
    assert not plan.root.exists()


def with_names(plan: NewProject, names: list[str]) -> None:
    """The dataset calls its classes so; labels that lie below keep their numbers."""
    plan.dataset.write_text(yaml.safe_dump(yaml.safe_load(plan.dataset.read_text()) | {"names": names}))


def without_helmets(plan: NewProject) -> None:
    for path in (plan.dataset.parent / "labels").rglob("*.txt"):
        if path.read_text().startswith("1 "):
            path.write_text("")


@pytest.mark.parametrize("names", [["person"], ["person", "helmet"]])
def test_a_class_that_a_round_would_forget_is_asked_about(plan: NewProject, names: list[str]) -> None:
    """Whether the dataset does not name it, or names it and shows none."""
    without_helmets(plan)
    with_names(plan, names)
    asked: list[str] = []
    with pytest.raises(
        ProjectError, match="expected agreement that helmet will be forgotten, got none, and nothing was made"
    ):
        create(plan, lambda said: bool(asked.append(said)))
    assert asked == [
        (
            "the weights know helmet, of which the training images show no object: the first round will"
            " forget them"
        )
    ]
    assert not plan.root.exists()
    assert create(plan).unseen == ("helmet",), "where nobody is there to be asked"


def test_objects_that_judge_alone_do_not_keep_a_class(plan: NewProject) -> None:
    for path in (plan.dataset.parent / "labels" / "train").glob("*.txt"):
        if path.read_text().startswith("1 "):
            path.write_text("")
    assert create(plan).unseen == ("helmet",)


@pytest.mark.slow
def test_a_detector_is_started_for_the_classes_of_the_dataset(
    plan: NewProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights, training step and CLIP are real."""
    with_names(plan, ["forklift", "drone"])
    given = ["--dataset", plan.dataset, "--start", BASE, "--clip", "small"]
    monkeypatch.setattr(sys, "argv", ["fieldloop", "init", str(plan.root), *map(str, given)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code or OK, out.splitlines()[1]) == (
        OK,
        (
            "a detector for forklift, drone was started from base.pt; drone it has not learned: what it says"
            " of that is a guess until a round has trained it"
        ),
    ), err
    project = open_project(plan.root)
    assert project.classes == read_classes(project.deployed_weights) == ("forklift", "drone")
    project.engine.dispose()


@pytest.mark.parametrize("given", [[], ["--weights", "a.pt", "--start", "b.pt"]])
def test_weights_are_brought_or_started_from(
    given: list[str], plan: NewProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fieldloop", "init", str(plan.root), "--dataset", str(plan.dataset), *given]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == USAGE
    assert "expected one of --weights and --start" in capsys.readouterr().err


def test_a_numbered_dataset_is_mapped_by_name(plan: NewProject) -> None:
    with_names(plan, ["worker", "helmet"])
    report = create(replace(plan, mapped=("worker=person",)))
    assert (report.boxes, report.unseen) == (12, ())
    project = open_project(plan.root)
    with read(project.engine) as session:
        found = [box.class_name for label in labels(session).values() for box in label.boxes]
    assert (found.count("person"), found.count("helmet")) == (9, 3)


def test_settings_that_no_training_follows_stop_it_before_anything_is_written(plan: NewProject) -> None:
    with pytest.raises(ConfigError, match=r"round\.train: .*'auto' chooses its own learning rate"):
        create(plan_with(plan, "round.train={optimizer: auto}"))
    assert not plan.root.exists()


def test_weights_that_fail_when_tried_stop_it_before_anything_is_written(
    plan: NewProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(weights: Path, overrides: object) -> None:
        raise ModelError(f"{weights}: expected one training step to work")

    monkeypatch.setattr("loop.project.init.read_classes", lambda path: CLASSES)
    monkeypatch.setattr("loop.project.init.build_embedder", lambda root, chosen: FakeEmbedder())
    monkeypatch.setattr("loop.project.init.try_weights", refuse)
    with pytest.raises(ModelError, match="expected one training step to work"):
        create_project(plan, quiet)
    assert not plan.root.exists()


def test_the_same_command_again_changes_nothing(plan: NewProject) -> None:
    create(plan)
    before = imported(open_project(plan.root))
    create(plan)
    assert imported(open_project(plan.root)) == before


def test_a_stopped_import_goes_on(plan: NewProject) -> None:
    with stopped_import(5), pytest.raises(KeyboardInterrupt):
        create(plan)
    assert len(imported(open_project(plan.root))) == 5
    assert create(plan).images == {"train": 8, "val": 4}
    assert len(imported(open_project(plan.root))) == 12


def test_other_settings_in_the_folder_are_never_overwritten(plan: NewProject) -> None:
    create(plan)
    config = plan.root / "fieldloop.yaml"
    config.write_text(config.read_text().replace("budget: 100 ", "budget: 5 ", 1))
    with pytest.raises(
        ProjectError, match=r"found a fieldloop\.yaml with other settings; edit that file or choose"
    ):
        create(plan)
    assert open_project(plan.root).settings.select.budget == 5


def test_other_classes_in_the_folder_are_refused(plan: NewProject) -> None:
    create(plan)
    plan.weights.write_text(json.dumps({"classes": ["a"], "blind_below": 0, "misses": []}))
    plan.dataset.write_text(yaml.safe_dump(yaml.safe_load(plan.dataset.read_text()) | {"names": ["a"]}))
    with pytest.raises(
        ProjectError,
        match=r"expected the classes .* \(\[\"person\", \"helmet\"\]\), got others \(\[\"a\"\]\)",
    ):
        create(plan)


def test_other_weights_in_the_folder_are_refused(plan: NewProject) -> None:
    create(plan)
    first = sha256_of_file(plan.weights)
    plan.weights.write_bytes(weights(note="retrained"))
    other = sha256_of_file(plan.weights)
    with pytest.raises(
        ProjectError,
        match=(
            rf"expected the weights this project was made with \({first}\), got others \({other}\); choose"
            r" another"
        ),
    ):
        create(plan)
    project = open_project(plan.root)
    assert sha256_of_file(project.deployed_weights) == first
    assert [path.name for path in project.models.glob("*.pt")] != []
    assert not (project.models / f"{other}.pt").exists()


def test_another_dataset_in_the_folder_is_refused(plan: NewProject) -> None:
    create(plan)
    before = imported(open_project(plan.root))
    more = write_dataset(plan.dataset.parent, train=9, val=4)
    with pytest.raises(
        ProjectError,
        match=(
            r"expected the dataset this project was made with \(12 images with 12 boxes, \w{16}\), got"
            r" others "
            r"\(13 images with 13 boxes, \w{16}\); choose another folder, or remove .* and make it anew"
        ),
    ):
        create(plan)
    assert imported(open_project(plan.root)) == before
    label = more.parent / "labels" / "train" / "1008.txt"
    label.with_name("1007.txt").write_bytes(label.read_bytes())
    label.unlink()
    (more.parent / "images" / "train" / "1008.jpg").unlink()
    with pytest.raises(ProjectError, match=r"got others \(12 images with 12 boxes"):
        create(plan)


def test_the_same_dataset_elsewhere_is_the_same(plan: NewProject, tmp_path: Path) -> None:
    create(plan)
    moved = write_dataset(tmp_path / "moved", train=8, val=4)
    assert create(NewProject(plan.root, moved, plan.weights, plan.frames, clip="small")).boxes == 12


def test_settings_can_be_given(plan: NewProject) -> None:
    given = (
        "select.budget=7",
        "frames.pattern={camera}/{n}.jpg",
        'frames.site="north"',
        "round.train={mosaic: 0}",
        "frames.camera=007",
        "gaps.prompts=false",
    )
    create(plan_with(plan, *given))
    chosen = open_project(plan.root).settings
    assert (chosen.select.budget, chosen.frames.pattern, chosen.frames.site) == (
        7,
        "{camera}/{n}.jpg",
        "north",
    )
    assert (chosen.round.train, chosen.frames.camera, chosen.gaps.prompts) == ({"mosaic": 0}, "007", False)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("select.budgt=5", r"--set: unknown key 'select\.budgt'; the nearest valid key is 'select\.budget'"),
        ("select.budget", "--set: expected key=value, got 'select.budget'; for example"),
        ("select=5", r"--set: expected one setting, got the section 'select'; set select\.<name>=value"),
        ("select.budget=many", r"select\.budget: expected a whole number, got 'many'"),
        ("frames.pattern={sight}.jpg", r"frames\.pattern: .*got \{sight\}; did you mean \{site\}\?"),
        ("label_studio.url=notaurl", r"label_studio\.url: expected http\(s\)://host.*, got 'notaurl'"),
        ("conditions=nope.yaml", r"conditions: expected a file .*, got 'nope\.yaml', which is not there"),
        (
            "label_studio.token=hush",
            r"--set: unknown key 'label_studio\.token'; .*FIELDLOOP_LABEL_STUDIO_TOKEN",
        ),
        ("select.budget={", r"--set select\.budget: expected a YAML value, got '\{'"),
    ],
)
def test_wrong_settings_stop_it_before_anything_is_written(
    plan: NewProject, override: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        create(plan_with(plan, override))
    assert not plan.root.exists()


def test_an_image_that_cannot_be_decoded_is_left_out_and_named(plan: NewProject) -> None:
    image = sorted((plan.dataset.parent / "images" / "train").iterdir())[0]
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DatasetError, match=r"11 boxes and 1 label or image that cannot be \(8\.3%\)"):
        create(plan)
    report = create(replace(plan, accept_problems=True))
    assert report.images == {"train": 7, "val": 4}
    assert report.boxes == 11
    assert [(problem.path, problem.code) for problem in report.problems] == [(image, "image")]
    assert len(imported(open_project(plan.root))) == 11


def test_metadata_that_is_not_understood_can_be_told_later(plan: NewProject) -> None:
    table = plan.dataset.parent / "meta.csv"
    rows = "".join(f"images/train/{1000 + n}.jpg;Tor\n" for n in range(8))
    table.write_text(f"Datei;Kamera\n{rows}")
    report = create(plan)
    assert (report.with_camera, [problem.code for problem in report.problems]) == (0, ["metadata"])
    (line,) = (line for line in report.lines() if "`fieldloop metadata import FILE`" in line)
    assert line.startswith("what was not understood of where and when they were taken")
    (plan.root / "fieldloop.yaml").write_text("frames: {columns: {file: Datei, camera: Kamera}}\n")
    assert import_metadata(open_project(plan.root), table).changed == {"imported": 8}


def test_images_that_show_no_object_are_counted(plan: NewProject) -> None:
    labels = plan.dataset.parent / "labels" / "train"
    (labels / "1000.txt").write_text("")
    (labels / "1001.txt").unlink()
    report = create(plan)
    assert (report.images, report.boxes, report.empty) == ({"train": 8, "val": 4}, 10, 2)
    assert "2 of these images show no object" in report.lines()


def test_a_set_of_which_nothing_is_left_to_train_on_is_refused(plan: NewProject) -> None:
    tree = yaml.safe_load(plan.dataset.read_text())
    plan.dataset.write_text(yaml.safe_dump(tree | {"val": tree["train"]}))
    with pytest.raises(
        DatasetError, match=r"expected labeled images to train on, got none: all 8 are in val.*\n  8 split: "
    ):
        create(replace(plan, accept_problems=True))
    assert not plan.root.exists()


def test_the_same_picture_in_two_splits_is_taken_once(plan: NewProject) -> None:
    images = plan.dataset.parent / "images"
    picture_bytes = picture(seed=1000)
    (images / "train" / "1000.jpg").write_bytes(picture_bytes)
    (images / "val" / "2000.jpg").write_bytes(picture_bytes)
    report = create(plan)
    assert len(imported(open_project(plan.root))) == 11
    assert (report.images, report.boxes) == ({"train": 7, "val": 4}, 11)
    assert [problem.code for problem in report.problems] == ["duplicate"]


def test_labels_that_nobody_can_read_are_asked_about_before_anything_is_written(plan: NewProject) -> None:
    label = plan.dataset.parent / "labels" / "train" / "1000.txt"
    label.write_text("0 0.5 0.5 0.25 0.5 0.9\n")
    with pytest.raises(DatasetError, match="got 11 boxes and 1 label or image that cannot be") as asked:
        create(plan)
    assert "--accept-problems\n  1 label:" in str(asked.value)
    assert not plan.root.exists()
    report = create(replace(plan, accept_problems=True))
    assert report.images == {"train": 7, "val": 4}


def test_what_was_left_out_is_told_once_per_cause_and_missing_splits_too(plan: NewProject) -> None:
    for name in ("1000", "1001"):
        label = plan.dataset.parent / "labels" / "train" / f"{name}.txt"
        label.write_text(label.read_text() * 3)
    tree = yaml.safe_load(plan.dataset.read_text())
    plan.dataset.write_text(yaml.safe_dump(tree | {"val": None}))
    lines = create(replace(plan, accept_problems=True)).lines()
    assert lines[0] == "imported 8 train images with 8 boxes of 2 classes"
    assert "no image is held out: the training set names neither val nor test" in lines
    assert "9 things were left out, mended or noticed:" in lines
    assert [line.split(":")[0] for line in lines if line.startswith("  ")] == [
        "  1 key",
        "  4 duplicate",
        "  4 unclaimed",
    ]


def test_an_image_of_16_bits_is_stored_with_8_and_told(plan: NewProject) -> None:
    deep = np.linspace(0, 4095, 32 * 24).astype(np.uint16).reshape(24, 32)
    image = plan.dataset.parent / "images" / "train" / "1000.jpg"
    image.write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    report = create(plan)
    assert [(problem.code, problem.path) for problem in report.problems] == [("stretched", image)]
    project = open_project(plan.root)
    with read(project.engine) as session:
        (row,) = (row for row in frames(session) if row.source_key == str(image))
    pixels = cv2.imread(str(project.store / row.path))
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)


def test_a_zip_is_read_and_its_files_keep_their_names(plan: NewProject, tmp_path: Path) -> None:
    tree = yaml.safe_load(plan.dataset.read_text())
    plan.dataset.write_text(yaml.safe_dump(tree | {"path": "/home/somebody/dataset"}))
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", plan.dataset.parent.parent, "dataset")
    report = create(replace(plan, dataset=Path(archive)))
    assert (report.images, report.boxes) == ({"train": 8, "val": 4}, 12)
    with read(open_project(plan.root).engine) as session:
        keys = sorted(row.source_key for row in frames(session))
    assert keys[0] == f"{archive}/images/train/1000.jpg"
    assert create(replace(plan, dataset=Path(archive))).boxes == 12


def test_a_damaged_zip_says_so(plan: NewProject, tmp_path: Path) -> None:
    broken = tmp_path / "set.zip"
    broken.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(
        DatasetError, match=r"set\.zip: expected a zip that can be unpacked, got: .*export it"
    ):
        create(replace(plan, dataset=broken))


@pytest.mark.parametrize(("folder", "title"), [("p1", "fieldloop p1"), ("abc", "abc"), ("x" * 60, "x" * 50)])
def test_a_title_is_what_label_studio_takes(plan: NewProject, folder: str, title: str) -> None:
    root = plan.root.with_name(folder)
    create(replace(plan, root=root))
    assert open_project(root).settings.name == title


def test_weights_that_cannot_be_had_name_the_option(
    plan: NewProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loop.project.init.read_classes", lambda path: CLASSES)
    with pytest.raises(
        WeightsUnavailable, match=r"or to \"small\" for .*; here: --clip DIR or --clip small$"
    ):
        create_project(replace(plan, clip="./nowhere"), quiet)
    assert not plan.root.exists()
