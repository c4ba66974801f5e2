"""Regions where a part of real clips is the training set, and the rest production.

    python -m benchmarks.regions_real [--data DIR]

Halves: the first half of a clip trains, the second is production; blocks: every other 10 s. Taken at
every frame and twice a second, with sequences known (one a clip) and unknown: no region is right.
Planted: production has a tenth of something else as well, another clip, fog or night (the corruption
is made, the clips are real): one region of it at least is right, of which most is planted. Photographs:
every other frame or sequence of dry, bright runways trains, the rest is production, another weather
and light is planted; some 13 frames a sequence.
Writes benchmarks/results/regions_real.json.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_clips import CLIPS, Clip, fog, night, options, read_clip, small_clip, store, stored
from connectors.images import decode
from connectors.ports import Array, Image
from loop.math.coverage.regions import (
    Region,
    TrainingSet,
    find_regions,
    measure_novelty,
    nearest_of,
    told_apart,
)

RESULTS = Path(__file__).parent / "results" / "regions_real.json"
NAMES = ("street", *CLIPS)
BLOCK = 10
"""Seconds."""
NEIGHBORS = 5
"""The default of a project."""
Embed = Callable[[list[Image]], Array]
Rows = NDArray[np.int64]
MADE: dict[str, Callable[[Image], Image]] = {"fog": fog, "night": night}


@dataclass(frozen=True, eq=False)
class Known:
    """A clip, its embeddings, and those of 40 frames of its second half in fog and at night."""

    fps: float
    vectors: Array
    made: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Case:
    """training, production: (N, D) with the sequence of each row, (N,).
    planted: the last of production, so many.
    """

    name: str
    training: Array
    training_sequence: Rows
    production: Array
    production_sequence: Rows
    planted: int = 0


def main() -> None:
    asked = options(__doc__, RESULTS)
    embedder = small_clip()
    known = {name: _known(read_clip(asked.data, name), embedder.embed) for name in NAMES}
    measured = []
    cases = [*ordinary(known), *with_planted(known), *runways(asked.data, embedder.embed)]
    for each in cases:
        measured.append({"name": each.name, "planted": each.planted} | judged(each))
        print(measured[-1], flush=True)
    store(asked.out, asked.column, {"embedder": embedder.name, "cases": measured})


def _known(clip: Clip, embed: Embed) -> Known:
    later = clip.images[len(clip) // 2 :]
    some = [later[row] for row in np.linspace(0, len(later) - 1, 40).astype(np.int64)]
    made = {name: embed([change(image) for image in some]) for name, change in MADE.items()}
    return Known(clip.fps, embed(list(clip.images)), made)


def ordinary(known: dict[str, Known]) -> Iterator[Case]:
    """No region is right."""
    for name, clip in known.items():
        for step in (1, max(1, round(clip.fps / 2))):
            every = f"a frame every {step / clip.fps:.2g} s"
            yield case(f"{name}, {every}, halves", [halves(clip, step)])
            yield case(f"{name}, {every}, blocks", [blocks(clip, step)])
    three = [known[name] for name in ("person", "bottle", "highway 2")]
    yield case("three clips, halves", [halves(clip, 2) for clip in three])
    yield case("three clips, twice a second, halves", [halves(clip, round(clip.fps / 2)) for clip in three])
    every_clip = list(known.values())
    yield case("six clips, halves", [halves(clip, 4) for clip in every_clip])
    yield case(
        "six clips, twice a second, halves", [halves(clip, round(clip.fps / 2)) for clip in every_clip]
    )


def with_planted(known: dict[str, Known]) -> Iterator[Case]:
    """A region of what is planted is right."""
    for new in known:
        others = [halves(known[name], 4) for name in known if name != new]
        yield case(f"five clips, planted: {new}", others, _tenth(others, known[new].vectors))
    for name, clip in known.items():
        new = "bottle" if name == "highway 2" else "highway 2"
        own = [halves(clip, 2)]
        yield case(f"{name}, planted: {new}", own, _tenth(own, known[new].vectors))
    for kind in MADE:
        for name, clip in known.items():
            yield case(
                f"{name}, planted: {kind}", [halves(clip, 2)], _tenth([halves(clip, 2)], clip.made[kind])
            )
        three = [halves(known[name], 2) for name in ("person", "bottle", "highway 2")]
        yield case(f"three clips, planted: {kind} on one", three, known["bottle"].made[kind])


def runways(data: Path, embed: Embed) -> Iterator[Case]:
    """2,000 photographs of about 140 sequences, drawn anew at each call in the same way."""
    folder, rng = data / "fod_a", np.random.default_rng(0)
    with (folder / "meta.csv").open(encoding="utf-8", newline="") as file:
        every = list(csv.DictReader(file))
    told = [every[row] for row in np.sort(rng.choice(len(every), 2000, replace=False))]
    vectors = embed([decode((folder / "images" / each["file"]).read_bytes()) for each in told])
    sequence = np.array([int(each["sequence"]) for each in told])
    kind = np.array([f"{each['weather']} and {each['light']}" for each in told])
    usual = kind == "dry and bright"
    for split, code in (("sequence", sequence), ("frame", np.arange(2000))):
        names = rng.permutation(np.unique(code[usual]))
        trains = np.isin(code, names[: len(names) // 2])
        train, rest = np.flatnonzero(usual & trains), np.flatnonzero(usual & ~trains)
        for planted in (None, "dry and dim", "dry and dark", "wet and dim"):
            other = np.flatnonzero(kind == planted)[: len(rest) // 9]
            rows = np.concatenate([rest, other])
            name = f"runways by {split}, planted: {planted}" if planted else f"runways by {split}"
            yield Case(name, vectors[train], sequence[train], vectors[rows], sequence[rows], len(other))


def halves(clip: Known, step: int) -> tuple[Array, Array]:
    """Training and production."""
    some = clip.vectors[::step]
    return some[: len(some) // 2], some[len(some) // 2 :]


def blocks(clip: Known, step: int) -> tuple[Array, Array]:
    """Training and production, in turn."""
    some = clip.vectors[::step]
    trains = np.arange(len(some)) * step / clip.fps // BLOCK % 2 == 0
    return some[trains], some[~trains]


def _tenth(ordinary: Sequence[tuple[Array, Array]], other: Array) -> Array:
    """Evenly spread rows of the other, a tenth of production, 10 at least."""
    count = sum(len(production) for _, production in ordinary)
    rows = np.linspace(0, len(other) - 1, min(max(10, count // 9), len(other)))
    return other[rows.astype(np.int64)]


def case(name: str, sides: Sequence[tuple[Array, Array]], planted: Array | None = None) -> Case:
    """Training and production of clips, each a sequence of its own, and what is planted."""
    training, production = [one for one, _ in sides], [other for _, other in sides]
    if planted is not None:
        production.append(planted)
    return Case(
        name,
        np.concatenate(training),
        _numbered(training),
        np.concatenate(production),
        _numbered(production),
        0 if planted is None else len(planted),
    )


def _numbered(parts: Sequence[Array]) -> Rows:
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def judged(asked: Case) -> dict[str, Any]:
    """By whether sequences are known: frames of false regions, and of right ones."""
    found = {}
    for label, told in (("known", True), ("unknown", False)):
        sizes: dict[str, list[int]] = {"false": [], "right": []}
        for region in regions(asked, told=told):
            inside = int((region.rows >= len(asked.production) - asked.planted).sum())
            sizes["right" if 2 * inside > len(region.rows) else "false"].append(len(region.rows))
        found[label] = sizes
    return found


def regions(asked: Case, *, told: bool) -> list[Region]:
    """told: whether sequences are known."""
    nobody = np.full(len(asked.training), -1), np.full(len(asked.production), -1)
    here, there = (asked.training_sequence, asked.production_sequence) if told else nobody
    training = TrainingSet(np.arange(len(asked.training)), asked.training, here)

    def search(queries: Array, k: int) -> tuple[Array, Rows]:
        similar = queries @ asked.training.T
        best = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(similar, best, axis=1), best

    near = nearest_of(asked.production, training, search, NEIGHBORS)
    apart = told_apart(training, near, NEIGHBORS)
    novelty, own = measure_novelty(asked.production, apart, near, NEIGHBORS)
    return find_regions(asked.production, novelty, own, there)


def table(results: Path = RESULTS) -> str:
    """Markdown: cases, with how many of them have a false region and how many a right one."""
    known = stored(results)
    lines = ["| cases | number | sequences | before | now | right |", "|---|---|---|---|---|---|"]
    for label in ("known", "unknown"):
        for kind, planted, right in (("false", False, 0), ("false", True, 0), ("right", True, None)):
            counts = [
                sum(bool(each[label][kind]) for each in _of(known[column], planted=planted))
                for column in ("before", "now")
            ]
            number = len(_of(known["now"], planted=planted))
            name = f"{'something planted' if planted else 'nothing new'}: with a {kind} region"
            best = number if right is None else right
            lines.append(f"| {name} | {number} | {label} | {counts[0]} | {counts[1]} | {best} |")
    return "\n".join(lines) + "\n"


def _of(column: dict[str, Any], *, planted: bool) -> list[dict[str, Any]]:
    return [each for each in column["cases"] if bool(each["planted"]) == planted]


if __name__ == "__main__":
    main()
