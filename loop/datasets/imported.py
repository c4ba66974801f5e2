"""What an importer gives, whatever the layout it read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path

from connectors.errors import ImageRejected
from connectors.images import ImageInfo, decode, ends_well, inspect
from loop.base.errors import LoopError

PixelBox = tuple[int, float, float, float, float]
"""class id, x1, y1, x2, y2 in px of the upright image."""

SLACK = 0.01
SMALLEST_SIDE = 10
SMALLEST_BOX = 1.0
"""px a side; what is smaller shows nothing."""
LOSSES = frozenset(
    [
        "image",
        "missing_image",
        "label",
        "number",
        "class",
        "degenerate",
        "outside",
        "size",
        "crowd",
        "orphan",
        "unclaimed",
    ]
)
"""Codes of problems that lose labels or images."""
LOST_IMAGES = frozenset(["image", "missing_image", "size"])
"""Those that lose an image with all its labels."""


class DatasetError(LoopError):
    """A dataset that cannot be imported, frozen, exported or trained on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was left out or mended.

    line: 1-based line or object of the label file, 0 for the whole file.
    code: image, missing_image, label, number, class, degenerate, outside, clipped, duplicate, size,
    crowd, orphan, unclaimed, unlabeled, shared, rotated, stretched, split, key, metadata.
    count: how many labels or images it stands for; 0 where nothing was lost.
    """

    path: Path
    line: int
    code: str
    message: str
    count: int = 1

    @property
    def lost(self) -> int:
        """Labels or images that are not in what was read."""
        return self.count if self.code in LOSSES else 0

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class ImportedImage:
    """One readable image.

    split: train, val or test.
    boxes: empty for a background, None where nobody labeled it or none of its labels could be read.
    sequence: the folder it lay in, below the folder that was named; None when it lay there
    directly.
    seen: of boxes that are said to be one of both, whether occluded and whether truncated.
    """

    path: Path
    split: str
    boxes: list[PixelBox] | None
    width: int
    height: int
    sequence: str | None = None
    seen: dict[PixelBox, tuple[bool, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedDataset:
    """classes: by id.
    problems: everything left out or mended, in the order met.

    ordered: the layout numbers its classes as a trainer does; otherwise their names alone count.
    """

    classes: tuple[str, ...]
    images: list[ImportedImage]
    problems: list[Problem]
    ordered: bool = True

    @property
    def boxes(self) -> int:
        return sum(len(image.boxes or ()) for image in self.images)

    @property
    def lost(self) -> int:
        """Labels and images that were there and could not be used."""
        return sum(problem.lost for problem in self.problems)

    @property
    def share_lost(self) -> float:
        """Of all labels and backgrounds that were there, or of all images, whichever is more.

        How many labels an image had that is not there is often not known.
        """
        backgrounds = sum(image.boxes == [] for image in self.images)
        gone = sum(problem.lost for problem in self.problems if problem.code in LOST_IMAGES)
        of_labels = self.lost / max(1, self.lost + self.boxes + backgrounds)
        return max(of_labels, gone / max(1, gone + len(self.images)))

    @property
    def fingerprint(self) -> str:
        """The same wherever the dataset lies; another one as soon as a class, an image, its split
        or a box is another.
        """
        rows = sorted(
            (
                (image.split, image.sequence, image.path.name, image.path.stat().st_size, image.boxes)
                for image in self.images
            ),
            key=repr,
        )
        digest = hashlib.sha256(json.dumps([self.classes, rows]).encode()).hexdigest()
        return f"{len(self.images)} images with {self.boxes} boxes, {digest[:16]}"


@dataclass(slots=True)
class Report:
    """Collects problems while reading. ids: numbers of classes that label files name, known or not."""

    problems: list[Problem] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)

    def add(self, path: Path, line: int, code: str, message: str, count: int = 1) -> None:
        self.problems.append(Problem(path, line, code, message, count))

    @property
    def first(self) -> str:
        """The first problem in brackets, "" where there is none: for an error's text."""
        return f" (first problem: {self.problems[0]})" if self.problems else ""


@dataclass(slots=True)
class LabelReport:
    """What is said of the label of one image. lost: boxes of it that could not be used."""

    report: Report
    path: Path
    lost: int = 0

    def add(self, line: int, code: str, message: str) -> None:
        self.report.add(self.path, line, code, message)
        self.lost += code in LOSSES

    def known(self, found: Iterable[tuple[int, PixelBox]]) -> list[PixelBox] | None:
        """The boxes of (line, box) pairs, each once. None, which is unlabeled, where none is left of
        a label that had some: what could not be read is no background.
        """
        boxes = without_duplicates(found, self.add)
        return None if self.lost and not boxes else boxes


