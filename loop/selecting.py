"""Select: the frames most worth labeling, each with its reason, and random ones that judge the next model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from connectors.ports import Array, Progress, Purpose
from db.engine import read, write
from db.frames import FrameRow, analyzed_up_to, get_fact, set_fact
from db.states import Role
from db.tasks import NewTask, add_tasks, batches, create_batch, engaged_frames, queue_batch, selected_today
from loop import coverage_view, current
from loop.coverage.strata import NO_STRATUM, reason_lines, strata_of
from loop.coverage_view import CoverageView
from loop.errors import ConfigError, Waiting
from loop.exclusive import exclusive
from loop.project import Project
from loop.shortfall import Asked, Rules, why_fewer
from loop.strategies import unknown_strategy
from loop.wiring import Parts
from samplers import STRATEGIES, Pool, clusters, draw_evaluation
from samplers.uncertainty import UncertaintySettings, frame_uncertainty

Ints = NDArray[np.int64]
ORDINARY = "ordinary frames"
CONSIDERED = "considered_up_to"
ANALYZED_SHARE = 0.8
SAME_VIEW = 0.03
"""Between unit embeddings of one sequence (cosine 0.99955): nothing that the embedder tells apart happened between them."""


@dataclass(frozen=True)
class Request:
    """seed: None takes the project's, moved on by the number of batches."""

    budget: int
    strategy: str
    seed: int | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Chosen:
    """One frame of a batch. priority: 1 for the most valuable, falling. probability: of an evaluation frame to be drawn."""

    frame: int
    content_hash: str
    path: str
    camera: str
    purpose: Purpose
    rank: int
    priority: float
    reason: str
    arm: str
    stratum: str | None
    probability: float | None


