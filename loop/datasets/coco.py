"""COCO detection JSON with a folder of images."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from connectors.data_yaml import SUFFIXES
from connectors.documents import parse_json
from connectors.files import is_file
from loop.base.wording import counted, listed
from loop.datasets.image_files import ImageFiles, names_meant
from loop.datasets.imported import (
    DatasetError,
    ImportedDataset,
    ImportedImage,
    LabelReport,
    PixelBox,
    Report,
    Turn,
    checked_box,
    image_info,
    tell_rotation,
    turn_of,
)
from loop.datasets.json_files import number as as_number
from loop.datasets.splits import split_of
from loop.datasets.usable import once

MOST_LISTED = 10
PART = 1 << 20
"""Bytes read at a time to find out whether a JSON is COCO."""


def read_coco(path: Path, max_pixels: int, images: Path | None = None) -> ImportedDataset:
    """path: one JSON file, or a folder whose JSON files (itself or annotations/) are the splits.

    images: where the files lie; by default looked for beside the JSON. A path of a server or of
    another machine means the file whose path ends alike.
    Classes are numbered by category id. Ids are the same as a number and as text.
    Raises DatasetError when a JSON cannot be read or no image is found.
    """
    files = [path] if path.is_file() else coco_files(path)
    if not files:
        raise DatasetError(f"expected a COCO JSON, got none in {path}; name the annotation file")
    report = Report()
    trees = _trees(files, report)
    categories = _categories(trees, report)
    ids = {category: number for number, category in enumerate(sorted(categories))}
    found = [one for file, tree in trees for one in _read(file, tree, ids, images, report, max_pixels)]
    if not found:
        raise DatasetError(
            f"{path}: expected image files as named in the JSON, found none{report.first}; "
            "put them beside the JSON, or name their folder with --images"
        )
    _tell_unnamed(path, found, [entry for _, tree in trees for entry in tree["images"]], report)
    return ImportedDataset(
        tuple(categories[c] for c in ids), once(found, report), report.problems, ordered=False
    )


def _tell_unnamed(path: Path, found: Sequence[ImportedImage], entries: Sequence[Any], report: Report) -> None:
    """Reports images that lie beside those of a JSON and that none names."""
    texts = (str(entry.get("file_name", "")) for entry in entries if isinstance(entry, dict))
    named = {name for text in texts for name in names_meant(text)}
    folders = sorted({image.path.parent for image in found})
    files = (file for folder in folders for file in sorted(folder.iterdir()))
    left = [file for file in files if file.suffix.lower() in SUFFIXES and file.name.lower() not in named]
    if left:
        one, more = f"image, {left[0].name}, is", f"images such as {left[0].name} are"
        told = f"{counted(len(left), one, more)} in no JSON and not taken"
        report.add(path, 0, "unlabeled", told, 0)


def coco_files(folder: Path) -> list[Path]:
    """The COCO annotation files of a folder, train before val before test."""
    places = [
        *folder.glob("*.json"),
        *folder.glob("annotations/*.json"),
        *folder.glob("*/_annotations.coco.json"),
    ]
    order = ["train", "val", "test"]
    return sorted((p for p in places if _looks_like_coco(p)), key=lambda p: (order.index(_split_of(p)), p))


def _looks_like_coco(path: Path) -> bool:
    """Whether it is an object that anywhere names images."""
    with path.open("rb") as file:
        head = file.read(PART)
        if not head.removeprefix(BOM_UTF8).lstrip().startswith(b"{"):
            return False
        while b'"images"' not in head:
            more = file.read(PART)
            if not more:
                return False
            head = head[-len(b'"images"') :] + more
    return True


def _trees(files: Sequence[Path], report: Report) -> list[tuple[Path, dict[str, Any]]]:
    """What the files hold; one that is no detection, such as captions, is told where another is."""
    loaded = [(file, _load(file)) for file in files]
    lacking = {
        file: [key for key in ("images", "annotations", "categories") if not isinstance(tree.get(key), list)]
        for file, tree in loaded
    }
    if all(lacking.values()):
        missing = next(iter(lacking.values()))
        raise DatasetError(
            f"{files[0]}: expected lists images, annotations and categories, got no {', '.join(missing)}; "
            "export it as COCO for object detection"
        )
    for file, missing in lacking.items():
        if missing:
            report.add(file, 0, "key", f"nothing is made of it: it has no {', '.join(missing)}", 0)
    return [(file, tree) for file, tree in loaded if not lacking[file]]


def _load(path: Path) -> dict[str, Any]:
    try:
        tree = parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: expected COCO JSON, got {error}; mend the file") from None
    return tree if isinstance(tree, dict) else {}


def _categories(trees: list[tuple[Path, dict[str, Any]]], report: Report) -> dict[int, str]:
    names: dict[int, str] = {}
    for path, tree in trees:
        found = [one for category in tree["categories"] if (one := _category(category)) is not None]
        broken = [category for category in tree["categories"] if _category(category) is None]
        if broken and not found:
            raise DatasetError(
                f"{path}: expected categories with a whole id and a name, got {broken[0]!r:.60}; mend the"
                " JSON"
            )
        for category in broken:
            told = f"category left out: expected a whole id and a name, got {category!r:.60}"
            report.add(path, 0, "key", told, 0)
        for number, name in found:
            if names.setdefault(number, name) != name:
                raise DatasetError(
                    f"{path}: expected category {number} to be {names[number]!r} in every split, got"
                    f" {name!r}; unify them"
                )
    for umbrella in _umbrellas(trees):
        names.pop(umbrella, None)
    if not names:
        raise DatasetError(f"{trees[0][0]}: expected categories, got none; add the class list")
    if len(set(names.values())) != len(names):
        doubles = listed(_doubles(names), MOST_LISTED)
        raise DatasetError(
            f"{trees[0][0]}: expected distinct category names, got {doubles} more than once; rename them"
        )
    return names


def _doubles(names: Mapping[int, str]) -> list[str]:
    return sorted(name for name, times in Counter(names.values()).items() if times > 1)


def _category(category: Any) -> tuple[int, str] | None:
    try:
        return int(category["id"]), str(category["name"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _umbrellas(trees: list[tuple[Path, dict[str, Any]]]) -> set[int]:
    """Unused categories that are only the supercategory of all others, as some exports add."""
    entries = [c for _, tree in trees for c in tree["categories"] if _category(c) is not None]
    if len({_key(c["id"]) for c in entries}) < 2:
        return set()
    used = {
        _key(a.get("category_id")) for _, tree in trees for a in tree["annotations"] if isinstance(a, dict)
    }
    return {
        int(one["id"])
        for one in entries
        if _key(one["id"]) not in used
        and all(c.get("supercategory") == one["name"] for c in entries if c["id"] != one["id"])
    }


def _key(identity: object) -> str:
    """The same for 7, 7.0 and "7"."""
    if isinstance(identity, float) and identity.is_integer():
        identity = int(identity)
    return str(identity).strip()


def _read(
    path: Path,
    tree: dict[str, Any],
    ids: dict[int, int],
    folder: Path | None,
    report: Report,
    max_pixels: int,
) -> list[ImportedImage]:
    answers: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for number, annotation in enumerate(tree["annotations"], start=1):
        if isinstance(annotation, dict):
            answers[_key(annotation.get("image_id"))].append((number, annotation))
        else:
            report.add(
                path, number, "label", f"annotation {number}: expected an object, got {annotation!r:.60}"
            )
    for entry in tree["images"]:
        if not isinstance(entry, dict):
            told = f"image left out: expected an object with a file_name, got {entry!r:.60}"
            report.add(path, 0, "missing_image", told)
    entries = [entry for entry in tree["images"] if isinstance(entry, dict)]
    files = ImageFiles(folder or _top(path))
    located = _located(entries, path, folder, files)
    by_file: dict[Path, list[dict[str, Any]]] = defaultdict(list)
    for entry, file in located:
        if file is not None:
            by_file[file].append(entry)
    out = []
    for entry, file in located:
        if file is None:
            name = str(entry.get("file_name", ""))
            report.add(path, 0, "missing_image", f"left out: {files.missing(name)}")
            continue
        if entry is not by_file[file][0]:
            told = f"{entry.get('file_name')!r} is listed before; its annotations are taken with those"
            report.add(path, 0, "duplicate", told, 0)
            continue
        keys = dict.fromkeys(_key(one.get("id")) for one in by_file[file])
        of_image = [one for key in keys for one in answers.get(key, [])]
        if image := _image(entry, file, of_image, ids, path, report, max_pixels):
            out.append(image)
    if _has_orphans(path, answers, {_key(entry.get("id")) for entry in entries}, report):
        return [image if image.boxes else replace(image, boxes=None) for image in out]
    return out


def _located(
    entries: Sequence[dict[str, Any]], path: Path, folder: Path | None, files: ImageFiles
) -> list[tuple[dict[str, Any], Path | None]]:
    """Every entry with its file; where none lies in a usual place, each is looked for by its name."""
    names = [str(entry.get("file_name", "")) for entry in entries]
    found = [_find(name, path, folder, files) for name in names]
    if not any(found):
        found = [files.find(name) if ".." not in PurePosixPath(name).parts else None for name in names]
    return list(zip(entries, found, strict=True))


def _has_orphans(path: Path, answers: Mapping[str, list[Any]], images: set[str], report: Report) -> bool:
    """Whether annotations are of no image: then an image without one may be theirs, and is no
    background.
    """
    lost = [image for image in answers if image not in images]
    if lost:
        count = sum(len(answers[image]) for image in lost)
        report.add(
            path,
            0,
            "orphan",
            f"{count} annotations left out: their image_id, such as {lost[0]}, is that of no image in the"
            " JSON; images without a box count as unlabeled",
            count,
        )
    return bool(lost)


def _image(
    entry: dict[str, Any],
    file: Path,
    answers: list[tuple[int, dict[str, Any]]],
    ids: dict[int, int],
    path: Path,
    report: Report,
    max_pixels: int,
) -> ImportedImage | None:
    info = image_info(file, report, max_pixels)
    if info is None:
        return None
    upright = info.width, info.height
    try:
        said = _said_size(entry)
    except ValueError as error:
        report.add(file, 0, "size", f"left out: {error}")
        return None
    turn = turn_of(info, said)
    if said and turn is None:
        report.add(
            file,
            0,
            "size",
            f"left out: the JSON says {said[0]}x{said[1]} px, the file is {upright[0]}x{upright[1]}",
        )
        return None
    if answers:
        tell_rotation(file, info, said, report)
    label = LabelReport(report, path)
    boxes = _boxes(answers, ids, turn or list, upright, label)
    said_of = {number: _seen(annotation) for number, annotation in answers}
    seen = {box: said_of[number] for number, box in boxes if any(said_of[number])}
    sequence = next(
        (str(entry[k]) for k in ("sequence", "video_id", "video_name") if entry.get(k) is not None), None
    )
    return ImportedImage(file, _split_of(path), label.known(boxes), *upright, sequence, seen)


def _seen(annotation: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether its attributes say that it is occluded, and truncated."""
    given = annotation.get("attributes")
    attributes = given if isinstance(given, dict) else {}
    occluded, truncated = (
        str(attributes.get(name, "")).lower() in {"1", "1.0", "true"} for name in ("occluded", "truncated")
    )
    return occluded, truncated