def image_info(path: Path, report: Report, max_pixels: int) -> ImageInfo | None:
    """What the file's header says, or None with the reason reported.

    What does not end as a whole file does is decoded, to be sure.
    """
    try:
        data = path.read_bytes()
        info = inspect(data, max_pixels)
        if not ends_well(data, info.format):
            decode(data, info)
    except ImageRejected as error:
        report.add(path, 0, "image", f"left out ({error.code}): {error}")
    except OSError as error:
        report.add(path, 0, "image", f"left out, it cannot be read: {error}")
    else:
        if min(info.width, info.height) >= SMALLEST_SIDE:
            return info
        size = f"{info.width}x{info.height}"
        report.add(path, 0, "image", f"left out: expected at least {SMALLEST_SIDE} px a side, got {size}")
    return None


Turn = Callable[[Sequence[float]], list[float]]


def turn_of(info: ImageInfo, said: tuple[int, int] | None) -> Turn | None:
    """How corners in px of the picture as an annotation knows it become corners of the upright one.

    said: (width, height) px that the annotation gives; None where it gives none.
    None where the picture has neither this size nor, before its EXIF rotation, had it.
    """
    upright = info.width, info.height
    if said is None or said == upright:
        return list
    if info.exif.orientation < 5 or said != upright[::-1]:
        return None
    return partial(_turned, orientation=info.exif.orientation, width=said[0], height=said[1])


def tell_rotation(path: Path, info: ImageInfo, said: tuple[int, int] | None, report: Report) -> None:
    """Reports a rotation of which nothing tells whether it was applied when the boxes were drawn.

    said: (width, height) px that the annotation gives; None where it gives none.
    """
    orientation = info.exif.orientation
    if orientation == 1 or (said and orientation >= 5 and info.width != info.height):
        return
    unsaid = "its size does not tell" if said else "no size beside its boxes tells"
    report.add(
        path,
        0,
        "rotated",
        f"EXIF turns it (orientation {orientation}), and {unsaid} whether its boxes were drawn before that;"
        " they are taken as drawn on the upright picture, as ultralytics does",
        0,
    )


def _turned(xyxy: Sequence[float], *, orientation: int, width: float, height: float) -> list[float]:
    """Corners of the stored picture of width x height px on the upright one."""
    x1, y1, x2, y2 = xyxy
    if orientation in (5, 6):
        across = (y1, y2) if orientation == 5 else (height - y2, height - y1)
        return [across[0], x1, across[1], x2]
    across = (height - y2, height - y1) if orientation == 7 else (y1, y2)
    return [across[0], width - x2, across[1], width - x1]


def checked_box(
    class_id: int, xyxy: Sequence[float], size: tuple[int, int], report: Callable[[str, str], None]
) -> PixelBox | None:
    """A box that a trainer accepts, clipped to the image, or None; `report(code, message)` hears of
    both.

    xyxy: px. A box may reach 1 % of the image's side beyond it, which is clipped.
    """
    width, height = size
    if not all(isfinite(v) for v in xyxy):
        report("number", f"box left out: expected four finite numbers, got {_show(xyxy)}")
        return None
    x1, y1, x2, y2 = xyxy
    if x2 <= x1 or y2 <= y1:
        report("degenerate", f"box left out: it has no area, {_show(xyxy)} px")
        return None
    if min(x2 - x1, y2 - y1) < SMALLEST_BOX:
        fractions = ": fractions of the picture where pixels are expected?" if max(xyxy) <= 1 else ""
        report("degenerate", f"box left out: it is smaller than a pixel, {_show(xyxy)} px{fractions}")
        return None
    if (
        min(x1 + SLACK * width, y1 + SLACK * height) < 0
        or x2 > width * (1 + SLACK)
        or y2 > height * (1 + SLACK)
    ):
        report("outside", f"box left out: {_show(xyxy)} px lies outside the image of {width}x{height} px")
        return None
    clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        report("outside", f"box left out: {_show(xyxy)} px lies outside the image of {width}x{height} px")
        return None
    if max(abs(a - b) for a, b in zip(clipped, xyxy, strict=True)) > 1e-3:
        report("clipped", f"box clipped to the image: {_show(xyxy)} px became {_show(clipped)}")
    return (class_id, *clipped)


def without_duplicates(
    boxes: Iterable[tuple[int, PixelBox]], report: Callable[[int, str, str], None]
) -> list[PixelBox]:
    """The boxes of (line, box) pairs, each once; `report(line, code, message)` hears of the others."""
    seen: dict[tuple[float, ...], int] = {}
    kept: list[PixelBox] = []
    for line, box in boxes:
        key = tuple(round(v, 3) for v in box)
        if key in seen:
            report(line, "duplicate", f"box left out: the same as number {seen[key]}")
            continue
        seen[key] = line
        kept.append(box)
    return kept


def _show(xyxy: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in xyxy) + ")"