@dataclass
class SelectReport:
    """batch: its id, None for a dry run or when nothing was left to choose. busy: another process is selecting.

    note: says so where it was chosen from a part of production only. lacking: why there are fewer frames than
    were asked for.
    """

    batch: int | None = None
    strategy: str = ""
    seed: int = 0
    chosen: list[Chosen] = field(default_factory=list)
    busy: bool = False
    note: str = ""
    lacking: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The batch for people, most valuable first."""
        note = [*self.lacking, *([self.note] if self.note else [])]
        if not self.chosen:
            return [
                "nothing left to choose: every analyzed frame is labeled, queued or a near-duplicate of one",
                *note,
            ]
        train = sum(item.purpose == "train" for item in self.chosen)
        head = f"{train} frames to train on and {len(self.chosen) - train} to evaluate with, by {self.strategy} (seed {self.seed})"
        rows = [f"{item.rank:>4}  {item.camera:<18} {item.reason}" for item in self.chosen]
        return [
            head,
            *note,
            *rows,
            f"batch {self.batch}; next: fieldloop push" if self.batch else "dry run: nothing was kept",
        ]


def select(parts: Parts, request: Request, progress: Progress) -> SelectReport:
    """Chooses a batch and queues it in one transaction. Raises ProjectError when nothing is analyzed yet, ConfigError."""
    _check_strategy(request.strategy)
    view = coverage_view.build(parts, progress)
    return select_from(parts.project, view, request)


def select_from(project: Project, view: CoverageView, request: Request) -> SelectReport:
    """The same, from a view that exists already."""
    _check_strategy(request.strategy)
    settings = project.settings.select
    with read(project.engine) as session:
        engaged = engaged_frames(session)
        made = batches(session)
    spent = sum(batch.budget for batch in made)
    seed = project.settings.seed + len(made) if request.seed is None else request.seed
    excluded = np.array([row.seq in engaged for row in view.production.rows], dtype=bool)
    in_pool = np.array([row.role == Role.POOL for row in view.production.rows], dtype=bool)
    wanted = _share_of(request.budget, settings.evaluation_share, spent)
    evaluation = _evaluation(view, ~in_pool & ~excluded, wanted, seed)
    cluster = near_duplicates(view, seed)
    rules = Rules(request.strategy, excluded, cluster, view.production.sequence, settings.max_per_sequence)
    train = _train(view, in_pool, rules, request.budget - len(evaluation), seed)
    chosen = _merged(view, train, evaluation)
    days = len(np.unique(view.production.group))
    lacking = [
        *why_fewer(Asked("evaluation", wanted, ~in_pool, evaluation.rows), rules, days),
        *why_fewer(Asked("train", request.budget - len(evaluation), in_pool, train.rows), rules, days),
    ]
    report = SelectReport(None, request.strategy, seed, chosen, note=view.note, lacking=lacking)
    if chosen and not request.dry_run:
        report.batch = _keep(project, view, request, report)
    return report


def select_daily(
    parts: Parts, progress: Progress, show: Callable[[CoverageView], None] = lambda view: None
) -> SelectReport:
    """What `fieldloop serve` selects: a share of the frames that are new since its last batch, within the day's budget.

    show: is given the view that was chosen from, once the batch is kept. Raises Waiting while most of production, after a
    promotion say, has yet to be analyzed by the current models: frames seen first are no fair choice.
    """
    with exclusive(parts.project.engine, "select") as mine:
        return _daily(parts, progress, show) if mine else SelectReport(busy=True)


def _daily(parts: Parts, progress: Progress, show: Callable[[CoverageView], None]) -> SelectReport:
    project = parts.project
    settings = project.settings.select
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with read(project.engine) as session:
        left = settings.daily_budget - selected_today(session, midnight)
        seen = _considered(session)
        before, now = analyzed_up_to(session, seen), analyzed_up_to(session)
    if min(left, _grown(settings.share_of_new, before, now)) < 1:
        return SelectReport()
    _wait_for_analysis(parts)
    view = coverage_view.build(parts, progress)
    # Analysis goes on meanwhile: what the view holds is what counts as considered.
    now = before + sum(row.seq > seen for row in view.production.rows)
    budget = min(left, _grown(settings.share_of_new, before, now))
    if budget < 1:
        return SelectReport()
    report = select_from(project, view, Request(budget, settings.strategy))
    if report.batch is None:
        _remember_considered(project, view)
    show(view)
    return report


def _wait_for_analysis(parts: Parts) -> None:
    found = current.backlog_of(parts)
    if found.analyzed < ANALYZED_SHARE * found.production:
        raise Waiting(
            f"expected {ANALYZED_SHARE:.0%} of production to be analyzed by the current models before frames are chosen each "
            "day, got less; selection goes on by itself when analysis is that far"
        )


def _considered(session: Session) -> int:
    """The highest frame among which `fieldloop serve` or anyone chose already."""
    of_batches = max((int(batch.settings.get("seen", 0)) for batch in batches(session)), default=0)
    return max(of_batches, int(get_fact(session, CONSIDERED) or 0))


def _remember_considered(project: Project, view: CoverageView) -> None:
    """Otherwise frames of which none was worth labeling would be looked at again and again."""
    with write(project.engine) as session:
        set_fact(session, CONSIDERED, str(max(row.seq for row in view.production.rows)))


def _grown(share: float, before: int, now: int) -> int:
    """By how many whole frames the share of all grew: nothing is lost to rounding over many small batches."""
    return math.floor(share * now + 1e-9) - math.floor(share * before + 1e-9)


def _check_strategy(name: str) -> None:
    if wrong := unknown_strategy(name):
        raise ConfigError(f"select.strategy: {wrong}")


def _share_of(budget: int, share: float, spent: int) -> int:
    """How many of `budget` are the share's, so that it is kept over many batches of one frame each too."""
    before, after = (math.floor(total * share + 0.5) for total in (spent, spent + budget))
    return min(budget, after - before)


@dataclass(frozen=True, eq=False)
class _Part:
    """rows: (k,) of production, best first, with one value each."""

    rows: Ints
    purpose: Purpose
    reasons: Sequence[str]
    arms: Sequence[str]
    strata: Sequence[str | None]
    probability: Sequence[float | None]

    def __len__(self) -> int:
        return len(self.rows)


def _train(
    view: CoverageView,
    in_pool: NDArray[np.bool_],
    rules: Rules,
    budget: int,
    seed: int,
) -> _Part:
    rows = np.flatnonzero(in_pool)
    strata, scores = view.strata, [_scores(view, row) for row in rows]
    engaged = view.production.vectors[rules.engaged]
    pool = Pool.of(
        view.production.vectors[rows],
        ids=[view.production.rows[row].seq for row in rows],
        labeled=np.concatenate([view.training.vectors, engaged]),
        scores=scores,
        cluster=rules.cluster[rows],
        sequence=rules.sequence[rows],
        strata=strata.code[rows],
        deficit=strata.deficit,
        names=strata.names,
        membership=strata.sure[rows],
        novelty=view.novelty.ratio[rows],
        novel_above=view.novelty.limit,
        excluded=rules.engaged[rows],
        max_per_sequence=rules.per_sequence,
    )
    picked = STRATEGIES[rules.strategy](pool, budget, np.random.default_rng([seed, 0]))
    unsure = frame_uncertainty(scores, UncertaintySettings())
    within = replace(strata, code=strata.code[rows], sure=strata.sure[rows])
    reasons = reason_lines(
        picked.indices, [str(arm) for arm in picked.arm], within, view.novelty.ratio[rows], unsure
    )
    names = [strata.names[code] if code != NO_STRATUM else None for code in within.code[picked.indices]]
    return _Part(
        rows[picked.indices], "train", reasons, [str(arm) for arm in picked.arm], names, [None] * len(reasons)
    )


