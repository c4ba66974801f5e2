"""Does a detection follow the object? Labeled objects are pasted elsewhere and painted over on real
frames, and the deployed detector looks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from pydantic import TypeAdapter

from connectors.errors import ImageRejected
from connectors.images import decode, inspect
from connectors.ports import Detections, Image, Progress
from db.analysis import load_detections
from db.engine import read, write
from db.frames import UNKNOWN, FrameRow, frames
from db.labels import LabelRow, labels
from db.page_facts import add_page_fact, drop_page_facts, latest_page_fact, page_fact_dates
from loop.analysis import producers
from loop.base.arrays import Bools, Ints, Reals
from loop.base.errors import ConfigError, ProjectError
from loop.base.wording import counted
from loop.gaps.bias_recall import SURE
from loop.math.bias.counterfactual import Corners, alone, cut, fall, free, is_found, painted_over, pasted
from loop.math.boxes.matching import truth_of, with_class_ids
from loop.math.statistics.shares import interval
from loop.project.project import Project
from loop.project.wiring import Parts

KIND = "counterfactual/1"
"""See `loop.gaps.bias.KIND`."""
KEPT = 10
IMAGES = 240
"""So many images the detector looks at, unless more are asked for."""
A_TRY = 3
"""Images of an object: painted over, on another frame of its place, and elsewhere."""
LEAST_AREA, MOST_AREA = 0.001, 0.25
"""Of the image: smaller objects cannot be cut out, larger ones leave no place."""
PLACED = ("site", "camera")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rate:
    """How many of the objects are found. interval: 95 %, over camera-days; None: too few to tell."""

    found: int
    tried: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Followed:
    """Of a class, or of its objects of one place.

    place: that the objects are of, "" for all.
    painted_over: objects that were found in their frame and are found still, though they are gone.
    own, elsewhere: the same objects, pasted on other frames of their place, and of other places.
    fall: own less elsewhere, as a share, with its 95 % interval.
    """

    class_name: str
    place: str
    painted_over: Rate
    own: Rate
    elsewhere: Rate
    fall: float | None
    interval: tuple[float, float] | None

    @property
    def shown(self) -> bool:
        """Whether fewer are found elsewhere, and chance does not explain it."""
        return self.interval is not None and self.interval[0] > 0


@dataclass(frozen=True)
class Counterfactual:
    """placed_by: site or camera. images: that the detector looked at.

    rows: each class, then its places. note: what could not be tried.
    """

    placed_by: str
    images: int
    rows: tuple[Followed, ...]
    note: str


REPORTS: TypeAdapter[Counterfactual] = TypeAdapter(Counterfactual)


def look(parts: Parts, progress: Progress, images: int = IMAGES) -> Counterfactual:
    """Tries labeled objects of every class in turn, each of another camera-day, until the detector has
    looked at so many images. Stores what came of it for pages.

    Raises ConfigError for too few images, ProjectError where nothing can be tried.
    """
    if images < A_TRY:
        raise ConfigError(f"images: expected {A_TRY} or more, got {images}; each object takes {A_TRY}")
    known = _known(parts)
    asked = list(_spread(known, images // A_TRY))
    if not asked:
        raise ProjectError(
            "expected labeled objects that stand alone, on frames of two sites or cameras, found none; label"
            " frames of another place"
        )
    tries = []
    for number, one in enumerate(asked):
        progress(number, len(asked), "objects")
        if (made := _try(parts, one)) is not None:
            tries.append(made)
    progress(len(asked), len(asked), "objects")
    lost = len(asked) - len(tries)
    note = f"{counted(lost, 'object')} could not be read" if lost else ""
    report = Counterfactual(
        known.placed_by, A_TRY * len(tries), tuple(_rows(tries, parts.project.classes)), note
    )
    keep(parts.project, report)
    return report


def keep(project: Project, report: Counterfactual) -> None:
    with write(project.engine) as session:
        add_page_fact(session, KIND, json.loads(REPORTS.dump_json(report)))
        drop_page_facts(session, [fact for fact, _ in page_fact_dates(session, KIND)][:-KEPT])


def kept(project: Project) -> tuple[datetime, Counterfactual] | None:
    """The newest that was stored, and when."""
    with read(project.engine) as session:
        row = latest_page_fact(session, KIND)
    return None if row is None else (row.made_at, REPORTS.validate_python(row.value))


def lines(report: Counterfactual) -> list[str]:
    """For people, a class a line; places only where fewer are found elsewhere."""
    head = (
        f"the detector looked at {counted(report.images, 'image')} that never were; places are"
        f" {report.placed_by}s"
    )
    rows = [sentence(row, report.placed_by) for row in report.rows if not row.place or row.shown]
    return [head, *rows, *([report.note] if report.note else [])]


def sentence(row: Followed, placed_by: str) -> str:
    """One row in words."""
    of = f"{row.class_name} of {placed_by} {row.place}" if row.place else row.class_name
    less = "" if row.fall is None else f", {100 * row.fall:+.0f} points"
    between = (
        ""
        if row.interval is None
        else f" (95 % {100 * row.interval[0]:+.0f} to {100 * row.interval[1]:+.0f})"
    )
    verdict = "it is bound to its place" if row.shown else "nothing shows that it is bound to its place"
    return (
        f"{of}: pasted on its own {placed_by} {_rate(row.own)} found, elsewhere {_rate(row.elsewhere)}{less}"
        f"{between}; painted over {_rate(row.painted_over)} found still; {verdict}"
    )


def _rate(rate: Rate) -> str:
    return f"{rate.found} of {rate.tried}"


@dataclass(frozen=True, eq=False)
class _Frame:
    """boxes: class id and corners of each labeled object, (B,) and (B, 4)."""

    row: FrameRow
    place: str
    class_id: Ints
    boxes: Reals
    seen: Detections


@dataclass(frozen=True, eq=False)
class _Known:
    placed_by: str
    frames: list[_Frame]


@dataclass(frozen=True, eq=False)
class _Object:
    frame: _Frame
    box: int
    own: _Frame
    elsewhere: _Frame


@dataclass(frozen=True)
class _Tried:
    """before: whether it was found in its frame."""

    class_id: int
    place: str
    group: str
    before: bool
    painted_over: bool
    own: bool
    elsewhere: bool


def _known(parts: Parts) -> _Known:
    """Labeled frames that the detector has seen, of whichever of site and camera tells two places."""
    project, made = parts.project, producers.producers(parts)
    with read(project.engine) as session:
        told = labels(session)
        seen = load_detections(session, made.detector, sorted(told))
        rows = frames(session, seqs=sorted(seen))
    for placed_by in PLACED:
        named = [row for row in rows if getattr(row, placed_by) != UNKNOWN]
        if len({getattr(row, placed_by) for row in named}) > 1:
            of = [
                _frame(row, getattr(row, placed_by), told[row.seq], seen[row.seq], project.classes)
                for row in named
            ]
            return _Known(placed_by, of)
    return _Known(PLACED[0], [])


def _frame(row: FrameRow, place: str, label: LabelRow, seen: Detections, classes: Sequence[str]) -> _Frame:
    truth = truth_of(with_class_ids(label.boxes, classes))
    return _Frame(row, place, truth.class_id, truth.xyxy, seen)


def _spread(known: _Known, most: int) -> Iterator[_Object]:
    """Classes take turns, and within a class camera-days; the same for the same labels."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(known.frames))
    queues: dict[int, list[tuple[int, _Frame, int]]] = {}
    taken: dict[tuple[int, str], int] = {}
    for frame in (known.frames[place] for place in order):
        fitting = alone(frame.boxes, frame.row.width, frame.row.height, LEAST_AREA, MOST_AREA)
        for box in np.flatnonzero(fitting).tolist():
            class_id = int(frame.class_id[box])
            key = class_id, frame.row.group_key
            taken[key] = taken.get(key, 0) + 1
            queues.setdefault(class_id, []).append((taken[key], frame, box))
    ready = [iter(sorted(queue, key=lambda one: one[0])) for _, queue in sorted(queues.items())]
    made = 0
    while ready and made < most:
        for queue in list(ready):
            found = next((one for one in _paired(queue, known, order)), None)
            if found is None:
                ready.remove(queue)
            elif made < most:
                made += 1
                yield found


