"""How much of the speed of the bare models analysis keeps.

    python -m benchmarks.analysis_speed [--frames 512] [--runs 5]
    python -m benchmarks.scale --report

1080p JPEGs, CLIP's ViT-B-32 and YOLO11n at 640 px, both with random weights (some twenty boxes a
frame), on the CPU. In turns: the same images, decoded and in memory, go through both models batch
by batch and nothing else (`bare`); the same files are analyzed in a new project, by the command's
own verb (`analysis`). A run is both, then both the other way round: what comes second is a tenth
slower here, whichever it is. Sixteen batches by default: nothing hides the decoding of the first,
and what comes in overnight is many. Then each piece alone, one after another. Writes
benchmarks/results/analysis_speed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale import late, verbs
from benchmarks.scale.__main__ import commit
from benchmarks.scale.meter import Meter
from benchmarks.scale.models import FreeEmbedder
from benchmarks.scale.project import empty
from connectors.devices import opencv_threads
from connectors.images import decode, inspect
from connectors.ports import Detector, Embedder, Image
from loop.math.coverage.image_statistics import measure
from loop.settings.settings import load_settings

RESULTS = Path(__file__).parent / "results" / "analysis_speed.json"
SIZE = (1920, 1080)
QUALITY = 88
BATCH = 32
SEED = 5
CLIP, YOLO = "ViT-B-32", "yolo11n"
Costs = dict[str, dict[str, float]]
SURE = -2.0
"""Random weights see nothing: with this bias, one class on the coarsest grid leaves some twenty
boxes in a frame.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--work", type=Path, help="where models and projects are made; a temporary folder when left out"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does, before torch is loaded
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        embedder, detector = models(Path(folder))
        pictures = [picture(number) for number in range(given.frames)]
        results = compared(Path(folder), pictures, embedder, detector, given.runs) | settings()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=1))


def compared(
    folder: Path, pictures: Sequence[bytes], embedder: Embedder, detector: Detector, runs: int
) -> dict[str, Any]:
    """Bare and analysis in turns, the share of each run, and what each piece costs alone, in ms a
    frame.
    """
    images = [decode(data) for data in pictures]
    bare(images[:BATCH], embedder, detector)
    found: list[dict[str, Any]] = []
    for number in range(runs):
        meters = Meter(), Meter()
        for turn, meter in enumerate(meters):
            project = folder / f"project-{number}-{turn}"
            works: list[tuple[str, Callable[[], None]]] = [
                ("bare", lambda: bare(images, embedder, detector)),
                ("analysis", analysis_of(project, pictures, embedder, detector)),
            ]
            for name, work in reversed(works) if turn else works:
                with meter.of(name):
                    work()
        cost = both(*(meter.costs for meter in meters))
        share = round(cost["bare"]["wall"] / cost["analysis"]["wall"], 4)
        found.append(
            {"share": share, "share_cpu": round(cost["bare"]["cpu"] / cost["analysis"]["cpu"], 4)} | cost
        )
        print(f"run {number}: {share:.3f} of the bare models' speed", flush=True)
    pieces = alone(folder / "pieces", pictures, images, embedder, detector)
    return {"frames": len(pictures), "runs": found, "alone": pieces}


def both(first: Costs, second: Costs) -> Costs:
    """The means of what two turns cost; the higher peak and load."""
    return {
        name: {
            key: max(each) if key in ("peak_mb", "load") else round(sum(each) / 2, 4)
            for key, each in ((key, (cost[key], second[name][key])) for key in cost)
        }
        for name, cost in first.items()
    }


def bare(images: Sequence[Image], embedder: Embedder, detector: Detector) -> None:
    """Both models, batch by batch, and nothing else."""
    for start in range(0, len(images), BATCH):
        embedder.embed(images[start : start + BATCH])
        detector.detect(images[start : start + BATCH])


def analysis_of(
    folder: Path, pictures: Sequence[bytes], embedder: Embedder, detector: Detector
) -> Callable[[], None]:
    """Analyzes a new project with these pictures, once."""
    parts = project_of(folder, pictures, embedder, detector)

    def work() -> None:
        analyzed = verbs.analyze(parts)
        verbs.close(parts)
        if analyzed != len(pictures):
            raise RuntimeError(f"expected {len(pictures)} frames to be analyzed, got {analyzed}")

    return work


def project_of(
    folder: Path, pictures: Sequence[bytes], embedder: Embedder, detector: Detector
) -> verbs.GivenParts:
    """A project in which these pictures are yet to be analyzed."""
    project, _ = empty(folder, "speed")
    late.add_rows(project, pictures, SIZE)
    project.engine.dispose()
    return verbs.GivenParts(folder, embedder, detector)


