"""YOLO labels without a data.yaml: class names in a list, images and label files in folders.

So write labelImg, Label Studio (YOLO) and CVAT (YOLO 1.1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from connectors.data_yaml import ListedImage, files_below
from loop.datasets.image_files import ImageFiles
from loop.datasets.imported import DatasetError, ImportedDataset, Report
from loop.datasets.json_files import load_json
from loop.datasets.label_files import LabelFolders, check_counted_from_0, looks_like_labels
from loop.datasets.splits import names_split, split_of
from loop.datasets.yolo import Place, certain_backgrounds, read_places

_LISTS = frozenset(["classes.txt", "obj.names", "predefined_classes.txt", "labels.names", "coco.names"])


def class_lists(folder: Path) -> list[Path]:
    """The files below a folder that name classes by id, one name a line."""
    return [file for file in files_below(folder) if file.name.lower() in _LISTS]


def has_labels(folder: Path) -> bool:
    """Whether any file below it holds lines of a class and a box."""
    return any(file.suffix.lower() == ".txt" and looks_like_labels(file) for file in files_below(folder))


def read_yolo_folder(path: Path, max_pixels: int) -> ImportedDataset:
    """path: a folder with a class list and images anywhere below it. The split is that of a Darknet
    list, otherwise the one that a folder's name says, otherwise train.

    Raises DatasetError when classes or images are missing.
    """
    names = _names(path)
    files = ImageFiles(path)
    if not files.all:
        raise DatasetError(
            f"{path}: expected images beside the labels, found none; export them with the labels, in Label"
            " Studio as 'YOLO with Images', in CVAT with 'Save images'"
        )
    report = Report()
    splits = _darknet_splits(path, files, report)
    places: dict[str, dict[Path, Place]] = defaultdict(lambda: defaultdict(list))
    for image in files.all:
        split = splits.get(image) if splits else split_of(image.parent.relative_to(path).as_posix())
        if split is not None:
            places[split][image.parent].append(ListedImage(image, _sequence(image, path)))
    folders = LabelFolders()
    by_split: Mapping[str, list[Place]] = {split: list(of.values()) for split, of in places.items()}
    images = read_places(by_split, len(names), 0, folders, report, max_pixels)
    check_counted_from_0(names, path, report)
    images = certain_backgrounds(images, folders, path, report)
    return ImportedDataset(names, images, report.problems, ordered=False)


def _names(path: Path) -> tuple[str, ...]:
    lists = class_lists(path)
    found = {tuple(_lines(file)): file for file in lists}
    if len(found) > 1:
        shown = ", ".join(str(file) for file in found.values())
        raise DatasetError(f"{path}: expected one list of classes, got different ones in {shown}; keep one")
    names = next(iter(found), ()) or _names_of_notes(path)
    if not names or len(set(names)) != len(names):
        raise DatasetError(
            f"{path}: expected distinct class names, one a line, in {lists[0] if lists else 'classes.txt'},"
            f" got {', '.join(names) or 'none'}; mend the list"
        )
    return names


def _lines(file: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    return (line.strip() for line in text.splitlines() if line.strip())


def _names_of_notes(path: Path) -> tuple[str, ...]:
    notes = path / "notes.json"
    tree = load_json(notes, "Label Studio's notes.json") if notes.is_file() else None
    entries = tree.get("categories") if isinstance(tree, dict) else None
    known = [one for one in entries or () if isinstance(one, dict) and isinstance(one.get("id"), int)]
    ordered = sorted(known, key=lambda one: int(one["id"]))
    return tuple(str(one.get("name")) for one in ordered)


def _darknet_splits(path: Path, files: ImageFiles, report: Report) -> dict[Path, str]:
    """Image to split by the lists that an obj.data names."""
    out: dict[Path, str] = {}
    for data in (file for file in files_below(path) if file.suffix.lower() == ".data"):
        for line in _lines(data):
            key, _, name = (part.strip() for part in line.partition("="))
            listing = next((p for p in (path / name, data.parent / Path(name).name) if p.is_file()), None)
            if key.lower() not in {"train", "valid", "val", "test"} or listing is None:
                continue
            for number, entry in enumerate(_lines(listing), start=1):
                if image := files.find(entry):
                    out.setdefault(image, split_of(key))
                else:
                    report.add(listing, number, "missing_image", f"left out: no file at {entry}")
    return out


def _sequence(image: Path, root: Path) -> str | None:
    """The folders above it that say neither what they hold nor which split it is."""
    usual = {"images", "labels", "data", "img"}
    parts = image.parent.relative_to(root).parts
    own = [part for part in parts if part.lower() not in usual and not names_split(part)]
    return "/".join(own) or None
