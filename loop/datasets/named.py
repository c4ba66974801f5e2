"""Annotations that name their classes and speak of pixels, whatever file they came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loop.base.wording import counted, either
from loop.datasets.image_files import ImageFiles
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
from loop.datasets.splits import held_out


@dataclass(frozen=True, slots=True)
class NamedObject:
    """number: within its image, from 1.
    corners: x1, y1, x2, y2 in px of the picture as the annotation knows it.
    problem: why there are none.
    seen: whether it is said to be occluded, and to be truncated.
    """

    number: int
    name: str
    corners: Sequence[float] | None
    problem: str = ""
    seen: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, slots=True)
class Annotated:
    """What an annotation says of one image.

    label: the file that says it.
    size: (width, height) px of the picture as it knows it, None where it does not say.
    objects: None where nobody labeled it, or nothing of it could be read.
    """

    label: Path
    image: Path
    split: str
    size: tuple[int, int] | None
    objects: Sequence[NamedObject] | None
    sequence: str | None = None


def assembled(found: Sequence[Annotated], source: Path, report: Report, max_pixels: int) -> ImportedDataset:
    """The dataset of these annotations; classes are the names met, in alphabetical order.

    Raises DatasetError when none has an object, or no image can be used.
    """
    classes = tuple(sorted({one.name for each in found for one in each.objects or () if one.name}))
    if not classes:
        raise DatasetError(
            f"{source}: expected labeled objects, got none in {counted(len(found), 'annotation')}"
            f"{report.first}; give a dataset that is labeled"
        )
    images = [
        image
        for each in _one_each(found, report)
        if (image := _image(each, classes, report, max_pixels)) is not None
    ]
    if not images:
        raise DatasetError(
            f"{source}: expected images that can be used, got none{report.first}; put the images beside"
            " their annotations"
        )
    return ImportedDataset(classes, images, report.problems, ordered=False)


def _one_each(found: Sequence[Annotated], report: Report) -> list[Annotated]:
    """One annotation of each image; nobody labeled it where several contradict each other."""
    by_image: dict[Path, list[Annotated]] = defaultdict(list)
    for each in found:
        by_image[each.image.resolve()].append(each)
    return [_agreed(alike, report) for alike in by_image.values()]


def _agreed(alike: Sequence[Annotated], report: Report) -> Annotated:
    held = held_out([each.split for each in alike])
    labeled = [replace(each, split=held) for each in alike if each.objects is not None] or alike[:1]
    if any(each.split != held for each in alike):
        report.add(alike[0].image, 0, "split", f"it is in several splits: kept in {held} only")
    if len({_said(each) for each in labeled}) > 1:
        told = f"{len(labeled)} annotations of it contradict each other; it counts as unlabeled"
        report.add(labeled[0].image, 0, "label", told)
        return replace(labeled[0], objects=None)
    return labeled[0]


def _said(each: Annotated) -> tuple[object, ...]:
    """What it says of its image, the same for two that differ by less than half a pixel."""
    objects = each.objects or ()
    places = sorted(f"{one.name} {[round(v) for v in one.corners or ()]}" for one in objects)
    return each.size, *places


def tell_unlabeled(source: Path, files: ImageFiles, found: Sequence[Annotated], report: Report) -> None:
    """Reports images beside the annotations that none of them speaks of."""
    known = {each.image for each in found}
    left = [image for image in files.all if image not in known]
    if left:
        report.add(
            source,
            0,
            "unlabeled",
            f"{counted(len(left), 'image')} such as {left[0].name} {either(len(left), 'has', 'have')} no"
            f" annotation and {either(len(left), 'is', 'are')} not taken",
            0,
        )


def _image(
    each: Annotated, classes: tuple[str, ...], report: Report, max_pixels: int
) -> ImportedImage | None:
    info = image_info(each.image, report, max_pixels)
    if info is None:
        return None
    upright = info.width, info.height
    if turn_of(info, each.size) is None:
        said = f"{each.size[0]}x{each.size[1]}" if each.size else "nothing"
        report.add(
            each.image,
            0,
            "size",
            f"left out: its annotation says {said} px, the file is {upright[0]}x{upright[1]}",
        )
        return None
    if each.objects is None:
        return ImportedImage(each.image, each.split, None, *upright, each.sequence)
    if each.objects:
        tell_rotation(each.image, info, each.size, report)
    label = LabelReport(report, each.label)
    turn = turn_of(info, each.size) or list
    boxes: list[tuple[int, PixelBox]] = []
    seen: dict[PixelBox, tuple[bool, bool]] = {}
    for one in each.objects:
        if (box := _box(one, each, turn, classes, upright, label)) is not None:
            boxes.append((one.number, box))
            seen |= {box: one.seen} if any(one.seen) else {}
    return ImportedImage(each.image, each.split, label.known(boxes), *upright, each.sequence, seen)


def _box(
    one: NamedObject,
    each: Annotated,
    turn: Turn,
    classes: tuple[str, ...],
    size: tuple[int, int],
    label: LabelReport,
) -> PixelBox | None:
    def say(code: str, text: str) -> None:
        label.add(
            one.number, code, f"object {one.number} ({one.name or 'no name'}) of {each.image.name}: {text}"
        )

    if not one.name:
        say("class", "box left out: it has no name")
        return None
    if one.corners is None:
        say("number", f"box left out: {one.problem}")
        return None
    return checked_box(classes.index(one.name), turn(one.corners), size, say)