def alone(
    folder: Path, pictures: Sequence[bytes], images: Sequence[Image], embedder: Embedder, detector: Detector
) -> dict[str, dict[str, float]]:
    """Each piece by itself, one frame after another: CPU and wall ms a frame. The rest of analysis
    is the database.
    """
    meter = Meter()
    free = project_of(folder, pictures, _Known(embedder, images), _Seen(detector, images))
    steps: dict[str, Callable[[], object]] = {
        "decode": lambda: one_by_one(lambda data: decode(data, inspect(data)), pictures),
        "measure": lambda: one_by_one(measure, images),
        "embed": lambda: _batches(embedder.embed, images),
        "detect": lambda: _batches(detector.detect, images),
        "analysis with models that cost nothing": lambda: verbs.analyze(free),
    }
    with opencv_threads(1):  # as analysis has it
        for name, step in steps.items():
            with meter.of(name):
                step()
    verbs.close(free)
    return {
        name: {key: round(1000 * cost[key] / len(pictures), 3) for key in ("cpu", "wall")}
        for name, cost in meter.costs.items()
    }


def one_by_one(step: Callable[[Any], object], items: Sequence[Any]) -> None:
    """What each gives is let go at once: memory that is new costs more than a picture's decoding."""
    for item in items:
        step(item)


def picture(number: int) -> bytes:
    """A 1080p JPEG of some 300 kB: blotches of every size, as of a scene, with grain."""
    import cv2

    rng = np.random.default_rng([SEED, number])
    width, height = SIZE
    scene = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64, 256):
        small = rng.normal(0, 90 / cells**0.5, (cells * 9 // 16 + 1, cells, 3)).astype(np.float32)
        scene += cv2.resize(small, SIZE, interpolation=cv2.INTER_LINEAR)
    scene += 120 + rng.normal(0, 3, scene.shape).astype(np.float32)
    done, data = cv2.imencode(
        ".jpg", scene.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    if not done:
        raise RuntimeError("expected a JPEG, got none")
    return bytes(data)


def models(folder: Path) -> tuple[Embedder, Detector]:
    """Random weights, saved and loaded by the product's own connectors."""
    from connectors.clip.embedder import load_embedder
    from connectors.yolo.detector import load_detector

    usual = load_settings(None).detector
    return (
        load_embedder(str(_clip(folder / CLIP)), batch=BATCH),
        load_detector(_yolo(folder / f"{YOLO}.pt"), imgsz=640, conf=usual.confidence, iou=usual.iou),
    )


def settings() -> dict[str, Any]:
    """What the figures depend on."""
    import torch

    return {
        "commit": commit(),
        "batch": BATCH,
        "size": list(SIZE),
        "models": [CLIP, YOLO],
        "seed": SEED,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def _clip(folder: Path) -> Path:
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    torch.manual_seed(SEED)
    model: Any = open_clip.create_model(CLIP, pretrained=None)
    save_file(model.state_dict(), str(folder / "open_clip_model.safetensors"))
    config = {"model_cfg": open_clip.get_model_config(CLIP), "preprocess_cfg": model.visual.preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _yolo(path: Path) -> Path:
    import torch

    from connectors.yolo.environment import import_ultralytics

    torch.manual_seed(SEED)
    model: Any = import_ultralytics().YOLO(f"{YOLO}.yaml")
    with torch.no_grad():
        model.model.model[-1].cv3[-1][-1].bias[:1] = SURE
    model.save(str(path))
    return path


def _batches(run: Callable[[Sequence[Image]], object], images: Sequence[Image]) -> None:
    for start in range(0, len(images), BATCH):
        run(images[start : start + BATCH])


class _Known(FreeEmbedder):
    """An embedder that costs nothing and answers as another one would, in order."""

    def __init__(self, real: Embedder, images: Sequence[Image]) -> None:
        self.name, self.dim, self.logit_scale = f"known {real.name}"[:300], real.dim, real.logit_scale
        self._vectors, self._next = real.embed(images), 0

    def embed(self, images: Sequence[Image]) -> Any:
        start, self._next = self._next, self._next + len(images)
        return self._vectors[start : self._next]


class _Seen:
    """A detector likewise."""

    def __init__(self, real: Detector, images: Sequence[Image]) -> None:
        self.name, self.classes = f"seen {real.name}"[:300], real.classes
        self._found, self._next = real.detect(images), 0

    def detect(self, images: Sequence[Image]) -> Any:
        start, self._next = self._next, self._next + len(images)
        return self._found[start : self._next]


if __name__ == "__main__":
    main()
