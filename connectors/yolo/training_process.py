"""The training process: started by `YoloTrainer`, it writes progress, checkpoints and a result into
its run folder.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from ultralytics.data import dataset as label_cache
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import DEFAULT_CFG, LOGGER, RANK, SETTINGS, __version__
from ultralytics.utils.patches import torch_load

from connectors.files import draft_of, write_atomically
from connectors.yolo.class_names import class_names
from connectors.yolo.effective import effective_settings, warmed_up
from connectors.yolo.environment import CANCELLED, NO_ROOM, is_full, silence, take_files_as_given
from connectors.yolo.train_settings import DEFAULTS, differences
from connectors.yolo.train_values import refused_values

FAILED = 1
CANDIDATE, RESULT, ERROR, PROGRESS = "candidate.pt", "result.json", "error.json", "progress.jsonl"
SPEC, EFFECTIVE = "spec.json", "effective.json"
KEPT_SETTINGS = ("task", "imgsz", "single_cls", "epochs", "batch", "nbs", "optimizer", "lr0", "lrf", "seed")


class Cancelled(Exception):
    """Somebody sent SIGTERM."""


class BadSettings(Exception):
    """A setting that ultralytics does not know, take or follow."""


class RunTrainer(DetectionTrainer):  # type: ignore[misc]
    """Stock training as it was asked or not at all, with checkpoints written whole, no evaluation
    unless asked for, and a stop between batches.

    It must work when pickled into the processes of a multi-GPU run, so it hangs on to nothing but
    its arguments.
    """

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: Any = None, _callbacks: Any = None) -> None:
        super().__init__(cfg, overrides, _callbacks)
        self.run_dir = Path(self.save_dir).parent
        self.wdir = self.run_dir / "weights"
        self.last, self.best = self.wdir / "last.pt", self.wdir / "best.pt"
        self.asked_to_stop = False

    def run_callbacks(self, event: str) -> None:
        super().run_callbacks(event)
        if event == "on_pretrain_routine_end" and RANK in {-1, 0}:
            self._compare()
        elif event == "on_train_start":
            self._begin()
        elif event == "on_train_batch_end" and self.asked_to_stop:
            raise Cancelled
        elif event == "on_model_save" and RANK in {-1, 0}:
            self._report()

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> Any:
        """Without evaluation no second set is read."""
        if mode == "val" and not self.args.val:
            return self.train_loader
        return super().get_dataloader(dataset_path, batch_size, rank, mode)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """Outputs are taken over by the names that the rest of the house knows."""
        if weights is not None:
            weights.names = dict(enumerate(class_names(weights.names, weights.model[-1].nc)))
        return super().get_model(cfg, weights, verbose)

    def validate(self) -> Any:
        return super().validate() if self.args.val else (self.metrics, None)

    def final_eval(self) -> None:
        """Judging the candidate is not the trainer's business."""

    def save_model(self) -> bool:
        """The best epoch is on disk before the last one says that there is one."""
        last, best = self.last, self.best
        try:
            with draft_of(last) as draft:
                self.last = self.best = draft
                super().save_model()
                if self.args.val and self.best_fitness == self.fitness:
                    write_atomically(best, draft.read_bytes())
        finally:
            self.last, self.best = last, best
        return True

    def _build_train_pipeline(self) -> None:
        """Stock once; ultralytics asks again, with half the batch, where the memory did not hold it."""
        if self.optimizer is not None:
            raise BadSettings(
                "training settings: expected a batch that the memory of the device holds, got out of memory,"
                f" and ultralytics would go on with batch {self.batch_size}; lower round.batch or round.imgsz"
            )
        super()._build_train_pipeline()

    def _compare(self) -> None:
        """What this run does is on disk before its first epoch. Raises BadSettings where it is not
        what was asked.
        """
        spec = json.loads((self.run_dir / SPEC).read_text(encoding="utf-8"))
        effective = effective_settings(self)
        write_json(self.run_dir / EFFECTIVE, effective)
        if unlike := differences(asked_settings(spec), effective):
            said = (
                f"training settings: expected {'; '.join(unlike)} from ultralytics; ask for what it does, or"
                " leave out the setting that stands against it"
            )
            write_json(self.run_dir / ERROR, {"message": said})  # on several GPUs this process only exits
            raise BadSettings(said)
        append_line(self.run_dir / PROGRESS, {"settings": effective})

    def _begin(self) -> None:
        if self.device.type == "cpu":
            torch.set_num_threads(int(os.environ.get("FIELDLOOP_THREADS", "1")))
        if RANK == -1:
            signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, number: int, frame: object) -> None:
        del number, frame
        self.asked_to_stop = True

    def _report(self) -> None:
        metrics = self.label_loss_items(self.tloss) | (self.metrics if self.args.val else {})
        line = {"epoch": self.epoch + 1, "epochs": self.epochs, "metrics": numbers(metrics)}
        append_line(self.run_dir / PROGRESS, line)


