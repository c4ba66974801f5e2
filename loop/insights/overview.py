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
from db.frames import Unplaced, days_by_camera, frame_counts, reject_counts, rejects, unplaced
from db.labels import count_labels
from db.leases import RunRow, last_runs, lease
from db.models import ModelRow, deployed, models
from db.rounds import RoundRow, rounds
from db.states import RoundStatus
from db.tables import utcnow
from db.tasks import BatchRow, batches, task_counts
from loop.analysis.producers import Analyzed, progress
from loop.base.errors import ProjectError
from loop.base.lease import holder_alive
from loop.base.moments import SECOND, TIME_OF_DAY, shown
from loop.base.printable import set_in
from loop.base.wording import counted, either
from loop.ingest.camera_days import BLOCK
from loop.ingest.clocks import doubtful_lines
from loop.labeling.mending import Mend, lines, to_mend
from loop.labeling.project import PROJECT_FACT
from loop.labeling.ruling import UNSEEN
from loop.project.project import Project, public_database_url
from loop.project.wiring import likely_pattern, told_paths
from loop.settings.settings import Frames


@dataclass(frozen=True)
class Overview:
    """Where everything stands.

    frames: counts in all, by origin, by role.
    rejects: files set aside, by code.
    service: the process that leads, None when no `fieldloop serve` runs.
    unplaced: what to do about frames without camera or time, or with a time that is in doubt.
    to_mend: answers that are no label until a person mends them.
    timezone: in which times are shown to people.
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
        counts = frame_counts(session)
        return Overview(
            name=project.settings.name,
            folder=str(project.root),
            database=public_database_url(project),
            frames=counts,
            rejects=reject_counts(session),
            recent_rejects=[
                {"file": row.source_key, "reason": row.reason} for row in rejects(session, limit=10)
            ],
            analyzed=progress(session, project, counts["total"]),
            batches=batches(session),
            tasks={str(status): count for status, count in task_counts(session).items()},
            labels=_label_counts(session),
            label_studio_project=get_fact(session, PROJECT_FACT) or None,
            deployed=deployed(session),
            models=models(session),
            rounds=rounds(session),
            jobs=last_runs(session),
            service=_leader(session),
            unplaced=[
                *_unplaced_lines(unplaced(session), counts, project.settings.frames),
                *doubtful_lines(days_by_camera(session)),
            ],
            to_mend=to_mend(session),
            timezone=project.settings.frames.timezone,
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
        f"service    {view.service or 'not running; `fieldloop serve` starts it'}",
        *(
            line
            for name, run in sorted(view.jobs.items())
            for line in set_in(f"job        {name}: {run_line(run, view.timezone)}")
        ),
    ]


def unplaced_lines(project: Project) -> list[str]:
    """How many frames have no camera or no time, or a time that is in doubt, what that means and what
    to do; empty when all have both.
    """
    with read(project.engine) as session:
        found = unplaced(session)
        counts = frame_counts(session) if found.paths else {}
        return [
            *_unplaced_lines(found, counts, project.settings.frames),
            *doubtful_lines(days_by_camera(session)),
        ]


def _unplaced_lines(found: Unplaced, counts: dict[str, int], settings: Frames) -> list[str]:
    lacking = {"camera": found.without_camera, "time": found.without_time}
    said = [(count, f"no {what}") for what, count in lacking.items() if count]
    if not said:
        return []
    (first, lacked), *others = said
    has = either(first, "has", "have")
    lacks = [f"{first} {has} {lacked}", *(f"{count} {what}" for count, what in others)]
    are, together = either(found.by_arrival, "is", "are"), f"grouped by order of arrival, {BLOCK} at a time"
    grouped = f"; {found.by_arrival} {are} {together}" if found.by_arrival else ""
    return [
        f"of {counted(counts['production'], 'production frame')} {' and '.join(lacks)}{grouped}",
        _place_them(found, settings),
    ]


def _place_them(found: Unplaced, settings: Frames) -> str:
    """What to do."""
    told = list(told_paths(found.paths, settings)) if settings.pattern else []
    if (found.without_camera and any(one.camera for one in told)) or (
        found.without_time and any(one.captured_at for one in told)
    ):
        return (
            "frames.pattern fits paths of frames that came before it was set: `fieldloop metadata import"
            " --paths` reads it for them"
        )
    likely = likely_pattern(found.paths)
    example = (
        f"the paths look like {likely!r}"
        if likely and likely != settings.pattern
        else "such as '{camera}/{date:%Y-%m-%d}/{time:%H%M%S}-{n}.jpg'"
    )
    return (
        f"{'correct' if settings.pattern else 'set'} frames.pattern ({example}), set frames.camera, or put a"
        " sidecar beside each; frames that are in keep what they have, until `fieldloop metadata import`"
        " tells more: from a table, or with --paths by frames.pattern"
    )


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
