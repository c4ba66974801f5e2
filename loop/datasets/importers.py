"""One door for every layout a team may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

from connectors.data_yaml import files_below
from connectors.images import MAX_PIXELS
from connectors.litter import is_litter
from loop.datasets.coco import coco_files, read_coco
from loop.datasets.cvat import read_cvat
from loop.datasets.imported import DatasetError, ImportedDataset, Problem
from loop.datasets.label_studio import read_label_studio
from loop.datasets.labelme import read_labelme
from loop.datasets.sniffed import Kind, kind_below, kind_of_file, looks_like
from loop.datasets.voc import read_voc, read_voc_beside
from loop.datasets.yolo import read_yolo
from loop.datasets.yolo_folder import class_lists, has_labels, read_yolo_folder

Format = Literal["auto", "yolo", "coco", "voc"]
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a list in place of a name, or a name in place of a number, ends in."""
SHOWN = 200
SEVERAL = 3
"""Of datasets below a folder that are shown."""
NAMES: dict[Kind, str] = {
    "yolo": "YOLO",
    "coco": "COCO",
    "voc": "VOC",
    "yolo_folder": "YOLO",
    "label_studio": "Label Studio",
    "cvat": "CVAT",
    "voc_beside": "labelImg",
    "labelme": "labelme",
}
ACCEPTED = (
    "a YOLO data.yaml or folder with classes.txt, a COCO .json, a VOC folder, an export of Label Studio"
    " (JSON, YOLO, COCO) or CVAT (YOLO 1.1, CVAT for images), a folder of labelImg or labelme, or one zipped"
)


def read_dataset(
    path: Path, format: Format = "auto", *, images: Path | None = None, max_pixels: int = MAX_PIXELS
) -> ImportedDataset:
    """Reads a labeled dataset; nothing is written and nothing beyond image headers is decoded.

    path: a YOLO data.yaml, a COCO JSON, a folder that holds one of them, a VOC folder, or what
    Label Studio, CVAT, labelImg and labelme write.
    images: the image folder of a JSON, where it is not beside it.
    Bad boxes and images are left out and reported in `problems`.
    Raises DatasetError when there is nothing usable, naming what it looks like.
    """
    if format not in ("auto", "yolo", "coco", "voc"):
        raise DatasetError(
            f"expected format auto, yolo, coco or voc, got {format!r}; leave it out to have it detected"
        )
    kind, place = _detect(path) if format == "auto" else (format, path)
    try:
        dataset = _reader((kind, place), images)(max_pixels)
        return replace(dataset, problems=[*_not_read(kind, place), *dataset.problems])
    except UNEXPECTED as error:
        raise DatasetError(
            f"{path}: expected a {NAMES[kind]} dataset as its documentation has it, got something else in it"
            f" ({type(error).__name__}: {str(error)[:SHOWN]}); export it again"
        ) from error


def _reader(found: tuple[Kind, Path], images: Path | None) -> Callable[[int], ImportedDataset]:
    kind, path = found
    if kind == "coco":
        return lambda most: read_coco(path, most, images)
    if kind == "label_studio":
        return lambda most: read_label_studio(path, most, images)
    if kind == "yolo":
        return lambda most: read_yolo(_yaml_of(path), most)
    readers = {
        "voc": read_voc,
        "voc_beside": read_voc_beside,
        "cvat": read_cvat,
        "labelme": read_labelme,
        "yolo_folder": read_yolo_folder,
    }
    return lambda most: readers[kind](path, most)


def _detect(path: Path) -> tuple[Kind, Path]:
    if not path.exists():
        raise DatasetError(f"expected a dataset, got nothing at {path}; check the path")
    if path.is_file():
        if kind := kind_of_file(path):
            return kind, path.parent if kind in ("yolo_folder", "voc_beside") else path
        raise DatasetError(
            f"expected a data.yaml, a COCO .json or a folder, got {path.name}{looks_like(path)};"
            f" give {ACCEPTED}"
        )
    if found := _detect_below(path):
        return found
    inside = [each for each in path.iterdir() if not (each.name.startswith(".") or is_litter(each.name))]
    if len(inside) == 1 and inside[0].is_dir():
        return _detect(inside[0])
    if below := list(islice((file for file in files_below(path) if file.name == "data.yaml"), SEVERAL)):
        names = ", ".join(file.relative_to(path).as_posix() for file in below)
        raise DatasetError(
            f"expected one dataset, got {path}, below which lie {names}; name one of them, or write a"
            " data.yaml above them that names the folders of all"
        )
    raise DatasetError(
        "expected a data.yaml, a COCO JSON, or Annotations/ beside JPEGImages/, got none of them in"
        f" {path}{looks_like(path)}; give {ACCEPTED}"
    )


def _not_read(kind: Kind, place: Path) -> list[Problem]:
    """What is told of layouts that a folder holds beside the one that is read."""
    others = [other for other in _layouts(place) if other != kind] if place.is_dir() else []
    return [
        Problem(
            place,
            0,
            "key",
            f"read as {NAMES[kind]}; it also holds a {NAMES[other]} dataset, of which nothing is read: name"
            " its file to read that",
            0,
        )
        for other in others
    ]


def _layouts(folder: Path) -> list[Kind]:
    """The layouts that the names in a folder tell, the one that is read first."""
    voc = (folder / "Annotations").is_dir() and (folder / "JPEGImages").is_dir()
    yolo = any(folder.glob("*.yaml")) or any(folder.glob("*.yml"))
    there: tuple[tuple[Kind, bool], ...] = (("voc", voc), ("yolo", yolo), ("coco", bool(coco_files(folder))))
    return [kind for kind, is_there in there if is_there]


def _detect_below(path: Path) -> tuple[Kind, Path] | None:
    if layouts := _layouts(path):
        return layouts[0], path
    found = kind_below(path)
    if class_lists(path) and (found is None or has_labels(path)):
        return "yolo_folder", path
    return found


def _yaml_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    named = path / "data.yaml"
    found = [named] if named.is_file() else sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if len(found) != 1:
        names = ", ".join(f.name for f in found) or "none"
        raise DatasetError(f"expected one data.yaml in {path}, got {names}; name the file itself")
    return found[0]
