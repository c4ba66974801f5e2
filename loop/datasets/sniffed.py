"""What a file or a folder looks like: a layout that is read, or the name of one that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from connectors.data_yaml import files_below
from connectors.documents import parse_json
from loop.datasets.imported import DatasetError
from loop.datasets.label_files import looks_like_labels
from loop.datasets.label_studio import is_label_studio
from loop.datasets.labelme import is_labelme

Kind = Literal["yolo", "coco", "voc", "yolo_folder", "voc_beside", "cvat", "label_studio", "labelme"]
HEAD = 4096
LOOKED_AT = 50
"""Files of one kind in a folder that are opened to find out what it is."""
SHOWN = 3
LARGEST_JSON = 50_000_000
"""Bytes of a JSON that is read whole only to find out what it is."""
_AS_USUAL = "export it as YOLO or COCO"
_UNPACK = "unpack it, and name the folder"
_NOT_READ = (
    (".tfrecord", "TFRecord", _AS_USUAL),
    (".tfrecords", "TFRecord", _AS_USUAL),
    (".ndjson", "Labelbox or Ultralytics NDJSON", _AS_USUAL),
    (".jsonl", "JSON lines", _AS_USUAL),
    (".parquet", "a Parquet table", _AS_USUAL),
    (".mat", "MATLAB", _AS_USUAL),
    (".csv", "a CSV of boxes", _AS_USUAL),
    (".tsv", "a TSV of boxes", _AS_USUAL),
    (".rec", "MXNet RecordIO", _AS_USUAL),
    *(
        (ending, "an archive", _UNPACK)
        for ending in (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
    ),
)


def kind_of_file(path: Path) -> Kind | None:
    """Which layout a file is, None for none that is read."""
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
        return "yolo"
    if suffix == ".json":
        return _kind_of_json(path) or ("coco" if _unread_json(_tree(path)) is None else None)
    if suffix == ".xml":
        return _kind_of_xml(path)
    return "yolo_folder" if suffix in {".names", ".data"} or path.name.lower() == "classes.txt" else None


def kind_below(folder: Path) -> tuple[Kind, Path] | None:
    """The layout of a folder by the files below it, and the path to read it by.

    Raises DatasetError where several files are each a dataset of their own.
    """
    for suffix, kind_of, many in ((".xml", _kind_of_xml, "voc_beside"), (".json", _kind_of_json, "labelme")):
        found: list[tuple[Kind, Path]] = []
        for file in _some(folder, suffix):
            kind = kind_of(file)
            if kind == many:
                return kind, folder
            found += [(kind, file)] if kind else []
        if len(found) > 1:
            shown = ", ".join(file.relative_to(folder).as_posix() for _, file in found[:SHOWN])
            raise DatasetError(
                f"{folder}: expected one file with annotations, got {len(found)}: {shown}; name one of them,"
                " or put what they say into one"
            )
        if found:
            return found[0]
    return None


def looks_like(path: Path) -> str:
    """The name of a layout that is not read and what to export instead, as the middle of a sentence;
    "" where nothing is recognized.
    """
    files = [path] if path.is_file() else list(islice(files_below(path), 10_000))
    found = next((each for file in files if (each := _unread(file)) is not None), None)
    return f", which looks like {found[0]}: {found[1]}" if found else ""


def _unread(path: Path) -> tuple[str, str] | None:
    suffix = path.suffix.lower()
    for ending, name, instead in _NOT_READ:
        if suffix == ending:
            return name, instead
    if suffix == ".json":
        return _unread_json(_tree(path))
    if suffix == ".txt":
        if looks_like_kitti(path):
            return "KITTI", "export it as YOLO or COCO"
        if looks_like_labels(path):
            return "YOLO labels without class names", "add classes.txt, one name a line, or a data.yaml"
    return None


def _unread_json(tree: Any) -> tuple[str, str] | None:
    if isinstance(tree, list) and tree and isinstance(tree[0], dict):
        if {"image_id", "category_id", "bbox"} <= tree[0].keys():
            return "COCO results, predictions alone", "give the JSON with images, annotations and categories"
        if {"image", "annotations"} <= tree[0].keys():
            return "CreateML", "export it as YOLO or COCO"
        if "completions" in tree[0] or "predictions" in tree[0]:
            return "Label Studio's tasks without answers", "export the project again once it is labeled"
        return "a list of records", "export it as YOLO or COCO"
    if isinstance(tree, dict):
        if "_via_img_metadata" in tree or "_via_settings" in tree:
            return "VGG Image Annotator", "export its annotations as COCO"
        if {"items", "categories"} <= tree.keys():
            return "Datumaro", "export it as YOLO or COCO"
        if {"objects", "size"} <= tree.keys() or {"classes", "tags"} <= tree.keys():
            return "Supervisely", "export it as YOLO or COCO"
        if "samples" in tree:
            return "FiftyOne", "export it as YOLO or COCO"
        if "item" in tree and "annotations" in tree:
            return "V7 Darwin", "export it as YOLO or COCO"
    return None


def looks_like_kitti(path: Path) -> bool:
    """Whether the first line is a name and at least fourteen numbers."""
    words = _head(path).decode("utf-8", "replace").partition("\n")[0].split()
    if len(words) < 15 or re.fullmatch(r"[-+.\d]+", words[0]):
        return False
    return all(re.fullmatch(r"[-+.\deE]+", word) for word in words[1:15])


def _kind_of_xml(path: Path) -> Kind | None:
    found = re.search(rb"<(annotations?)\b", _head(path))
    if found is None:
        return None
    return "cvat" if found[1] == b"annotations" else "voc_beside"


def _kind_of_json(path: Path) -> Kind | None:
    tree = _tree(path)
    if is_labelme(tree):
        return "labelme"
    return "label_studio" if is_label_studio(tree) else None


def _some(folder: Path, suffix: str) -> Iterator[Path]:
    return islice((file for file in files_below(folder) if file.suffix.lower() == suffix), LOOKED_AT)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _tree(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_JSON and b"images" in _head(path):
            return None
        return parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
