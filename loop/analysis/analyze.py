"""Analyze: one decode per frame serves embedder, detector and measurements; only what is missing is
computed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

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
from loop.analysis import near_duplicates, producers
from loop.analysis.producers import MEASURES_VERSION
from loop.base.lease import exclusive
from loop.math.coverage.image_statistics import measure
from loop.project.project import Project
from loop.project.wiring import Parts

log = logging.getLogger(__name__)
Record = Callable[[Session, Sequence[int]], None]


@dataclass(frozen=True)
class Kind:
    """One producer of facts: `compute` turns images into a function that records the results."""

    name: str
    producer: int
    compute: Callable[[Sequence[Image]], Record]


@dataclass
class AnalyzeReport:
    """analyzed: frames looked at. unreadable: frames whose stored file cannot be decoded. failures:
    producer kind -> why it stopped. frames: ids of those looked at.

    busy: another process is analyzing; nothing was done.
    """

    analyzed: int = 0
    frames: list[int] = field(default_factory=list)
    unreadable: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    busy: bool = False


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
        _work_off(project, _kinds(project.engine, embedder, detector), report, progress)
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


def _work_off(project: Project, kinds: list[Kind], report: AnalyzeReport, progress: Progress) -> None:
    engine, store = project.engine, project.store
    batch, max_pixels = project.settings.embedder.batch, project.settings.frames.max_pixels
    with read(engine) as session:
        total = max(work_count(session, kind.name, kind.producer) for kind in kinds)
    unreadable: set[int] = set()
    with ThreadPoolExecutor(max_workers=2) as pool:
        while kinds and (todo := _next(engine, kinds, batch, unreadable)):
            frames = sorted(
                {frame.seq: frame for rows in todo.values() for frame in rows}.values(), key=lambda f: f.seq
            )[:batch]
            images = dict(zip(frames, pool.map(lambda f: _decode(store, f, max_pixels), frames), strict=True))
            damaged = [frame for frame, image in images.items() if image is None]
            _record_unreadable(engine, damaged, report)
            unreadable.update(frame.seq for frame in damaged)
            kinds = _analyze_batch(engine, kinds, todo, images, report)
            report.analyzed += len(frames) - len(damaged)
            report.frames += [frame.seq for frame, image in images.items() if image is not None]
            progress(report.analyzed, total, "frames")


def _kinds(engine: Engine, embedder: Embedder | None, detector: Detector | None) -> list[Kind]:
    with write(engine) as session:
        kinds = [_measure_kind(session)]
        if embedder is not None:
            kinds.append(_embed_kind(session, embedder))
        if detector is not None:
            kinds.append(_detect_kind(session, detector))
        for kind in kinds:
            if work_list(session, kind.name, kind.producer, 1):
                reuse_facts(session, kind.name, kind.producer)
    return kinds


def _measure_kind(session: Session) -> Kind:
    producer = producer_id(session, "measure", MEASURES_VERSION, {})

    def compute(images: Sequence[Image]) -> Record:
        values = [measure(image) for image in images]
        return lambda session, seqs: record_measurements(session, producer, seqs, values)

    return Kind("measure", producer, compute)


def _embed_kind(session: Session, embedder: Embedder) -> Kind:
    producer = producer_id(session, "embedder", embedder.name, {"dim": embedder.dim})

    def compute(images: Sequence[Image]) -> Record:
        vectors = embedder.embed(images)
        return lambda session, seqs: record_embeddings(session, producer, seqs, vectors)

    return Kind("embedder", producer, compute)


def _detect_kind(session: Session, detector: Detector) -> Kind:
    producer = producer_id(session, "detector", detector.name, {"classes": list(detector.classes)})

    def compute(images: Sequence[Image]) -> Record:
        found = detector.detect(images)
        return lambda session, seqs: record_detections(session, producer, seqs, found)

    return Kind("detector", producer, compute)


def _next(
    engine: Engine, kinds: Sequence[Kind], batch: int, leave_out: set[int]
) -> dict[str, list[FrameRow]]:
    with read(engine) as session:
        lists = {
            kind.name: work_list(session, kind.name, kind.producer, batch + len(leave_out)) for kind in kinds
        }
    wanted = {name: [frame for frame in rows if frame.seq not in leave_out] for name, rows in lists.items()}
    return {name: rows for name, rows in wanted.items() if rows}


def _decode(store: Path, frame: FrameRow, max_pixels: int) -> Image | None:
    try:
        data = (store / frame.path).read_bytes()
        return decode(data, inspect(data, max_pixels=max_pixels))
    except (OSError, ImageRejected) as error:
        log.info("frame %d (%s) cannot be decoded: %s", frame.seq, frame.path, error)
        return None


def _record_unreadable(engine: Engine, frames: Sequence[FrameRow], report: AnalyzeReport) -> None:
    if not frames:
        return
    report.unreadable += len(frames)
    with write(engine) as session:
        for frame in frames:
            reason = (
                f"expected the stored image {frame.path}, got a file that is missing or damaged; copy it back"
            )
            if add_reject(session, frame.source_key, frame.content_hash, "unreadable", reason):
                log.warning("frame %d: %s", frame.seq, reason)


def _analyze_batch(
    engine: Engine,
    kinds: Sequence[Kind],
    todo: dict[str, list[FrameRow]],
    images: dict[FrameRow, Image | None],
    report: AnalyzeReport,
) -> list[Kind]:
    """Computes and records one batch, each kind on its own; the kinds that still work."""
    working: list[Kind] = []
    for kind in kinds:
        wanted = {frame.seq for frame in todo.get(kind.name, ())}
        chosen = [
            (frame.seq, image) for frame, image in images.items() if image is not None and frame.seq in wanted
        ]
        try:
            if chosen:
                record = kind.compute([image for _, image in chosen])
                with write(engine) as session:
                    record(session, [seq for seq, _ in chosen])
            working.append(kind)
        except (ModelError, RuntimeError, ValueError, MemoryError) as error:
            log.exception("%s failed; it is left out until the next run", kind.name)
            report.failures[kind.name] = str(error) or type(error).__name__
    return working