def _paired(queue: Iterator[tuple[int, _Frame, int]], known: _Known, order: Ints) -> Iterator[_Object]:
    """Objects with a frame of their own place and one of another on which they can be pasted."""
    for number, frame, box in queue:
        turned = np.roll(order, -number * 7 - box)
        targets = [known.frames[place] for place in turned]
        fitting = [one for one in targets if _takes(one, frame, box)]
        own = next((one for one in fitting if one.place == frame.place), None)
        elsewhere = next((one for one in fitting if one.place != frame.place), None)
        if own is not None and elsewhere is not None:
            yield _Object(frame, box, own, elsewhere)


def _takes(target: _Frame, frame: _Frame, box: int) -> bool:
    """Whether the frame is of another camera-day, lacks the class, and has nothing where it would
    stand.
    """
    if target.row.group_key == frame.row.group_key or (target.class_id == frame.class_id[box]).any():
        return False
    scale = np.array([target.row.width / frame.row.width, target.row.height / frame.row.height] * 2)
    x1, y1, x2, y2 = (scale * frame.boxes[box]).tolist()
    return free(target.boxes, (x1, y1, x2, y2))


def _try(parts: Parts, one: _Object) -> _Tried | None:
    """None where an image cannot be read."""
    project, frame = parts.project, one.frame
    x1, y1, x2, y2 = frame.boxes[one.box].tolist()
    box: Corners = (x1, y1, x2, y2)
    center = (x1 + x2) / 2 / frame.row.width, (y1 + y2) / 2 / frame.row.height
    try:
        source, own, elsewhere = (_image(project, each.row) for each in (frame, one.own, one.elsewhere))
        patch = cut(source, box)
        (on_own, own_box), (on_other, other_box) = (pasted(each, patch, center) for each in (own, elsewhere))
    except (OSError, ImageRejected) as error:
        log.info("%s: not tried: %s", frame.row.source_key, error)
        return None
    gone, there, away = parts.detector().detect([painted_over(source, box), on_own, on_other])
    class_id = int(frame.class_id[one.box])
    return _Tried(
        class_id,
        frame.place,
        frame.row.group_key,
        is_found(frame.seen, box, class_id, SURE),
        is_found(gone, box, class_id, SURE),
        is_found(there, own_box, class_id, SURE),
        is_found(away, other_box, class_id, SURE),
    )