def _said_size(entry: dict[str, Any]) -> tuple[int, int] | None:
    """None where nothing is said. Raises ValueError for what is no number."""
    given = [entry.get("width") or 0, entry.get("height") or 0]
    width, height = (as_number(value) for value in given)
    if width is None or height is None:
        raise ValueError(f"expected its width and height in the JSON as numbers, got {given!r:.60}")
    return (int(width), int(height)) if width and height else None


def _boxes(
    answers: list[tuple[int, dict[str, Any]]],
    ids: dict[int, int],
    turn: Turn,
    size: tuple[int, int],
    label: LabelReport,
) -> list[tuple[int, PixelBox]]:
    classes = {_key(category): number for category, number in ids.items()}
    known = listed([str(category) for category in sorted(ids)], MOST_LISTED)
    found = []
    for number, annotation in answers:

        def say(code: str, text: str, number: int = number) -> None:
            label.add(number, code, f"annotation {number}: {text}")

        if _key(annotation.get("iscrowd", 0)) not in {"0", "False", "None", ""}:
            say("crowd", "box left out: it stands for a crowd")
            continue
        category = annotation.get("category_id")
        if (class_id := classes.get(_key(category))) is None:
            say("class", f"box left out: expected a category id of {known}, got {category!r:.60}")
            continue
        xyxy = _corners(annotation)
        if xyxy is None:
            say("number", f"box left out: expected bbox [x, y, w, h], got {annotation.get('bbox')!r:.60}")
            continue
        box = checked_box(class_id, turn(xyxy), size, say)
        if box is not None:
            found.append((number, box))
    return found


