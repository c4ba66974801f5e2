"""Whether a dataset and the weights speak of the same classes, and which of them the dataset lacks."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from loop.base.errors import ProjectError
from loop.datasets.imported import ImportedDataset, ImportedImage


def check_classes(dataset: ImportedDataset, of_weights: Sequence[str]) -> None:
    """Raises ProjectError unless every class of the dataset is one of the weights'.

    Labels are kept by name, so a class that no box has, such as the supercategory that exporters
    write as a COCO category, does no harm. A layout that numbers its classes as the trainer does
    (YOLO) must number all of them as the weights do, or know fewer of them: otherwise it is not what
    they were trained on.
    """
    if dataset.ordered and not set(dataset.classes) < set(of_weights):
        _check_order(dataset.classes, of_weights)
    else:
        used = {box[0] for image in dataset.images for box in image.boxes or ()}
        _check_names([dataset.classes[number] for number in sorted(used)], of_weights)


def mapped(dataset: ImportedDataset, pairs: Sequence[str]) -> ImportedDataset:
    """The dataset with classes renamed, and matched by name from there on.

    pairs: "of the dataset=of the weights"; several may lead to one. Raises ProjectError.
    """
    if not pairs:
        return dataset
    given = [_pair(text, dataset.classes) for text in pairs]
    names = dict(given)
    if other := [(name, one) for name, one in given if names[name] != one]:
        name, one = other[0]
        raise ProjectError(
            f"--map: expected one class of the weights for each of the dataset, got {name}={one} and"
            f" {name}={names[name]}; keep one of them"
        )
    renamed = [names.get(name, name) for name in dataset.classes]
    classes = tuple(dict.fromkeys(renamed))
    numbers = [classes.index(name) for name in renamed]
    images = [_numbered(image, numbers) for image in dataset.images]
    return replace(dataset, classes=classes, images=images, ordered=False)


def shown_classes(dataset: ImportedDataset) -> set[str]:
    """Classes of which its training images show an object."""
    return {
        dataset.classes[box[0]]
        for image in dataset.images
        if image.split == "train"
        for box in image.boxes or ()
    }


def starting_classes(dataset: ImportedDataset) -> tuple[str, ...]:
    """The classes that a detector begun for the dataset has. Raises ProjectError where it has none.

    A layout that numbers its classes has all that it lists, any other those of which there is a box.
    """
    used = {dataset.classes[box[0]] for image in dataset.images for box in image.boxes or ()}
    classes = tuple(name for name in dataset.classes if dataset.ordered or name in used)
    if not classes:
        raise ProjectError(
            "expected a dataset with labeled objects to start a detector for, got no box in it"
        )
    return classes


def _pair(text: str, of_dataset: Sequence[str]) -> tuple[str, str]:
    name, equals, other = (part.strip() for part in text.partition("="))
    if not (name and equals and other):
        raise ProjectError(
            f"--map: expected a class of the dataset=a class of the weights, got {text!r}; for example"
            " --map vehicle=car"
        )
    if name not in of_dataset:
        raise ProjectError(
            f"--map: expected a class of the dataset ({', '.join(of_dataset)}), got"
            f" {_with_nearest(name, of_dataset)}; correct it"
        )
    return name, other


def _numbered(image: ImportedImage, numbers: Sequence[int]) -> ImportedImage:
    if image.boxes is None:
        return image
    boxes = list(dict.fromkeys((numbers[box[0]], *box[1:]) for box in image.boxes))
    seen = {(numbers[box[0]], *box[1:]): said for box, said in image.seen.items()}
    return replace(image, boxes=boxes, seen=seen)


def _check_names(of_dataset: Sequence[str], of_weights: Sequence[str]) -> None:
    extra = [name for name in of_dataset if name not in of_weights]
    if not extra:
        return
    raise ProjectError(
        f"expected the dataset's classes among those of the weights ({', '.join(of_weights)}), got"
        f" {'; '.join(_with_nearest(name, of_weights) for name in extra)}; rename or remove them in the"
        " dataset, name its class of the weights with --map, or give the weights with --start for a detector"
        " of the dataset's classes alone"
    )


def _with_nearest(name: str, of_weights: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, of_weights, n=1)
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
        " these weights were trained on, or name each class that has another name there with --map"
    )
