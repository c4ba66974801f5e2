"""Label Studio's own JSON, and its short form JSON-MIN: boxes in percent of the picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import cos, radians, sin
from pathlib import Path, PurePosixPath
from typing import Any

from connectors.data_yaml import SUFFIXES
from loop.datasets.image_files import ImageFiles
from loop.datasets.imported import DatasetError, ImportedDataset, Report
from loop.datasets.json_files import load_json, number, positive
from loop.datasets.named import Annotated, NamedObject, assembled
from loop.datasets.splits import split_of

_NO_GEOMETRY = frozenset(
    [
        "choices",
        "textarea",
        "rating",
        "relation",
        "number",
        "datetime",
        "taxonomy",
        "pairwise",
        "ranker",
        "labels",
    ]
)
_ABOUT_THE_TASK = frozenset(["id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"])


def read_label_studio(path: Path, max_pixels: int, images: Path | None = None) -> ImportedDataset:
    """path: the JSON; its images lie below its folder, or below `images`.

    Of several answers to a task a ground truth counts, otherwise they must say the same; where they
    do not, the image is unlabeled and told. Skipped tasks and those with predictions alone are
    unlabeled. A rotated box is taken as the box around it. Raises DatasetError when nothing is
    usable.
    """
    tasks = load_json(path, "Label Studio's JSON")
    if not is_label_studio(tasks):
        raise DatasetError(f"{path}: expected a list of Label Studio's tasks; export it as JSON")
    report = Report()
    files = ImageFiles(images or path.parent)
    found = []
    for place, task in enumerate(tasks, start=1):
        if not isinstance(task, dict):
            report.add(path, place, "label", f"task {place}: left out: expected an object, got {task!r:.60}")
            continue
        names = list(_names(task))
        image = next((file for name in names if (file := files.find(name)) is not None), None)
        if image is None:
            report.add(path, place, "missing_image", f"task {place}: left out: {_missing(names, files)}")
            continue
        result = _result(task, place, path, report)
        size = next((size for region in result or () if (size := _size(region)) is not None), None)
        objects = None if result is None else list(_objects(result, size))
        split = split_of(image.parent.relative_to(files.root).as_posix())
        found.append(Annotated(path, image, split, size, objects))
    if not found:
        raise DatasetError(
            f"{path}: expected its images below {files.root}, found none{report.first}; put them beside the"
            " JSON, name their folder with --images, or export as 'YOLO with Images'"
        )
    return assembled(found, path, report, max_pixels)


def is_label_studio(tree: Any) -> bool:
    """Whether a JSON is a list of tasks, in either form; a few of its entries may be broken."""
    tasks = [task for task in tree if isinstance(task, dict)] if isinstance(tree, list) else []
    if not tasks or len(tasks) < len(tree) / 2:
        return False
    return all("data" in task for task in tasks) or all(
        "annotation_id" in task and any(True for _ in _names(task)) for task in tasks
    )


def _names(task: Mapping[str, Any]) -> Iterator[str]:
    """What a task calls its image."""
    values = task["data"] if isinstance(task.get("data"), dict) else task
    for text in (*values.values(), task.get("file_upload")):
        if isinstance(text, str) and PurePosixPath(text.split("?d=")[-1]).suffix.lower() in SUFFIXES:
            yield text


def _missing(names: Sequence[str], files: ImageFiles) -> str:
    return files.missing(names[0]) if names else "no file for a task that names no image"


def _result(task: Mapping[str, Any], place: int, path: Path, report: Report) -> list[Any] | None:
    """The regions that count, None where nobody labeled the image or answers contradict each other."""

    def unlabeled(why: str, count: int) -> None:
        report.add(path, place, "label", f"task {place}: {why}; its image counts as unlabeled", count)

    if "data" not in task:
        lists = (value for key, value in task.items() if key not in _ABOUT_THE_TASK)
        return [region for value in lists if isinstance(value, list) for region in value]
    answers = [one for one in task.get("annotations") or () if isinstance(one, dict)]
    given = [one for one in answers if not one.get("was_cancelled") and isinstance(one.get("result"), list)]
    chosen = [one for one in given if one.get("ground_truth")] or given
    if not chosen:
        unlabeled("nobody answered it" if not answers else "it was skipped", 0)
        return None
    shown = {_shown_on(region) for one in chosen for region in one["result"]} - {None}
    if len(shown) > 1:
        unlabeled(f"its regions lie on several images ({', '.join(sorted(map(str, shown)))})", 1)
        return None
    said = [_said(one["result"]) for one in chosen]
    if any(one != said[0] for one in said):
        unlabeled(f"{len(chosen)} answers contradict each other; mark one as ground truth", 1)
        return None
    return list(chosen[0]["result"])


def _shown_on(region: Any) -> str | None:
    """What the labeling interface calls the image that a region with a place lies on."""
    if not isinstance(region, dict) or region.get("type") in _NO_GEOMETRY or not region.get("to_name"):
        return None
    return str(region["to_name"])


def _said(result: Sequence[Any]) -> list[str]:
    """What an answer says, the same for two that differ by less than a hundredth of a percent."""
    objects = _objects(result, (10_000, 10_000))
    return sorted(f"{one.name} {[round(v) for v in one.corners] if one.corners else None}" for one in objects)


def _size(region: Any) -> tuple[int, int] | None:
    return positive(region, "original_width", "original_height") if isinstance(region, dict) else None


def _objects(result: Sequence[Any], size: tuple[int, int] | None) -> Iterator[NamedObject]:
    names = {
        region.get("id"): region["value"].get("labels")
        for region in result
        if isinstance(region, dict)
        and region.get("type") == "labels"
        and isinstance(region.get("value"), dict)
    }
    for place, region in enumerate(result, start=1):
        if not isinstance(region, dict):
            yield NamedObject(place, "", None)
        elif region.get("type") not in _NO_GEOMETRY:
            value = region["value"] if isinstance(region.get("value"), dict) else region
            yield _object(place, region, value, names.get(region.get("id")), size)


def _object(
    place: int,
    region: Mapping[str, Any],
    value: Mapping[str, Any],
    named: Any,
    size: tuple[int, int] | None,
) -> NamedObject:
    labels = next((v for k, v in value.items() if k.endswith("labels") and isinstance(v, list)), named)
    name = str(labels[0]).strip() if isinstance(labels, list) and len(labels) == 1 else ""
    corners = _corners(value, size) if size and not number(region.get("image_rotation")) else None
    problem = f"expected a rectangle, ellipse or polygon on a picture of known size, got {sorted(value)}"
    return NamedObject(place, name, corners, problem)


def _corners(value: Mapping[str, Any], size: tuple[int, int]) -> list[float] | None:
    across, down = size[0] / 100, size[1] / 100
    if isinstance(value.get("points"), list) and value["points"]:
        pairs = [[number(v) for v in point] if isinstance(point, list) else [] for point in value["points"]]
        xs = [pair[0] for pair in pairs if len(pair) == 2 and pair[0] is not None]
        ys = [pair[1] for pair in pairs if len(pair) == 2 and pair[1] is not None]
        if len(xs) != len(pairs) or len(ys) != len(pairs):
            return None
        return [min(xs) * across, min(ys) * down, max(xs) * across, max(ys) * down]
    x, y = number(value.get("x")), number(value.get("y"))
    if x is None or y is None:
        return None
    rx, ry = number(value.get("radiusX")), number(value.get("radiusY"))
    if rx is not None and ry is not None:
        if number(value.get("rotation")):
            return None
        return [(x - rx) * across, (y - ry) * down, (x + rx) * across, (y + ry) * down]
    width, height = number(value.get("width")), number(value.get("height"))
    if width is None or height is None:
        return None
    sides = width * across, height * down
    return _around_turned(x * across, y * down, *sides, number(value.get("rotation")) or 0.0)


def _around_turned(x: float, y: float, width: float, height: float, degrees: float) -> list[float]:
    """The box around one that is turned about its upper left corner, as Label Studio turns it."""
    if not degrees:
        return [x, y, x + width, y + height]
    turn = radians(degrees)
    xs = [x + a * cos(turn) - b * sin(turn) for a in (0, width) for b in (0, height)]
    ys = [y + a * sin(turn) + b * cos(turn) for a in (0, width) for b in (0, height)]
    return [min(xs), min(ys), max(xs), max(ys)]
