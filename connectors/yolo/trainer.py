"""Fine-tuning of a YOLO detector in a process of its own, which can be cancelled, killed and
resumed.

What a run folder holds: spec.json, data.yaml, train.log, progress.jsonl (a line per epoch),
weights/last.pt (the latest whole epoch), weights/best.pt (the best one, where epochs are evaluated),
effective.json (what the trainer runs with), candidate.pt and, as the mark that all is done,
result.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.errors import TrainingCancelled, TrainingFailed, TrainingHeld, TrainingKilled
from connectors.files import sha256_of_file, write_atomically
from connectors.ports import Progress, TrainResult, TrainSpec
from connectors.yolo.dataset import read_dataset, write_dataset
from connectors.yolo.environment import CANCELLED, NO_ROOM, environment, is_full
from connectors.yolo.train_settings import check_overrides, in_words

LOG_TAIL = 15
ROOM, CHECKPOINTS = 32_000_000, 6
"""Bytes beside the checkpoints, and how many files of weights these weigh as much as."""


class YoloTrainer:
    """ports.Trainer over ultralytics.

    Device is "cpu", "0" or "0,1". Settings in `overrides` carry ultralytics' names. Before the
    first epoch what ultralytics runs with is compared with what was asked; a difference ends the
    run. The candidate is the last epoch; with `val` every epoch is evaluated, the best one counts,
    and `patience` may end the run early. On the CPU the same spec and number of threads give a
    byte-identical candidate.
    """

    def __init__(self, poll_s: float = 0.5, grace_s: float = 15.0) -> None:
        self._poll_s = poll_s
        self._grace_s = grace_s

    def train(self, spec: TrainSpec, progress: Progress, cancelled: Callable[[], bool]) -> TrainResult:
        """Trains, goes on where an earlier process of the same spec was stopped, or returns what it
        finished.

        Raises TrainingFailed (bad dataset, weights or settings; settings that the trainer does not
        follow; a run folder of another spec; an error in the process), TrainingHeld (the disk is
        full), TrainingKilled (a signal ended it) and TrainingCancelled when `cancelled()` turned
        true; the last whole epoch is left to go on from.
        """
        run = _prepare(spec)
        if finished := _result(run):
            return finished
        _check_room(run)
        (run.folder / "error.json").unlink(missing_ok=True)
        reader = _ProgressReader(run, progress)
        progress(0, spec.epochs, "starting")
        with (run.folder / "train.log").open("ab") as log:
            child = _spawn(run, log)
            try:
                self._watch(child, reader, cancelled)
            finally:
                self._end(child)
        reader.read()
        if child.returncode != 0:
            raise _failure(run, child.returncode, reader.epoch)
        if result := _result(run):
            return result
        raise TrainingFailed(f"{run.folder}: expected a result, got none though training ended; train again")

    def _watch(
        self, child: subprocess.Popen[bytes], reader: _ProgressReader, cancelled: Callable[[], bool]
    ) -> None:
        while child.poll() is None:
            reader.read()
            if cancelled():
                self._end(child)
                raise TrainingCancelled(
                    f"training was cancelled after epoch {reader.epoch}; train again to go on from there"
                )
            try:
                child.wait(self._poll_s)
            except subprocess.TimeoutExpired:
                continue

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Asks the child to stop, waits, and then kills whatever is left of its group."""
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(self._grace_s)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


@dataclass(frozen=True, slots=True)
class _Run:
    folder: Path
    spec: TrainSpec
    digest: str


class _ProgressReader:
    """Hands new lines of the progress file on; lines of earlier processes only tell the epoch
    reached.
    """

    def __init__(self, run: _Run, progress: Progress) -> None:
        self._path = run.folder / "progress.jsonl"
        self._progress = progress
        self._epochs = run.spec.epochs
        self._seen = 0
        self.epoch = 0
        self._lines(silent=True)

    def read(self) -> None:
        self._lines(silent=False)

    def _lines(self, silent: bool) -> None:
        try:
            whole = self._path.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:
            return
        for line in whole[self._seen :]:
            self._seen += 1
            content = json.loads(line)
            if "settings" in content:
                if not silent and not self.epoch:
                    self._progress(0, self._epochs, in_words(content["settings"]))
                continue
            self.epoch = content.get("epoch", 0)
            if not silent:
                self._progress(self.epoch, self._epochs, content.get("note") or _words(content["metrics"]))


def _words(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name.removeprefix('train/')} {value:.3g}" for name, value in metrics.items())


