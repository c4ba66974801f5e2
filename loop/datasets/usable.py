"""Whether what was read of a training set is enough to go on with, and what is told of the rest."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loop.base.wording import counted, either
from loop.datasets.imported import DatasetError, ImportedDataset, ImportedImage, Problem, Report
from loop.datasets.splits import held_out

MOST_LOST = 0.05
"""Of labels and backgrounds; where more cannot be used, a person is asked."""


def check_usable(dataset: ImportedDataset, source: Path, accepted: bool) -> None:
    """Raises DatasetError where no box could be read, or more than MOST_LOST of what was there could
    not be used and nobody accepted that.
    """
    causes = "".join(f"\n{line}" for line in problem_lines(dataset.problems)[1:])
    if not dataset.boxes:
        raise DatasetError(
            f"{source}: expected labeled objects, got 0 boxes in {counted(len(dataset.images), 'image')};"
            f" mend the labels, or add them{causes}"
        )
    if dataset.share_lost > MOST_LOST and not accepted:
        raise DatasetError(
            f"{source}: expected labels that can be used, got {counted(dataset.boxes, 'box', 'boxes')} and"
            f" {counted(dataset.lost, 'label or image', 'labels or images')} that cannot be"
            f" ({dataset.share_lost:.1%}); mend them, or go on without them: --accept-problems{causes}"
        )


def check_trains(images: Sequence[ImportedImage], problems: Sequence[Problem], source: Path) -> None:
    """Raises DatasetError where no labeled image is left to train on, for every one is held out.

    images: labeled ones, each picture once.
    """
    if not any(image.split == "train" for image in images):
        causes = "".join(f"\n{line}" for line in problem_lines(problems)[1:])
        raise DatasetError(
            f"{source}: expected labeled images to train on, got none: all {len(images)} are in val or test;"
            f" hold out other images than those of train{causes}"
        )


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """What was left out, mended or noticed, for people: a head, then each cause once with its first
    case. Empty where nothing was.
    """
    if not problems:
        return []
    causes: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        causes[problem.code].append(problem)
    total = sum(max(1, problem.count) for problem in problems)
    head = f"{counted(total, 'thing was', 'things were')} left out, mended or noticed:"
    return [head, *map(_cause, causes.values())]


def _cause(alike: Sequence[Problem]) -> str:
    count = sum(max(1, problem.count) for problem in alike)
    more = f" (and {len(alike) - 1} more)" if len(alike) > 1 else ""
    return f"  {count} {alike[0].code.replace('_', ' ')}: {alike[0]}{more}"


def once(images: Sequence[ImportedImage], report: Report) -> list[ImportedImage]:
    """The images, each file once, with all its boxes. A file under two splits would leak: test keeps
    it before val, val before train.

    Of several labels that differ all boxes are taken, which is told; a file of which a label could
    not be read, and no other has a box, stays unlabeled.
    """
    by_file: dict[Path, list[ImportedImage]] = defaultdict(list)
    for image in images:
        by_file[image.path.resolve()].append(image)
    return [alike[0] if len(alike) == 1 else _joined(alike, report) for alike in by_file.values()]


def _joined(alike: Sequence[ImportedImage], report: Report) -> ImportedImage:
    held = held_out([image.split for image in alike])
    owner = next(image for image in alike if image.split == held)
    for image in alike:
        if image.split != owner.split:
            told = f"listed in {image.split} and {owner.split}: kept in {owner.split} only"
            report.add(image.path, 0, "split", told)
    labels = [image.boxes for image in alike if image.boxes is not None]
    boxes = list(dict.fromkeys(box for label in labels for box in label))
    if any(set(label) != set(boxes) for label in labels):
        told = f"labeled {len(labels)} times, each time otherwise: its {len(boxes)} boxes are those of all"
        report.add(owner.path, 0, "duplicate", told, 0)
    seen = {box: marks for image in alike for box, marks in image.seen.items()}
    return replace(owner, boxes=boxes if boxes or len(labels) == len(alike) else None, seen=seen)


def each_once(images: Sequence[ImportedImage]) -> tuple[list[ImportedImage], list[Problem]]:
    """The images, each picture once, and what is told of the others. What is held out keeps it.

    Raises OSError where an image cannot be read.
    """
    by_size: dict[int, list[ImportedImage]] = defaultdict(list)
    for image in images:
        by_size[image.path.stat().st_size].append(image)
    owner: dict[Path, ImportedImage] = {}
    for alike in by_size.values():
        owner |= _owners(alike) if len(alike) > 1 else {}
    problems = [_twice(image, owner[image.path]) for image in images if _is_other(image, owner)]
    return [image for image in images if not _is_other(image, owner)], problems


def _owners(images: Sequence[ImportedImage]) -> dict[Path, ImportedImage]:
    by_content: dict[str, list[ImportedImage]] = defaultdict(list)
    for image in images:
        by_content[hashlib.sha256(image.path.read_bytes()).hexdigest()].append(image)
    return {
        image.path: next(one for one in same if one.split == held_out([one.split for one in same]))
        for same in by_content.values()
        for image in same
    }


def _is_other(image: ImportedImage, owner: dict[Path, ImportedImage]) -> bool:
    return image.path in owner and owner[image.path].path != image.path


def _twice(image: ImportedImage, owner: ImportedImage) -> Problem:
    ours, theirs = sorted(image.boxes or []), sorted(owner.boxes or [])
    said = f"left out: the same picture as {owner.path}"
    if ours != theirs:
        those = f"{len(theirs)} that {either(len(theirs), 'counts', 'count')}"
        said += f"; its {counted(len(ours), 'box differs', 'boxes differ')} from the {those}"
    return Problem(image.path, 0, "duplicate", said)
