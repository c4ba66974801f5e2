"""Real frames divided in two: production is like training, so no gap may be shown.

    python -m benchmarks.gaps_real --data ../shared/data [--splits 20]

FOD-A (runway debris, 140 sequences) is embedded once by the small CLIP and divided in halves, by
sequence and by frame. Its labels stand in for a detector without mistakes. Clips of fixed cameras
are divided in halves, and in blocks of ten seconds by turns; of their training frames nobody knows
the sequence. Counted are the divisions in which any gap is shown. Results go to
benchmarks/results/gaps_real.json under the name that --column says.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_clips import CLIPS, read_clip
from connectors.images import decode
from connectors.ports import Array, Detections, Embedder, Image
from loop.base.files import chunked
from loop.gaps.words import words_of
from loop.math.boxes.frame_boxes import FrameBoxes
from loop.math.coverage.comparison import Comparison, Evidence, Words, compare
from loop.math.coverage.frame_arrays import Side, side_of
from loop.math.coverage.gaps import LabeledScores
from loop.math.coverage.image_statistics import measure
from loop.math.coverage.regions import TrainingSet, nearest_of
from loop.project.wiring import build_embedder
from loop.replay.choosing import searcher
from loop.settings.conditions import load_conditions
from loop.settings.settings import Settings, load_settings

Ints = NDArray[np.int64]
RESULTS = Path(__file__).parent / "results" / "gaps_real.json"
EVERY = 2
"""So many of the frames are left out, so that a run takes minutes."""
SURE = 0.9
A_SECOND = 5
"""Frames of a clip."""
BLOCK_S = 10
TOGETHER = 64


@dataclass(frozen=True, eq=False)
class Frames:
    """What is known of N frames.

    unit: (N,) int64, the sequence of each; -1 where nobody knows.
    class_id: (N,) int64 of its object, -1 for none.
    """

    vectors: Array
    unlike: NDArray[np.bool_]
    measures: dict[str, NDArray[np.float64]]
    sequence: Ints
    class_id: Ints
    classes: tuple[str, ...]
    words: Words
    settings: Settings

    @classmethod
    def of(
        cls,
        embedder: Embedder,
        images: Sequence[Image],
        sequence: Ints,
        class_id: Ints,
        classes: tuple[str, ...],
    ) -> Frames:
        vectors = np.concatenate([embedder.embed(part) for part in chunked(images, TOGETHER)])
        measures = [measure(image) for image in images]
        settings = load_settings(None)
        return cls(
            vectors,
            embedder.unlike(vectors),
            {name: np.array([each[name] for each in measures]) for name in measures[0]},
            sequence,
            class_id,
            classes,
            words_of(embedder, load_conditions(None), settings),
            settings,
        )

    @property
    def groups(self) -> Ints:
        """(N,) of which nobody knows the sequence stands alone."""
        size = len(self.sequence)
        return np.where(self.sequence >= 0, self.sequence, 1_000_000 + np.arange(size))

    def side(self, rows: Ints) -> Side:
        count = len(rows)
        return side_of(
            rows,
            self.vectors[rows],
            {name: values[rows] for name, values in self.measures.items()},
            camera=["unknown"] * count,
            site=["unknown"] * count,
            sequence=[str(number) if number >= 0 else None for number in self.sequence[rows]],
            captured_at=np.full(count, np.nan),
            group=self.groups[rows],
            unlike=self.unlike[rows],
            unknown="unknown",
        )

    def compared(self, production: Ints, training: Ints, seed: int) -> Comparison:
        members = TrainingSet(training, self.vectors[training], self.sequence[training])
        near = nearest_of(
            self.vectors[production],
            members,
            searcher(training, self.vectors[training]),
            self.settings.gaps.neighbors,
        )
        scores = SURE * np.eye(len(self.classes) + 1)[self.class_id][:, :-1]
        evidence = Evidence(
            self.side(production),
            self.side(training),
            FrameBoxes.of([_found(int(one), len(self.classes)) for one in self.class_id[production]]),
            [self.class_id[row : row + 1][self.class_id[row : row + 1] >= 0] for row in training],
            np.ones(len(training), dtype=bool),
            LabeledScores(
                scores[training], scores[training] > 0, self.groups[training], np.zeros(len(training), bool)
            ),
            self.classes,
        )
        return compare(evidence, self.words, near, self.settings.gaps, UTC, seed)


Division = tuple[Ints, Ints]
"""Rows of production and of training."""


def runway(folder: Path, embedder: Embedder) -> Frames:
    rows = list(csv.DictReader((folder / "meta.csv").open(encoding="utf-8")))[::EVERY]
    classes = tuple((folder / "classes.txt").read_text(encoding="utf-8").split())
    images = [decode((folder / "images" / row["file"]).read_bytes()) for row in rows]
    sequence = np.array([int(row["sequence"]) for row in rows])
    return Frames.of(
        embedder, images, sequence, np.array([classes.index(row["class"]) for row in rows]), classes
    )


def at_random(frames: Frames, way: str, count: int) -> Iterator[Division]:
    unit = frames.sequence if way == "sequence" else np.arange(len(frames.sequence))
    for seed in range(count):
        order = np.random.default_rng(seed).permutation(np.unique(unit))
        production = np.isin(unit, order[: len(order) // 2])
        yield np.flatnonzero(production), np.flatnonzero(~production)


def clips(data: Path, embedder: Embedder) -> Iterator[tuple[str, Frames, Division]]:
    """Of production the sequence is known, of training it is not."""
    for name in ("street", *CLIPS):
        clip = read_clip(data, name)
        step = max(1, round(clip.fps / A_SECOND))
        images, seconds = clip.images[::step], clip.seconds[::step]
        nothing = np.full(len(images), -1)
        known = Frames.of(embedder, images, nothing, nothing, ("object",))
        for way, production in (
            ("halves", np.arange(len(images)) >= len(images) // 2),
            ("blocks", seconds // BLOCK_S % 2 == 1),
        ):
            if production.any() and not production.all():
                told = replace(known, sequence=np.where(production, 0, -1))
                yield f"{name}, {way}", told, (np.flatnonzero(production), np.flatnonzero(~production))


def told(kind: str, compared: Sequence[Comparison]) -> dict[str, Any]:
    """What was said over all divisions of one kind."""
    shown = [[gap.name for gap in each.gaps if gap.shown] for each in compared]
    gaps = [gap for each in compared for gap in each.gaps if not gap.shown]
    classes = sum(gap.kind == "class" for gap in gaps)
    return {
        "by": kind,
        "splits": len(compared),
        "shown": sum(bool(names) for names in shown) / len(compared),
        "regions": sum(bool(each.regions) for each in compared) / len(compared),
        "suspected": {"class": classes / len(compared), "other": (len(gaps) - classes) / len(compared)},
        "names": sorted({name for names in shown for name in names}),
    }


def _found(class_id: int, classes: int) -> Detections:
    scores = np.zeros((1, classes), dtype=np.float32)
    scores[0, class_id] = SURE
    box = np.array([[0, 0, 9, 9]], dtype=np.float32)
    return Detections(box, np.array([class_id]), scores[:, class_id].astype(np.float32), scores)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--column", default="now")
    given = parser.parse_args()
    embedder = build_embedder(given.data, load_settings(None).embedder.model_copy(update={"model": "small"}))
    debris, rows = runway(given.data / "fod_a", embedder), []
    for way in ("sequence", "frame"):
        divisions = at_random(debris, way, given.splits)
        rows.append(told(way, [debris.compared(*each, seed) for seed, each in enumerate(divisions)]))
        print(rows[-1], flush=True)
    halves = [(name, known.compared(*each, 0)) for name, known, each in clips(given.data, embedder)]
    for name, found in halves:
        print(name, [(gap.name, gap.shown) for gap in found.gaps], flush=True)
    rows.append(told("half of a clip", [found for _, found in halves]))
    print(rows[-1], flush=True)
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps(kept | {given.column: rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
