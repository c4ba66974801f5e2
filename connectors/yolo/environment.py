"""ultralytics kept in bounds: no network, no telemetry, no installs, no code of a checkpoint, no change
to threads or dice.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CANCELLED = 75  # exit code of a training process that was asked to stop and left its last whole epoch
NO_ROOM = 74  # that of one whose disk is full; its last whole epoch is left, too
FULL_BELOW = 1 << 20
SAFE_LOAD = "ULTRALYTICS_SAFE_LOAD"
"""1: a checkpoint may be made of torch's and ultralytics' own parts alone. Who sets 0 lets it run code."""
INTEGRATIONS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")


def environment(config_dir: Path) -> dict[str, str]:
    """What ultralytics reads while it is imported. config_dir: where it may keep its settings."""
    return {
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "False",
        "YOLO_VERBOSE": "False",
        "YOLO_CONFIG_DIR": str(config_dir),
        SAFE_LOAD: os.environ.get(SAFE_LOAD, "1"),
    }


def is_full(folder: Path) -> bool:
    """Whether less than FULL_BELOW bytes are free on the disk of a folder."""
    return shutil.disk_usage(folder).free < FULL_BELOW


def default_config_dir() -> Path:
    """$XDG_CACHE_HOME/fieldloop or ~/.cache/fieldloop: the user's own ultralytics settings are left
    alone.
    """
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "fieldloop"


def import_ultralytics() -> Any:
    """The ultralytics package, guarded. Only the first call has an effect."""
    for name, value in environment(default_config_dir()).items():
        os.environ.setdefault(name, value)
    with unchanged_process():
        import torchvision  # noqa: F401  its NMS is used only where it was imported before
        import ultralytics

        silence(ultralytics.settings)
        take_files_as_given()
    return ultralytics


def silence(settings: Any) -> None:
    """Turns telemetry and trackers off in memory; the settings file is not touched."""
    dict.update(settings, {"sync": False, **dict.fromkeys(INTEGRATIONS, False)})


def take_files_as_given() -> None:
    """Weights are the file that was named: ultralytics would look for yolov5nu.pt on the network where
    yolov5n.pt is asked for, and drop the quotes of a path.
    """
    from ultralytics.utils import downloads

    downloads.attempt_download_asset = _as_given


def _as_given(file: str | Path, *others: object, **more: object) -> str:
    del others, more
    return str(file)


@contextmanager
def unchanged_process() -> Iterator[None]:
    """Puts back thread counts, random states and OMP_NUM_THREADS, which ultralytics changes when
    set up.
    """
    import cv2
    import numpy as np
    import torch

    threads = (torch.get_num_threads(), cv2.getNumThreads(), os.environ.get("OMP_NUM_THREADS"))
    dice = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
        _restore_variable("OMP_NUM_THREADS", threads[2])
        random.setstate(dice[0])
        np.random.set_state(dice[1])
        torch.set_rng_state(dice[2])


def _restore_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
