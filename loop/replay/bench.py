"""The replay itself: choose, label, train, judge, detect; round after round, from files when they
are there.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from connectors.files import sha256_of_file
from connectors.ports import Detections, Progress
from loop.base.arrays import Ints
from loop.base.errors import ConfigError
from loop.replay.choosing import BLIND, Choice, Chooser, check_sampler
from loop.replay.data import load_data
from loop.replay.facts import detect, load_facts, read_detections, save_detections
from loop.replay.results import (
    START,
    About,
    Key,
    Result,
    Results,
    check_follows,
    code_digest,
    labeled_digest,
)
from loop.replay.scoring import pool_shares, rare_slices, scored
from loop.replay.settings import ReplaySettings, settings_hash
from loop.replay.split import LABELED, POOL
from loop.replay.tools import JUDGED_FROM, Tools, weights_of
from loop.replay.training import Workshop, filled, passes_of, replayed, start_rows, truth_counts

Say = Callable[[str], None]


@dataclass(frozen=True)
class Folders:
    """results: of this data set.
    work: what can be computed again.
    """

    results: Path
    work: Path


@dataclass
class Spent:
    """Seconds by step of one round."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def on(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[step] = round(self.seconds.get(step, 0.0) + time.monotonic() - started, 2)


class Bench:
    """One data set in one form. Everything that samplers share is made once."""

    def __init__(
        self,
        dataset: Path,
        settings: ReplaySettings,
        folders: Folders,
        tools: Tools,
        name: str = "",
        threads: int = 1,
        progress: Progress = lambda done, total, what: None,
    ) -> None:
        weights = weights_of(settings)
        self.data = load_data(dataset, settings, name)
        self.settings = settings.model_copy(update={"passes": passes_of(self.data, settings)})
        self._tools = tools
        self._folders = folders
        self._progress = progress
        self._workshop = Workshop(self.data, self.settings, tools.trainer, weights, folders.work, threads)
        self._check_passes()
        self.results = Results(folders.results)
        self.about = self._about(sha256_of_file(weights))
        self.results.claim(self.about)
        facts = load_facts(self.data, tools.embedder, folders.work, progress)
        self._workshop.prepare()
        self._chooser = Chooser(self.data, facts, tools.embedder, self.settings)

    def run(self, seed: int, samplers: Sequence[str], say: Say) -> None:
        """The start of a seed and all rounds of these samplers, as far as they have no file yet."""
        for sampler in samplers:
            check_sampler(sampler)
        self._start(seed, not BLIND.issuperset(samplers), say)
        for sampler in samplers:
            self._rounds(sampler, seed, say)

    def _rounds(self, sampler: str, seed: int, say: Say) -> None:
        labeled = start_rows(self.data, self.settings, seed)
        for number in range(1, self.settings.rounds + 1):
            key = (sampler, seed, number)
            result = self.results.get(key)
            if result is None:
                result = self._round(key, labeled, sampler in BLIND)
                say(told(result))
            check_follows(result, self._names(labeled))
            labeled = np.concatenate([labeled, self._rows_of(result)])

    def _start(self, seed: int, detected: bool, say: Say) -> None:
        key = (START, seed, 0)
        if self.results.get(key) is None:
            rows, spent = start_rows(self.data, self.settings, seed), Spent()
            result = self._trained(key, Choice(rows, {}), rows, spent, detected)
            self.results.put(result)
            say(told(result))

    def _round(self, key: Key, labeled: Ints, blind: bool) -> Result:
        sampler, seed, number = key
        spent = Spent()
        before = (
            None
            if blind
            else self._detections((sampler if number > 1 else START, seed, number - 1), labeled, spent)
        )
        with spent.on("choose"):
            choice = self._chooser.choose(sampler, labeled, before, seed, number)
        more = not blind and number < self.settings.rounds
        result = self._trained(key, choice, np.concatenate([labeled, choice.rows]), spent, more)
        self.results.put(result)
        return result

    def _detections(self, key: Key, labeled: Ints, spent: Spent) -> list[Detections]:
        """What the model of an earlier round finds in the pool. Where that is not kept, the model
        is trained again.
        """
        file = self._kept(key, labeled)
        if not file.is_file():
            with spent.on("train again"), self._weights(key, labeled) as weights:
                self._detect_pool(weights, file)
        return read_detections(file)

    def _trained(self, key: Key, choice: Choice, labeled: Ints, spent: Spent, detected: bool) -> Result:
        judging = self.data.rows(self.settings.judge)
        with ExitStack() as stack:
            with spent.on("train"):
                weights = stack.enter_context(self._weights(key, labeled))
            with spent.on("judge"):
                frames = [self.data.frames[row] for row in judging]
                found = detect(self._tools.detector(weights, JUDGED_FROM), frames, self._progress, "judging")
                overall, rare, slices, classes = scored(self.data, self.settings, judging, found)
            if detected:
                with spent.on("detect"):
                    self._detect_pool(weights, self._kept(key, labeled))
        boxes = sum(truth_counts(self.data, labeled).values())
        per_frame, per_box = self.settings.seconds_per_frame, self.settings.seconds_per_box
        sampler, seed, number = key
        return Result(
            self.about.data,
            self.about.digest,
            self.about.settings,
            sampler,
            seed,
            number,
            chosen=self._names(choice.rows),
            frames=len(labeled),
            boxes=boxes,
            seconds=round(per_frame * len(labeled) + per_box * boxes, 1),
            overall=overall,
            rare=rare,
            slices=slices,
            classes=classes,
            shown={name: int(mask[choice.rows].sum()) for name, mask in self.data.slices.items()},
            arms=choice.components,
            trust=round(choice.trust, 4),
            spent=spent.seconds,
            before=labeled_digest(self._names(labeled[: len(labeled) - len(choice.rows)])),
            code=code_digest(),
        )

    @contextmanager
    def _weights(self, key: Key, labeled: Ints) -> Iterator[Path]:
        """A trained checkpoint, which is thrown away afterwards."""
        run = self._folders.work / "runs" / self._named(key, labeled)
        yield self._workshop.train(labeled, key[1], run, self._progress)
        shutil.rmtree(run, ignore_errors=True)

    def _detect_pool(self, weights: Path, file: Path) -> None:
        pool = [self.data.frames[row] for row in self._chooser.seen]
        detector = self._tools.detector(weights, self.settings.confidence)
        save_detections(file, detect(detector, pool, self._progress, "pool frames"))

    def _kept(self, key: Key, labeled: Ints) -> Path:
        return self._folders.work / "detections" / f"{self._named(key, labeled)}.npz"

    def _named(self, key: Key, labeled: Ints) -> str:
        """With what is labeled, so that nothing is taken for another's after a sampler was changed."""
        names = "".join(self._names(labeled)) + self.about.settings + self.about.digest
        digest = hashlib.sha256(names.encode()).hexdigest()[:8]
        return f"{key[0]}-seed{key[1]}-round{key[2]}-{digest}"

    def _names(self, rows: Ints) -> tuple[str, ...]:
        return tuple(self.data.frames[row].name for row in rows)

    def _rows_of(self, result: Result) -> Ints:
        pool = {self.data.frames[row].name: row for row in self.data.rows(POOL)}
        if strangers := sorted(set(result.chosen) - set(pool)):
            raise ConfigError(
                f"{self.results.path(result.key)}: expected frames of the pool, got {strangers[0]}; remove it"
                " and run again"
            )
        return np.array([pool[name] for name in result.chosen], dtype=np.int64)

    def _check_passes(self) -> None:
        """Before hours are spent: the last round's frames fit into an epoch."""
        most = len(start_rows(self.data, self.settings, 0)) + self.settings.rounds * self.settings.budget
        filled(replayed(self.data, self.settings.replay, 0), range(most), self.settings.passes)

    def _about(self, base: str) -> About:
        data, parts = self.data, Counter(self.data.parts)
        groups = {
            part: len(
                {frame.group for frame, each in zip(data.frames, data.parts, strict=True) if each == part}
            )
            for part in parts
        }
        return About(
            data.name,
            data.digest,
            settings_hash(self.settings, base, self._tools.embedder.name),
            self.settings.model_dump(mode="json", exclude={"weights", "images", "sidecar", "device"}),
            base[:16],
            self._tools.embedder.name,
            data.classes,
            dict(sorted(parts.items())),
            dict(sorted(groups.items())),
            pool_shares(data),
            rare_slices(data, self.settings),
            dict(truth_counts(data, data.rows(LABELED))),
        )


def told(result: Result) -> str:
    """One line of progress."""
    values = [("AP", result.overall.ap), ("rare", result.rare.ap)]
    scores = ", ".join(f"{name} {value:.3f}" for name, value in values if value is not None)
    spent = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in result.spent.items())
    return (
        f"{result.sampler} seed {result.seed} round {result.round}: {result.frames} frames, {result.boxes}"
        f" boxes, {scores} ({spent})"
    )


def wanted(samplers: Sequence[str], seeds: Sequence[int], rounds: int) -> list[Key]:
    """All keys of a replay."""
    started: list[Key] = [(START, seed, 0) for seed in seeds]
    return started + [
        (sampler, seed, number) for seed in seeds for sampler in samplers for number in range(1, rounds + 1)
    ]
