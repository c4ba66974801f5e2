"""Settings of a training: refused where they would do nothing or something else, and followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image as PilImage

from connectors.errors import TrainingCancelled, TrainingFailed
from connectors.ports import Progress, TrainResult, TrainSpec
from connectors.yolo.detector import load_detector, load_model, read_classes
from connectors.yolo.effective import OF_EVALUATION, OF_SEVERAL, PERSPECTIVE, TOLD, frozen_layers
from connectors.yolo.train_settings import (
    IGNORED,
    REFUSED,
    check_overrides,
    check_run,
    differences,
    in_words,
)
from connectors.yolo.train_values import refused_values
from connectors.yolo.trainer import YoloTrainer

BASE = Path(__file__).parents[3] / "demo" / "assets" / "detector" / "base.pt"
SIDE = 96
QUICK: dict[str, object] = {"nbs": 8, "mosaic": 0.0, "warmup_epochs": 0.0}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"single_cls": True}, "no 'single_cls' among them, got one; it makes one class of all"),
        ({"classes": [0]}, "no 'classes' .*; it trains objects of the other classes as background"),
        ({"fraction": 0.5}, "no 'fraction' .*; it leaves out images that the round says it trained on"),
        ({"time": 1}, "no 'time' .*; it takes the place of the number of epochs; set round.epochs"),
        ({"quantize": 8}, "no 'quantize' .*; the candidate would be another kind of model"),
        ({"split": "train"}, "no 'split' .*; the trainer decides it"),
        ({"copy_paste": 0.3}, "no 'copy_paste' .*; the training of a detector does not read it"),
        ({"erasing": 0.4}, "no 'erasing' .*; the training of a detector does not read it"),
        ({"patience": 5}, "no 'patience' .*; it counts only where every epoch is evaluated; set val: true"),
        (
            {"optimizer": "auto"},
            "no 'optimizer' .*; 'auto' chooses its own learning rate and throws lr0 away",
        ),
        ({"warmup_momentum": 0.5}, "no 'warmup_momentum' .*; AdamW does not read it"),
        ({"classes": 0}, "no 'classes' .*; it trains objects of the other classes as background"),
        (
            {"optimizer": "NAdam", "warmup_momentum": 0.5},
            "no 'warmup_momentum' .*; NAdam does not read it; leave it out, or choose SGD",
        ),
        ({"optimizer": "lion"}, "no 'optimizer' .*; ultralytics has none that is called 'lion'; name one of"),
        ({"dis": 3.0}, "no 'dis' .*; the training of a detector does not read it"),
        ({"profile": True}, "no 'profile' .*; the training of a detector does not read it"),
        ({"max_det": 50}, "no 'max_det' .*; it counts only where every epoch is evaluated"),
        ({"cache": "disk"}, "no 'cache' .*; images can be kept in memory alone, and no files beside them"),
        ({"cache": 3}, "no 'cache' .*; images can be kept in memory alone"),
        ({"freeze": "backbone"}, "no 'freeze' .*; 'backbone' says no layers; set how many from the first on"),
        ({"freeze": 2.0}, r"no 'freeze' .*; 2\.0 says no layers"),
        ({"freeze": True}, "no 'freeze' .*; True says no layers"),
        ({"freeze": -1}, "no 'freeze' .*; -1 says no layers"),
        ({"freeze": [0, 1.5]}, r"no 'freeze' .*; \[0, 1\.5\] says no layers"),
    ],
)
def test_what_would_do_nothing_or_something_else_is_refused(overrides: dict[str, object], said: str) -> None:
    with pytest.raises(TrainingFailed, match=f"^training settings: expected {said}"):
        check_overrides(overrides)


def test_what_asks_for_nothing_does_no_harm() -> None:
    check_overrides({"erasing": 0.0, "single_cls": False, "copy_paste": 0, "fraction": 1.0, "classes": None})
    check_overrides({"val": True, "patience": 5, "iou": 0.6})
    check_overrides({"optimizer": "SGD", "warmup_momentum": 0.5})
    check_overrides({"optimizer": "rmsprop", "freeze": [0, "23.cv2"], "cache": "ram"})
    check_run({"workers": 0, "amp": False, "mosaic": 0.0, "freeze": 0, "cache": None}, 1, "cpu")
    check_run({"workers": 4, "amp": True, "mosaic": 0.5, "close_mosaic": 2}, 3, "0")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            {"mosaic": 0.5},
            "no 'mosaic' .*; of 10 epochs the last 10 mix no images, so none does; set close_mosaic to fewer",
        ),
        ({"mixup": 0.1, "close_mosaic": 12}, "no 'mixup' .*; of 10 epochs the last 12 mix no images"),
        ({"amp": True}, "no 'amp' .*; the CPU trains in whole precision"),
        ({"amp": "bf16"}, "no 'amp' .*; the CPU trains in whole precision"),
        ({"workers": 4}, "no 'workers' .*; on the CPU ultralytics does not follow it"),
        ({"channels_last": True}, "no 'channels_last' .*; on the CPU ultralytics does not follow it"),
    ],
)
def test_what_a_run_of_ten_epochs_on_the_cpu_would_not_do_is_refused(
    overrides: dict[str, object], said: str
) -> None:
    with pytest.raises(TrainingFailed, match=f"^training settings: expected {said}"):
        check_run(overrides, 10, "cpu")


def test_every_setting_of_ultralytics_is_taken_recorded_or_refused() -> None:
    """With a value of its own kind, each is refused, or stands in what is recorded of a run."""
    from connectors.yolo.environment import import_ultralytics

    import_ultralytics()
    from ultralytics.utils import DEFAULT_CFG_DICT

    def refused(name: str) -> bool:
        try:
            check_overrides({name: 1, "val": name != "val"} if name not in BY_KIND else {name: BY_KIND[name]})
        except TrainingFailed:
            return True
        return False

    augmented = {*OF_SEVERAL, *PERSPECTIVE, "flipud", "fliplr", "bgr", "hsv_h", "hsv_s", "hsv_v"}
    of_optimizer = {"optimizer", "lr0", "momentum", "weight_decay", "warmup_epochs"}
    told = {*TOLD, *OF_EVALUATION, *augmented, *of_optimizer, "patience", "amp", "freeze"}
    of_the_machine = {"cache", "channels_last", "compile", "plots", "save_period", "verbose", "workers"}
    assert {name for name in DEFAULT_CFG_DICT if not refused(name)} - told == of_the_machine


BY_KIND: dict[str, object] = {"optimizer": "SGD", "cache": True}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"lr": 0.1}, "expected names that ultralytics knows, got 'lr'; the nearest is 'lr"),
        ({"mosaic": None}, "'mosaic=None' is invalid. 'mosaic' must not be None; mend the value"),
        ({"mosaic": 2.0}, "'mosaic=2.0' is an invalid value"),
        ({"close_mosaic": "x"}, "'close_mosaic=x' is of invalid type str"),
        ({"patience": 0, "cos_lr": True}, ""),
    ],
)
def test_what_ultralytics_would_not_take_is_said_before_a_round(
    overrides: dict[str, object], said: str
) -> None:
    assert refused_values(overrides).removeprefix("training settings: ").startswith(said)
    assert bool(refused_values(overrides)) == bool(said)


def test_layers_that_are_not_there_are_not_told_as_frozen() -> None:
    model, _ = load_model(BASE)
    layers = len(model.model)
    assert frozen_layers(model, [0, layers, "23.cv2", "99.cv2"]) == [0, "23.cv2"]
    assert (frozen_layers(model, 3), frozen_layers(model, 99)) == (3, layers)
    assert (frozen_layers(model, None), frozen_layers(model, "backbone")) == (None, None)


def test_every_name_that_is_refused_is_one_of_ultralytics() -> None:
    from connectors.yolo.environment import import_ultralytics

    import_ultralytics()
    from ultralytics.utils import DEFAULT_CFG_DICT

    assert (IGNORED | set(REFUSED)) - set(DEFAULT_CFG_DICT) == set()


@pytest.mark.parametrize(
    ("wanted", "got", "said"),
    [
        ({"lr0": 0.001}, {"lr0": 0.000909}, ["lr0 0.001, got 0.000909"]),
        ({"optimizer": "adamw"}, {"optimizer": "AdamW"}, []),
        ({"optimizer": "RMSProp"}, {"optimizer": "RMSprop"}, []),
        ({"optimizer": "SGD"}, {"optimizer": "MuSGD"}, ["optimizer 'SGD', got 'MuSGD'"]),
        ({"weight_decay": 0.0005}, {"weight_decay": 0.00050000000001}, []),
        ({"classes": ["a", "b"]}, {"classes": ["item"]}, ["classes ['a', 'b'], got ['item']"]),
        ({"scale": [0.5, 0.9]}, {"scale": [0.5, 0.9]}, []),
        ({"amp": "fp32"}, {"amp": False}, []),
        ({"amp": True}, {"amp": False}, ["amp True, got False"]),
        ({"workers": 3}, {"lr0": 0.1}, []),
        (
            {"epochs": 3, "batch": 16, "seed": 1},
            {"epochs": 2, "batch": 8, "seed": 1},
            ["batch 16, got 8", "epochs 3, got 2"],
        ),
    ],
)
def test_differences_are_told_by_name(
    wanted: dict[str, object], got: dict[str, object], said: list[str]
) -> None:
    assert differences(wanted, got) == said


def test_the_deciding_settings_stand_first() -> None:
    effective = {
        "optimizer": "SGD",
        "lr0": 0.01,
        "batch": 4,
        "classes": ["a", "b"],
        "dfl": 1.5,
    }
    assert in_words(effective) == "SGD, learning rate 0.01, batch 4, 2 classes"
    assert in_words(effective | {"freeze": None, "images": 9}).endswith("batch 4, 9 images, 2 classes")
    assert in_words(effective | {"freeze": [0, 1]}).endswith("batch 4, freeze [0, 1], 2 classes")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> TrainSpec:
    """Noise, labeled as the weights answer it: the more they are trained, the less they know."""
    folder = tmp_path_factory.mktemp("noise")
    detector = load_detector(BASE, imgsz=SIDE, conf=0.01, iou=0.6, threads=1)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    rng = np.random.default_rng(3)
    for number in range(8):
        small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = small.repeat(SIDE // 6, 0).repeat(SIDE // 6, 1)
        PilImage.fromarray(image).save(folder / "images" / f"{number}.png")
        found = detector.detect([image])[0]
        corners = found.xyxy[:3].astype(float) / SIDE
        middle, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
        lines = [
            " ".join(map(str, (name, *center, *sides)))
            for name, center, sides in zip(found.class_id[:3], middle, size, strict=True)
        ]
        (folder / "labels" / f"{number}.txt").write_text("\n".join(lines))
    tree = {"path": ".", "train": "images", "val": "images", "names": list(read_classes(BASE))}
    (folder / "data.yaml").write_text(yaml.safe_dump(tree))
    return TrainSpec(
        folder / "data.yaml", BASE, folder / "run", epochs=1, seed=0, imgsz=SIDE, batch=4, threads=1
    )


def train(
    spec: TrainSpec, folder: Path, progress: Progress = lambda *_: None, **asked: object
) -> TrainResult:
    overrides = QUICK | asked
    return YoloTrainer().train(replace(spec, run_dir=folder, overrides=overrides), progress, lambda: False)


@pytest.mark.slow
def test_the_learning_rate_is_the_one_asked_for_though_no_optimizer_is_named(
    spec: TrainSpec, tmp_path: Path
) -> None:
    said: list[str] = []
    result = train(spec, tmp_path / "run", lambda done, total, what: said.append(what), lr0=0.02)
    assert (result.settings["optimizer"], result.settings["lr0"]) == ("AdamW", 0.02)
    assert "AdamW, learning rate 0.02, momentum 0.937" in said[1], "told before the first epoch"
    steps = 2
    assert 0.01 < moved(weights_of(result.weights), weights_of(BASE)) < 0.02 * steps + 0.01


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, map_location="cpu", weights_only=False)["model"].float().state_dict()
    return {name: value for name, value in state.items() if name.endswith("conv.weight")}


def moved(now: dict[str, torch.Tensor], before: dict[str, torch.Tensor]) -> float:
    return max(float((now[name] - before[name]).abs().max()) for name in before)


@pytest.mark.slow
def test_what_ultralytics_does_otherwise_ends_the_run_before_its_first_epoch(
    spec: TrainSpec, tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingFailed,
        match=r"failed: training settings: expected mosaic 1\.0, got 0\.0 from ultralytics; ask",
    ):
        train(spec, tmp_path / "run", rect=True, mosaic=1.0)
    assert not (tmp_path / "run" / "weights" / "last.pt").exists()
    assert (tmp_path / "run" / "effective.json").exists()


@pytest.mark.slow
def test_with_evaluation_the_best_epoch_counts_and_the_run_ends_early(
    spec: TrainSpec, tmp_path: Path
) -> None:
    longer = replace(spec, epochs=9)
    result = train(longer, tmp_path / "run", lr0=0.01, val=True, patience=1)
    assert (result.epochs, result.kept, result.settings["patience"]) == (2, 1, 1)
    saved = tmp_path / "run" / "weights"
    held = {
        name: torch.load(saved / f"{name}.pt", map_location="cpu", weights_only=False)["ema"].state_dict()
        for name in ("best", "last")
    }
    now = weights_of(result.weights)
    assert all(torch.equal(held["best"][name].float(), value) for name, value in now.items())
    assert any(not torch.equal(held["last"][name].float(), value) for name, value in now.items())
    (tmp_path / "run" / "result.json").unlink()
    again = train(longer, tmp_path / "run", lr0=0.01, val=True, patience=1)
    assert (again.sha256, again.epochs) == (result.sha256, 2), "a run that ended early does not go on"


@pytest.mark.slow
def test_a_run_that_was_stopped_while_it_warmed_up_goes_on_as_asked(spec: TrainSpec, tmp_path: Path) -> None:
    """Its optimizer holds the momentum of that moment. Nothing is mixed in so few epochs."""
    asked: dict[str, object] = {"optimizer": "SGD", "lr0": 0.01, "momentum": 0.9, "freeze": 2}
    run = replace(
        spec,
        run_dir=tmp_path / "run",
        epochs=3,
        overrides={**asked, "warmup_epochs": 9, "patience": 0, "val": True},
    )
    done: list[int] = []
    with pytest.raises(TrainingCancelled):
        YoloTrainer(0.05).train(run, lambda epoch, *_: done.append(epoch), lambda: 1 in done)
    result = YoloTrainer().train(run, lambda epoch, *_: done.append(epoch), lambda: False)
    assert (result.epochs, max(done)) == (3, 3)
    assert result.settings.items() >= asked.items()
    kept = ("warmup_epochs", "mosaic", "mixup", "images", "patience")
    assert [result.settings[name] for name in kept] == [2, 0.0, 0.0, 8, 0]
