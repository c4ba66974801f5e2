"""Labels of a dataset that is no project, judged as those of a project are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from connectors.errors import ImageRejected
from connectors.files import sha256_of_file, write_atomically
from connectors.images import decode
from connectors.ports import Array, Box, Detections, Detector, Image, Progress
from db.states import Origin
from loop.base.errors import ConfigError, RoundError
from loop.base.files import BATCH_BYTES, chunked_by_size, decoded_bytes
from loop.base.wording import counted
from loop.datasets.imported import ImportedDataset, ImportedImage
from loop.datasets.importers import read_dataset
from loop.datasets.units import Item
from loop.math.evaluation.scenes import scenes
from loop.project.class_list import check_classes
from loop.project.wiring import build_embedder, build_judge, build_trainer, started_weights
from loop.rounds.fold_models import fold_models, folds_in_words, recipe_of
from loop.rounds.judged_labels import FoundSuspect, Judged, find_suspects, found_share, recall
from loop.settings.settings import Settings
from samplers.engine.near_duplicates import SAME_VIEW, camera_residual, connected_groups

CHUNK = 16
ROOT = Path("/")
STARTED = "started.pt"
TOLD = 20
"""Problems of a kind that are told."""
MAY_HAVE_LEARNED = (
    "the given weights judge; where they were trained on these labels, they have learned many errors and do"
    " not see them: --folds 3 trains models that have not"
)


@dataclass(frozen=True)
class Audit:
    """paths: of the images, by their number. sizes: width and height in px.

    boxes: labels that were judged. suspects: the largest expected gain first.
    judges: by what, in words. problems: what could not be used, in words.
    """

    dataset: Path
    classes: tuple[str, ...]
    paths: list[Path]
    sizes: list[tuple[int, int]]
    boxes: int
    suspects: list[FoundSuspect]
    judges: tuple[str, ...]
    problems: tuple[str, ...]

    def lines(self) -> list[str]:
        """For people."""
        head = f"{counted(len(self.suspects), 'suspect')} in {counted(self.boxes, 'box', 'boxes')} of"
        return [f"{head} {counted(len(self.paths), 'image')}", *self.judges, *self.problems]


def audit(path: Path, weights: Path, out: Path, folds: int, settings: Settings, progress: Progress) -> Audit:
    """Judges a dataset's labels by the weights themselves, or by `folds` models trained from them.

    path: as `read_dataset` takes it. out: a folder, in which models of folds are kept.
    Raises DatasetError, ProjectError where the weights do not know its classes, RoundError where it has no
    labels or is of one group, ModelError, and what a training raises.
    """
    if folds == 1:
        raise ConfigError("--folds: expected 0 or at least 2, got 1; the others' model judges each fold")
    dataset = read_dataset(path)
    images = _labeled(dataset)
    if not any(image.boxes for image in images):
        raise RoundError(f"{path}: expected labeled images, found none; check the folders named in it")
    work = _Work(dataset, images, settings, progress)
    judged, said = work.by_folds(weights, out, folds) if folds else work.by_weights(weights)
    found, _ = find_suspects(judged, dataset.classes, settings.seed)
    return Audit(
        path,
        dataset.classes,
        [image.path for image in images],
        [(image.width, image.height) for image in images],
        sum(len(one.boxes) for one in judged),
        sorted(found, key=lambda one: -one.gain),
        (said,),
        (*map(str, dataset.problems[:TOLD]), *work.unread[:TOLD]),
    )


def with_folds(settings: Settings, epochs: int | None, imgsz: int | None) -> Settings:
    """The settings with other ones for what judges, None as they are."""
    chosen = settings.labels.model_copy(
        update={
            "fold_epochs": epochs or settings.labels.fold_epochs,
            "fold_imgsz": imgsz or settings.labels.fold_imgsz,
        }
    )
    detector = settings.detector.model_copy(update={"imgsz": imgsz or settings.detector.imgsz})
    return settings.model_copy(update={"labels": chosen, "detector": detector})


@dataclass
class _Work:
    """What an audit goes over. unread: images that could not be decoded, in words."""

    dataset: ImportedDataset
    images: Sequence[ImportedImage]
    settings: Settings
    progress: Progress
    unread: list[str] = field(default_factory=list)

    def by_weights(self, weights: Path) -> tuple[list[Judged], str]:
        """What the weights saw, and what is to be said of that."""
        chosen = self.settings.detector
        judge = build_judge(weights, chosen.imgsz, chosen)
        check_classes(self.dataset, judge.classes)
        groups = [image.sequence or "all" for image in self.images]
        judged = list(self._judged(range(len(self.images)), groups, judge))
        share = found_share(recall(judged, self.dataset.classes))
        return judged, f"{MAY_HAVE_LEARNED}; they find {share} of the labeled objects"

    def by_folds(self, weights: Path, out: Path, folds: int) -> tuple[list[Judged], str]:
        """What models saw that were not trained on the image, and what is to be said of them."""
        classes, chosen = self.dataset.classes, self.settings.labels
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / STARTED, started_weights(weights, classes, self.settings.seed))
        alike, groups = self._groups()
        items = [_item(n, image, alike[n], groups[n]) for n, image in enumerate(self.images)]
        recipe = recipe_of(self.settings, out / STARTED)
        made = fold_models(build_trainer(), items, classes, ROOT, out / "folds", recipe, folds, self.progress)
        judged: list[Judged] = []
        for each in made:
            if each.weights is not None:
                judge = build_judge(each.weights, chosen.fold_imgsz, self.settings.detector)
                judged += self._judged(each.judged, groups, judge)
        words = folds_in_words(made, chosen.fold_epochs, chosen.fold_imgsz, recall(judged, classes))
        return judged, f"judged by {words}"

    def _groups(self) -> tuple[list[int], list[str]]:
        """Of each image: its group of near-duplicates, and its sequence, or else its scene."""
        carried = {"model": "small", "pretrained": ""}
        embedder = build_embedder(ROOT, self.settings.embedder.model_copy(update=carried))
        rows: list[Array] = []
        for chunk in self._chunks(range(len(self.images))):
            shown = self._readable(chunk)
            seen = dict(zip(shown, embedder.embed([*shown.values()]), strict=True))
            rows += [seen.get(number, np.zeros(embedder.dim, np.float32)) for number in chunk]
            self.progress(len(rows), len(self.images), "images compared")
        vectors = np.array(rows)
        alike = connected_groups(camera_residual(vectors), np.full(len(rows), SAME_VIEW))
        numbers = scenes(vectors, alike).tolist()
        return alike.tolist(), [
            image.sequence or f"scene {number}" for image, number in zip(self.images, numbers, strict=True)
        ]

    def _judged(self, numbers: Sequence[int], groups: Sequence[str], judge: Detector) -> Iterator[Judged]:
        done, classes = 0, self.dataset.classes
        for chunk in self._chunks(numbers):
            shown = self._readable(chunk)
            for number, seen in zip(shown, judge.detect([*shown.values()]), strict=True):
                boxes = tuple(Box(classes[box[0]], box[1:]) for box in self.images[number].boxes or ())
                yield Judged(number, boxes, renumbered(seen, judge.classes, classes), groups[number])
            done += len(chunk)
            self.progress(done, len(numbers), "labels judged")

    def _readable(self, numbers: Sequence[int]) -> dict[int, Image]:
        """One that cannot be decoded is left out and told, once."""
        found = {}
        for number in numbers:
            path = self.images[number].path
            try:
                found[number] = decode(path.read_bytes())
            except (OSError, ImageRejected) as error:
                told = f"{path}: left out, it cannot be read: {error}"
                self.unread += [told] if told not in self.unread else []
        return found

    def _chunks(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        def held(number: int) -> int:
            return decoded_bytes(self.images[number].width, self.images[number].height)

        return chunked_by_size(numbers, CHUNK, held, BATCH_BYTES)


def _labeled(dataset: ImportedDataset) -> list[ImportedImage]:
    """Labeled images, each content once."""
    seen: dict[str, ImportedImage] = {}
    for image in dataset.images:
        if image.boxes is not None:
            seen.setdefault(sha256_of_file(image.path), image)
    return [*seen.values()]


def _item(number: int, image: ImportedImage, alike: int, group: str) -> Item:
    path, sha256 = os.path.relpath(image.path.absolute(), ROOT), sha256_of_file(image.path)
    boxes = tuple(image.boxes or ())
    origin = str(Origin.IMPORTED)
    return Item(number, sha256, path, image.width, image.height, boxes, origin, group, cluster=alike)


def renumbered(seen: Detections, known: Sequence[str], classes: Sequence[str]) -> Detections:
    """The detections of classes that a dataset has, by its numbers. known: class names of the detector."""
    if tuple(known) == tuple(classes):
        return seen
    number_of = {name: number for number, name in enumerate(classes)}
    to = np.array([number_of.get(name, -1) for name in known], dtype=np.int64)
    keep = to[seen.class_id] >= 0
    scores = None
    if seen.class_scores is not None:
        scores = np.zeros((int(keep.sum()), len(classes)), np.float32)
        scores[:, to[to >= 0]] = seen.class_scores[keep][:, to >= 0]
    ids = to[seen.class_id[keep]]
    return Detections(seen.xyxy[keep], seen.confidence[keep], ids, scores, seen.forward_ms)
