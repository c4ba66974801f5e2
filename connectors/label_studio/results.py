"""Boxes to Label Studio's results and back: percent here, pixels there, and nothing lost without a
word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from connectors.label_studio.label_config import CONTROL, IMAGE, OCCLUDED, SEEN, TRUNCATED
from connectors.ports import Annotation, Box, BoxOrigin, LabelTask

KEY = "fieldloop_key"
PRIORITY = "priority"
VERSION = "fieldloop"
"""Of all our predictions: Label Studio shows those of one version alone, and tasks outlast models."""
MODEL = "model"
"""In a task's data: the model whose boxes are drawn."""
BOX_ORIGINS = {"prediction", "prediction-changed", "manual"}
# What a team may add to the config beside the boxes; it says nothing about where an object is.
WITHOUT_GEOMETRY = (
    "choices",
    "textarea",
    "rating",
    "relation",
    "number",
    "datetime",
    "taxonomy",
    "pairwise",
    "ranker",
)
CLASSES = "rectanglelabels"
SIDES = ("x", "y", "width", "height")
LEAST_SIDE = 0.2
"""In px; a thinner box shows nothing and would be dropped from a dataset, whose boxes have two
decimals and 0.1 px at least.
"""

Corners = tuple[float, float, float, float]
Json = dict[str, object]


def to_percent(xyxy: Corners, width: int, height: int) -> dict[str, float] | None:
    """Corners in px as x, y, width, height in percent of the image, cut at its border; None when
    nothing is left.
    """
    cut = _cut(xyxy, width, height)
    if cut is None:
        return None
    x1, y1, x2, y2 = cut
    return {
        "x": 100 * x1 / width,
        "y": 100 * y1 / height,
        "width": 100 * (x2 - x1) / width,
        "height": 100 * (y2 - y1) / height,
    }


def to_pixels(value: Mapping[str, object], width: int, height: int) -> Corners | None:
    """Percent as corners in px, cut at the image's border; None when nothing is left."""
    x, y, w, h = (float(cast(float, value[name])) for name in SIDES)
    return _cut(
        (x * width / 100, y * height / 100, (x + w) * width / 100, (y + h) * height / 100), width, height
    )


def task_payload(task: LabelTask, image_url: str, asks: bool = True) -> Json:
    """One task as the import API takes it: data, and the model's boxes as one prediction.

    asks: the label config asks whether a box is occluded or truncated, so a box may say it.
    Each box has the model's confidence as its score. The prediction has none, because the model says
    none of an image as a whole.
    """
    regions = [(_region(task, index, box), box) for index, box in enumerate(task.predictions)]
    drawn = [(region, box) for region, box in regions if region is not None]
    hidden = [_seen(region, box) for region, box in drawn if asks and (box.occluded or box.truncated)]
    prediction = {"model_version": VERSION, "result": [*(region for region, _ in drawn), *hidden]}
    return {"data": _data(task, image_url), "predictions": [prediction]}


def renamed(boxes: Sequence[Box], names: Mapping[str, str]) -> list[Box]:
    """The boxes under the names that these have here; others keep theirs."""
    return [replace(box, class_name=names.get(box.class_name, box.class_name)) for box in boxes]


def shown_priority(priority: float) -> float:
    """As a labeler reads it above the image."""
    return round(priority, 4)


def parse_annotation(
    raw: Mapping[str, object], task: Mapping[str, object], classes: Sequence[str], author: str
) -> Annotation:
    """One answer of a task.

    raw, task: as the API gives them, task["data"] as `task_payload` made it.

    A browser counts the seconds that a person took; what came of a prediction, of another answer or
    of a backup's in none is unseen, and boxes of a prediction are predictions.
    A region that is no box of our classes never raises and is never dropped in silence:
    unknown_classes says what is wrong.
    """
    result = cast(list[Json], raw.get("result") or [])
    data = cast(Json, task["data"])
    imported = raw.get("import_id") is not None
    unseen = not _number(raw.get("lead_time")) and bool(
        raw.get("parent_prediction") or raw.get("parent_annotation") or imported
    )
    untouched: BoxOrigin = "prediction" if unseen and raw.get("parent_prediction") else "manual"
    boxes, problems = _boxes(result, data, classes, untouched)
    return Annotation(
        external_id=int(cast(int, raw["id"])),
        external_task_id=int(cast(int, task["id"])),
        key=str(data[KEY]),
        author=author,
        created_at=parse_time(raw["created_at"]),
        updated_at=parse_time(raw["updated_at"]),
        cancelled=bool(raw.get("was_cancelled")),
        boxes=boxes,
        lead_time_s=_number(raw.get("lead_time")),
        result=result,
        unknown_classes=tuple(problems),
        ground_truth=bool(raw.get("ground_truth")),
        unseen=unseen,
        imported=imported,
    )


def parse_time(value: object) -> datetime:
    """A time of the API as aware UTC."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def format_time(time: datetime) -> str:
    """A time in the one form that the data manager's filters take."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _data(task: LabelTask, image_url: str) -> Json:
    """What the task shows, in the order of the list's columns; then what only a program reads."""
    data: Json = {
        "image": image_url,
        "reason": task.reason,
        PRIORITY: shown_priority(task.priority),
        **{name: task.meta.get(name, "") for name in ("site", "camera", "captured_at", "file")},
        "slices": task.meta.get("slices", ""),
        "purpose": task.purpose,
        MODEL: task.model_version,
        KEY: task.key,
        "width": task.width,
        "height": task.height,
    }
    return data | {name: value for name, value in task.meta.items() if name not in data}


