"""Freezing: labeled frames, their split and their repeats in a manifest that is named by its hash."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import isfinite
from typing import Any

from connectors.ports import Purpose
from loop.datasets.imported import DatasetError, PixelBox
from loop.datasets.units import EXCLUDED, Item, units

SMALLEST_BOX = 0.1
LOTS, NEVER_INSPECTED = "lots", "never_inspected"
"""In a summary, and in the settings of a manifest: accepted lots, and labels that no lot holds."""
_LEAK = "frame left out: a near-duplicate of it lies on another side of the split"


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame of a frozen dataset.

    repeats: how often it is seen in an epoch.
    label_hash: sha256 of its boxes.
    """

    frame: int
    content_hash: str
    label_hash: str
    path: str
    width: int
    height: int
    boxes: tuple[PixelBox, ...]
    split: str
    repeats: int
    origin: str
    group: str
    unit: str
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A frozen dataset version.

    parent: sha256 of the manifest it grew from.
    rounds: the rounds it is made for.
    settings: how it was chosen.
    dropped: boxes and frames that could not be kept, as (frame, what).
    """

    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    parent: str | None = None
    rounds: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    dropped: tuple[tuple[int, str], ...] = ()

    def to_json(self) -> str:
        """Canonical: sorted keys, no spaces, the same bytes for the same dataset."""
        return json.dumps(
            asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def of(self, split: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.split == split]


def read_manifest(text: str) -> Manifest:
    """The inverse of `Manifest.to_json`. Raises DatasetError when it is none."""
    try:
        tree = json.loads(text)
        entries = tuple(_entry(one) for one in tree["entries"])
        dropped = tuple((int(frame), str(what)) for frame, what in tree["dropped"])
        lineage = (tree["parent"], tuple(tree["rounds"]), dict(tree["settings"]))
        return Manifest(tuple(tree["classes"]), entries, *lineage, dropped)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"expected a dataset manifest, got {error!r}; freeze the dataset again") from None


def freeze(
    items: Sequence[Item],
    classes: Sequence[str],
    splits: Mapping[int, str],
    repeats: Mapping[int, int],
    *,
    parent: str | None = None,
    rounds: Sequence[int] = (),
    settings: Mapping[str, Any] | None = None,
) -> Manifest:
    """The manifest of these frames; a training frame with repeats 0 is left out, held-out frames
    count once.

    The order of items does not matter. Boxes are clipped to their image; one that has no area left,
    or stands there twice, is dropped and listed. Raises DatasetError where a content stands twice,
    a class id is unknown, an evaluation frame would train or a unit would be torn apart.
    """
    unit_of = units(items)
    _check(items, classes, splits, unit_of)
    dropped = [(i.frame, _LEAK) for i in items if splits[i.frame] == EXCLUDED]
    entries = [
        _frozen(item, classes, splits[item.frame], repeats.get(item.frame, 1), unit_of[item.frame], dropped)
        for item in sorted(items, key=lambda one: one.content_hash)
        if splits[item.frame] != EXCLUDED
        and (splits[item.frame] != "train" or repeats.get(item.frame, 1) > 0)
    ]
    return Manifest(
        tuple(classes), tuple(entries), parent, tuple(rounds), dict(settings or {}), tuple(sorted(dropped))
    )


def with_lots(manifest: Manifest, lots: Mapping[int, int]) -> Manifest:
    """Says which accepted lots the dataset holds, and how many of its labels nobody ever inspected.

    lots: by frame, the accepted lot that holds its label.
    """
    held = sorted({lots[entry.frame] for entry in manifest.entries if entry.frame in lots})
    never = sum(entry.frame not in lots for entry in manifest.entries)
    return replace(manifest, settings={**manifest.settings, LOTS: held, NEVER_INSPECTED: never})


def check_trainable(manifest: Manifest) -> None:
    """Raises DatasetError, with what to do, when a training run could not learn or not be
    validated.
    """
    sizes = Counter(entry.split for entry in manifest.entries)
    if not manifest.entries:
        raise DatasetError("expected labeled frames, got none; label some, or import a dataset")
    if not sizes["train"]:
        raise DatasetError(
            f"expected frames to train on, got none ({_sizes(sizes)}); label frames outside the evaluation"
            " groups"
        )
    if not any(entry.boxes for entry in manifest.of("train")):
        raise DatasetError(
            f"expected boxes in the {sizes['train']} training frames, got none; nothing can be learned from "
            "backgrounds alone, label frames that show objects"
        )
    if not sizes["val"]:
        leaks = sum(what == _LEAK for _, what in manifest.dropped)
        raise DatasetError(
            f"expected frames to validate on, got none ({_sizes(sizes)}): whole camera-days and sequences lie"
            f" on one side of the split, and {leaks} near-duplicates across it were left out; label frames of"
            " another one"
        )


def summary(manifest: Manifest) -> dict[str, Any]:
    """Counts for people: images, passes and backgrounds by split, boxes by class and split, classes
    never trained.
    """
    boxes = {
        split: dict.fromkeys(manifest.classes, 0) for split in sorted({e.split for e in manifest.entries})
    }
    for entry in manifest.entries:
        for box in entry.boxes:
            boxes[entry.split][manifest.classes[box[0]]] += 1
    return {
        "images": dict(Counter(e.split for e in manifest.entries)),
        "passes": sum(e.repeats for e in manifest.of("train")),
        "backgrounds": dict(Counter(e.split for e in manifest.entries if not e.boxes)),
        "boxes": boxes,
        "untrained": [name for name in manifest.classes if not boxes.get("train", {}).get(name)],
        "units": len({e.unit for e in manifest.entries}),
        "dropped": len(manifest.dropped),
        LOTS: list(manifest.settings.get(LOTS, ())),
        NEVER_INSPECTED: manifest.settings.get(NEVER_INSPECTED, len(manifest.entries)),
    }


def label_hash(boxes: Sequence[PixelBox], classes: Sequence[str]) -> str:
    """sha256 over class names and corners to a hundredth of a pixel, in any order of the boxes."""
    rows = sorted([classes[box[0]], *(round(v, 2) for v in box[1:])] for box in boxes)
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def _check(
    items: Sequence[Item], classes: Sequence[str], splits: Mapping[int, str], unit_of: Mapping[int, str]
) -> None:
    twice = [h for h, n in Counter(item.content_hash for item in items).items() if n > 1]
    if twice:
        raise DatasetError(f"expected each content once, got {twice[0]} twice; one frame holds one content")
    for item in items:
        if any(not 0 <= box[0] < len(classes) for box in item.boxes):
            raise DatasetError(
                f"frame {item.frame}: expected class ids 0..{len(classes) - 1}, got {sorted(item.classes)}; "
                "map its labels to the class list"
            )
        if item.purpose == Purpose.EVALUATION and splits[item.frame] == "train":
            raise DatasetError(
                f"frame {item.frame} is for evaluation and must not train; split by `split_groups`"
            )
    sides: dict[str, set[str]] = defaultdict(set)
    for frame, name in unit_of.items():
        sides[name] |= {splits[frame]} - {EXCLUDED}
    torn = [name for name, sides_of in sides.items() if len(sides_of) > 1]
    if torn:
        raise DatasetError(f"unit {torn[0]} lies in {sorted(sides[torn[0]])}; split by `split_groups`")


def _frozen(
    item: Item, classes: Sequence[str], split: str, repeats: int, unit: str, dropped: list[tuple[int, str]]
) -> Entry:
    boxes = _kept(item, dropped)
    return Entry(
        item.frame,
        item.content_hash,
        label_hash(boxes, classes),
        item.path,
        item.width,
        item.height,
        boxes,
        split,
        repeats if split == "train" else 1,
        item.origin,
        item.group,
        unit,
        tuple(sorted(item.conditions)),
    )


def _kept(item: Item, dropped: list[tuple[int, str]]) -> tuple[PixelBox, ...]:
    out: set[PixelBox] = set()
    for class_id, *corners in item.boxes:
        if not all(isfinite(v) for v in corners):
            dropped.append((item.frame, f"box {corners}: not finite"))
            continue
        sides = (item.width, item.height, item.width, item.height)
        x1, y1, x2, y2 = (round(min(max(v, 0.0), side), 2) for v, side in zip(corners, sides, strict=True))
        if x2 - x1 < SMALLEST_BOX or y2 - y1 < SMALLEST_BOX:
            dropped.append((item.frame, f"box {corners}: no area inside {item.width}x{item.height} px"))
        elif (class_id, x1, y1, x2, y2) in out:
            dropped.append((item.frame, f"box {corners}: the same box twice"))
        else:
            out.add((class_id, x1, y1, x2, y2))
    return tuple(sorted(out))


def _entry(tree: dict[str, Any]) -> Entry:
    entry = Entry(**tree)
    boxes = tuple((int(b[0]), float(b[1]), float(b[2]), float(b[3]), float(b[4])) for b in entry.boxes)
    return replace(entry, boxes=boxes, conditions=tuple(entry.conditions))


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in sorted(sizes.items()) if count)
