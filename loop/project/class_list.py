"""Whether a dataset and the weights speak of the same classes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from loop.base.errors import ProjectError
from loop.datasets.imported import ImportedDataset


def check_classes(dataset: ImportedDataset, of_weights: Sequence[str]) -> None:
    """Raises ProjectError unless every class of the dataset is one of the weights'.

    Labels are kept by name, so a class that no box has, such as the supercategory that exporters
    write as a COCO category, does no harm. A layout that numbers its classes as the trainer does
    (YOLO) must number them as the weights do, all of them: otherwise it is not what they were
    trained on.
    """
    if dataset.ordered:
        _check_order(dataset.classes, of_weights)
    else:
        used = {box[0] for image in dataset.images for box in image.boxes or ()}
        _check_names([dataset.classes[number] for number in sorted(used)], of_weights)


def _check_names(of_dataset: Sequence[str], of_weights: Sequence[str]) -> None:
    extra = [name for name in of_dataset if name not in of_weights]
    if not extra:
        return
    raise ProjectError(
        f"expected the dataset's classes among those of the weights ({', '.join(of_weights)}), got"
        f" {'; '.join(_with_nearest(name, of_weights) for name in extra)}; rename or remove them in the"
        " dataset"
    )


def _with_nearest(name: str, of_weights: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, of_weights, n=1, cutoff=0)
    return f"{name!r}, the nearest is {near[0]!r}" if near else repr(name)


def _check_order(of_dataset: Sequence[str], of_weights: Sequence[str]) -> None:
    if tuple(of_dataset) == tuple(of_weights):
        return
    only_dataset = [name for name in of_dataset if name not in of_weights]
    only_weights = [name for name in of_weights if name not in of_dataset]
    first = next(
        (i for i, pair in enumerate(zip(of_dataset, of_weights, strict=False)) if pair[0] != pair[1]),
        min(len(of_dataset), len(of_weights)),
    )
    raise ProjectError(
        "expected the dataset and the weights to name the same classes in the same order, got"
        f" {len(of_dataset)} and {len(of_weights)}; they part at class {first}; only in the dataset:"
        f" {only_dataset or 'none'}; only in the weights: {only_weights or 'none'}; give the data.yaml that"
        " these weights were trained on"
    )
