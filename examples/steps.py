"""What the examples share: fieldloop's command line, a team's own ultralytics training, and tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Teller:
    """Says what happens, in plain words, and remembers how long each step took. seconds: by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, words: str) -> Iterator[None]:
        """Announces a step and measures it."""
        print(f"\n{len(self.seconds) + 1}. {words}", flush=True)
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)
        print(f"   ({self.seconds[name]:.0f} s)", flush=True)


def fieldloop(*arguments: str | Path) -> None:
    """Runs one command; what it says is shown. Raises SystemExit when it fails."""
    _run(arguments, None)


def fieldloop_json(*arguments: str | Path) -> Any:
    """Runs one command with --json and returns its result. Raises SystemExit when it fails."""
    return json.loads(_run([*arguments, "--json"], subprocess.PIPE))


def _run(arguments: Sequence[str | Path], stdout: int | None) -> str:
    words = [str(argument) for argument in arguments]
    print("   $ fieldloop " + " ".join(repr(word) if " " in word else word for word in words), flush=True)
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "loop.cli", *words], stdout=stdout, text=True, check=False
    )
    if ended.returncode:
        sys.exit(
            f"expected `fieldloop {words[0]}` to succeed, got exit code {ended.returncode}; its reason stands"
            " above"
        )
    return ended.stdout or ""


def write_data_yaml(folder: Path, classes: Sequence[str], **splits: str) -> Path:
    """A YOLO data.yaml; splits: image folders below `folder`."""
    path = folder / "data.yaml"
    content = {"path": str(folder), **splits, "names": dict(enumerate(classes))}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def fine_tune(weights: Path, data: Path, folder: Path, *, epochs: int, imgsz: int) -> Path:
    """What a team did before it met fieldloop: its own ultralytics training. Returns the weights."""
    model = _ultralytics(folder).YOLO(str(weights))
    model.train(
        data=str(data),
        project=str(folder),
        name="train",
        exist_ok=True,
        epochs=epochs,
        imgsz=imgsz,
        batch=16,
        device="cpu",
        workers=0,
        optimizer="AdamW",
        lr0=0.001,
        warmup_epochs=1,
        close_mosaic=min(5, epochs // 2),
        seed=0,
        val=False,
        plots=False,
        verbose=False,
    )
    return folder / "train" / "weights" / "last.pt"


def average_precision(weights: Path, data: Path, folder: Path, *, imgsz: int) -> tuple[float, float]:
    """(mAP50, mAP50-95) over the classes that data.yaml's `val` shows, as ultralytics measures
    them.
    """
    measured = (
        _ultralytics(folder)
        .YOLO(str(weights))
        .val(
            data=str(data),
            project=str(folder),
            name="val",
            exist_ok=True,
            imgsz=imgsz,
            batch=16,
            device="cpu",
            workers=0,
            plots=False,
            verbose=False,
        )
    )
    return float(measured.box.map50), float(measured.box.map)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns, the first to the left and the others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print()
    for line in lines:
        cells = [
            text.ljust(width) if not place else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("   " + "  ".join(cells))


def keep_results(path: Path, results: dict[str, Any]) -> None:
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nThe figures: {path}")


def data_folder(given: Path, needs: str) -> Path:
    """The absolute folder of the data. Raises SystemExit with a clear word where `needs` is not in
    it.
    """
    if not (given / needs).exists():
        sys.exit(
            f"expected {needs} in {given.resolve()}, found none; give the folder of the data with --data or"
            " FIELDLOOP_DATA"
        )
    return given.resolve()


def _ultralytics(folder: Path) -> Any:
    """ultralytics, without network and with its settings in `folder`."""
    for name, value in {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "False", "YOLO_VERBOSE": "False"}.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(folder))
    import ultralytics

    return ultralytics