def _corners(annotation: dict[str, Any]) -> list[float] | None:
    """From bbox, or around the polygons where there is none."""
    try:
        if given := annotation.get("bbox"):
            if not isinstance(given, list):
                return None
            x, y, w, h = (float(v) for v in given)
            return [x, y, x + w, y + h]
        points = [float(v) for polygon in annotation["segmentation"] for v in polygon]
        return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _top(path: Path) -> Path:
    return path.parent.parent if path.parent.name == "annotations" else path.parent


def _find(name: str, path: Path, folder: Path | None, files: ImageFiles) -> Path | None:
    """The image's file inside the image folder; a name that leads out of it is not followed."""
    relative = PurePosixPath(name.replace("\\", "/"))
    if not name:
        return None
    if _is_elsewhere(name, relative):
        return files.find(name)
    if ".." in relative.parts:
        return None
    stem = path.stem.removeprefix("instances_")
    top = _top(path)
    places = (
        [folder]
        if folder
        else [top / stem, top / "images" / stem, top / "images", top / _split_of(path), path.parent, top]
    )
    return next((place / relative for place in places if is_file(place / relative)), None)


def _is_elsewhere(name: str, path: PurePosixPath) -> bool:
    """Whether it is a path of a server or of another machine, folders and all."""
    folders = [part for part in path.parts[:-1] if part != ".."]
    leads_out = ".." in path.parts and bool(folders)
    return "://" in name or path.is_absolute() or leads_out or name[1:3] in {":/", ":\\"}


def _split_of(path: Path) -> str:
    return split_of(f"{path.parent.name} {path.stem}")
