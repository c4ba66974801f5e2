"""Weights that somebody brings: taken correctly, or refused before anybody relies on them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from connectors.errors import ModelError
from connectors.yolo.class_names import class_names
from connectors.yolo.detector import load_detector, load_model, read_classes, untrainable
from connectors.yolo.environment import import_ultralytics, unchanged_process
from connectors.yolo.start import start_detector
from connectors.yolo.trial import try_weights

BASE = Path(__file__).parents[3] / "demo" / "assets" / "detector" / "base.pt"
NAMES = ("person", "helmet", "car", "truck", "pallet", "extinguisher", "forklift")


def changed(folder: Path, change: Callable[[Any], object]) -> Path:
    """The carried weights with something about the model changed."""
    import_ultralytics()
    content = torch.load(BASE, map_location="cpu", weights_only=False)
    change(content["model"])
    torch.save(content, folder / "changed.pt")
    return folder / "changed.pt"


def renamed(names: object) -> Callable[[Any], object]:
    return lambda model: setattr(model, "names", names)


@pytest.mark.parametrize(
    ("kept", "names"),
    [
        (["a", "b"], ("a", "b")),
        ({1: "b", 0: "a"}, ("a", "b")),
        ({"1": "b", "0": "a"}, ("a", "b")),
        ((" hard hat", "b\t"), ("hard hat", "b")),
        ([7, True], ("7", "True")),
    ],
)
def test_names_are_taken_however_they_are_kept(kept: object, names: tuple[str, ...]) -> None:
    assert class_names(kept, 2) == names


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (["a"], r"expected names with ids 0\.\.1, got 0"),
        ({1: "a", 2: "b"}, r"expected names with ids 0\.\.1, got 1, 2"),
        (["a", "b", "c"], r"expected names with ids 0\.\.1, got 0, 1, 2"),
        (None, r"expected names with ids 0\.\.1, got "),
        (["a", " "], "expected names that can be read, got 'a', ''"),
        (["a", "b\nc"], r"expected names that can be read, got 'a', 'b\\nc'"),
        (["a", "a "], "expected distinct names, got 'a' more than once"),
        ({"x": "a", "y": "b"}, "expected names by whole numbers, got"),
    ],
)
def test_names_that_tell_no_classes_apart(kept: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        class_names(kept, 2)


def test_too_few_names_are_told_with_the_file(tmp_path: Path) -> None:
    path = changed(tmp_path, renamed(["a", "b"]))
    with pytest.raises(
        ModelError, match=r"changed\.pt: class names: expected names with ids 0\.\.6, got 0, 1;"
    ):
        read_classes(path)


@pytest.mark.slow
def test_a_list_of_names_with_blanks_is_run_and_trained(tmp_path: Path) -> None:
    path = changed(tmp_path, renamed([" hard hat ", *NAMES[1:]]))
    assert read_classes(path) == ("hard hat", *NAMES[1:])
    try_weights(path, {"optimizer": "AdamW", "lr0": 0.001, "val": True, "amp": True})


@pytest.mark.slow
def test_a_setting_that_no_trainer_knows_is_found_when_weights_are_tried() -> None:
    with pytest.raises(
        ModelError,
        match=r"base\.pt: expected one training step to work .*: training settings: expected names that",
    ):
        try_weights(BASE, {"lr": 0.1})


class Touch:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("where", ["in its place", "beside the model", "without an archive"])
def test_no_code_of_a_checkpoint_is_run(where: str, tmp_path: Path) -> None:
    trap, path = Touch(tmp_path / "ran"), tmp_path / "strange.pt"
    if where == "without an archive":
        path.write_bytes(pickle.dumps(trap, 2))
    else:
        beside = (
            torch.load(BASE, map_location="cpu", weights_only=False) if where == "beside the model" else {}
        )
        torch.save({**beside, "more" if beside else "model": trap}, path)
    with pytest.raises(
        ModelError, match=r"strange\.pt: expected (a checkpoint of torch's|an ultralytics)"
    ) as told:
        read_classes(path)
    assert not (tmp_path / "ran").exists()
    if where != "without an archive":
        assert "got one that names posix.system, which loading would run; nothing of it was run" in str(
            told.value
        )


@pytest.mark.parametrize("name", ["yolov5n.pt", "yolov3.pt", "o'brien's best.pt", "yolov8n.pt"])
def test_weights_are_the_file_that_was_given(name: str, tmp_path: Path) -> None:
    """Whatever ultralytics offers under that name."""
    (tmp_path / name).write_bytes(BASE.read_bytes())
    assert read_classes(tmp_path / name) == NAMES


@pytest.mark.parametrize(
    ("module", "architecture", "kind"),
    [
        ("RTDETRDetectionModel", "rtdetr-resnet50.yaml", "RT-DETR"),
        ("WorldModel", "yolov8n-world.yaml", "YOLO-World"),
        ("YOLOEModel", "yoloe-11n.yaml", "YOLOE"),
    ],
)
def test_detectors_of_another_kind_are_refused_by_name(
    module: str, architecture: str, kind: str, tmp_path: Path
) -> None:
    import_ultralytics()
    from ultralytics.nn import tasks

    with unchanged_process():
        model = getattr(tasks, module)(architecture, nc=2, verbose=False)
    model.names, model.task = {0: "a", 1: "b"}, "detect"
    torch.save({"model": model, "train_args": {}}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=rf"with classes of its own, got {kind}, which cannot be fine-tuned"):
        read_classes(tmp_path / "other.pt")


def test_what_a_training_would_begin_without_is_told(tmp_path: Path) -> None:
    assert untrainable(BASE) == ""
    fused = changed(tmp_path, lambda model: model.float().eval().fuse(verbose=False))
    assert "parameters that do not; a training would begin without them" in untrainable(fused)
    assert load_detector(fused, imgsz=64, conf=0.5, iou=0.6).classes == NAMES
    with pytest.raises(
        ModelError, match=r"changed\.pt: expected weights that fit the architecture they name"
    ):
        try_weights(fused, {})


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    def spoil(model: Any) -> None:
        next(model.parameters()).data[0] = float("nan")

    assert "got 1 parameters that do not" in untrainable(changed(tmp_path, spoil))


def test_a_detector_is_started_for_other_classes(tmp_path: Path) -> None:
    content = start_detector(BASE, ["drone", "forklift"], seed=3)
    assert content == start_detector(BASE, ["drone", "forklift"], seed=3)
    path = tmp_path / "started.pt"
    path.write_bytes(content)
    assert read_classes(path) == ("drone", "forklift")
    assert untrainable(path) == ""
    before, after = (load_model(one)[0].float().model for one in (BASE, path))
    for mine, others in zip(after[:-1], before[:-1], strict=True):
        for name, value in mine.state_dict().items():
            assert torch.equal(value, others.state_dict()[name]), name
    forklift = NAMES.index("forklift")
    for mine, others in zip(after[-1].cv3, before[-1].cv3, strict=True):
        assert torch.equal(mine[-1].weight[1], others[-1].weight[forklift]), "known by name, so taken over"
        assert not torch.equal(mine[-1].weight[0], others[-1].weight[0])
    assert str(tmp_path).encode() not in content


def test_no_detector_is_started_from_fused_weights(tmp_path: Path) -> None:
    fused = changed(tmp_path, lambda model: deepcopy(model).float().eval())
    assert start_detector(fused, ["drone"], seed=0)
    fused = changed(tmp_path, lambda model: model.float().eval().fuse(verbose=False))
    with pytest.raises(ModelError, match="expected weights that fit the architecture they name, got others"):
        start_detector(fused, ["drone"], seed=0)
