"""One door for every layout a team may have."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from connectors.images import MAX_PIXELS
from loop.datasets.coco import coco_files, read_coco
from loop.datasets.imported import DatasetError, ImportedDataset
from loop.datasets.voc import read_voc
from loop.datasets.yolo import read_yolo

Format = Literal["auto", "yolo", "coco", "voc"]
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a list in place of a name, or a name in place of a number, ends in."""
SHOWN = 200


def read_dataset(
    path: Path, format: Format = "auto", *, images: Path | None = None, max_pixels: int = MAX_PIXELS
) -> ImportedDataset:
    """Reads a labeled dataset; nothing is written and nothing beyond image headers is decoded.

    path: a YOLO data.yaml, a COCO JSON, a folder that holds one of them, or a VOC folder.
    images: the image folder of a COCO JSON, where it is not beside it.
    Bad boxes and images are left out and reported in `problems`.
    Raises DatasetError when there is nothing usable.
    """
    kind = _detect(path) if format == "auto" else format
    try:
        return _read(kind, path, images, max_pixels)
    except UNEXPECTED as error:
        raise DatasetError(
            f"{path}: expected a {kind.upper()} dataset as its documentation has it, got something else in it"
            f" ({type(error).__name__}: {str(error)[:SHOWN]}); export it again"
        ) from error


def _read(kind: str, path: Path, images: Path | None, max_pixels: int) -> ImportedDataset:
    if kind == "yolo":
        return read_yolo(_yaml_of(path), max_pixels)
    if kind == "coco":
        return read_coco(path, max_pixels, images)
    if kind == "voc":
        return read_voc(path, max_pixels)
    raise DatasetError(
        f"expected format auto, yolo, coco or voc, got {kind!r}; leave it out to have it detected"
    )


def _detect(path: Path) -> Format:
    if not path.exists():
        raise DatasetError(f"expected a dataset, got nothing at {path}; check the path")
    if path.is_file():
        kinds: dict[str, Format] = {".yaml": "yolo", ".yml": "yolo", ".json": "coco"}
        kind = kinds.get(path.suffix.lower())
        if kind is None:
            raise DatasetError(
                f"expected a data.yaml, a COCO .json or a folder, got {path.name}; name one of them"
            )
        return kind
    if (path / "Annotations").is_dir() and (path / "JPEGImages").is_dir():
        return "voc"
    if list(path.glob("*.yaml")) or list(path.glob("*.yml")):
        return "yolo"
    if coco_files(path):
        return "coco"
    raise DatasetError(
        f"expected a data.yaml, a COCO JSON, or Annotations/ beside JPEGImages/, got none of them in {path}; "
        "name the file itself"
    )


def _yaml_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    named = path / "data.yaml"
    found = [named] if named.is_file() else sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if len(found) != 1:
        names = ", ".join(f.name for f in found) or "none"
        raise DatasetError(f"expected one data.yaml in {path}, got {names}; name the file itself")
    return found[0]
