"""A small but real project, the real `fieldloop serve` over it, and what its page says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from connectors.yolo.environment import import_ultralytics, unchanged_process
from tests.connectors.clip.test_embedder import make_folder
from tests.studio import Studio

ROOT = Path(__file__).parents[3]
CLASSES = ("square", "stripe")
SIDE = 96
PATTERN = "{camera}/{date:%Y-%m-%d}/{time:%H%M%S}-{n}.jpg"
QUICK = {"ingest": "1s", "analyze": "1s", "select": "1s", "push": "1s", "pull": "1s", "round": "1s"}
T = TypeVar("T")


def make_weights(path: Path) -> Path:
    """An untrained network an eighth of the smallest YOLO's width, whose class head is loud enough
    to give boxes.
    """
    ultralytics = import_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    stock = Path(ultralytics.__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
    content = yaml.safe_load(stock.read_text()) | {"scales": {"n": [0.5, 0.125, 1024]}}
    architecture = path.with_name("yolo11n-eighth.yaml")
    architecture.write_text(yaml.safe_dump(content))
    with unchanged_process():
        torch.manual_seed(4)
        model = DetectionModel(str(architecture), nc=len(CLASSES), verbose=False)
        for branch in model.model[-1].cv3:
            torch.nn.init.normal_(branch[-1].weight, std=0.5)
            torch.nn.init.constant_(branch[-1].bias, -3.0)
        model.names = dict(enumerate(CLASSES))
        torch.save({"model": model.half(), "epoch": -1, "train_args": {"task": "detect"}}, path)
    return path


def pixels(number: int, dark: bool = False) -> NDArray[np.uint8]:
    """Coarse noise of its own for each number, with one square object."""
    rng = np.random.default_rng(number)
    image = np.kron(rng.integers(70, 200, (6, 6, 3)), np.ones((SIDE // 6, SIDE // 6, 1), np.int64))
    image[16:48, 24:56] = (230, 200 * (number % 2), 20)
    return np.asarray(image * (0.2 if dark else 1), np.uint8)


def write_dataset(folder: Path, train: int = 16, val: int = 4) -> Path:
    for split, first, count in (("train", 0, train), ("val", 500, val)):
        for number in range(first, first + count):
            image = folder / "images" / split / f"{number}.jpg"
            label = folder / "labels" / split / f"{number}.txt"
            for path in (image, label):
                path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(number)).save(image, quality=95)
            label.write_text(f"{number % 2} 0.4167 0.3333 0.3333 0.3333\n")
    data = folder / "data.yaml"
    data.write_text(
        yaml.safe_dump({"path": ".", "train": "images/train", "val": "images/val", "names": list(CLASSES)})
    )
    return data


def deliver(incoming: Path, count: int, first: int = 1000) -> list[Path]:
    """Production frames of four cameras over several days, each its own picture, moved in whole."""
    made = []
    for number in range(first, first + count):
        folder = incoming / f"cam{number % 4}" / f"2026-03-{2 + number // 4 % 20:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{8 + number % 10:02d}{number // 60 % 60:02d}{number % 60:02d}-{number}.jpg"
        beside = incoming.parent / f"{number}.jpg"
        Image.fromarray(pixels(number, dark=number % 5 == 0)).save(beside, quality=95)
        beside.replace(path)
        made.append(path)
    return made


def make_world(folder: Path, settings: dict[str, Any] | None = None) -> World:
    """The project, made by `fieldloop init`."""
    incoming = folder / "incoming"
    incoming.mkdir(parents=True)
    make_folder(folder / "clip")
    chosen = {
        "frames.pattern": PATTERN,
        "frames.settle_s": 0.5,
        "detector.imgsz": 96,
        "select.daily_budget": 60,
        "select.share_of_new": 0.5,
        "select.max_per_sequence": 20,
        "round.epochs": 1,
        "round.imgsz": 64,
        "round.batch": 4,
        "round.labels": 0,
        "gate.when_unjudged": "promote",
        "web.port": 0,
        **{f"schedule.{job}": every for job, every in QUICK.items()},
        **(settings or {}),
    }
    data, weights = write_dataset(folder / "dataset"), make_weights(folder / "tiny.pt")
    given = [part for key, value in chosen.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    made = World(folder / "a project", incoming)
    made.run(
        "init",
        str(made.root),
        "--dataset",
        str(data),
        "--weights",
        str(weights),
        "--frames",
        str(incoming),
        "--clip",
        str(folder / "clip"),
        *given,
        project=False,
    )
    return made


def world_at(studio: Studio, folder: Path, title: str, settings: dict[str, Any]) -> World:
    """The same, labeled at a server that runs already; the token reaches its processes alone."""
    there = {"name": title, "label_studio.url": studio.server.url}
    made = make_world(folder, settings | there)
    made.environment["FIELDLOOP_LABEL_STUDIO_TOKEN"] = studio.server.token
    return made


@dataclass
class World:
    """One project folder, the folder that is watched, and variables of its processes."""

    root: Path
    incoming: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, project: bool = True) -> str:
        """stdout of one command."""
        place = ["--project", str(self.root)] if project else []
        done = subprocess.run(
            [sys.executable, "-m", "loop.cli", *arguments, *place],
            env=self.variables(),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def ask(self, *arguments: str) -> Any:
        """The JSON result of one command."""
        return json.loads(self.run(*arguments, "--json"))

    def variables(self) -> dict[str, str]:
        return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | self.environment

    def serve(self, name: str = "serve", *options: str) -> Served:
        log = self.root / f"{name}-{len(list(self.root.glob('*.log')))}.log"
        with log.open("xb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "loop.cli", "serve", *options, "--project", str(self.root)],
                env=self.variables(),
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Served(process, log)


@dataclass
class Served:
    """A running `fieldloop serve`."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def page(self, path: str) -> httpx.Response:
        return httpx.get(self._url() + path, timeout=20, trust_env=False)

    def post(self, path: str) -> httpx.Response:
        return httpx.post(self._url() + path, timeout=20, trust_env=False)

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page("/healthz").json()
        return found

    def status(self) -> dict[str, Any]:
        """What `fieldloop status` says, from the page: a command each time would keep a small
        machine busy.
        """
        found: dict[str, Any] = self.page("/api/status").json()
        return found

    def job(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.health()["jobs"][name]
        return found

    def terminate(self) -> tuple[int, float]:
        """(exit code, seconds it took)."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        return code, time.monotonic() - begun

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def _url(self) -> str:
        """Waits for it."""
        return until(lambda: re.findall(r"status page: (http://\S+)/", self.said()), 60)[-1]


def until(what: Callable[[], T], seconds: float) -> T:
    """The first true answer within that time."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        time.sleep(0.25)
    return answer