def _region(task: LabelTask, index: int, box: Box) -> Json | None:
    value = to_percent(box.xyxy, task.width, task.height)
    if value is None:
        return None
    region: Json = {
        "id": f"box{index}",
        "type": "rectanglelabels",
        "from_name": CONTROL,
        "to_name": IMAGE,
        "original_width": task.width,
        "original_height": task.height,
        "image_rotation": 0,
        "value": {**value, "rotation": 0, CLASSES: [box.class_name]},
    }
    return region if box.confidence is None else region | {"score": min(max(float(box.confidence), 0.0), 1.0)}


def _seen(region: Json, box: Box) -> Json:
    """What is said of a box that is drawn: whether its object is seen as a whole."""
    value = {name: side for name, side in cast(Json, region["value"]).items() if name != CLASSES}
    said = [name for name, is_so in ((OCCLUDED, box.occluded), (TRUNCATED, box.truncated)) if is_so]
    asked = {"type": "choices", "from_name": SEEN, "value": {**value, "choices": said}}
    return {name: thing for name, thing in region.items() if name != "score"} | asked


def _said_of_boxes(result: Sequence[object]) -> dict[str, set[str]]:
    """What is said of each box, by the id of its region."""
    said: dict[str, set[str]] = {}
    for region in result:
        if isinstance(region, dict) and (region.get("from_name"), region.get("type")) == (SEEN, "choices"):
            value = region.get("value")
            chosen = value.get("choices") if isinstance(value, dict) else None
            names = chosen if isinstance(chosen, list) else []
            said.setdefault(str(region.get("id")), set()).update(map(str, names))
    return said


def _boxes(
    result: Sequence[object], data: Json, classes: Sequence[str], untouched: BoxOrigin
) -> tuple[list[Box], list[str]]:
    boxes: list[Box] = []
    problems: list[str] = []
    said = _said_of_boxes(result)
    for region in result:
        if not isinstance(region, dict):
            problems.append("[region that is no object]")
        elif region.get("type") not in WITHOUT_GEOMETRY:
            read = _read(region, data, classes, untouched)
            of_box = said.get(str(region.get("id")), set())
            boxes.extend([_marked(read, of_box)] if isinstance(read, Box) else [])
            problems.extend([read] if isinstance(read, str) else [])
    return boxes, sorted(set(problems))


def _marked(box: Box, said: set[str]) -> Box:
    return replace(box, occluded=OCCLUDED in said, truncated=TRUNCATED in said)


def _read(region: Json, data: Json, classes: Sequence[str], untouched: BoxOrigin) -> Box | str:
    """The box, or why there is none: an unknown class name, or anything else in brackets.

    untouched: the origin of a box that names none.
    """
    value = region.get("value")
    if not isinstance(value, dict):
        return "[region without a value]"
    problem = _problem(region, value, classes) or _bad_number(value)
    return problem or _box(region, value, data, untouched)


def _problem(region: Json, value: Json, classes: Sequence[str]) -> str | None:
    if region.get("type") not in ("rectanglelabels", "rectangle"):
        return f"[{region.get('type')}]"
    names = value.get(CLASSES) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "[box whose class is no name]"
    if len(names) != 1:
        return "[box with several classes]" if names else "[box without a class]"
    if value.get("rotation") or region.get("image_rotation"):
        return f"[rotated {names[0]}]"
    return None if names[0] in classes else str(names[0])


def _bad_number(value: Json) -> str | None:
    bad = [f"{name} is {_shown(value, name)}" for name in SIDES if _number(value.get(name)) is None]
    return f"[{_name(value)} box whose {', '.join(bad)}; expected a number]" if bad else None


def _box(region: Json, value: Json, data: Json, untouched: BoxOrigin) -> Box | str:
    size = [
        _number(data.get(side)) or _number(region.get(f"original_{side}")) for side in ("width", "height")
    ]
    if not size[0] or not size[1]:
        return "[box on an image of unknown size]"
    corners = to_pixels(value, int(size[0]), int(size[1]))
    if corners is None or min(corners[2] - corners[0], corners[3] - corners[1]) < LEAST_SIDE:
        at = ", ".join(f"{name} {_number(value[name]):g}" for name in SIDES)
        return f"[{_name(value)} box without area inside the image: {at} (percent)]"
    origin = region.get("origin")
    return Box(
        class_name=_name(value),
        xyxy=corners,
        origin=cast(BoxOrigin, origin) if isinstance(origin, str) and origin in BOX_ORIGINS else untouched,
        confidence=_number(region.get("score")),
    )


def _name(value: Json) -> str:
    return cast(list[str], value[CLASSES])[0]


def _number(value: object) -> float | None:
    """A finite number as it is; None for everything else, true and false among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _shown(value: Json, name: str) -> str:
    return repr(value[name])[:40] if name in value else "missing"


def _cut(xyxy: Corners, width: int, height: int) -> Corners | None:
    x1, x2 = (min(max(float(x), 0.0), float(width)) for x in (xyxy[0], xyxy[2]))
    y1, y2 = (min(max(float(y), 0.0), float(height)) for y in (xyxy[1], xyxy[3]))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None
