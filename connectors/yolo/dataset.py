"""What a YOLO data.yaml holds, looked at before a training run is started on it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from connectors.errors import TrainingFailed
from connectors.files import write_atomically

SUFFIXES = frozenset(
    [
        ".avif",
        ".bmp",
        ".dng",
        ".heic",
        ".heif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pfm",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    ],
)


@dataclass(frozen=True, slots=True)
class YoloDataset:
    """names: by class id. train, val: absolute image paths in file order, repeats kept. boxes: lines in train's labels.

    digest: changes with class names, image names and label texts, not with the place on disk.
    """

    names: tuple[str, ...]
    train: tuple[Path, ...]
    val: tuple[Path, ...]
    boxes: int
    digest: str


def read_dataset(path: Path) -> YoloDataset:
    """The dataset of a data.yaml. Raises TrainingFailed when there is nothing to learn from."""
    content = _read_yaml(path)
    names = _names(content, path)
    root = path.parent / str(content.get("path") or "")
    train = tuple(_images(content.get("train"), root))
    if not train:
        raise TrainingFailed(
            f"{path}: expected at least one image under 'train', got none; export the dataset again with frames in it"
        )
    labels = {image: _label_text(image) for image in dict.fromkeys(train)}
    boxes = sum(len(text.split("\n")) for text in labels.values() if text)
    if not boxes:
        raise TrainingFailed(
            f"{path}: expected at least one labeled object, got {len(labels)} images without a box; "
            "a detector learns nothing from background alone: label some objects and freeze again"
        )
    return YoloDataset(
        names, train, tuple(_images(content.get("val"), root)), boxes, _digest(names, train, labels)
    )


def write_dataset(dataset: YoloDataset, folder: Path) -> Path:
    """A data.yaml of absolute paths and nothing else: no download script, no val folder that must exist."""
    for name, images in (("train", dataset.train), ("val", dataset.val or dataset.train)):
        write_atomically(folder / f"{name}.txt", "".join(f"{image}\n" for image in images))
    content = {
        "path": str(folder),
        "train": "train.txt",
        "val": "val.txt",
        "names": dict(enumerate(dataset.names)),
    }
    path = folder / "data.yaml"
    write_atomically(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


def label_path(image: Path) -> Path:
    """Where YOLO looks for an image's labels: the last folder called images becomes labels."""
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingFailed(
            f"{path}: expected a YOLO data.yaml, got none that can be read ({type(error).__name__}); "
            "export the dataset again, or give the path of its data.yaml"
        ) from error
    if not isinstance(content, dict):
        raise TrainingFailed(
            f"{path}: expected a mapping with train and names, got {type(content).__name__}; export again"
        )
    return content


def _names(content: dict[str, Any], path: Path) -> tuple[str, ...]:
    names = content.get("names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise TrainingFailed(
            f"{path}: expected 'names' with one class name per id from 0, got {content.get('names')!r}; "
            "list the classes of the detector there"
        )
    return tuple(map(str, names))


def _images(entries: Any, root: Path) -> Iterator[Path]:
    for entry in entries if isinstance(entries, list) else [entries] if entries else []:
        place = (root / str(entry)).absolute()
        if place.is_dir():
            yield from sorted(p for p in place.rglob("*.*") if p.suffix.lower() in SUFFIXES)
        elif place.suffix == ".txt" and place.is_file():
            yield from _listed(place)
        elif place.is_file():
            yield place


def _listed(place: Path) -> Iterator[Path]:
    for line in place.read_text(encoding="utf-8-sig").splitlines():
        if not line.strip():
            continue
        beside = place.parent / line.strip()
        image = beside if beside.exists() else Path(line.strip()).absolute()
        if not image.is_file():
            raise TrainingFailed(
                f"{place}: expected only files that exist, got {line.strip()!r}; export the dataset again"
            )
        yield image


def _label_text(image: Path) -> str:
    try:
        return label_path(image).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _digest(names: Sequence[str], train: Sequence[Path], labels: dict[Path, str]) -> str:
    digest = hashlib.sha256("\0".join(names).encode())
    for image in train:
        digest.update(f"\n{image.name}\0{labels[image]}".encode())
    return digest.hexdigest()
