"""Which labels look wrong: each is judged by a model that was not trained on it.

Labels that train are judged out of fold; labels that judge, by the deployed model, which never trains
on them. What people decided of earlier suspects is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from connectors.files import write_atomically
from connectors.ports import Detections, Detector, Progress, Purpose
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.frames import FrameRow, frames
from db.labels import LabelRow, labels
from db.models import deployed, model
from db.rounds import rounds
from db.states import Origin, SuspectOutcome
from db.suspects import NewSuspect, Place, SuspectRow, begin_run, finish_run, suspects
from loop.analysis.held_out_groups import held_out_groups
from loop.analysis.near_duplicates import leak_groups
from loop.analysis.producers import producers
from loop.base.errors import RoundError
from loop.base.files import BATCH_BYTES, chunked_by_size, decoded_bytes, load_image
from loop.base.lease import exclusive
from loop.base.wording import counted
from loop.datasets.units import Item
from loop.labeling.suspect_tasks import place_of
from loop.math.boxes.matching import iou_matrix
from loop.project.project import Project
from loop.project.weights import check_weights
from loop.project.wiring import Parts, deployed_weights, resolve, started_weights
from loop.rounds.fold_models import FoldModel, fold_models, folds_in_words, recipe_of
from loop.rounds.freeze import item_of
from loop.rounds.judged_labels import SAME, FoundSuspect, Judged, find_suspects, found_share, recall
from loop.rounds.stored import mend

CHUNK = 16
KEPT = 5000
"""Suspects of a run that are kept, the largest gain first."""
STOP = "suspects_stop"
BEGUN = (
    "these models begin from the weights that the team brought: errors of the labels that those were trained"
    " on may stay hidden; labels.fold_weights names other weights to begin from"
)
FOLD, DEPLOYED = "fold", "deployed"


@dataclass
class SuspectReport:
    """judged: labels that were judged, in so many frames. found: suspects. lines: of the judges, for people.

    busy: another process is at it.
    """

    frames: int = 0
    labels: int = 0
    found: int = 0
    judges: list[str] = field(default_factory=list)
    busy: bool = False

    def lines(self) -> list[str]:
        """For people."""
        head = f"{counted(self.found, 'suspect')} in {counted(self.labels, 'box', 'boxes')} of"
        return [f"{head} {counted(self.frames, 'frame')}", *self.judges]


def judge_labels(parts: Parts, progress: Progress) -> SuspectReport:
    """Trains what is to judge, judges all labels and keeps the suspects. Stopped, it goes on from the
    last whole epoch when it is run again.

    Raises RoundError where nothing is labeled or all labels are of one group, RoundHeld where stored
    images are gone, and what a training raises.
    """
    project = parts.project
    with exclusive(project.engine, "suspects") as mine:
        if not mine:
            return SuspectReport(busy=True)
        with write(project.engine) as session:
            set_fact(session, STOP, "")
        return _judge(parts, progress)


def stop(session: Session) -> None:
    """Stops a run that is training; what it has learned stays for the next."""
    set_fact(session, STOP, "yes")


def _judge(parts: Parts, progress: Progress) -> SuspectReport:
    project = parts.project
    rows, held = _labeled(project)
    with write(project.engine) as session:
        run = begin_run(session)
    embedder = producers(parts).embedder
    group_of = dict(zip((r.seq for r in rows), held_out_groups(project.engine, embedder, rows), strict=True))
    train = [row for row in rows if held[row.seq].purpose != Purpose.EVALUATION]
    judging = [row for row in rows if held[row.seq].purpose == Purpose.EVALUATION]
    made = _fold_models(parts, train, held, group_of, embedder, progress)
    by_seq = {row.seq: row for row in train}

    def judged(detector: Detector, shown: Sequence[FrameRow]) -> Iterator[Judged]:
        for row, seen in _seen(project, detector, shown, progress):
            yield Judged(row.seq, held[row.seq].boxes, seen, group_of[row.seq])

    imgsz = project.settings.labels.fold_imgsz
    of_folds = [
        one
        for each in made
        if each.weights is not None
        for one in judged(parts.judge_of(each.weights, imgsz), [by_seq[seq] for seq in each.judged])
    ]
    of_deployed = list(judged(_deployed_judge(parts), judging)) if judging else []
    return _kept(parts, run, made, {FOLD: of_folds, DEPLOYED: of_deployed})


def _labeled(project: Project) -> tuple[list[FrameRow], dict[int, LabelRow]]:
    with read(project.engine) as session:
        held = labels(session)
        rows = list(frames(session, seqs=held))
    if not any(label.boxes for label in held.values()):
        raise RoundError("expected labeled frames to judge, found none; label some, or import a dataset")
    lost = mend(project, rows)
    return [row for row in rows if row.seq not in lost], held


def _fold_models(
    parts: Parts,
    rows: Sequence[FrameRow],
    held: Mapping[int, LabelRow],
    group_of: Mapping[int, str],
    embedder: int,
    progress: Progress,
) -> list[FoldModel]:
    project = parts.project
    alike = leak_groups(project.engine, embedder, rows)

    def item(row: FrameRow) -> Item:
        made = item_of(row, held[row.seq], project.classes, alike, {}, set())
        imported = row.origin == Origin.IMPORTED
        return replace(made, group=group_of[row.seq], sequence=None if imported else made.sequence)

    return fold_models(
        parts.trainer(),
        [item(row) for row in rows],
        project.classes,
        project.store,
        project.folds,
        recipe_of(project.settings, _base(project)),
        project.settings.labels.folds,
        progress,
        lambda: _stopped(project),
    )


def _base(project: Project) -> Path:
    """What fold models begin from: labels.fold_weights, or the weights that the team brought, into which no
    answer of a person was ever trained. Raises WeightsUnavailable, ModelError, ProjectError.
    """
    if chosen := project.settings.labels.fold_weights:
        begun = project.folds / "started.pt"
        made = started_weights(resolve(project, chosen), project.classes, project.settings.seed)
        write_atomically(begun, made)
        return begun
    deployed_weights(project)
    with read(project.engine) as session:
        current = deployed(session)
        assert current is not None
        number = current.id
        for row in reversed(rounds(session)):
            if row.candidate_id == number and row.base_model_id != number:
                number = row.base_model_id
        base = model(session, number)
    check_weights(project, base)
    return project.root / base.path


def _stopped(project: Project) -> bool:
    with read(project.engine) as session:
        return bool(get_fact(session, STOP))


def _deployed_judge(parts: Parts) -> Detector:
    return parts.judge_of(deployed_weights(parts.project)[1], parts.project.settings.detector.imgsz)


def _seen(
    project: Project, detector: Detector, rows: Sequence[FrameRow], progress: Progress
) -> Iterator[tuple[FrameRow, Detections]]:
    done = 0
    for chunk in chunked_by_size(rows, CHUNK, lambda row: decoded_bytes(row.width, row.height), BATCH_BYTES):
        images = [load_image(project.store, row.path) for row in chunk]
        yield from zip(chunk, detector.detect(images), strict=True)
        done += len(chunk)
        progress(done, len(rows), "labels judged")


def _kept(parts: Parts, run: int, made: Sequence[FoldModel], by: Mapping[str, list[Judged]]) -> SuspectReport:
    project = parts.project
    with read(project.engine) as session:
        decided = suspects(session, decided=True)
        asked = [row for row in suspects(session, decided=False) if row.task_id is not None]
    learned = [(str(row.kind), row.score, row.outcome == SuspectOutcome.CONFIRMED) for row in decided]
    found: list[FoundSuspect] = []
    calibrations = {}
    for name, judged in by.items():
        more, calibrations[name] = find_suspects(judged, project.classes, project.settings.seed, learned)
        found += more
    known = _known([*decided, *asked])
    found = [one for one in found if not known(one)]
    found = sorted(found, key=lambda one: -one.gain)[:KEPT]
    judges = _judges(parts, made, by)
    with write(project.engine) as session:
        finish_run(session, run, judges, calibrations, [_new(one) for one in found])
    judged_now = [one for judged in by.values() for one in judged]
    boxes = sum(len(one.boxes) for one in judged_now)
    return SuspectReport(len(judged_now), boxes, len(found), judges["lines"])


def _new(one: FoundSuspect) -> NewSuspect:
    return NewSuspect(one.frame, one.kind, one.box, one.fix, one.score, one.probability, one.gain)


def _known(rows: Sequence[SuspectRow]) -> Callable[[FoundSuspect], bool]:
    """Whether a person has it before them, or decided it: the same kind, at the same place of a frame."""
    by_frame: dict[tuple[int, str], list[Place]] = {}
    for row in rows:
        by_frame.setdefault((row.frame, row.kind), []).append(place_of(row))

    def known(one: FoundSuspect) -> bool:
        place = place_of(one)
        others = [other for other in by_frame.get((one.frame, one.kind), []) if other[0] == place[0]]
        if not others:
            return False
        return bool(iou_matrix([place[1:]], [other[1:] for other in others]).max() >= SAME)

    return known


def _judges(parts: Parts, made: Sequence[FoldModel], by: Mapping[str, list[Judged]]) -> dict[str, Any]:
    """What is told of the judges: how they were trained, and how much of the labels they find."""
    chosen, classes = parts.project.settings.labels, parts.project.classes
    recalls = {name: recall(judged, classes) for name, judged in by.items() if judged}
    said = []
    if FOLD in recalls:
        said.append(
            "labels to train on are judged by"
            f" {folds_in_words(made, chosen.fold_epochs, chosen.fold_imgsz, recalls[FOLD])}"
        )
    if not chosen.fold_weights and FOLD in recalls:
        said.append(BEGUN)
    if left := sum(len(each.judged) for each in made if each.weights is None):
        said.append(
            f"{counted(left, 'frame')} could not be judged: nothing is left to train on once near-duplicates"
            " are left out"
        )
    if DEPLOYED in recalls:
        said.append(
            "labels that judge models are judged by the deployed model, which is never trained on them; it"
            f" finds {found_share(recalls[DEPLOYED])} of the labeled objects"
        )
    models = [{"images": each.images, "boxes": each.boxes, "left_out": each.left_out} for each in made]
    return {"lines": said, "recall": recalls, "models": models, "epochs": chosen.fold_epochs}
