"""COCO detection JSON with a folder of images."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from connectors.documents import parse_json
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

_SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read_coco(path: Path, max_pixels: int, images: Path | None = None) -> ImportedDataset:
    """path: one JSON file, or a folder whose JSON files (itself or annotations/) are the splits.

    images: where the files lie; by default looked for beside the JSON.
    Classes are numbered by category id.
    Raises DatasetError when a JSON cannot be read or no image is found.
    """
    files = [path] if path.is_file() else coco_files(path)
    if not files:
        raise DatasetError(f"expected a COCO JSON, got none in {path}; name the annotation file")
    trees = [(file, _load(file)) for file in files]
    categories = _categories(trees)
    ids = {category: number for number, category in enumerate(sorted(categories))}
    report = Report()
    found = [one for file, tree in trees for one in _read(file, tree, ids, images, report, max_pixels)]
    if not found:
        hint = f" (first problem: {report.problems[0]})" if report.problems else ""
        raise DatasetError(
            f"{path}: expected image files as named in the JSON, found none{hint}; "
            "give the folder that holds them"
        )
    return ImportedDataset(tuple(categories[c] for c in ids), found, report.problems, ordered=False)


def coco_files(folder: Path) -> list[Path]:
    """The COCO annotation files of a folder, train before val before test."""
    places = [
        *folder.glob("*.json"),
        *folder.glob("annotations/*.json"),
        *folder.glob("*/_annotations.coco.json"),
    ]
    order = ["train", "val", "test"]
    return sorted((p for p in places if _looks_like_coco(p)), key=lambda p: (order.index(_split(p)), p))


def _looks_like_coco(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4096)
    return b'"images"' in head or b'"annotations"' in head or b'"categories"' in head


def _load(path: Path) -> dict[str, Any]:
    try:
        tree = parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: expected COCO JSON, got {error}; mend the file") from None
    lists = tree if isinstance(tree, dict) else {}
    missing = [k for k in ("images", "annotations", "categories") if not isinstance(lists.get(k), list)]
    if missing:
        raise DatasetError(
            f"{path}: expected lists images, annotations and categories, got no {', '.join(missing)}; "
            "is this a COCO detection file?"
        )
    return lists


def _categories(trees: list[tuple[Path, dict[str, Any]]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for path, tree in trees:
        for category in tree["categories"]:
            number, name = _category(category, path)
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
        raise DatasetError(
            f"{trees[0][0]}: expected distinct category names, got {sorted(names.values())}; rename"
        )
    return names


def _category(category: Any, path: Path) -> tuple[int, str]:
    try:
        return int(category["id"]), str(category["name"])
    except (KeyError, TypeError, ValueError):
        raise DatasetError(
            f"{path}: expected categories with a whole id and a name, got {category!r}; mend the JSON"
        ) from None


def _umbrellas(trees: list[tuple[Path, dict[str, Any]]]) -> set[int]:
    """Unused categories that are only the supercategory of all others, as some exports add."""
    entries = [c for _, tree in trees for c in tree["categories"]]
    used = {a.get("category_id") for _, tree in trees for a in tree["annotations"]}
    return {
        one["id"]
        for one in entries
        if one["id"] not in used
        and len({c["id"] for c in entries}) > 1
        and all(c.get("supercategory") == one["name"] for c in entries if c["id"] != one["id"])
    }


def _read(
    path: Path,
    tree: dict[str, Any],
    ids: dict[int, int],
    folder: Path | None,
    report: Report,
    max_pixels: int,
) -> list[ImportedImage]:
    answers: dict[object, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for number, annotation in enumerate(tree["annotations"], start=1):
        answers[annotation.get("image_id")].append((number, annotation))
    out = []
    for entry in tree["images"]:
        file = _find(str(entry.get("file_name", "")), path, folder)
        if file is None:
            report.add(path, 0, "missing_image", f"left out: no file for {entry.get('file_name')!r}")
            continue
        size = image_size(file, report, max_pixels)
        if size is None:
            continue
        if not _same_size(entry, size, file, report):
            continue
        boxes = _boxes(answers.get(entry.get("id"), []), ids, size, path, report)
        sequence = next(
            (str(entry[k]) for k in ("sequence", "video_id", "video_name") if entry.get(k) is not None), None
        )
        out.append(ImportedImage(file, _split(path), boxes, *size, sequence))
    return out


def _same_size(entry: dict[str, Any], size: tuple[int, int], file: Path, report: Report) -> bool:
    said = (entry.get("width") or size[0], entry.get("height") or size[1])
    if tuple(said) == size:
        return True
    report.add(
        file, 0, "size", f"left out: the JSON says {said[0]}x{said[1]} px, the file is {size[0]}x{size[1]}"
    )
    return False


def _boxes(
    answers: list[tuple[int, dict[str, Any]]],
    ids: dict[int, int],
    size: tuple[int, int],
    path: Path,
    report: Report,
) -> list[PixelBox]:
    found = []
    for number, annotation in answers:

        def say(code: str, text: str, number: int = number) -> None:
            report.add(path, number, code, f"annotation {number}: {text}")

        if annotation.get("iscrowd"):
            say("crowd", "box left out: it stands for a crowd")
            continue
        category = annotation.get("category_id")
        if category not in ids:
            say("class", f"box left out: expected a category id of {sorted(ids)}, got {category!r}")
            continue
        xyxy = _corners(annotation)
        if xyxy is None:
            say("number", f"box left out: expected bbox [x, y, w, h], got {annotation.get('bbox')!r}")
            continue
        box = checked_box(ids[category], xyxy, size, say)
        if box is not None:
            found.append((number, box))
    return without_duplicates(found, lambda line, code, text: report.add(path, line, code, text))


def _corners(annotation: dict[str, Any]) -> list[float] | None:
    """From bbox, or around the polygons where there is none."""
    try:
        if annotation.get("bbox"):
            x, y, w, h = (float(v) for v in annotation["bbox"])
            return [x, y, x + w, y + h]
        points = [float(v) for polygon in annotation["segmentation"] for v in polygon]
        return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]
    except (KeyError, TypeError, ValueError):
        return None


def _find(name: str, path: Path, folder: Path | None) -> Path | None:
    """The image's file inside the image folder; a name that leads out of it is not followed."""
    relative = PurePosixPath(name.replace("\\", "/"))
    if not name or relative.is_absolute() or ".." in relative.parts:
        return None
    here = path.parent
    top = here.parent if here.name == "annotations" else here
    stem = path.stem.removeprefix("instances_")
    places = (
        [folder]
        if folder
        else [top / stem, top / "images" / stem, top / "images", top / _split(path), here, top]
    )
    return next((place / relative for place in places if (place / relative).is_file()), None)


def _split(path: Path) -> str:
    words = (
        f"{path.parent.name} {path.stem}".lower()
        .replace("_", " ")
        .replace("-", " ")
        .replace(".", " ")
        .split()
    )
    known = [_SPLIT_WORDS[w.rstrip("0123456789")] for w in words if w.rstrip("0123456789") in _SPLIT_WORDS]
    return known[-1] if known else "train"
