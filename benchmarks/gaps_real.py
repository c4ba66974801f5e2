"""Real frames divided at random: production is like training, so no gap may be shown.

    python -m benchmarks.gaps_real --data ../shared/data [--splits 20]

FOD-A (runway debris, 140 sequences) is embedded once by the small CLIP and divided in halves, by
sequence and by frame. Its labels stand in for a detector without mistakes. Counted are the splits in
which any gap is shown. Results go to benchmarks/results/gaps_real.json under the name that --column
says.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.images import decode
from connectors.ports import Array, Detections
from loop.base.files import chunked
from loop.gaps.words import words_of
from loop.math.boxes.frame_boxes import FrameBoxes
from loop.math.coverage.comparison import Comparison, Evidence, compare
from loop.math.coverage.frame_arrays import Side, side_of
from loop.math.coverage.gaps import LabeledScores
from loop.math.coverage.image_statistics import measure
from loop.math.coverage.regions import TrainingSet, nearest_of
from loop.project.wiring import build_embedder
from loop.replay.choosing import searcher
from loop.settings.conditions import load_conditions
from loop.settings.settings import load_settings

Ints = NDArray[np.int64]
RESULTS = Path(__file__).parent / "results" / "gaps_real.json"
EVERY = 2
"""So many of the frames are left out, so that a run takes minutes."""
SURE = 0.9
TOGETHER = 64


class Frames:
    """All frames with what is known of them."""

    def __init__(self, folder: Path) -> None:
        rows = list(csv.DictReader((folder / "meta.csv").open(encoding="utf-8")))[::EVERY]
        self.classes = tuple((folder / "classes.txt").read_text(encoding="utf-8").split())
        self.settings = load_settings(None)
        embedder = build_embedder(folder, self.settings.embedder.model_copy(update={"model": "small"}))
        vectors, measures = [], []
        for part in chunked(rows, TOGETHER):
            images = [decode((folder / "images" / row["file"]).read_bytes()) for row in part]
            vectors.append(embedder.embed(images))
            measures += [measure(image) for image in images]
        self.vectors: Array = np.concatenate(vectors)
        self.unlike = embedder.unlike(self.vectors)
        self.measures = {name: np.array([each[name] for each in measures]) for name in measures[0]}
        self.sequence = np.array([int(row["sequence"]) for row in rows])
        self.class_id = np.array([self.classes.index(row["class"]) for row in rows])
        self.words = words_of(embedder, load_conditions(None), self.settings)

    def side(self, rows: Ints) -> Side:
        count = len(rows)
        return side_of(
            rows,
            self.vectors[rows],
            {name: values[rows] for name, values in self.measures.items()},
            camera=["unknown"] * count,
            site=["unknown"] * count,
            sequence=[str(number) for number in self.sequence[rows]],
            captured_at=np.full(count, np.nan),
            group=self.sequence[rows],
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
        scores = SURE * np.eye(len(self.classes))[self.class_id]
        evidence = Evidence(
            self.side(production),
            self.side(training),
            FrameBoxes.of([_found(int(one), len(self.classes)) for one in self.class_id[production]]),
            [self.class_id[row : row + 1] for row in training],
            np.ones(len(training), dtype=bool),
            LabeledScores(
                scores[training], scores[training] > 0, self.sequence[training], np.zeros(len(training), bool)
            ),
            self.classes,
        )
        return compare(evidence, self.words, near, self.settings.gaps, UTC, seed)


def splits(frames: Frames, count: int) -> Iterator[dict[str, Any]]:
    """By sequence, then by frame."""
    for way in ("sequence", "frame"):
        shown: list[list[str]] = []
        suspected = dict.fromkeys(("class", "other"), 0)
        for seed in range(count):
            rng = np.random.default_rng(seed)
            unit = frames.sequence if way == "sequence" else np.arange(len(frames.sequence))
            order = rng.permutation(np.unique(unit))
            production = np.isin(unit, order[: len(order) // 2])
            found = frames.compared(np.flatnonzero(production), np.flatnonzero(~production), seed)
            shown.append([gap.name for gap in found.gaps if gap.shown])
            for gap in found.gaps:
                suspected["class" if gap.kind == "class" else "other"] += not gap.shown
        yield {
            "by": way,
            "splits": count,
            "shown": sum(bool(names) for names in shown) / count,
            "suspected": {kind: number / count for kind, number in suspected.items()},
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
    told = []
    for row in splits(Frames(given.data / "fod_a"), given.splits):
        print(row, flush=True)
        told.append(row)
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps(kept | {given.column: told}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