def _evaluation(view: CoverageView, eligible: NDArray[np.bool_], budget: int, seed: int) -> _Part:
    """At random within condition strata; what the detector believes plays no part."""
    strata = strata_of([gap for gap in view.gaps if gap.kind != "class"], len(view.production))
    rows, probability = draw_evaluation(
        strata.code, view.production.group, eligible, budget, np.random.default_rng([seed, 1])
    )
    names = [strata.names[code] if code != NO_STRATUM else ORDINARY for code in strata.code[rows]]
    reasons = [
        f"evaluation: drawn at random from {name}; it judges models and never trains one" for name in names
    ]
    return _Part(
        rows, "evaluation", reasons, ["evaluation"] * len(rows), names, [float(p) for p in probability]
    )


def near_duplicates(view: CoverageView, seed: int) -> Ints:
    """(N,) near-duplicate cluster of each production frame."""
    side = view.production
    times = np.array([row.captured_at.timestamp() if row.captured_at else row.seq for row in side.rows])
    order = np.lexsort((times, side.camera))
    vectors, sequence, camera = side.vectors[order], side.sequence[order], side.camera[order]
    found = clusters.near_duplicates(vectors, sequence, camera, np.random.default_rng([seed, 2]))
    by_row = np.empty(len(side), dtype=np.int64)
    by_row[order] = _same_views_joined(found, vectors, sequence, camera)
    return by_row


def _same_views_joined(found: Ints, vectors: Array, sequence: Ints, camera: Ints) -> Ints:
    """Frames of a sequence that look the same share a cluster.

    Where a sequence hardly changes, its radius shrinks to nothing and parts them by their noise.
    """
    within = np.where(sequence >= 0, sequence, -1 - camera)
    by = np.argsort(within, kind="stable")
    joined = found.copy()
    for rows in np.split(by, np.flatnonzero(np.diff(within[by])) + 1):
        if len(rows) > 1:
            alike = clusters.leader_clusters(vectors[rows], SAME_VIEW)
            joined[rows] = found[rows][np.unique(alike, return_index=True)[1][alike]]
    return joined


def _scores(view: CoverageView, row: int) -> NDArray[np.float32]:
    found = view.detections[row]
    return found.confidence if found.class_scores is None else found.class_scores


def _merged(view: CoverageView, train: _Part, evaluation: _Part) -> list[Chosen]:
    """Both parts spread evenly over one order, so that a labeler who stops early has done some of each."""
    parts = (train, evaluation)
    places = sorted(((i + 0.5) / len(part), n, i) for n, part in enumerate(parts) for i in range(len(part)))
    return [
        _chosen(view.production.rows[int(parts[n].rows[i])], parts[n], i, rank, len(places))
        for rank, (_, n, i) in enumerate(places)
    ]


def _chosen(frame: FrameRow, part: _Part, index: int, rank: int, total: int) -> Chosen:
    return Chosen(
        frame=frame.seq,
        content_hash=frame.content_hash,
        path=frame.path,
        camera=frame.camera,
        purpose=part.purpose,
        rank=rank,
        priority=round(1 - rank / total, 6),
        reason=part.reasons[index],
        arm=part.arms[index],
        stratum=part.strata[index],
        probability=part.probability[index],
    )


def _keep(project: Project, view: CoverageView, request: Request, report: SelectReport) -> int:
    seen = max(row.seq for row in view.production.rows)
    gaps = [{"name": gap.name, "why": gap.why, "share": gap.production_share} for gap in view.gaps]
    with write(project.engine) as session:
        batch = create_batch(
            session, request.strategy, report.seed, request.budget, {"seen": seen, "gaps": gaps}
        )
        add_tasks(session, batch, [_task(item, batch, view.detector) for item in report.chosen])
        queue_batch(session, batch)
    return batch


def _task(item: Chosen, batch: int, detector: int) -> NewTask:
    return NewTask(
        frame=item.frame,
        purpose=item.purpose,
        key=f"{item.content_hash[:20]}-b{batch}-{item.purpose}",
        rank=item.rank,
        priority=item.priority,
        reason=item.reason,
        arm=item.arm,
        stratum=item.stratum,
        inclusion_probability=item.probability,
        detector=detector,
    )