def main(arguments: list[str]) -> int:
    """Trains as the JSON file says; the exit code is 0 with a result, CANCELLED, NO_ROOM or FAILED
    with an error file.
    """
    spec = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    run_dir = Path(spec["run_dir"])
    die_with(int(spec["parent"]))
    try:
        with only_one(run_dir / "lock"):
            train(spec, run_dir)
    except Cancelled:
        return CANCELLED
    except Exception as error:
        traceback.print_exc()
        if no_room(error) or is_full(run_dir):
            return NO_ROOM
        if not (run_dir / ERROR).exists():
            write_json(run_dir / ERROR, {"message": describe(error)})
        return FAILED
    return 0


def train(spec: dict[str, Any], run_dir: Path) -> None:
    started = time.monotonic()
    settings = checked_settings(spec, run_dir)
    last = run_dir / "weights" / "last.pt"
    done, ended = completed_epochs(last, run_dir)
    if done < spec["epochs"] and not ended:
        if done:
            settings["resume"] = str(last)
        else:
            shutil.rmtree(last.parent, ignore_errors=True)
        trainer = RunTrainer(overrides=settings)
        trainer.args.amp = settings["amp"]
        trainer.train()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    finish(last, run_dir, spec["digest"], started)


def checked_settings(spec: dict[str, Any], run_dir: Path) -> dict[str, Any]:
    """Everything ultralytics is told. Raises BadSettings where it would not take it."""
    on_cpu = spec["device"] == "cpu"
    of_spec = {name: spec[name] for name in ("epochs", "imgsz", "batch", "seed", "device")}
    asked = {**DEFAULTS, **of_spec, **spec["overrides"]}
    settings = {
        "task": "detect", "mode": "train", "model": spec["weights"], "data": spec["dataset"],
        "save_dir": str(run_dir / "ultralytics"), "exist_ok": True, "val": False, "plots": False,
        "amp": False if on_cpu else "bf16" if torch.cuda.is_bf16_supported() else False,
        **asked,
    }  # fmt: skip
    if why := refused_values(asked):
        raise BadSettings(why)
    return settings


def asked_settings(spec: dict[str, Any]) -> dict[str, Any]:
    """What a run was asked for, by ultralytics' names."""
    of_spec = {name: spec[name] for name in ("epochs", "imgsz", "batch", "seed", "classes")}
    asked = {**DEFAULTS, **spec["overrides"], **of_spec}
    if "warmup_epochs" in asked:
        asked["warmup_epochs"] = warmed_up(asked["warmup_epochs"], spec["epochs"])
    return asked


def completed_epochs(last: Path, run_dir: Path) -> tuple[int, bool]:
    """How many epochs a checkpoint holds, and whether its run ended early there; 0 when there is
    none that a run can go on from.
    """
    if not last.exists():
        return 0, False
    try:
        checkpoint = torch_load(last, map_location="cpu")
        if checkpoint["optimizer"] is not None and checkpoint["epoch"] >= 0:
            return int(checkpoint["epoch"]) + 1, ended_early(checkpoint)
    except Exception as error:
        LOGGER.warning(f"{last} does not load: {error}")
    append_line(run_dir / PROGRESS, {"note": "the last checkpoint is damaged: starting again from epoch 1"})
    return 0, False


