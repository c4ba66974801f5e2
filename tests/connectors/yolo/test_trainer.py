"""Real training of a tiny network on eight small images, and everything that may come in between."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import yaml
from PIL import Image as PilImage

from connectors.errors import TrainingCancelled, TrainingFailed, TrainingHeld, TrainingKilled
from connectors.ports import TrainResult, TrainSpec
from connectors.yolo import trainer
from connectors.yolo.dataset import read_dataset
from connectors.yolo.detector import load_detector, read_classes
from connectors.yolo.trainer import YoloTrainer

CLASSES = ["square", "stripe"]
FAST: dict[str, object] = {"nbs": 8, "optimizer": "AdamW", "lr0": 0.002, "mosaic": 0.0, "warmup_epochs": 0.0}


class Reports:
    """A Progress that remembers, and may act at an epoch."""

    def __init__(self, at: int = -1, act: Callable[[], None] = lambda: None) -> None:
        self.seen: list[tuple[int, int, str]] = []
        self._at, self._act = at, act

    def __call__(self, done: int, total: int, what: str) -> None:
        self.seen.append((done, total, what))
        if done == self._at:
            self._act()

    @property
    def epochs(self) -> list[int]:
        return [done for done, _, _ in self.seen if done]


def never() -> bool:
    return False


def make_dataset(folder: Path, images: int = 8, boxes: bool = True, classes: int = 2) -> Path:
    rng = np.random.default_rng(5)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for number in range(images):
        pixels = rng.integers(0, 60, (64, 64, 3), dtype=np.uint8)
        pixels[16:40, 20:44] = (230, 200 * (number % 2), 20)
        PilImage.fromarray(pixels).save(folder / "images" / f"{number}.png")
        line = f"{number % classes} 0.5 0.4375 0.375 0.375\n" if boxes else ""
        (folder / "labels" / f"{number}.txt").write_text(line)
    content = {"path": ".", "train": "images", "names": CLASSES[:classes]}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


@pytest.fixture(scope="module")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from connectors.yolo.environment import import_ultralytics

    stock = Path(import_ultralytics().__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
    content = yaml.safe_load(stock.read_text())
    content["scales"] = {"n": [0.5, 0.125, 1024]}
    path = tmp_path_factory.mktemp("architecture") / "yolo11n-eighth.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def spec(architecture: Path, tmp_path: Path) -> TrainSpec:
    return TrainSpec(
        make_dataset(tmp_path / "data"), architecture, tmp_path / "a run", epochs=2, seed=7,
        imgsz=64, batch=4, threads=1, overrides=FAST,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(
    architecture: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainSpec, TrainResult, Reports]:
    folder = tmp_path_factory.mktemp("finished")
    spec = TrainSpec(
        make_dataset(folder / "data"), architecture, folder / "run", epochs=2, seed=7,
        imgsz=64, batch=4, threads=1, overrides=FAST,
    )  # fmt: skip
    reports = Reports()
    return spec, YoloTrainer().train(spec, reports, never), reports


@pytest.mark.slow
def test_training_gives_a_detector(finished: tuple[TrainSpec, TrainResult, Reports]) -> None:
    _, result, reports = finished
    assert (result.epochs, reports.epochs) == (2, [1, 2])
    assert reports.seen[0] == (0, 2, "starting")
    assert "box_loss" in reports.seen[-1][2]
    assert set(result.metrics) == {"train/box_loss", "train/cls_loss", "train/dfl_loss"}
    assert hashlib.sha256(result.weights.read_bytes()).hexdigest() == result.sha256
    assert result.weights.stat().st_size < 3_000_000
    assert read_classes(result.weights) == tuple(CLASSES)
    trained = load_detector(result.weights, imgsz=64, conf=0.05, iou=0.6)
    assert len(trained.detect([np.zeros((64, 64, 3), np.uint8)])) == 1


@pytest.mark.slow
def test_nothing_is_left_in_the_dataset_and_no_path_in_the_candidate(
    finished: tuple[TrainSpec, TrainResult, Reports],
) -> None:
    spec, result, _ = finished
    assert sorted(p.name for p in spec.dataset.parent.iterdir()) == ["data.yaml", "images", "labels"]
    assert str(spec.dataset.parents[1]).encode() not in result.weights.read_bytes()


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(finished: tuple[TrainSpec, TrainResult, Reports]) -> None:
    spec, result, _ = finished
    reports = Reports()
    started = time.monotonic()
    assert YoloTrainer().train(spec, reports, never) == result
    assert time.monotonic() - started < 2
    assert reports.seen == []


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    finished: tuple[TrainSpec, TrainResult, Reports], tmp_path: Path
) -> None:
    spec, result, _ = finished
    again = YoloTrainer().train(replace(spec, run_dir=tmp_path / "again"), Reports(), never)
    assert again.sha256 == result.sha256
    other = YoloTrainer().train(replace(spec, run_dir=tmp_path / "other", seed=8), Reports(), never)
    assert other.sha256 != result.sha256


@pytest.mark.slow
def test_a_checkpoint_is_fine_tuned_in_a_folder_with_packages_of_our_names(
    finished: tuple[TrainSpec, TrainResult, Reports], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, result, _ = finished
    run_dir = tmp_path / "run"
    for folder in (tmp_path, run_dir):
        for package in ("connectors", "db"):
            (folder / package).mkdir(parents=True)
            (folder / package / "__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path)
    tuned = YoloTrainer().train(
        replace(spec, weights=result.weights, run_dir=run_dir, epochs=1), Reports(), never
    )
    assert (tuned.epochs, tuned.sha256 != result.sha256) == (1, True)


@pytest.mark.slow
def test_killed_and_resumed_at_its_epoch(spec: TrainSpec) -> None:
    long = replace(spec, epochs=12)
    with pytest.raises(TrainingKilled, match=r"got one killed by SIGKILL after epoch [3-6]") as caught:
        YoloTrainer(poll_s=0.05).train(long, Reports(at=3, act=lambda: kill_child(long.run_dir)), never)
    assert "train again to go on from there" in str(caught.value)
    assert (caught.value.how, caught.value.epoch in range(3, 7)) == ("killed by SIGKILL", True)
    reports = Reports()
    result = YoloTrainer().train(long, reports, never)
    assert result.epochs == 12
    assert 4 <= reports.epochs[0] <= 7
    assert reports.epochs == list(range(reports.epochs[0], 13))


@pytest.mark.slow
def test_a_truncated_checkpoint_starts_the_run_again_with_a_word(spec: TrainSpec) -> None:
    last = spec.run_dir / "weights" / "last.pt"
    last.parent.mkdir(parents=True)
    last.write_bytes(b"PK\x03\x04 half a checkpoint")
    reports = Reports()
    assert YoloTrainer().train(spec, reports, never).epochs == 2
    assert (0, 2, "the last checkpoint is damaged: starting again from epoch 1") in reports.seen
    assert reports.epochs == [1, 2]


@pytest.mark.slow
def test_killed_between_the_last_epoch_and_the_result(
    finished: tuple[TrainSpec, TrainResult, Reports],
) -> None:
    spec, result, _ = finished
    (spec.run_dir / "result.json").unlink()
    result.weights.write_bytes(b"half")
    reports = Reports()
    again = YoloTrainer().train(spec, reports, never)
    assert (again.sha256, again.metrics, reports.epochs) == (result.sha256, result.metrics, [])


@pytest.mark.slow
def test_cancelled_within_seconds_and_resumable(spec: TrainSpec) -> None:
    wish = threading.Event()
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        wish.set()

    with pytest.raises(TrainingCancelled, match=r"cancelled after epoch \d+; train again to go on"):
        YoloTrainer().train(replace(spec, epochs=400), Reports(at=2, act=ask), wish.is_set)
    assert time.monotonic() - asked[0] < 8
    assert children_of(spec.run_dir) == []
    assert (spec.run_dir / "weights" / "last.pt").exists()
    assert not (spec.run_dir / "result.json").exists()


@pytest.mark.slow
def test_the_child_ends_with_its_parent(spec: TrainSpec) -> None:
    code = (
        "import sys, pickle, base64\n"
        "from connectors.yolo.trainer import YoloTrainer\n"
        "spec = pickle.loads(base64.b64decode(sys.argv[1]))\n"
        "YoloTrainer().train(spec, lambda d, t, w: print(d, flush=True), lambda: False)\n"
    )
    argument = base64.b64encode(pickle.dumps(replace(spec, epochs=400))).decode()
    home = str(Path(__file__).parents[3])
    parent = subprocess.Popen(
        [sys.executable, "-c", code, argument],
        env=os.environ | {"PYTHONPATH": home},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent:
        while parent.stdout.readline().strip() != "1":
            assert parent.poll() is None
        assert len(children_of(spec.run_dir)) == 1
        parent.kill()
    deadline = time.monotonic() + 5
    while children_of(spec.run_dir) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children_of(spec.run_dir) == []


@pytest.mark.slow
def test_one_image_of_one_class_trains(spec: TrainSpec, tmp_path: Path) -> None:
    single = make_dataset(tmp_path / "single", images=1, classes=1)
    result = YoloTrainer().train(replace(spec, dataset=single, epochs=1), Reports(), never)
    assert read_classes(result.weights) == ("square",)


@pytest.mark.slow
def test_an_unknown_setting_names_the_nearest(spec: TrainSpec) -> None:
    with pytest.raises(
        TrainingFailed, match="expected names that ultralytics knows, got 'lr'; the nearest is 'lr"
    ):
        YoloTrainer().train(replace(spec, overrides={"lr": 0.1}), Reports(), never)


@pytest.mark.slow
def test_a_device_that_is_not_there(spec: TrainSpec) -> None:
    with pytest.raises(TrainingFailed, match="failed: ValueError: Invalid CUDA 'device=63' requested"):
        YoloTrainer().train(replace(spec, device="63"), Reports(), never)


def kill_child(run_dir: Path) -> None:
    for child in children_of(run_dir):
        os.kill(child, signal.SIGKILL)


def children_of(run_dir: Path) -> list[int]:
    needle = str(run_dir / "spec.json").encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if needle in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_what_killed_a_training_is_told_across_processes() -> None:
    error = pickle.loads(pickle.dumps(TrainingKilled("killed; free memory first", "killed by SIGKILL", 3)))
    assert (str(error), error.how, error.epoch) == ("killed; free memory first", "killed by SIGKILL", 3)


def test_no_dataset(spec: TrainSpec, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"expected a data.yaml, got no file at .*; check the path"):
        YoloTrainer().train(replace(spec, dataset=tmp_path / "none.yaml"), Reports(), never)


def test_no_images(spec: TrainSpec, tmp_path: Path) -> None:
    empty = make_dataset(tmp_path / "empty", images=0)
    with pytest.raises(TrainingFailed, match="expected at least one image under 'train', got none; export"):
        YoloTrainer().train(replace(spec, dataset=empty), Reports(), never)


def test_no_boxes(spec: TrainSpec, tmp_path: Path) -> None:
    bare = make_dataset(tmp_path / "bare", images=3, boxes=False)
    with pytest.raises(
        TrainingFailed, match="expected at least one labeled object, got 3 images without a box"
    ):
        YoloTrainer().train(replace(spec, dataset=bare), Reports(), never)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("[]", r"expected 'names' as a list or a dict of ids, got \[\]"),
        ("{1: square}", r"expected names with ids 0..0, got 1; number the classes from 0"),
        ("5", "expected 'names' as a list or a dict of ids, got 5"),
    ],
)
def test_names_that_are_none(spec: TrainSpec, names: str, said: str) -> None:
    spec.dataset.write_text(f"train: images\nnames: {names}\n")
    with pytest.raises(TrainingFailed, match=said):
        YoloTrainer().train(spec, Reports(), never)


def test_no_weights(spec: TrainSpec, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"expected a YOLO checkpoint \(.pt\) or architecture"):
        YoloTrainer().train(replace(spec, weights=tmp_path / "none.pt"), Reports(), never)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("epochs", "set 'epochs' of the spec"),
        ("model", "set 'weights' of the spec"),
        ("task", "leave it out"),
    ],
)
def test_settings_that_have_a_place_of_their_own(spec: TrainSpec, name: str, answer: str) -> None:
    with pytest.raises(TrainingFailed, match=answer):
        YoloTrainer().train(replace(spec, overrides={name: 3}), Reports(), never)


def test_settings_that_are_no_plain_data(spec: TrainSpec) -> None:
    with pytest.raises(TrainingFailed, match="expected numbers, texts and lists, got something else"):
        YoloTrainer().train(replace(spec, overrides={"lr0": object()}), Reports(), never)


def test_evaluation_without_anything_to_evaluate_on(spec: TrainSpec) -> None:
    with pytest.raises(
        TrainingFailed, match="expected images under 'val' because the setting val is on, got none"
    ):
        YoloTrainer().train(replace(spec, overrides={"val": True}), Reports(), never)


@pytest.mark.parametrize(
    ("end", "kind", "said"),
    [
        (
            "import os; os.kill(os.getpid(), 9)",
            TrainingKilled,
            r"got one killed by SIGKILL after epoch 0; train again",
        ),
        (
            "raise SystemExit(75)",
            TrainingKilled,
            r"got one asked to stop from outside after epoch 0; train again",
        ),
        ("raise SystemExit(3)", TrainingFailed, r"got exit code 3 after epoch 0; mend what its log says"),
    ],
)
def test_an_end_by_a_signal_is_told_from_an_error(
    spec: TrainSpec, monkeypatch: pytest.MonkeyPatch, end: str, kind: type[TrainingFailed], said: str
) -> None:
    def spawn(run: object, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", end], stdout=log, stderr=log, start_new_session=True)

    monkeypatch.setattr(trainer, "_spawn", spawn)
    with pytest.raises(TrainingFailed, match=said) as caught:
        YoloTrainer(poll_s=0.05).train(spec, Reports(), never)
    assert type(caught.value) is kind


def test_a_run_folder_of_another_spec(spec: TrainSpec) -> None:
    spec.run_dir.mkdir()
    (spec.run_dir / "spec.json").write_text(json.dumps({"digest": "another"}))
    with pytest.raises(TrainingFailed, match="got one of others; give another run_dir, or turn resume off"):
        YoloTrainer().train(spec, Reports(), never)


def test_lists_of_images_and_repeats(spec: TrainSpec) -> None:
    root = spec.dataset.parent
    (root / "train.txt").write_text("./images/0.png\nimages/1.png\n\nimages/1.png\n")
    spec.dataset.write_text("train: train.txt\nval: [images]\nnames: {0: square, 1: stripe}\n")
    dataset = read_dataset(spec.dataset)
    assert [image.name for image in dataset.train] == ["0.png", "1.png", "1.png"]
    assert (len(dataset.val), dataset.names, dataset.boxes) == (8, ("square", "stripe"), 2)
    (root / "train.txt").write_text("images/9.png\n")
    with pytest.raises(TrainingFailed, match=r"expected only files that exist, got 'images/9.png'"):
        read_dataset(spec.dataset)


def test_the_digest_follows_labels_and_not_the_place(spec: TrainSpec, tmp_path: Path) -> None:
    before = read_dataset(spec.dataset).digest
    assert read_dataset(make_dataset(tmp_path / "elsewhere")).digest == before
    (spec.dataset.parent / "labels" / "0.txt").write_text("1 0.5 0.4375 0.375 0.375\n")
    assert read_dataset(spec.dataset).digest != before


def test_a_full_disk_holds_training_and_does_not_end_it(
    spec: TrainSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn(run: object, log: IO[bytes]) -> subprocess.Popen[bytes]:
        end = "print('OSError: [Errno 28] No space left on device'); raise SystemExit(74)"
        return subprocess.Popen([sys.executable, "-c", end], stdout=log, stderr=log, start_new_session=True)

    monkeypatch.setattr(trainer, "_spawn", spawn)
    said = r"expected room on its disk, got none after epoch 0; free some space.*\n.*No space left on device"
    with pytest.raises(TrainingHeld, match=said):
        YoloTrainer(poll_s=0.05).train(spec, Reports(), never)


def test_training_waits_for_room_before_it_begins(spec: TrainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(spec.dataset.parent)._replace(free=5_000_000)
    monkeypatch.setattr(trainer.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(TrainingHeld, match=r"expected \d+ MB free on its disk, got 5 MB; free some space"):
        YoloTrainer().train(spec, Reports(), never)
    assert not (spec.run_dir / "train.log").exists()


@pytest.mark.slow
def test_the_training_process_tells_a_full_disk_from_an_error(spec: TrainSpec) -> None:
    full = spec.run_dir / "ultralytics" / "args.yaml"
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    with pytest.raises(TrainingHeld, match=r"expected room on its disk.*\n(.*\n)*.*No space left on device"):
        YoloTrainer(poll_s=0.05).train(spec, Reports(), never)
    assert not (spec.run_dir / "error.json").exists(), "which would say that training again cannot help"


def test_the_end_of_the_log_is_in_the_message(spec: TrainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    end = (
        "import json, pathlib; print('the last line'); "
        "pathlib.Path('error.json').write_text(json.dumps({'message': 'ValueError: odd'})); "
        "raise SystemExit(1)"
    )

    def spawn(run: object, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", end], cwd=spec.run_dir, stdout=log, stderr=log, start_new_session=True
        )

    monkeypatch.setattr(trainer, "_spawn", spawn)
    with pytest.raises(TrainingFailed, match=r"failed: ValueError: odd. The end of its log:\nthe last line"):
        YoloTrainer(poll_s=0.05).train(spec, Reports(), never)
