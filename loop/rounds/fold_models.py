"""Models that judge labels they were not trained on: one a fold, short and small.

The folder of each is named by the content it is of: its labels, its settings and the weights it begins
from. So a model of other labels is never taken for it, and one that is there is not trained again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.files import sha256_of_file, write_atomically
from connectors.ports import Progress, Trainer, TrainSpec
from loop.base.errors import RoundError
from loop.base.wording import counted
from loop.datasets.export import export_yolo
from loop.datasets.folds import Fold, folds
from loop.datasets.freeze import Manifest, freeze
from loop.datasets.units import Item
from loop.project.training_settings import overrides_of
from loop.settings.settings import Settings

MODEL, DONE = "model.pt", "model.json"


@dataclass(frozen=True)
class Recipe:
    """How fold models are trained.

    weights: what they begin from. imgsz: the longer side, px. overrides: further settings of the trainer.
    """

    weights: Path
    epochs: int
    imgsz: int
    batch: int
    device: str
    seed: int
    overrides: dict[str, object]


@dataclass(frozen=True)
class FoldModel:
    """weights: the checkpoint, None where nothing is left to train on. judged: frames it was not trained on.

    images: that it was trained on, and boxes in them. left_out: near-duplicates of what it judges.
    """

    weights: Path | None
    judged: list[int]
    images: int
    boxes: int
    left_out: int


def fold_models(
    trainer: Trainer,
    items: Sequence[Item],
    classes: Sequence[str],
    store: Path,
    folder: Path,
    recipe: Recipe,
    count: int,
    progress: Progress,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[FoldModel]:
    """One for each fold, trained where it is not there yet; a training that was stopped goes on. Models
    of other labels are removed from the folder.

    store: below which the images of the items lie.
    Raises RoundError where the labels are of fewer than two groups, TrainingFailed, TrainingKilled,
    TrainingHeld, TrainingCancelled.
    """
    planned = folds(items, count, recipe.seed)
    if len(planned) < 2:
        raise RoundError(
            "expected labels of at least 2 groups (camera-days, or sequences of a dataset), so that those of"
            f" one can be judged by a model of the others, got {len(planned)}; label frames of another day"
        )
    begun = sha256_of_file(recipe.weights)
    made, kept = [], set[str]()
    for fold in planned:
        manifest = freeze(items, classes, fold.sides, {}, settings={"fold": fold.number})
        place = folder / _digest(manifest, recipe, begun)
        kept.add(place.name)
        trains = manifest.of("train")
        boxes = sum(len(entry.boxes) for entry in trains)
        model = None
        if boxes:
            told = _told(progress, fold, len(planned))
            model = _trained(trainer, manifest, store, place, recipe, told, cancelled)
        left_out = len(items) - len(trains) - len(fold.judged)
        made.append(FoldModel(model, fold.judged, len(trains), boxes, left_out))
    for other in folder.iterdir() if folder.is_dir() else ():
        if other.name not in kept:
            shutil.rmtree(other, ignore_errors=True)
    return made


def recipe_of(settings: Settings, weights: Path) -> Recipe:
    """As settings.labels asks; what it does not say, as rounds are trained."""
    chosen = settings.labels
    return Recipe(
        weights,
        chosen.fold_epochs,
        chosen.fold_imgsz,
        settings.round.batch,
        settings.round.device,
        settings.seed,
        overrides_of(settings.round.model_dump()),
    )


def folds_in_words(made: Sequence[FoldModel], epochs: int, imgsz: int, found: float | None) -> str:
    """How short and small they are. found: share of the labeled objects that they find, None: not known."""
    images = sorted(each.images for each in made)
    share = "an unknown share" if found is None else f"{100 * found:.0f} %"
    return (
        f"{len(made)} short, small models: {counted(epochs, 'epoch')} at {imgsz} px, each trained on"
        f" {images[0]} to {images[-1]} images without those that it judges; they find {share} of the labeled"
        " objects"
    )


def _trained(
    trainer: Trainer,
    manifest: Manifest,
    store: Path,
    place: Path,
    recipe: Recipe,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Path:
    model = place / MODEL
    if _is_done(place):
        return model
    data = export_yolo(manifest, store, place / "data")
    spec = TrainSpec(
        data,
        recipe.weights,
        place / "run",
        recipe.epochs,
        recipe.seed,
        recipe.imgsz,
        recipe.batch,
        recipe.device,
        overrides=_without_evaluation(recipe.overrides),
    )
    result = trainer.train(spec, progress, cancelled)
    write_atomically(model, result.weights.read_bytes())
    write_atomically(place / DONE, json.dumps({"sha256": result.sha256}))
    for part in ("data", "run"):
        shutil.rmtree(place / part, ignore_errors=True)
    return model


def _is_done(place: Path) -> bool:
    try:
        said = json.loads((place / DONE).read_text(encoding="utf-8"))
        return bool(sha256_of_file(place / MODEL) == said["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _without_evaluation(overrides: dict[str, object]) -> dict[str, object]:
    """What a model judges must not choose its epoch."""
    return {name: value for name, value in overrides.items() if name not in ("val", "patience")}


def _digest(manifest: Manifest, recipe: Recipe, begun: str) -> str:
    """Of what it learns from alone: a label that it judges may change."""
    told = [begun, recipe.epochs, recipe.imgsz, recipe.batch, recipe.seed, recipe.overrides]
    learned = [[entry.content_hash, entry.label_hash] for entry in manifest.of("train")]
    text = json.dumps([manifest.classes, learned, told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _told(progress: Progress, fold: Fold, count: int) -> Progress:
    def report(done: int, total: int, what: str) -> None:
        progress(
            fold.number * total + done, count * total, f"epochs: model {fold.number + 1} of {count}, {what}"
        )

    return report
