"""One training of a replay: from the base checkpoint, in exactly as many image passes as every
other.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from connectors.files import draft_of, write_atomically
from connectors.ports import Progress, Trainer, TrainSpec
from loop.base.arrays import Ints
from loop.datasets.balance import Replay, repeats
from loop.datasets.export import label_line
from loop.datasets.units import Item
from loop.replay.data import ReplayData, ReplayFrame
from loop.replay.settings import ReplaySettings
from loop.replay.split import LABELED, POOL

SEEDS_TRIED = 16
"""How many of the first seeds an epoch is made long enough for, as each replays other rare frames."""


@dataclass(frozen=True)
class Workshop:
    """Where trainings are made.

    images: a folder of this very data that holds every trainable frame as images/<hash> and
    labels/<hash>.
    """

    data: ReplayData
    settings: ReplaySettings
    trainer: Trainer
    weights: Path
    folder: Path
    threads: int

    @property
    def images(self) -> Path:
        return self.folder.absolute() / f"frames-{self.data.digest}"

    def prepare(self) -> None:
        """Lays the frames out as a trainer wants them; what lies there already is left."""
        for frame, part in zip(self.data.frames, self.data.parts, strict=True):
            if part in (LABELED, POOL):
                self._lay_out(frame)

    def train(self, rows: Ints, seed: int, run: Path, progress: Progress) -> Path:
        """The candidate checkpoint of a training on the replayed labeled frames and `rows` of the
        pool.
        """
        shutil.rmtree(run / "data", ignore_errors=True)
        run = run.absolute()
        (run / "data").mkdir(parents=True)
        names = [self._image(self.data.frames[row]) for row in self.epoch(rows, seed)]
        (run / "data" / "train.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        content = {
            "path": str(run / "data"),
            "train": "train.txt",
            "names": dict(enumerate(self.data.classes)),
        }
        dataset = run / "data" / "data.yaml"
        dataset.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        chosen = self.settings
        spec = TrainSpec(
            dataset=dataset,
            weights=self.weights,
            run_dir=run / "train",
            epochs=chosen.epochs,
            seed=seed,
            device=chosen.device,
            imgsz=chosen.imgsz,
            batch=chosen.batch,
            threads=self.threads,
            overrides=chosen.recipe,
        )
        return self.trainer.train(spec, progress, lambda: False).weights

    def epoch(self, rows: Ints, seed: int) -> list[int]:
        """Rows of one epoch, as many as of every other; the replayed part is the same for every
        sampler of a seed.
        """
        old = replayed(self.data, self.settings.replay, seed)
        return filled(old, rows.tolist(), passes_of(self.data, self.settings))

    def _image(self, frame: ReplayFrame) -> Path:
        return self.images / "images" / f"{frame.content_hash}{frame.path.suffix.lower()}"

    def _lay_out(self, frame: ReplayFrame) -> None:
        image = self._image(frame)
        if image.is_file():
            return
        lines = [f"{label_line(box, frame.width, frame.height)}\n" for box in frame.boxes]
        write_atomically(self.images / "labels" / f"{frame.content_hash}.txt", "".join(lines))
        with draft_of(image) as draft:
            shutil.copyfile(frame.path, draft)


def start_rows(data: ReplayData, settings: ReplaySettings, seed: int) -> Ints:
    """The pool's frames that are labeled before the first round: none where a labeled set is given,
    else random ones.
    """
    if LABELED in data.parts:
        return np.zeros(0, dtype=np.int64)
    pool = data.rows(POOL)
    count = max(1, round(settings.initial * len(pool)))
    return np.sort(np.random.default_rng([seed, 0]).choice(pool, count, replace=False))


def passes_of(data: ReplayData, settings: ReplaySettings) -> int:
    """Image passes in an epoch of every training: as set, or enough for what any of the first seeds
    replays and all rounds choose.
    """
    if settings.passes:
        return settings.passes
    grown = len(start_rows(data, settings, 0)) + settings.rounds * settings.budget
    kept = min(settings.replay, len(data.rows(LABELED)))
    most = max(len(replayed(data, settings.replay, seed)) for seed in range(SEEDS_TRIED))
    return max(2 * kept, most + grown) if kept else 2 * grown


def replayed(data: ReplayData, count: int, seed: int) -> list[int]:
    """Rows of the frames labeled from the start that come with every training, drawn as a round
    draws them.
    """
    rows = data.rows(LABELED)
    if not count or not len(rows):
        return []
    items = [_item(int(row), data.frames[row]) for row in rows]
    seen = repeats(items, dict.fromkeys(rows.tolist(), "train"), Replay(count, 1, 2), seed)
    return [row for row, times in sorted(seen.items()) for _ in range(times)]


def filled(old: Sequence[int], new: Sequence[int], passes: int) -> list[int]:
    """`passes` rows: the old ones, and the new ones as evenly repeated as possible; without new
    ones the old are repeated.

    Raises ValueError when they are too many: then some would be labeled in vain.
    """
    if len(old) + len(new) > passes or not (old or new):
        raise ValueError(
            f"expected 1 to {passes} frames for the {passes} passes of an epoch, got {len(old)} replayed and"
            f" {len(new)} new; raise passes, or lower replay, budget or rounds"
        )
    grown = new or old
    kept = old if new else ()
    missing = passes - len(kept)
    return [*kept, *(grown[i % len(grown)] for i in range(missing))]


def truth_counts(data: ReplayData, rows: Ints) -> Mapping[str, int]:
    """Boxes by class."""
    counts = dict.fromkeys(data.classes, 0)
    for row in rows:
        for box in data.frames[row].boxes:
            counts[data.classes[box[0]]] += 1
    return counts


def _item(row: int, frame: ReplayFrame) -> Item:
    return Item(
        row, frame.content_hash, frame.key, frame.width, frame.height, frame.boxes, "imported", frame.group
    )
