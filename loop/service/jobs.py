"""The jobs of `fieldloop serve`: one table.

A job takes up whatever there is, says in a few words what it did, and may wake another.
Its schedule is a setting: `schedule.<name>`, or a key of its own such as `round.at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apscheduler.triggers.base import BaseTrigger

from connectors.errors import TrainingCancelled
from connectors.ports import Progress
from loop.base.errors import ProjectError
from loop.base.wording import counted
from loop.gaps.arrivals import analyze
from loop.gaps.upkeep import compare_anew, keep_map
from loop.ingest.ingest import ingest
from loop.insights.collection_accuracy import keep_accuracy
from loop.labeling.mending import log_what_stands
from loop.labeling.pull import anything_to_pull, pull
from loop.labeling.push import anything_to_push, push
from loop.project.wiring import Parts
from loop.rounds import rounds
from loop.rounds.kept_preflight import keep_preflight
from loop.rounds.suspects import judge_labels
from loop.selection.daily import select_daily
from loop.settings.settings import Settings, value_of
from loop.settings.triggers import parse_trigger

EPOCH_S = 86400.0
"""A training says a word after each epoch, and one of many images on a CPU lasts hours."""


@dataclass(frozen=True)
class Job:
    """One job of the table.

    schedule: the dotted key of the setting that says when it runs.
    executor: the one of EXECUTORS that it may occupy.
    run: does it; answers what it did, "" for nothing.
    wakes: the job that has work once this one did something.
    title: what a page calls it, "" for its name.
    silent_s: so long it may run without a word of its progress; after that it counts as hanging.
    """

    name: str
    schedule: str
    executor: str
    run: Callable[[Parts, Progress], str]
    wakes: str = ""
    title: str = ""
    silent_s: float = 1800.0


def triggers_of(settings: Settings, jobs: Iterable[Job]) -> dict[str, BaseTrigger]:
    """The trigger of every job that has one, by its name. Raises ConfigError."""
    found = {job.name: parse_trigger(job.schedule, value_of(settings, job.schedule)) for job in jobs}
    return {name: trigger for name, trigger in found.items() if trigger is not None}


def _ingest(parts: Parts, progress: Progress) -> str:
    report = ingest(parts, progress)
    aside = report.rejected.total()
    left = f", {report.unsettled} still being written" if report.unsettled else ""
    return f"{counted(report.stored, 'new frame')}, {aside} set aside{left}" if report.stored or aside else ""


def _analyze(parts: Parts, progress: Progress) -> str:
    report = analyze(parts, progress)
    if report.failures:
        raise ProjectError("; ".join(f"{kind}: {why}" for kind, why in report.failures.items()))
    return f"{counted(report.analyzed, 'frame')} analyzed" if report.analyzed else ""


def _select(parts: Parts, progress: Progress) -> str:
    report = select_daily(parts, progress)
    return f"{counted(len(report.chosen), 'frame')} chosen" if report.chosen else ""


def _coverage(parts: Parts, progress: Progress) -> str:
    done = [compare_anew(parts, progress), keep_accuracy(parts, progress)]
    return "; ".join(each for each in done if each)


def _push(parts: Parts, progress: Progress) -> str:
    if not anything_to_push(parts):
        return ""
    report = push(parts, progress)
    told = report.told.lines()
    if not (report.pushed or report.found or report.waiting):
        return "; ".join(told)
    return "; ".join([f"{counted(report.pushed, 'task')} made, {report.waiting} may still arrive", *told])


def _pull(parts: Parts, progress: Progress) -> str:
    if not anything_to_pull(parts):
        return ""
    report = pull(parts, progress)
    if report.to_mend or report.compared:
        log_what_stands(parts.project)
    counts = {
        ("answer", "answers"): report.answers.total(),
        ("label revoked", "labels revoked"): report.revoked,
        ("task deleted in Label Studio", "tasks deleted in Label Studio"): report.deleted,
        ("to mend", "to mend"): len(report.to_mend),
        ("answered task taken back", "answered tasks taken back"): report.adopted,
        ("answered task that waits for its frame", "answered tasks that wait for their frames"): len(
            report.waiting
        ),
        (
            "task kept, Label Studio shows an older state",
            "tasks kept, Label Studio shows an older state",
        ): len(report.kept),
        ("task to be made again", "tasks to be made again"): report.again,
    }
    return ", ".join(counted(count, *what) for what, count in counts.items() if count)


def _round_at(parts: Parts, progress: Progress) -> str:
    return rounds.start_if_labeled(parts)


def _round(parts: Parts, progress: Progress) -> str:
    """The round first: what pages show of the next one must not hold it up."""
    try:
        return rounds.step_or_start(parts, progress)
    finally:
        keep_preflight(parts, progress)


def _suspects(parts: Parts, progress: Progress) -> str:
    try:
        report = judge_labels(parts, progress)
    except TrainingCancelled:
        return "stopped by a person; what was trained stays for the next run"
    return "" if report.busy else "; ".join(report.lines()[:1])


JOBS = (
    Job("ingest", "schedule.ingest", "io", _ingest, wakes="analyze"),
    Job("analyze", "schedule.analyze", "inference", _analyze),
    Job("select", "schedule.select", "selection", _select, wakes="push"),
    Job("map", "schedule.map", "selection", keep_map, title="map of the frames"),
    Job("coverage", "schedule.coverage", "selection", _coverage),
    Job("push", "schedule.push", "io", _push),
    Job("pull", "schedule.pull", "io", _pull),
    Job("round", "schedule.round", "training", _round, silent_s=EPOCH_S),
    Job("suspects", "schedule.suspects", "training", _suspects, title="suspect labels", silent_s=EPOCH_S),
    Job("round_at", "round.at", "io", _round_at, wakes="round", title="round by date"),
)
EXECUTORS = {"io": 3, "inference": 1, "selection": 1, "training": 1}
