"""One read model of a project for the command line, the page and the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.engine import read
from db.errors import StateError
from db.facts import get_fact
from db.frames import reject_counts, rejects, unplaced
from db.group_sizes import group_sizes
from db.labels import count_labels
from db.leases import RunRow, last_runs, lease
from db.models import ModelRow, deployed, models
from db.reports import reports
from db.rounds import RoundRow, rounds
from db.states import RoundStatus, TaskStatus
from db.tables import utcnow
from db.tasks import BatchRow, batches, task_counts
from loop.analysis.producers import Analyzed, progress
from loop.base.errors import ProjectError
from loop.base.lease import holder_alive
from loop.base.moments import SECOND, TIME_OF_DAY, shown
from loop.base.printable import set_in
from loop.base.wording import counted
from loop.ingest.clocks import doubtful_lines
from loop.insights import needs
from loop.insights.budget import Budget, budget
from loop.insights.freshness import Stage, stages
from loop.insights.lots import lots_in_need
from loop.insights.needs import Need
from loop.insights.placing import lines_of
from loop.labeling.mending import Mend, lines, to_mend
from loop.labeling.project import PROJECT_FACT
from loop.labeling.ruling import UNSEEN
from loop.project.project import Project, public_database_url

REPORTS = 500
"""Open ones that are counted; beyond that there are more."""


@dataclass(frozen=True)
class Overview:
    """Where everything stands.

    frames: counts in all, by origin, by role.
    rejects: files set aside, by code.
    service: the process that leads, None when no `fieldloop serve` runs.
    unplaced: what to do about frames without camera or time, or with a time that is in doubt.
    to_mend: answers that are no label until a person mends them.
    timezone: in which times are shown to people.
    needs: what waits for a person, the most urgent first.
    stages: how far each has come.
    """

    name: str
    folder: str
    database: str
    frames: dict[str, int]
    rejects: dict[str, int]
    recent_rejects: list[dict[str, str]]
    analyzed: list[Analyzed]
    batches: list[BatchRow]
    tasks: dict[str, int]
    labels: dict[str, int]
    label_studio_project: str | None
    deployed: ModelRow | None
    models: list[ModelRow]
    rounds: list[RoundRow]
    jobs: dict[str, RunRow]
    service: str | None
    unplaced: list[str]
    to_mend: list[Mend]
    timezone: str
    needs: list[Need]
    stages: list[Stage]
    budget: Budget


def overview(project: Project) -> Overview:
    """Everything `fieldloop status` and the page show; reads only. Raises ProjectError where the
    database cannot be read.
    """
    try:
        return _overview(project)
    except (SQLAlchemyError, StateError) as error:
        raise ProjectError(str(getattr(error, "orig", None) or error)) from error


def _overview(project: Project) -> Overview:
    with read(project.engine) as session:
        sizes, tasks, all_rounds = group_sizes(session), task_counts(session), rounds(session)
        counts, days = dict(sizes.counts), sizes.days_by_camera
        analyzed, mend, all_batches = (
            progress(session, project, counts["total"]),
            to_mend(session),
            batches(session),
        )
        lacking = lines_of(unplaced(session), counts, project.settings.frames)
        doubtful = doubtful_lines(days)
        due = tasks[TaskStatus.CONFIRMED]
        return Overview(
            name=project.settings.name,
            folder=str(project.root),
            database=public_database_url(project),
            frames=counts,
            rejects=reject_counts(session),
            recent_rejects=[
                {"file": row.source_key, "reason": row.reason} for row in rejects(session, limit=10)
            ],
            analyzed=analyzed,
            batches=all_batches,
            tasks={str(status): count for status, count in tasks.items()},
            labels=_label_counts(session),
            label_studio_project=get_fact(session, PROJECT_FACT) or None,
            deployed=deployed(session),
            models=models(session),
            rounds=all_rounds,
            jobs=last_runs(session),
            service=_leader(session),
            unplaced=[*lacking, *doubtful],
            to_mend=mend,
            timezone=project.settings.frames.timezone,
            needs=[
                *needs.of_disk(project.root),
                *needs.of_rounds(all_rounds),
                *needs.of_tasks(due, mend),
                *needs.of_cameras(days),
                *needs.of_reports(reports(session, only_open=True, limit=REPORTS)),
                *needs.of_lots(lots_in_need(session)),
                *needs.of_places(lacking, doubtful),
            ],
            stages=stages(session, analyzed, all_batches, due),
            budget=budget(session, project.settings, all_rounds, utcnow()),
        )


def overview_lines(view: Overview) -> list[str]:
    """The overview for people, a line a step."""
    aside = ", ".join(f"{count} {code}" for code, count in view.rejects.items()) or "none"
    return [
        f"{view.name} in {view.folder} ({view.database})",
        (
            f"frames     {view.frames['production']} from production ({view.frames['pool']} pool,"
            f" {view.frames['evaluation']} evaluation), {view.frames['imported']} imported; set aside:"
            f" {aside}"
        ),
        *(f"           {line}" for line in view.unplaced),
        *(f"           set aside {row['file']}: {row['reason']}" for row in view.recent_rejects[:3]),
        *(f"analyzed   {item.done}/{item.total} by {item.kind} {item.name}" for item in view.analyzed),
        f"batches    {len(view.batches)}; tasks: {_counts(view.tasks)}",
        *(f"to mend    {line}" for line in lines(view.to_mend)),
        f"labels     {_counts(view.labels)}",
        f"deployed   {view.deployed.sha256[:12] if view.deployed else 'nothing'};"
        f" {counted(len(view.models), 'model')}",
        *(line for row in view.rounds[-3:] for line in set_in(f"round {row.id:<4} {round_line(row)}")),
        *(line for need in view.needs for line in set_in(f"needs you  {need.text}")),
        *(f"fresh      {stage_line(stage, view.timezone)}" for stage in view.stages),
        (
            f"budget     {view.budget.used} of {view.budget.daily} frames chosen today,"
            f" {view.budget.left} left; {counted(view.budget.labels_this_week, 'label')} this week"
        ),
        f"service    {view.service or 'not running; `fieldloop serve` starts it'}",
        *(
            line
            for name, run in sorted(view.jobs.items())
            for line in set_in(f"job        {name}: {run_line(run, view.timezone)}")
        ),
    ]


def stage_line(stage: Stage, timezone: str) -> str:
    """One stage in one line."""
    until = shown(stage.until, timezone) if stage.until else "nothing yet"
    said = ", ".join(part for part in (stage.what, stage.waits) if part)
    return f"{stage.name.lower()}: {until}" + (f" ({said})" if said else "")


def round_line(row: RoundRow) -> str:
    """One round in one line: status, epoch, reason, and what to do where it waits for a person."""
    epoch = f" epoch {row.progress['epoch']}/{row.progress['epochs']}" if row.progress.get("epoch") else ""
    reasons = "; ".join((row.verdict or {}).get("reasons", [])[:3])
    said = f"{row.status}{epoch}" + (f": {row.error or reasons}" if row.error or reasons else "")
    if row.status is not RoundStatus.AWAITING_APPROVAL:
        return said
    return f"{said}; decide by `fieldloop models promote {row.candidate_id}` or `fieldloop round cancel`"


def run_line(run: RunRow, timezone: str) -> str:
    """One line of the ledger: what came of a job, when, and since when where that did not change."""
    ended = run.finished_at or run.started_at
    if run.outcome in ("waiting", "failed"):
        begun, tried = shown(run.started_at, timezone, SECOND), shown(ended, timezone, TIME_OF_DAY)
        when = f"since {begun}, last tried at {tried}"
    else:
        when = f"at {shown(ended, timezone, SECOND)}"
    return f"{run.outcome or 'running'} {when}" + (f": {run.detail}" if run.detail else "")


def _label_counts(session: Session) -> dict[str, int]:
    return {
        "train": count_labels(session, purpose=Purpose.TRAIN, source="annotation"),
        "evaluation": count_labels(session, purpose=Purpose.EVALUATION, source="annotation"),
        "imported": count_labels(session, purpose=Purpose.TRAIN, source="imported"),
        "imported_to_judge": count_labels(session, purpose=Purpose.EVALUATION, source="imported"),
        UNSEEN: count_labels(session, rule=UNSEEN),
    }


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count) or "none"


def _leader(session: Session) -> str | None:
    found = lease(session, "serve")
    if found is None or found.expires_at <= utcnow() or not holder_alive(found.holder):
        return None
    host, process = found.holder.split("/")[:2]
    return f"process {process} on {host}"
