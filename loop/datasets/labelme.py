"""labelme: a JSON beside each image, with shapes in px."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import dist
from pathlib import Path
from typing import Any

from connectors.data_yaml import files_below
from connectors.files import is_file
from loop.datasets.image_files import ImageFiles
from loop.datasets.imported import DatasetError, ImportedDataset, Report
from loop.datasets.json_files import load_json, number, positive
from loop.datasets.named import Annotated, NamedObject, assembled, tell_unlabeled
from loop.datasets.splits import split_of

_AREAS = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2, "": 2}
"""The fewest points of each shape that has an area; polygons where nothing is said."""


def read_labelme(path: Path, max_pixels: int) -> ImportedDataset:
    """path: a folder with labelme's JSON anywhere below it, or one such file. The split is the one
    that a folder's name says, otherwise train.

    labelme shows pictures upright, so its points are taken as they are. An image without a JSON is
    not taken. Raises DatasetError when nothing is usable.
    """
    report = Report()
    root = path if path.is_dir() else path.parent
    files = ImageFiles(root)
    found = []
    for label in labelme_files(path):
        try:
            tree = load_json(label, "labelme's JSON")
        except DatasetError as error:
            report.add(label, 0, "label", f"left out, it cannot be read: {error}")
            continue
        if not is_labelme(tree):
            continue
        image = _image(label, str(tree.get("imagePath") or ""), files)
        if image is None:
            report.add(label, 0, "missing_image", f"left out: no image file for {tree.get('imagePath')!r}")
            continue
        split = split_of(label.parent.relative_to(root).as_posix())
        size = positive(tree, "imageWidth", "imageHeight")
        found.append(Annotated(label, image, split, size, list(_objects(tree["shapes"]))))
    tell_unlabeled(path, files, found, report)
    return assembled(found, path, report, max_pixels)


def labelme_files(path: Path) -> Iterator[Path]:
    """The JSON files at or below a path."""
    files = files_below(path) if path.is_dir() else iter([path])
    return (file for file in files if file.suffix.lower() == ".json")


def is_labelme(tree: Any) -> bool:
    """Whether a JSON is one of labelme's."""
    return isinstance(tree, dict) and isinstance(tree.get("shapes"), list) and "imagePath" in tree


def _image(label: Path, name: str, files: ImageFiles) -> Path | None:
    beside = label.parent / name.replace("\\", "/").rsplit("/", 1)[-1] if name else label
    if beside != label and is_file(beside):
        return beside
    return files.find(name, near=label) or next(
        (file for file in files.all if file.stem == label.stem and file.parent == label.parent), None
    )


def _objects(shapes: list[Any]) -> Iterator[NamedObject]:
    for place, shape in enumerate(shapes, start=1):
        if not isinstance(shape, Mapping):
            yield NamedObject(place, "", None)
            continue
        kind = str(shape.get("shape_type") or "")
        corners = _corners(kind, _points(shape.get("points")))
        problem = f"expected a rectangle, polygon or circle with its points, got a {kind or 'shape'}"
        yield NamedObject(place, str(shape.get("label") or "").strip(), corners, problem)


def _points(given: Any) -> list[tuple[float, float]]:
    points = []
    for point in given if isinstance(given, list) else []:
        pair = [number(value) for value in point] if isinstance(point, list) else []
        if len(pair) != 2 or pair[0] is None or pair[1] is None:
            return []
        points.append((pair[0], pair[1]))
    return points


def _corners(kind: str, points: list[tuple[float, float]]) -> list[float] | None:
    if kind not in _AREAS or len(points) < _AREAS[kind]:
        return None
    if kind == "circle":
        (x, y), radius = points[0], dist(points[0], points[1])
        return [x - radius, y - radius, x + radius, y + radius]
    across, down = zip(*points, strict=True)
    return [min(across), min(down), max(across), max(down)]