def ended_early(checkpoint: dict[str, Any]) -> bool:
    """Whether so many epochs brought nothing better that the run is over."""
    args = checkpoint["train_args"]
    waited = checkpoint["epoch"] + 1 - checkpoint["stopper"]["best_epoch"]
    return bool(args["val"] and args["patience"]) and waited >= args["patience"]


def finish(last: Path, run_dir: Path, digest: str, started: float) -> None:
    """Writes the candidate, and then the result that marks the run as done."""
    epochs = epoch_of(last)
    best = last.with_name("best.pt")
    counts = best if best.exists() else last
    content = exported(counts)
    write_atomically(run_dir / CANDIDATE, content)
    result = {
        "weights": CANDIDATE,
        "sha256": hashlib.sha256(content).hexdigest(),
        "epochs": epochs,
        "kept": epoch_of(counts),
        "settings": ran_with(run_dir),
        "seconds": round(time.monotonic() - started, 3),
        "metrics": last_metrics(run_dir / PROGRESS),
        "digest": digest,
    }
    write_json(run_dir / RESULT, result)


def epoch_of(checkpoint: Path) -> int:
    return int(torch_load(checkpoint, map_location="cpu")["epoch"]) + 1


def exported(checkpoint: Path) -> bytes:
    """Half-precision weights without optimizer, dates and paths: the same training gives the same
    bytes.
    """
    model, content = load_checkpoint(str(checkpoint))
    settings = {k: v for k, v in content["train_args"].items() if k in KEPT_SETTINGS}
    model.args = {k: settings[k] for k in ("task", "imgsz", "single_cls") if k in settings}
    model.__dict__.pop("pt_path", None)
    model.criterion = None
    if "yaml_file" in model.yaml:
        model.yaml["yaml_file"] = Path(str(model.yaml["yaml_file"])).name
    for parameter in model.half().parameters():
        parameter.requires_grad = False
    buffer = io.BytesIO()
    torch.save({"epoch": -1, "model": model, "train_args": settings, "version": __version__}, buffer)
    return buffer.getvalue()


def ran_with(run_dir: Path) -> dict[str, Any]:
    """Empty for a run that an earlier version trained."""
    path = run_dir / EFFECTIVE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def last_metrics(progress: Path) -> dict[str, float]:
    lines = progress.read_text(encoding="utf-8").splitlines() if progress.exists() else []
    reports = [report for report in map(json.loads, lines) if "metrics" in report]
    return dict(reports[-1]["metrics"]) if reports else {}


def no_room(error: BaseException | None) -> bool:
    """Whether a full disk, or a full quota, is the cause."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def describe(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, BadSettings) else f"{type(error).__name__}: {text}"


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if value is not None}


def append_line(path: Path, content: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(content) + "\n")


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=1))


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Holds the run folder; a predecessor that is just being killed gets ten seconds to go."""
    with path.open("w") as file:
        deadline = time.monotonic() + 10
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{path.parent}: expected a free run folder, got one in which another process trains;"
                        " wait for it or stop it"
                    ) from None
                time.sleep(0.2)
        yield


def die_with(parent: int) -> None:
    """Ends this process and its group as soon as `parent` is no longer its parent."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(FAILED)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def _unread(path: Path) -> Any:
    raise FileNotFoundError(f"{path}: label caches are not read")


def _unwritten(prefix: str, path: Path, content: dict[str, Any], version: str) -> None:
    del prefix, path
    content["version"] = version


# A dataset folder is frozen: no caches are left in it, and none that lie there (pickles) are trusted.
label_cache.load_dataset_cache_file = _unread
label_cache.save_dataset_cache_file = _unwritten
silence(SETTINGS)
take_files_as_given()
if RANK != -1:
    die_with(os.getppid())
