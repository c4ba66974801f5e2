"""YOLO layout: a data.yaml, image folders or lists, one text file of normalized boxes per image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

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

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def read_yolo(path: Path, max_pixels: int) -> ImportedDataset:
    """path: the data.yaml. An image without a label file is a background, as for the trainer.

    Raises DatasetError when the YAML, a named folder or list is missing or says nothing usable.
    """
    tree = _load(path)
    classes = class_names(tree, path)
    root = _root(tree, path)
    report = Report()
    images = [
        image
        for split in SPLITS
        for file, sequence in _listed(tree, split, root, path, report)
        if (image := _image(file, split, sequence, len(classes), report, max_pixels)) is not None
    ]
    if not images:
        raise DatasetError(
            f"{path}: expected images under {', '.join(s for s in SPLITS if tree.get(s))}, none can be "
            f"read{_first(report)}; check the folders named in it"
        )
    return ImportedDataset(classes, _once(images, report), report.problems)


def label_path(image: Path) -> Path:
    """Where the trainer looks: the last folder named images becomes labels, the suffix .txt."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def class_names(tree: dict[str, Any], path: Path) -> tuple[str, ...]:
    """The class list of a data.yaml, from a list or a dict of ids. Raises DatasetError."""
    names = tree.get("names")
    if names is None and isinstance(tree.get("nc"), int):
        raise DatasetError(
            f"{path}: expected 'names', got only nc: {tree['nc']}; add the class names in id order"
        )
    if isinstance(names, dict):
        ids = sorted(names, key=str)
        if {str(i) for i in ids} != {str(i) for i in range(len(ids))}:
            raise DatasetError(
                f"{path}: expected names with ids 0..{len(ids) - 1}, got {', '.join(map(str, ids))}; "
                "number the classes from 0"
            )
        by_id = {int(i): name for i, name in names.items()}
        names = [by_id[i] for i in range(len(by_id))]
    if not isinstance(names, list) or not names:
        raise DatasetError(
            f"{path}: expected 'names' as a list or a dict of ids, got {names!r}; list the classes"
        )
    out = tuple(str(name).strip() for name in names)
    if len(set(out)) != len(out) or not all(out):
        raise DatasetError(f"{path}: expected distinct class names, got {', '.join(out)}; rename the doubles")
    if isinstance(tree.get("nc"), int) and tree["nc"] != len(out):
        raise DatasetError(
            f"{path}: expected nc: {len(out)} for its {len(out)} names, got {tree['nc']}; mend one of them"
        )
    return out


def _load(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DatasetError(f"expected a data.yaml, got no file at {path}; check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise DatasetError(
            f"{path}: expected YAML, got {' '.join(str(error).split())}; mend the file"
        ) from None
    if not isinstance(tree, dict):
        raise DatasetError(
            f"{path}: expected keys such as train, val and names, got {type(tree).__name__}; "
            "is this a YOLO data.yaml?"
        )
    if "validation" in tree:
        tree.setdefault("val", tree["validation"])
    if not any(tree.get(split) for split in SPLITS):
        raise DatasetError(
            f"{path}: expected 'train', 'val' or 'test', got {', '.join(map(str, tree))}; name a folder"
        )
    return tree


def _root(tree: dict[str, Any], path: Path) -> Path:
    named = tree.get("path")
    if named is None or named == "":
        return path.parent
    root = path.parent / Path(str(named)).expanduser()
    if not root.is_dir():
        raise DatasetError(
            f"{path}: expected the folder of 'path: {named}', got nothing at {root}; "
            "a relative path starts at the YAML's folder"
        )
    return root


def _listed(
    tree: dict[str, Any], split: str, root: Path, path: Path, report: Report
) -> Iterator[tuple[Path, str | None]]:
    """Image files of a split, with the folder below the named one."""
    named = tree.get(split) or []
    for entry in named if isinstance(named, list) else [named]:
        if not isinstance(entry, str):
            raise DatasetError(
                f"{path}: expected a path under '{split}', got {entry!r}; name a folder or a list"
            )
        place = root / entry
        if not place.exists() and entry.startswith("../"):
            place = root / entry[3:]  # as the trainer does for exports that were meant to lie elsewhere
        if place.is_dir():
            yield from _in_folder(place)
        elif place.suffix.lower() in IMAGE_SUFFIXES and place.is_file():
            yield place, None
        elif place.is_file():
            yield from _in_list(place, root, report)
        else:
            raise DatasetError(
                f"{path}: expected a folder or list for '{split}: {entry}', got nothing at {place}; "
                "create it or correct the YAML"
            )


def _in_folder(folder: Path) -> Iterator[tuple[Path, str | None]]:
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file() and not file.name.startswith("."):
            below = file.parent.relative_to(folder).as_posix()
            yield file, None if below in {".", "images"} else below


def _in_list(listing: Path, root: Path, report: Report) -> Iterator[tuple[Path, str | None]]:
    """Lines as the trainer reads them: `./` starts at the list's folder; other relative paths at the root."""
    text = listing.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if not name:
            continue
        file = (listing.parent if name.startswith("./") else root) / name
        if not file.is_file():
            file = listing.parent / name
        if file.is_file():
            yield file, None
        else:
            report.add(listing, number, "missing_image", f"left out: no file at {name}")


def _image(
    path: Path, split: str, sequence: str | None, classes: int, report: Report, max_pixels: int
) -> ImportedImage | None:
    size = image_size(path, report, max_pixels)
    if size is None:
        return None
    labels = label_path(path)
    boxes = _read_labels(labels, classes, size, report) if labels.is_file() else []
    return ImportedImage(path, split, boxes, *size, sequence)


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
