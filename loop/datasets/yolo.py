"""YOLO layout: a data.yaml, image folders or lists, one text file of normalized boxes per image."""

from __future__ import annotations

from pathlib import Path

from connectors.data_yaml import SPLITS, ListedImage, MissingImage, images_of, label_path, read_data_yaml
from connectors.errors import DataYamlError
from loop.datasets.imported import (
    DatasetError,
    ImportedDataset,
    ImportedImage,
    PixelBox,
    Report,
    checked_box,
    image_size,
    without_duplicates,
)


def read_yolo(path: Path, max_pixels: int) -> ImportedDataset:
    """path: the data.yaml. An image without a label file is a background, as for the trainer.

    Raises DatasetError when the YAML, a named folder or list is missing or says nothing usable.
    """
    report = Report()
    try:
        data = read_data_yaml(path)
        images = [
            image
            for split in SPLITS
            for found in images_of(data, split)
            if (image := _image(found, split, len(data.names), report, max_pixels)) is not None
        ]
    except DataYamlError as error:
        raise DatasetError(str(error)) from error
    if not images:
        raise DatasetError(
            f"{path}: expected images under {', '.join(data.places)}, none can be "
            f"read{_first(report)}; check the folders named in it"
        )
    return ImportedDataset(data.names, _once(images, report), report.problems)


def _image(
    found: ListedImage | MissingImage, split: str, classes: int, report: Report, max_pixels: int
) -> ImportedImage | None:
    if isinstance(found, MissingImage):
        report.add(found.listing, found.line, "missing_image", f"left out: no file at {found.name}")
        return None
    size = image_size(found.path, report, max_pixels)
    if size is None:
        return None
    labels = label_path(found.path)
    boxes = _read_labels(labels, classes, size, report) if labels.is_file() else []
    return ImportedImage(found.path, split, boxes, *size, found.folder)


def _read_labels(path: Path, classes: int, size: tuple[int, int], report: Report) -> list[PixelBox]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        report.add(path, 0, "label", f"label file left out, it cannot be read: {error}")
        return []
    found = [
        (number, box)
        for number, line in enumerate(lines, start=1)
        if line.strip() and (box := _read_line(line, number, path, classes, size, report)) is not None
    ]
    return without_duplicates(found, lambda line, code, text: report.add(path, line, code, text))


def _read_line(
    line: str, number: int, path: Path, classes: int, size: tuple[int, int], report: Report
) -> PixelBox | None:
    def say(code: str, text: str) -> None:
        report.add(path, number, code, text)

    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        say("number", f"box left out: expected numbers, got {line.strip()[:80]!r}")
        return None
    if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
        say("label", f"box left out: expected class x y w h or a polygon, got {len(values)} numbers")
        return None
    if not (values[0].is_integer() and 0 <= values[0] < classes):
        say("class", f"box left out: expected a class id 0..{classes - 1}, got {values[0]:g}")
        return None
    corners = _from_center(values[1:]) if len(values) == 5 else _around(values[1:])
    width, height = size
    scaled = [corners[0] * width, corners[1] * height, corners[2] * width, corners[3] * height]
    return checked_box(int(values[0]), scaled, size, say)


def _from_center(xywh: list[float]) -> list[float]:
    x, y, w, h = xywh
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def _around(polygon: list[float]) -> list[float]:
    return [min(polygon[::2]), min(polygon[1::2]), max(polygon[::2]), max(polygon[1::2])]


def _once(images: list[ImportedImage], report: Report) -> list[ImportedImage]:
    """A file under two splits would leak: test keeps it before val, val before train."""
    order = {"test": 0, "val": 1, "train": 2}
    owner: dict[Path, str] = {}
    for image in sorted(images, key=lambda one: order[one.split]):
        owner.setdefault(image.path.resolve(), image.split)
    kept: dict[Path, ImportedImage] = {}
    for image in images:
        file = image.path.resolve()
        if owner[file] != image.split:
            report.add(
                image.path,
                0,
                "split",
                f"listed in {image.split} and {owner[file]}: kept in {owner[file]} only",
            )
        else:
            kept.setdefault(file, image)
    return list(kept.values())


def _first(report: Report) -> str:
    return f" (first problem: {report.problems[0]})" if report.problems else ""
