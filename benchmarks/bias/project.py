"""A whole project of rows in which the labeled forklifts are nearly all of site A, and the next batch,
answered by truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.scale.models import CLASSES, DETECTOR, EMBEDDER, FORWARD_MS, FRAME
from benchmarks.scale.project import empty
from benchmarks.scale.rows import Groups, Makers, Rows, fake_hash, put, shared_picture, write_frames
from benchmarks.scale.verbs import GivenParts, close, quiet
from benchmarks.scale.world import DIM
from connectors.ports import Array, Box, Detections, Image, Purpose
from connectors.times import camera_day
from db.analysis import await_clusters
from db.engine import write
from db.labels import set_label
from db.states import Origin, Role
from db.tables import Detection, Embedding, Measurement
from loop.base.arrays import Bools, Ints, Reals
from loop.math.bias.association import cramers_v
from loop.project.project import CONFIG_NAME, Project
from loop.selection.loosening import COMPONENT
from loop.selection.select import select

SECRET = "0123456789abcdef0123456789abcdef"
FORKLIFT = CLASSES.index("forklift")
FIRST = datetime(2026, 3, 2, 8, tzinfo=UTC)
CAMERAS, DAYS, FRAMES = 6, 20, 40
"""Three cameras at each of two sites, camera-days and frames of each."""
LABELED = 150
"""Frames that are labeled before the batch."""
BUDGET = 100


@dataclass(frozen=True, eq=False)
class World:
    """N production frames. site: (N,) 0 or 1. day: (N,) camera-day. forklift: (N,) bool truth.

    score: (N,) what the detector gives the class. other: (N, C) bool, which other classes are there.
    """

    site: Ints
    camera: Ints
    day: Ints
    place: Ints
    forklift: Bools
    score: Reals
    other: Bools
    vectors: Array

    def __len__(self) -> int:
        return len(self.site)


def drawn(seed: int, blind: bool, odds: float = 2.0) -> World:
    """Forklifts at log-odds -3 at site B and `odds` more at site A, with camera-days that differ by a
    standard deviation of 1. The detector misses one in twenty, and takes one frame in fifty for one.

    blind: it misses two in five at site B, and is as sure of what it sees there as of false alarms.
    """
    rng = np.random.default_rng([seed, 17])
    days = CAMERAS * DAYS
    day = np.repeat(np.arange(days), FRAMES)
    camera, site = day // DAYS, (day // DAYS) % 2
    logit = -3 + odds * (site == 0) + rng.normal(0, 1, days)[day]
    forklift = rng.random(len(day)) < 1 / (1 + np.exp(-logit))
    sure, unsure = rng.beta(6, 2, len(day)), rng.beta(2, 4, len(day))
    worse = (site == 1) & blind
    seen, missed = np.where(worse, unsure, sure), rng.random(len(day)) < np.where(worse, 0.4, 0.05)
    alarm = (rng.random(len(day)) < 0.02) * rng.beta(2, 6, len(day))
    score = np.where(forklift & ~missed, seen, alarm)
    other = rng.random((len(day), len(CLASSES))) < np.array([0.45, 0.25, 0.15, 0.0, 0.2, 0.1])
    views = rng.normal(size=(CAMERAS, DIM))[camera] + 0.4 * rng.normal(size=(days, DIM))[day]
    vectors = views + 0.5 * rng.normal(size=(len(day), DIM)) + 0.5 * forklift[:, None] * rng.normal(size=DIM)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place = np.tile(np.arange(FRAMES), days)
    return World(site, camera, day, place, forklift, score, other, vectors.astype(np.float32))


class NoEmbedder:
    """An `Embedder` that is never asked of an image: all is stored."""

    name, dim, logit_scale = EMBEDDER, DIM, 100.0

    def embed(self, images: Sequence[Image]) -> Array:
        raise AssertionError("all frames are embedded")

    def embed_text(self, prompts: Sequence[str]) -> Array:
        return np.eye(DIM, dtype=np.float32)[[hash(prompt) % DIM for prompt in prompts]]

    def unknown_words(self, prompts: Sequence[str]) -> tuple[str, ...]:
        return ()

    def unlike(self, vectors: Array) -> Bools:
        return np.zeros(len(vectors), dtype=np.bool_)


class NoDetector:
    """A `Detector` that is never asked: all is stored."""

    name, classes = DETECTOR, CLASSES

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        raise AssertionError("all frames are detected")


@dataclass(frozen=True)
class Labeled:
    """How far the class is tied to the site among frames that train: V (Bergsma 2013), and log-odds."""

    v: float
    odds: float
    frames: int
    forklifts_elsewhere: int


@dataclass(frozen=True)
class Step:
    """One project: before the batch, and after it was answered by truth. asked, right: frames of the
    batch that loosen the tie, and those of them that show the class at site B.
    """

    before: Labeled
    after: Labeled
    asked: int
    right: int


def project_of(folder: Path, seed: int, share: float, blind: bool) -> tuple[World, Ints]:
    """A project in this folder, where `share` of a batch may loosen ties; its world, and the frames
    that are labeled to train.
    """
    world = drawn(seed, blind)
    project, makers = empty(folder, "bias")
    config = folder / CONFIG_NAME
    settings = f"gaps:\n  prompts: false\nselect:\n  bias_share: {share}\nseed: {seed}\n"
    config.write_text(config.read_text(encoding="utf-8") + settings, encoding="utf-8")
    taught = _fill(project, makers, world, seed)
    project.engine.dispose()
    return world, taught


def step(folder: Path, seed: int, share: float, blind: bool) -> Step:
    """The next batch of such a project, answered by truth."""
    world, taught = project_of(folder, seed, share, blind)
    parts = GivenParts(folder, NoEmbedder(), NoDetector())
    try:
        report = select(parts, quiet, budget=BUDGET)
    finally:
        close(parts)
    rows = np.array([item.frame - 1 for item in report.chosen if item.purpose == Purpose.TRAIN], np.int64)
    asked = [item.frame - 1 for item in report.chosen if item.component == COMPONENT]
    right = int((world.forklift[asked] & (world.site[asked] == 1)).sum())
    both = labeled(world, taught), labeled(world, np.concatenate([taught, rows]))
    return Step(*both, len(asked), right)


def labeled(world: World, rows: Ints) -> Labeled:
    site, there = world.site[rows], world.forklift[rows]
    hits, totals = np.bincount(site[there], minlength=2), np.bincount(site, minlength=2)
    a, c, b, d = hits[0], hits[1], totals[0] - hits[0], totals[1] - hits[1]
    odds = float(np.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5))))
    return Labeled(round(cramers_v(hits, totals), 4), round(odds, 4), len(rows), int(c))


def _fill(project: Project, makers: Makers, world: World, seed: int) -> Ints:
    """Writes all rows; the frames that are labeled to train."""
    when = [
        FIRST + timedelta(days=int(day % DAYS), minutes=8 * int(place))
        for day, place in zip(world.day, world.place, strict=True)
    ]
    names = [f"{'AB'[site]}-{camera}" for site, camera in zip(world.site, world.camera, strict=True)]
    with write(project.engine) as session:
        groups = Groups(session, SECRET, 0.25)
        keys = [camera_day(name, time) for name, time in zip(names, when, strict=True)]
        ids = groups.of(session, keys)
        rows = [
            _frame(place, names[place], int(world.site[place]), ids[place], when[place])
            for place in range(len(world))
        ]
        write_frames(session, rows, makers)
        seqs = list(range(1, len(world) + 1))
        put(session, Embedding, _embeddings(world, seqs, makers.embedder))
        await_clusters(session, makers.embedder, seqs)
        put(session, Detection, _detections(world, seqs, makers.detector))
        put(session, Measurement, [{"frame": seq, "producer": makers.measure, "values": {}} for seq in seqs])
        pool = np.array([groups.roles[each] == Role.POOL for each in ids], dtype=np.bool_)
        early = np.flatnonzero(pool & (world.day % DAYS < DAYS // 2))
        taught = np.sort(np.random.default_rng([seed, 3]).choice(early, LABELED, replace=False))
        for row in taught.tolist():
            boxes = [Box(name, (8, 8, 40, 40)) for name in _classes(world, row)]
            set_label(session, row + 1, boxes, Purpose.TRAIN, "annotation")
    return taught


def _classes(world: World, row: int) -> list[str]:
    there = world.other[row].copy()
    there[FORKLIFT] = world.forklift[row]
    return [CLASSES[index] for index in np.flatnonzero(there).tolist()]


def _frame(place: int, camera: str, site: int, group: int, when: datetime) -> dict[str, object]:
    return {
        "seq": place + 1,
        "content_hash": fake_hash(Origin.PRODUCTION, place + 1),
        "path": shared_picture(place + 1),
        "origin": Origin.PRODUCTION,
        "split": None,
        "group_id": group,
        "camera": camera,
        "site": "AB"[site],
        "sequence": None,
        "captured_at": when,
        "width": FRAME[0],
        "height": FRAME[1],
        "bytes": 250_000,
        "source_key": f"{camera}/{place + 1}.jpg",
        "ingested_at": when,
    }


def _embeddings(world: World, seqs: Sequence[int], producer: int) -> Rows:
    packed = world.vectors.astype("<f2")
    return [
        {"frame": seq, "producer": producer, "vector": packed[place].tobytes()}
        for place, seq in enumerate(seqs)
    ]


def _detections(world: World, seqs: Sequence[int], producer: int) -> Rows:
    """One box for each class that is seen; others with .9, the forklift with its score."""
    score = np.where(world.other, 0.9, 0.0)
    score[:, FORKLIFT] = world.score
    rows = []
    for place, seq in enumerate(seqs):
        seen = np.flatnonzero(score[place] > 0.05)
        seen = seen[np.argsort(-score[place, seen], kind="stable")]
        scores = np.zeros((len(seen), len(CLASSES)))
        scores[np.arange(len(seen)), seen] = score[place, seen]
        rows.append(
            {
                "frame": seq,
                "producer": producer,
                "count": len(seen),
                "xyxy": np.tile([8, 8, 40, 40], (len(seen), 1)).astype("<f4").tobytes(),
                "confidence": score[place, seen].astype("<f4").tobytes(),
                "class_id": seen.astype("<i2").tobytes(),
                "class_scores": scores.astype("<f2").tobytes(),
                "forward_ms": FORWARD_MS,
            }
        )
    return rows
