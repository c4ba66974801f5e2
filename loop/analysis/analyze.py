"""Analyze: one decode per frame serves embedder, detector and measurements; only what is missing is
computed.

While the models look at one batch, threads measure it, decode the next one and keep its thumbnails,
never more than one ahead. What a batch taught is written in one transaction, so a process that is
killed loses that batch alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.devices import opencv_threads
from connectors.errors import ImageRejected, ModelError
from connectors.images import decode, inspect
from connectors.ports import Detector, Embedder, Image, Progress
from db.analysis import (
    producer_id,
    record_detections,
    record_embeddings,
    record_measurements,
    reuse_facts,
    work_count,
    work_list,
)
from db.engine import read, write
from db.frames import FrameRow, add_reject
from loop.analysis import near_duplicates, producers, thumbnails
from loop.analysis.producers import MEASURES_VERSION
from loop.base.files import BATCH_BYTES, chunked_by_size, decoded_bytes
from loop.base.lease import exclusive
from loop.math.coverage.image_statistics import measure
from loop.project.project import Project
from loop.project.wiring import Parts

log = logging.getLogger(__name__)
WORKERS = 2
FAILURES = (ModelError, RuntimeError, ValueError, MemoryError)
"""What leaves a kind out until the next run."""


@dataclass(frozen=True)
class Kind:
    """One producer of facts.

    start: begins with a batch of images; what it gives waits for their facts, or makes them then.
    record: keeps those facts of these frames.
    """

    name: str
    producer: int
    start: Callable[[Sequence[Image]], Callable[[], Any]]
    record: Callable[[Session, int, Sequence[int], Any], None]


@dataclass(frozen=True, eq=False)
class Batch:
    """Frames by ascending seq.

    wanted: kind -> the frames that it has yet to see.
    images: in the order of the frames, as they are decoded; None for one that cannot be.
    """

    frames: list[FrameRow]
    wanted: dict[str, set[int]]
    images: Iterator[Image | None]


@dataclass(frozen=True, eq=False)
class Work:
    """What a kind finds in these frames, once it is asked for the facts."""

    kind: Kind
    seqs: list[int]
    facts: Callable[[], Any]


@dataclass
class AnalyzeReport:
    """analyzed: frames looked at.
    unreadable: frames whose stored file cannot be decoded.
    failures: producer kind -> why it stopped.
    frames: ids of those looked at.

    busy: another process is analyzing; nothing was done.
    """

    analyzed: int = 0
    frames: list[int] = field(default_factory=list)
    unreadable: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    busy: bool = False


@dataclass
class Run:
    """What analysis works with.

    kinds: those that have not failed.
    unreadable: frames to leave out.
    """

    project: Project
    pool: ThreadPoolExecutor
    report: AnalyzeReport
    kinds: list[Kind]
    unreadable: set[int] = field(default_factory=set)


def analyze(parts: Parts, progress: Progress) -> AnalyzeReport:
    """Computes what the current models have not computed yet, then which frames show the same
    again.

    A producer that fails is left out for this run; the others go on.
    """
    project = parts.project
    with exclusive(project.engine, "analyze") as mine:
        if not mine:
            return AnalyzeReport(busy=True)
        report = AnalyzeReport()
        embedder, detector = _embedder(parts, report.failures), _detector(parts, report.failures)
        with opencv_threads(1), ThreadPoolExecutor(WORKERS) as pool:
            kinds = _kinds(project.engine, embedder, detector, pool)
            _work_off(Run(project, pool, report, kinds), progress)
        with read(project.engine) as session:
            known = producers.known_embedder(session, project)
        if known is not None:
            near_duplicates.update(project.engine, known, progress)
        return report


def _embedder(parts: Parts, failures: dict[str, str]) -> Embedder | None:
    try:
        embedder = parts.embedder()
    except ModelError as error:
        failures["embedder"] = str(error)
        return None
    with write(parts.project.engine) as session:
        producers.register_embedder(session, parts.project, embedder)
    return embedder


def _detector(parts: Parts, failures: dict[str, str]) -> Detector | None:
    try:
        sha256, detector = producers.deployed_detector(parts)
    except ModelError as error:
        failures["detector"] = str(error)
        return None
    with write(parts.project.engine) as session:
        producers.register_detector(session, parts.project.settings, sha256, detector)
    return detector


def _work_off(run: Run, progress: Progress) -> None:
    with read(run.project.engine) as session:
        total = max(work_count(session, kind.name, kind.producer) for kind in run.kinds)
    batch = _next(run, leave_out=set())
    while batch.frames:
        batch = _analyze_batch(run, batch)
        progress(run.report.analyzed, total, "frames")


def _kinds(
    engine: Engine, embedder: Embedder | None, detector: Detector | None, pool: ThreadPoolExecutor
) -> list[Kind]:
    """Models first: they take turns in the calling thread, and measuring goes on meanwhile."""
    with write(engine) as session:
        kinds: list[Kind] = []
        if embedder is not None:
            kinds.append(_embed_kind(session, embedder))
        if detector is not None:
            kinds.append(_detect_kind(session, detector))
        kinds.append(_measure_kind(session, pool))
        for kind in kinds:
            if work_list(session, kind.name, kind.producer, 1):
                reuse_facts(session, kind.name, kind.producer)
    return kinds


def _embed_kind(session: Session, embedder: Embedder) -> Kind:
    producer = producer_id(session, "embedder", embedder.name, {"dim": embedder.dim})
    return Kind("embedder", producer, lambda images: partial(embedder.embed, images), record_embeddings)


def _detect_kind(session: Session, detector: Detector) -> Kind:
    producer = producer_id(session, "detector", detector.name, {"classes": list(detector.classes)})
    return Kind("detector", producer, lambda images: partial(detector.detect, images), record_detections)


def _measure_kind(session: Session, pool: ThreadPoolExecutor) -> Kind:
    producer = producer_id(session, "measure", MEASURES_VERSION, {})
    return Kind(
        "measure", producer, lambda images: partial(list, pool.map(measure, images)), record_measurements
    )


def _next(run: Run, leave_out: set[int]) -> Batch:
    """The next frames that some kind has yet to see, on their way to be decoded."""
    size, max_pixels = run.project.settings.embedder.batch, run.project.settings.frames.max_pixels
    most = size + len(leave_out)
    with read(run.project.engine) as session:
        lists = {kind.name: work_list(session, kind.name, kind.producer, most) for kind in run.kinds}
    waiting = {frame.seq: frame for rows in lists.values() for frame in rows if frame.seq not in leave_out}
    frames = next(_batches([waiting[seq] for seq in sorted(waiting)], size), [])
    wanted = {name: {frame.seq for frame in rows} for name, rows in lists.items()}
    images = run.pool.map(lambda frame: _decode(run.project, frame, max_pixels), frames)
    return Batch(frames, wanted, images)


def _batches(frames: Sequence[FrameRow], most: int) -> Iterator[list[FrameRow]]:
    return chunked_by_size(frames, most, lambda frame: decoded_bytes(frame.width, frame.height), BATCH_BYTES)


def _decode(project: Project, frame: FrameRow, max_pixels: int) -> Image | None:
    try:
        data = (project.store / frame.path).read_bytes()
        image = decode(data, inspect(data, max_pixels=max_pixels))
    except (OSError, ImageRejected) as error:
        log.info("%s (%s) cannot be decoded: %s", frame.source_key, frame.path, error)
        return None
    try:
        thumbnails.keep(project, frame.content_hash, image)
    except OSError as error:  # it is made when it is asked for
        log.warning("%s: no thumbnail is kept: %s", frame.source_key, error)
    return image


def _analyze_batch(run: Run, batch: Batch) -> Batch:
    """Computes and records a batch; the one after it, which is decoded meanwhile.

    What this one holds in memory is let go before the one after the next is begun.
    """
    images = dict(zip(batch.frames, batch.images, strict=True))
    damaged = [frame for frame, image in images.items() if image is None]
    run.unreadable.update(frame.seq for frame in damaged)
    works = _started(run.kinds, batch.wanted, images)
    coming = _next(run, run.unreadable | {frame.seq for frame in batch.frames})
    _record(run, _finished(works, run.report), damaged)
    run.report.analyzed += len(images) - len(damaged)
    run.report.frames += [frame.seq for frame, image in images.items() if image is not None]
    run.report.unreadable += len(damaged)
    working = [kind for kind in run.kinds if kind.name not in run.report.failures]
    if len(working) == len(run.kinds):
        return coming
    run.kinds = working  # what comes may be wanted by those alone that failed
    return _next(run, run.unreadable)


def _started(
    kinds: Sequence[Kind], wanted: Mapping[str, set[int]], images: Mapping[FrameRow, Image | None]
) -> list[Work]:
    works: list[Work] = []
    for kind in kinds:
        own = {
            f.seq: image for f, image in images.items() if image is not None and f.seq in wanted[kind.name]
        }
        if own:
            works.append(Work(kind, list(own), kind.start(list(own.values()))))
    return works


def _finished(works: Sequence[Work], report: AnalyzeReport) -> list[tuple[Work, Any]]:
    """Each with its facts; those that fail are left out."""
    found: list[tuple[Work, Any]] = []
    for work in works:
        with _left_out_if_it_fails(work.kind, report):
            found.append((work, work.facts()))
    return found


def _record(run: Run, found: Sequence[tuple[Work, Any]], damaged: Sequence[FrameRow]) -> None:
    """All of a batch in one transaction; a kind whose facts cannot be kept undoes nothing of the others."""
    with write(run.project.engine) as session:
        for work, facts in found:
            with _left_out_if_it_fails(work.kind, run.report), session.begin_nested():
                work.kind.record(session, work.kind.producer, work.seqs, facts)
        for frame in damaged:
            _record_unreadable(session, frame)


def _record_unreadable(session: Session, frame: FrameRow) -> None:
    reason = f"expected the stored image {frame.path}, got a file that is missing or damaged; copy it back"
    if add_reject(session, frame.source_key, frame.content_hash, "unreadable", reason):
        log.warning("%s: %s", frame.source_key, reason)


@contextmanager
def _left_out_if_it_fails(kind: Kind, report: AnalyzeReport) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        log.exception("%s failed; it is left out until the next run", kind.name)
        report.failures[kind.name] = str(error) or type(error).__name__