def _image(project: Project, row: FrameRow) -> Image:
    data = (project.store / row.path).read_bytes()
    return decode(data, inspect(data, max_pixels=project.settings.frames.max_pixels))


def _rows(tries: Sequence[_Tried], classes: Sequence[str]) -> Iterator[Followed]:
    for class_id in sorted({one.class_id for one in tries}):
        own = [one for one in tries if one.class_id == class_id]
        yield _followed(classes[class_id], "", own)
        places = sorted({one.place for one in own})
        for place in places if len(places) > 1 else ():
            yield _followed(classes[class_id], place, [one for one in own if one.place == place])


def _followed(name: str, place: str, tries: Sequence[_Tried]) -> Followed:
    _, group = np.unique([one.group for one in tries], return_inverse=True)
    group = group.astype(np.int64)
    before, gone, own, away = (
        np.array([getattr(one, what) for one in tries], dtype=np.bool_)
        for what in ("before", "painted_over", "own", "elsewhere")
    )
    value, between = fall(own, away, group)
    everything = np.ones(len(tries), dtype=np.bool_)
    rates = _of(gone, before, group), _of(own, everything, group), _of(away, everything, group)
    return Followed(name, place, *rates, value, between)


def _of(found: Bools, among: Bools, group: Ints) -> Rate:
    size = int(group.max(initial=-1)) + 1
    hits = np.bincount(group[found & among], minlength=size)
    totals = np.bincount(group[among], minlength=size)
    return Rate(int(hits.sum()), int(totals.sum()), interval(hits, totals))
