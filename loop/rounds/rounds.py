"""Rounds: freeze, train, judge, promote. A step does repeatable work and answers the next status,
or None to wait.

A status moves by compare-and-set; whatever stops a process, the step is done again from its
beginning, and training goes on from its last whole epoch.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from connectors.errors import (
    ModelError,
    TrainingCancelled,
    TrainingFailed,
    TrainingHeld,
    TrainingKilled,
)
from connectors.files import sha256_of_file, write_atomically
from connectors.ports import Progress, Purpose, TrainSpec
from db.engine import read, write
from db.errors import Conflict
from db.labels import count_labels
from db.models import ModelRow, add_model, deploy, deployed, model, move_model
from db.rounds import (
    DatasetRow,
    RoundRow,
    advance,
    dataset,
    newest_round,
    open_round,
    request_cancel,
    round_by_id,
    rounds,
    start_round,
    update_progress,
)
from db.states import OPEN_ROUNDS, ModelStatus, RoundStatus
from db.tables import utcnow
from loop.analysis.producers import backlog_of, producers
from loop.base.errors import LoopError, ProjectError, RoundError, RoundHeld
from loop.base.lease import exclusive
from loop.gaps import coverage_view
from loop.gaps.slices import are_recorded
from loop.project.project import Project
from loop.project.training_settings import check_training, overrides_of, recorded, with_chosen
from loop.project.weights import check_weights, sync_deployed
from loop.project.wiring import Parts, check_device, deployed_weights
from loop.rounds.freeze import ensure_analyzed, exported_whole, freeze_dataset
from loop.rounds.judge import check_held_out, judge_candidate

log = logging.getLogger(__name__)
DEATHS = 3


@dataclass(frozen=True)
class Next:
    """What a step leads to, and the columns it sets."""

    status: RoundStatus
    fields: dict[str, Any] = field(default_factory=dict)


Step = Callable[[Parts, RoundRow, Progress], Next | None]


Also = Callable[[Session, int], object]
"""What is done in the same transaction: also(session, number of the round)."""


def nothing_else(session: Session, number: int) -> None:
    """Nothing."""


def start(parts: Parts, chosen: Mapping[str, Any] | None = None, also: Also = nothing_else) -> int:
    """Opens a round from the deployed model. Raises Conflict while another is open, ProjectError
    without a model, ConfigError for settings that no training takes.

    chosen: settings by which this round differs from settings.round.
    """
    project = parts.project
    deployed_weights(project)
    settings = with_chosen(project.settings.round, chosen or {})
    check_training(settings)
    with write(project.engine) as session:
        base = deployed(session)
        assert base is not None
        number = start_round(session, base.id, settings)
        also(session, number)
        return number


def run(parts: Parts, progress: Progress, analyze: bool = True) -> RoundRow | None:
    """Takes the open round as far as it goes. None when there is none, or another process has it.

    analyze: before freezing, what the current models have not seen is analyzed here; otherwise
    Waiting is raised until it is.
    """
    with exclusive(parts.project.engine, "round") as mine:
        if not mine:
            return None
        sync_deployed(parts.project)
        row = current(parts.project)
        if row is not None and row.status is RoundStatus.FREEZING and not row.cancel_requested:
            ensure_analyzed(parts, row, progress, analyze)
        while row is not None and _step(parts, row, progress):
            row = reread(parts.project, row.id)
            if row.status not in OPEN_ROUNDS:
                break
        return row and reread(parts.project, row.id)


def step_or_start(parts: Parts, progress: Progress) -> str:
    """What `fieldloop serve` does: goes on with the open round, or starts one when enough new
    labels are there. Raises RoundHeld where the open one cannot go on now, RoundError while the newest
    one failed.
    """
    project = parts.project
    if current(project) is None:
        wanted = project.settings.round.labels
        fresh = new_labels(project)
        if not wanted or fresh < wanted:
            return _last_did_not_fail(project)
        start(parts)
    before = current(project)
    row = run(parts, progress, analyze=False)
    if row is None or before is None or (row.status, row.error) == (before.status, before.error):
        return ""
    return f"round {row.id}: {row.status}" + (f" ({row.error})" if row.error else "")


def _last_did_not_fail(project: Project) -> str:
    """ "", so that a failed round stays in sight until another one is begun. Raises RoundError."""
    with read(project.engine) as session:
        last = newest_round(session)
    if last and last.status is RoundStatus.FAILED:
        raise RoundError(
            f"round {last.id} failed: {last.error}; mend that, then `fieldloop round start` begins another"
        )
    return ""


def start_if_labeled(parts: Parts) -> str:
    """What `fieldloop serve` does at the times of round.at: opens a round, unless one is open or
    nothing new is labeled.
    """
    if current(parts.project) is not None:
        return ""
    if not new_labels(parts.project):
        return "no new labels since the last round; none started"
    return f"round {start(parts)} is open"


def new_labels(project: Project) -> int:
    """Training labels that came since the last round was opened, without those of rejected lots."""
    with read(project.engine) as session:
        last = newest_round(session)
        since = last.created_at if last else None
        return count_labels(session, since=since, purpose=Purpose.TRAIN, source="annotation", usable=True)


def cancel(parts: Parts, also: Also = nothing_else) -> RoundRow:
    """Stops the open round; one that waits for approval is rejected. Raises RoundError when none is
    open.
    """
    project = parts.project
    row = current(project)
    if row is None:
        raise RoundError("expected an open round, found none; `fieldloop round show` lists those that ended")
    with write(project.engine) as session:
        if request_cancel(session, row.id):
            also(session, row.id)
    with exclusive(project.engine, "round") as mine:
        if mine:
            _cancel(project, reread(project, row.id))
    return reread(project, row.id)


def approve(parts: Parts, candidate_id: int, reason: str = "", also: Also = nothing_else) -> bool:
    """Promotes the candidate of a round that waits for approval; False when no round waits for it."""
    project = parts.project
    row = current(project)
    if row is None or row.status is not RoundStatus.AWAITING_APPROVAL or row.candidate_id != candidate_id:
        return False
    return _promote(project, row, reason, also)


def refusal(project: Project, candidate: ModelRow) -> str:
    """Why a round rejected this model, "" where none did."""
    if candidate.status is not ModelStatus.REJECTED:
        return ""
    with read(project.engine) as session:
        judged = [row for row in rounds(session) if row.candidate_id == candidate.id and row.verdict]
    if not judged or not judged[-1].verdict:
        return f"model {candidate.id} was rejected"
    verdict = judged[-1].verdict
    by, why = ("a person", "") if verdict["promote"] else ("the gate", f": {verdict['reasons'][0]}")
    return f"{by} rejected model {candidate.id} in round {judged[-1].id}{why}"


def current(project: Project) -> RoundRow | None:
    with read(project.engine) as session:
        return open_round(session)


def reread(project: Project, round_id: int) -> RoundRow:
    with read(project.engine) as session:
        return round_by_id(session, round_id)


def _step(parts: Parts, row: RoundRow, progress: Progress) -> bool:
    """Does one step; whether it led anywhere."""
    project = parts.project
    if row.cancel_requested:
        _cancel(project, row)
        return True
    _check_models(project, row)
    try:
        following = STEPS[row.status](parts, row, progress)
    except TrainingCancelled:
        if not reread(project, row.id).cancel_requested:
            raise
        _cancel(project, row)
        return True
    except TrainingKilled as error:
        following = _after_death(project, row, error)
    except (TrainingHeld, RoundHeld) as error:
        raise _held(project, row, error) from error
    except (LoopError, TrainingFailed) as error:
        log.error("round %d failed while %s: %s", row.id, row.status, error)
        following = Next(RoundStatus.FAILED, {"error": str(error)})
    if following is None:
        return False
    if following.status is RoundStatus.PROMOTED:
        following = _promoted_or_failed(project, row)
        if following is None:
            return True
    with write(project.engine) as session:
        changed = {"error": None, **following.fields}
        moved = advance(session, row.id, row.status, following.status, **changed)
        if moved and following.status is RoundStatus.REJECTED and row.candidate_id is not None:
            move_model(session, row.candidate_id, ModelStatus.CANDIDATE, ModelStatus.REJECTED)
    return moved


def _check_models(project: Project, row: RoundRow) -> None:
    """Raises ProjectError, with the round left open, where weights that a step would use were
    changed on disk.
    """
    if row.status not in (RoundStatus.TRAINING, RoundStatus.JUDGING):
        return
    with read(project.engine) as session:
        used = [model(session, number) for number in (row.base_model_id, row.candidate_id) if number]
    for one in used:
        check_weights(project, one)


def _held(project: Project, row: RoundRow, error: Exception) -> RoundHeld:
    """The round stays where it is, and says why."""
    said = f"round {row.id} stays open while {row.status}: {error}"
    with write(project.engine) as session:
        advance(session, row.id, row.status, row.status, error=str(error))
    return RoundHeld(said)


def _after_death(project: Project, row: RoundRow, error: TrainingKilled) -> Next | None:
    """None, and the round stays in training, unless its process died at the same epoch again and
    again.
    """
    log.error("round %d: %s", row.id, error)
    kept = reread(project, row.id).progress
    deaths = kept.get("deaths", 0) + 1 if kept.get("died_after") == error.epoch else 1
    said = f"expected training to end with a result, got its process {error.how} after epoch {error.epoch}"
    if deaths >= DEATHS:
        said += (
            f", {DEATHS} times; give it more memory, or lower round.batch or round.imgsz, then run `fieldloop"
            " round start`"
        )
        return Next(RoundStatus.FAILED, {"error": said})
    said += (
        f" ({deaths} of at most {DEATHS} times there); `fieldloop round advance` goes on from epoch"
        f" {error.epoch + 1}, as `fieldloop serve` does by itself; its log is"
        f" {project.rounds / str(row.id) / 'train.log'}"
    )
    with write(project.engine) as session:
        changed = {"progress": {**kept, "deaths": deaths, "died_after": error.epoch}, "error": said}
        advance(session, row.id, RoundStatus.TRAINING, RoundStatus.TRAINING, **changed)
    return None


def _freeze(parts: Parts, row: RoundRow, progress: Progress) -> Next:
    """Frames whose image is lost are left out of the dataset, and said."""
    check_held_out(parts.project)
    frozen = freeze_dataset(parts.project, producers(parts).embedder, row)
    return Next(RoundStatus.TRAINING, {"dataset_id": frozen})


def _train(parts: Parts, row: RoundRow, progress: Progress) -> Next:
    project = parts.project
    with read(project.engine) as session:
        base, frozen = model(session, row.base_model_id), dataset(session, _set(row.dataset_id))
    if not exported_whole(project, frozen):
        return _frozen_anew(project, row, frozen)
    spec = train_spec(project, row, project.root / frozen.path / "data.yaml", project.root / base.path)
    _check_device(spec)
    deaths: dict[str, Any] = {n: v for n, v in row.progress.items() if n in ("deaths", "died_after")}
    pace: dict[str, Any] = {}

    def report(done: int, total: int, what: str) -> None:
        at = utcnow().isoformat()
        pace.update({"begun": at, "begun_after": done} if not pace else {})
        told = {"epoch": done, "epochs": total, "what": what, "at": at, **pace, **deaths}
        with write(project.engine) as session:
            update_progress(session, row.id, told)
        progress(done, total, what)

    result = parts.trainer().train(spec, report, lambda: reread(project, row.id).cancel_requested)
    made = _keep_weights(project, result.weights, row)
    settings = {**row.settings, "trained": recorded(result)}
    return Next(RoundStatus.JUDGING, {"candidate_id": made, "error": None, "settings": settings})


def _frozen_anew(project: Project, row: RoundRow, frozen: DatasetRow) -> Next:
    """What was trained on it is begun again: its images may have been others."""
    log.warning("round %d: images of its dataset %s are missing or exchanged", row.id, frozen.path)
    for folder in (project.root / frozen.path, project.rounds / str(row.id)):
        shutil.rmtree(folder, ignore_errors=True)
    return Next(RoundStatus.FREEZING, {"dataset_id": None})


def _check_device(spec: TrainSpec) -> None:
    try:
        check_device("round.device", spec.device)
    except ModelError as error:
        raise RoundError(str(error)) from error


def train_spec(project: Project, row: RoundRow, data: Path, weights: Path) -> TrainSpec:
    """The training run of a round, from the settings it was opened with."""
    chosen = row.settings
    return TrainSpec(
        dataset=data,
        weights=weights,
        run_dir=project.rounds / str(row.id),
        epochs=chosen["epochs"],
        seed=project.settings.seed,
        device=chosen["device"],
        imgsz=chosen["imgsz"],
        batch=chosen["batch"],
        overrides=overrides_of(chosen),
    )


def _judge(parts: Parts, row: RoundRow, progress: Progress) -> Next:
    """Without frames of production there are no conditions; classes and held-out images judge."""
    project = parts.project
    with read(project.engine) as session:
        base, candidate = model(session, row.base_model_id), model(session, _set(row.candidate_id))
    made = producers(parts)
    if not are_recorded(project, made) and backlog_of(parts).analyzed:
        coverage_view.build(parts, progress)
    verdict = judge_candidate(
        project,
        made,
        parts.detector_of(project.root / base.path),
        parts.detector_of(project.root / candidate.path),
        row,
        progress,
        candidate.sha256,
    )
    status = RoundStatus.AWAITING_APPROVAL if verdict.promote else RoundStatus.REJECTED
    return Next(status, {"verdict": verdict.as_dict()})


def _await_approval(parts: Parts, row: RoundRow, progress: Progress) -> Next | None:
    asked = row.settings["approval"] != "auto" or (row.verdict or {}).get("needs_approval", False)
    return None if asked else Next(RoundStatus.PROMOTED)


STEPS: dict[RoundStatus, Step] = {
    RoundStatus.FREEZING: _freeze,
    RoundStatus.TRAINING: _train,
    RoundStatus.JUDGING: _judge,
    RoundStatus.AWAITING_APPROVAL: _await_approval,
}


def _promoted_or_failed(project: Project, row: RoundRow) -> Next | None:
    """None when it is promoted: it cannot be where another model went into production meanwhile."""
    try:
        _promote(project, row)
    except (Conflict, ProjectError) as error:
        return Next(RoundStatus.FAILED, {"error": str(error)})
    return None


def _promote(project: Project, row: RoundRow, reason: str = "", also: Also = nothing_else) -> bool:
    """Status and deployment change in one transaction; the file follows. Raises Conflict,
    ProjectError.
    """
    with read(project.engine) as session:
        check_weights(project, model(session, _set(row.candidate_id)))
    with write(project.engine) as session:
        moved = advance(session, row.id, RoundStatus.AWAITING_APPROVAL, RoundStatus.PROMOTED)
        if moved:
            said = f"round {row.id}" + (f": {reason}" if reason else "")
            deploy(session, _set(row.candidate_id), said, expected=row.base_model_id)
            also(session, row.id)
    sync_deployed(project)
    return moved


def _cancel(project: Project, row: RoundRow) -> None:
    if row.status not in OPEN_ROUNDS:
        return
    waiting = row.status is RoundStatus.AWAITING_APPROVAL
    with write(project.engine) as session:
        advance(session, row.id, row.status, RoundStatus.REJECTED if waiting else RoundStatus.CANCELLED)
        if row.candidate_id is not None:
            move_model(session, row.candidate_id, ModelStatus.CANDIDATE, ModelStatus.REJECTED)


def _keep_weights(project: Project, weights: Path, row: RoundRow) -> int:
    sha256 = sha256_of_file(weights)
    target = project.models / f"{sha256}.pt"
    if not target.is_file() or sha256_of_file(target) != sha256:
        write_atomically(target, weights.read_bytes())
    with write(project.engine) as session:
        return add_model(
            session,
            sha256,
            f"models/{target.name}",
            project.classes,
            ModelStatus.CANDIDATE,
            row.base_model_id,
        )


def _set(value: int | None) -> int:
    if value is None:
        raise RoundError(
            "expected a round that was frozen and trained, got one without; cancel it and start another"
        )
    return value