def _prepare(spec: TrainSpec) -> _Run:
    """Checks what can be checked without ultralytics and lays the run folder out."""
    check_overrides(spec.overrides)
    if spec.weights.suffix not in {".pt", ".yaml"} or not spec.weights.is_file():
        raise TrainingFailed(
            f"{spec.weights}: expected a YOLO checkpoint (.pt) or architecture (.yaml), got no such file; "
            "give the path of the deployed weights"
        )
    dataset = read_dataset(spec.dataset)
    if spec.overrides.get("val") and not dataset.val:
        raise TrainingFailed(
            f"{spec.dataset}: expected images under 'val' because the setting val is on, got none; turn"
            " val off"
        )
    folder = spec.run_dir.absolute()
    digest = _spec_digest(spec, dataset.digest)
    if not spec.resume:
        _clear(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, digest)
    content = {
        "dataset": str(write_dataset(dataset, folder)),
        "classes": list(dataset.names),
        "weights": str(spec.weights.absolute()),
        "run_dir": str(folder),
        "epochs": spec.epochs,
        "seed": spec.seed,
        "device": spec.device,
        "imgsz": spec.imgsz,
        "batch": spec.batch,
        "overrides": spec.overrides,
        "parent": os.getpid(),
        "digest": digest,
    }
    write_atomically(folder / "spec.json", json.dumps(content, indent=1))
    return _Run(folder, spec, digest)


def _spec_digest(spec: TrainSpec, dataset: str) -> str:
    weights = sha256_of_file(spec.weights)
    what = [weights, dataset, spec.epochs, spec.seed, spec.imgsz, spec.batch, spec.overrides]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _clear(folder: Path) -> None:
    for name in ("weights", "ultralytics"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("result.json", "candidate.pt", "progress.jsonl", "spec.json", "train.log", "effective.json"):
        (folder / name).unlink(missing_ok=True)


def _claim(folder: Path, digest: str) -> None:
    try:
        owner = json.loads((folder / "spec.json").read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError):
        return
    if owner != digest:
        raise TrainingFailed(
            f"{folder}: expected a run of this dataset, weights and settings, got one of others; "
            "give another run_dir, or turn resume off to train anew"
        )


def _result(run: _Run) -> TrainResult | None:
    """The result of a finished run whose candidate is still the file it names."""
    try:
        content = json.loads((run.folder / "result.json").read_text(encoding="utf-8"))
        weights = run.folder / content["weights"]
        if sha256_of_file(weights) != content["sha256"]:
            return None
    except (OSError, ValueError, KeyError):
        return None
    return TrainResult(
        weights,
        content["sha256"],
        content["epochs"],
        content["seconds"],
        dict(content["metrics"]),
        content.get("kept", content["epochs"]),
        dict(content.get("settings", {})),
    )


def _spawn(run: _Run, log: Any) -> subprocess.Popen[bytes]:
    """The child imports our package from where this one lies, whatever stands in the working
    folder.
    """
    home = str(Path(__file__).resolve().parents[2])
    variables = os.environ | environment(run.folder / "config")
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    variables["PYTHONSAFEPATH"] = "1"
    variables.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # threads that spin while others work make a busy machine crawl
    variables["FIELDLOOP_THREADS"] = str(run.spec.threads or len(os.sched_getaffinity(0)))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "connectors.yolo.trainer", str(run.folder / "spec.json")],
        cwd=run.folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _check_room(run: _Run) -> None:
    """Raises TrainingHeld where the checkpoints of an epoch, with their optimizer, would not fit."""
    needed = ROOM + CHECKPOINTS * run.spec.weights.stat().st_size
    free = shutil.disk_usage(run.folder).free
    if free < needed:
        raise TrainingHeld(
            f"training in {run.folder}: expected {needed / 1e6:.0f} MB free on its disk, got {free / 1e6:.0f}"
            " MB; free some space, and training goes on from its last whole epoch"
        )


def _failure(run: _Run, code: int, epoch: int) -> TrainingFailed:
    log = _end_of_log(run)
    if code == NO_ROOM or (code > 0 and is_full(run.folder)):
        return TrainingHeld(
            f"training in {run.folder}: expected room on its disk, got none after epoch {epoch}; free some"
            f" space, and training goes on from its last whole epoch. {log}"
        )
    try:
        message = json.loads((run.folder / "error.json").read_text(encoding="utf-8"))["message"]
        return TrainingFailed(f"training in {run.folder} failed: {message}. {log}")
    except (OSError, ValueError, KeyError):
        pass
    wanted = f"training in {run.folder}: expected a process that ends with a result, got"
    if code < 0 or code == CANCELLED:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else "asked to stop from outside"
        again = "train again to go on from there; free memory first if it ran out"
        return TrainingKilled(f"{wanted} one {how} after epoch {epoch}; {again}. {log}", how, epoch)
    return TrainingFailed(f"{wanted} exit code {code} after epoch {epoch}; mend what its log says. {log}")


def _end_of_log(run: _Run) -> str:
    lines = (run.folder / "train.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return "The end of its log:\n" + "\n".join(lines[-LOG_TAIL:])


def _child() -> int:
    from connectors.yolo.training_process import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_child())
