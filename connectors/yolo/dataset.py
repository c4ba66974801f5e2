"""What a YOLO data.yaml holds, looked at before a training run is started on it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from connectors.data_yaml import DataYaml, MissingImage, images_of, label_path, read_data_yaml
from connectors.errors import DataYamlError, TrainingFailed
from connectors.files import write_atomically


@dataclass(frozen=True, slots=True)
class YoloDataset:
    """names: by class id.
    train, val: absolute image paths in file order, repeats kept.
    boxes: lines in train's labels.

    digest: changes with class names, image names and label texts, not with the place on disk.
    """

    names: tuple[str, ...]
    train: tuple[Path, ...]
    val: tuple[Path, ...]
    boxes: int
    digest: str


def read_dataset(path: Path) -> YoloDataset:
    """The dataset of a data.yaml. Raises TrainingFailed when there is nothing to learn from."""
    try:
        data = read_data_yaml(path)
        train, val = tuple(_images(data, "train")), tuple(_images(data, "val"))
    except DataYamlError as error:
        raise TrainingFailed(str(error)) from error
    if not train:
        raise TrainingFailed(
            f"{path}: expected at least one image under 'train', got none; export the dataset again with"
            " frames in it"
        )
    labels = {image: _label_text(image) for image in dict.fromkeys(train)}
    boxes = sum(len(text.split("\n")) for text in labels.values() if text)
    if not boxes:
        raise TrainingFailed(
            f"{path}: expected at least one labeled object, got {len(labels)} images without a box; "
            "a detector learns nothing from background alone: label some objects and freeze again"
        )
    return YoloDataset(data.names, train, val, boxes, _digest(data.names, train, labels))


def write_dataset(dataset: YoloDataset, folder: Path) -> Path:
    """A data.yaml of absolute paths and nothing else: no download script, no val folder that must
    exist.
    """
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


def _images(data: DataYaml, split: str) -> Iterator[Path]:
    for found in images_of(data, split):
        if isinstance(found, MissingImage):
            raise TrainingFailed(
                f"{found.listing}:{found.line}: expected only files that exist, got {found.name!r}; "
                "export the dataset again"
            )
        yield found.path.absolute()


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
