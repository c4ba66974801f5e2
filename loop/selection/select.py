"""Select: the frames most worth labeling, each with its reason, and random ones that judge the next
model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from connectors.ports import Array, Progress, Purpose
from db.engine import read, write
from db.frames import FrameRow
from db.states import TaskStatus
from db.tasks import NewTask, add_tasks, batches, create_batch, engaged_frames, queue_batch, tasks
from loop.analysis.near_duplicates import stored_clusters
from loop.base.arrays import Bools, Ints
from loop.base.errors import ConfigError
from loop.base.lease import exclusive
from loop.base.wording import counted
from loop.gaps import bias as ties
from loop.gaps import coverage_view
from loop.gaps.bias import Bias
from loop.gaps.coverage_view import CoverageView
from loop.math.coverage.frame_slices import NO_SLICE, FrameSlices
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.selection import explanation, loosening
from loop.selection.batch_cost import BatchCost, cost_of
from loop.selection.calibration import calibrated
from loop.selection.collected import (
    COMPONENT,
    Choose,
    Quota,
    filled,
    judged_collections,
    names_of,
    quotas_of,
    retired_quotas,
    shows_of,
    unmet,
)
from loop.selection.evaluation_draw import EvaluationDraw, SliceChance, as_setting, draw_judging
from loop.selection.exclusions import Asked, Rules, after, why_fewer
from loop.selection.explanation import Explanation
from loop.selection.loosening import NOTHING, Loosening
from loop.selection.reasons import evaluation_line, reason_lines
from loop.selection.sampler_pool import Calibrated, pool_of, wanted_of
from loop.selection.search_queries import query_vectors
from loop.settings.strategy_names import unknown_strategy
from samplers import STRATEGIES, Pool

LIKE = "targeted"
CONSIDERED = "considered"
"""Of a batch: how many analyzed frames it was chosen from."""
WITHIN, WORK = "within", "work"
"""Of a batch: the address of the frames it was chosen from."""
NOTHING_SOUGHT = "nothing to look for was given (--like): targeted chose as k_center does"


@dataclass(frozen=True, eq=False)
class Within:
    """Frames that a batch is chosen from.

    frames: (K,) int64 ids.
    address: of the set, which the batch keeps.
    work: the number of the work that asks for it, which the batch keeps, None where it is no such work.
    """

    frames: Ints
    address: str
    work: int | None = None


@dataclass(frozen=True)
class Request:
    """What a batch is asked to be.

    seed: None takes the project's, moved on by the number of batches.
    explain: say what the batch buys.
    queries: (D,) unit vectors of what is looked for, by `targeted`.
    within: nothing else is chosen from. None of it judges: frames that do are drawn from everything.
    """

    budget: int
    strategy: str
    seed: int | None = None
    dry_run: bool = False
    explain: bool = False
    queries: tuple[Array, ...] = ()
    within: Within | None = None


@dataclass(frozen=True)
class Chosen:
    """One frame of a batch.

    file: as its source names it.
    rank: from 0, best first.
    priority: 1 for the most valuable, falling.
    probability: to be drawn, of frames that chance chose.
    """

    frame: int
    content_hash: str
    path: str
    file: str
    camera: str
    purpose: Purpose
    rank: int
    priority: float
    reason: str
    component: str
    slice: str | None
    slice_id: int | None
    probability: float | None


@dataclass
class SelectReport:
    """batch: its id, None for a dry run or when nothing was left to choose.
    busy: another process is selecting.

    note: says so where it was chosen from a part of production only.
    lacking: why there are fewer frames than were asked for.
    cost: what labeling it costs, None where nothing was chosen.
    explanation: what the batch buys, where that was asked for.
    """

    batch: int | None = None
    strategy: str = ""
    seed: int = 0
    chosen: list[Chosen] = field(default_factory=list)
    busy: bool = False
    note: str = ""
    lacking: list[str] = field(default_factory=list)
    cost: BatchCost | None = None
    explanation: Explanation | None = None

    def lines(self) -> list[str]:
        """The batch for people, most valuable first."""
        note = [*self.lacking, *([self.note] if self.note else [])]
        if not self.chosen:
            why = (
                "" if self.lacking else ": every analyzed frame is labeled, queued or a near-duplicate of one"
            )
            return [f"nothing left to choose{why}", *note]
        train = sum(item.purpose == Purpose.TRAIN for item in self.chosen)
        head = (
            f"{counted(train, 'frame')} to train on and {len(self.chosen) - train} to evaluate with, by"
            f" {self.strategy} (seed {self.seed})"
        )
        rows = [f"{item.rank + 1:>4}  {item.camera:<18} {item.reason} ({item.file})" for item in self.chosen]
        return [
            head,
            *note,
            *rows,
            *self._bought(),
            f"batch {self.batch}; next: fieldloop push" if self.batch else "dry run: nothing was kept",
        ]

    def _bought(self) -> list[str]:
        if self.explanation:
            return explanation.lines(self.explanation)
        return [f"costs {self.cost.line()}"] if self.cost else []


def select(
    parts: Parts,
    progress: Progress,
    *,
    budget: int | None = None,
    strategy: str | None = None,
    seed: int | None = None,
    dry_run: bool = False,
    like: Sequence[str] = (),
    explain: bool = False,
    within: Within | None = None,
    show: Callable[[CoverageView, SelectReport], None] = lambda view, report: None,
) -> SelectReport:
    """Chooses a batch and queues it in one transaction; the settings decide what is not given.

    like: sentences or image files that `targeted` looks for.
    within: frames that nothing else is chosen from.
    show: is given the view that was chosen from, with what was chosen.
    Raises ProjectError when nothing is analyzed yet, ConfigError.
    """
    with exclusive(parts.project.engine, "select") as mine:
        if not mine:
            return SelectReport(busy=True)
        chosen = parts.project.settings.select
        strategy = _looking_for(like, strategy) or chosen.strategy
        _check_strategy(strategy)
        queries = query_vectors(parts.embedder(), like) if like else ()
        view = coverage_view.build(parts, progress)
        request = Request(budget or chosen.budget, strategy, seed, dry_run, explain, queries, within)
        report = select_from(parts.project, view, request)
        show(view, report)
        return report


def select_from(project: Project, view: CoverageView, request: Request) -> SelectReport:
    """The same, from a view that exists already; the caller holds the lease `select`."""
    _check_strategy(request.strategy)
    start = _start(project, view, request)
    rules, seed = start.rules, start.seed
    in_pool = rules.in_pool
    asked = np.setdiff1d(np.flatnonzero(rules.engaged & ~in_pool), rules.skipped)
    judged = judged_collections(project, view)
    judging = draw_judging(view, rules, asked, start.evaluation, seed, judged)
    evaluation = _evaluation(view, judging)
    rules = replace(rules, judging=np.unique(rules.cluster[np.append(asked, evaluation.rows)]))
    eligible = (
        in_pool if request.within is None else in_pool & np.isin(view.production.seq, request.within.frames)
    )
    taught = calibrated(project, view)
    left = request.budget - len(evaluation)
    told = request.strategy == LIKE or request.within is not None
    quotas = [] if told else quotas_of(project, view, left, start.trained)
    first = _filled(view, quotas, rules, left, _chooser(view, request, taught, seed))
    others = after(rules, first.rows)
    bias, loose = _loosened(project, view, request, others, left - len(first), seed)
    others = after(others, loose.rows)
    rest = np.flatnonzero(others.in_pool & eligible)
    pool = pool_of(view, rest, others, taught, request.queries or None)
    rated = _train(view, rest, pool, request.strategy, left - len(first) - len(loose), seed)
    names = names_of(view, judged, quotas)
    chosen = _merged(view, (rated, first, _loose(view, loose), evaluation), names)
    train = _together(first, _loose(view, loose), rated)
    days = len(np.unique(view.production.group))
    lacking = [
        *([NOTHING_SOUGHT] if request.strategy == LIKE and not request.queries else []),
        *why_fewer(Asked(Purpose.EVALUATION, start.evaluation, ~in_pool, evaluation.rows), rules, days),
        *_fewer_within(request, view, eligible),
        *why_fewer(Asked(Purpose.TRAIN, left, eligible, train.rows), rules, days),
        *unmet(quotas, train.rows),
        *([] if told else retired_quotas(project)),
    ]
    report = SelectReport(None, request.strategy, seed, chosen, note=view.note, lacking=lacking)
    if chosen:
        report.cost = cost_of(view, np.concatenate([train.rows, evaluation.rows]), taught)
    if request.explain:
        bought = explanation.Batch(train.rows, evaluation.rows, train.components)
        draws = np.random.default_rng([project.settings.seed, 3])  # alike for every batch
        before = replace(pool, wanted=wanted_of(view, rules))
        report.explanation = explanation.explain(view, rules, before, bought, taught, draws)
    if not request.dry_run and bias is not None:
        ties.keep(project, bias.report)
    if chosen and not request.dry_run:
        report.batch = _keep(project, view, request, report, judging.chances, quotas)
    return report


def _loosened(
    project: Project, view: CoverageView, request: Request, rules: Rules, left: int, seed: int
) -> tuple[Bias | None, Loosening]:
    """What the share of ties between classes and places is spent on; nothing where the batch looks
    for something else.
    """
    most = round(left * project.settings.select.bias_share)
    if request.strategy == LIKE or request.within is not None or not most:
        return None, NOTHING
    found = ties.find(project, view, most)
    return found, loosening.loosening(view, found, rules, most, left - most, seed)


@dataclass(frozen=True, eq=False)
class _Start:
    """What holds before anything is chosen.

    evaluation: frames wanted to judge with.
    trained: frames to train on that were asked for before.
    """

    rules: Rules
    evaluation: int
    trained: int
    seed: int


def _start(project: Project, view: CoverageView, request: Request) -> _Start:
    settings, seqs = project.settings.select, view.production.seq
    with read(project.engine) as session:
        engaged = engaged_frames(session)
        refused = [task.frame for task in tasks(session, status=TaskStatus.SKIPPED)]
        made = batches(session)
    rules = Rules(
        request.strategy,
        view.in_pool,
        np.isin(seqs, list(engaged)),
        stored_clusters(project.engine, view.embedder, seqs),
        view.production.sequence,
        settings.max_per_sequence,
        np.flatnonzero(np.isin(seqs, refused)),
    )
    spent = sum(batch.budget for batch in made)
    return _Start(
        rules,
        0 if request.within else _share_of(request.budget, settings.evaluation_share, spent),
        spent - _share_of(spent, settings.evaluation_share, 0),
        project.settings.seed + len(made) if request.seed is None else request.seed,
    )


def _fewer_within(request: Request, view: CoverageView, eligible: Bools) -> list[str]:
    """Which part of the set can be chosen from."""
    if request.within is None:
        return []
    asked, left = len(request.within.frames), int(np.count_nonzero(eligible))
    others = (
        f"; the other {asked - left} judge models, are imported or are not analyzed" if left < asked else ""
    )
    return [
        f"chosen from {left} of the {counted(asked, 'frame')} that were given{others}",
        "none to evaluate with: those are drawn from all of production, by batches without a set",
    ]


def _looking_for(like: Sequence[str], strategy: str | None) -> str | None:
    if like and strategy not in (None, LIKE):
        raise ConfigError(
            f"--like: expected the strategy {LIKE}, which looks for it, got {strategy}; leave one of them out"
        )
    return LIKE if like else strategy


def _check_strategy(name: str) -> None:
    if wrong := unknown_strategy(name):
        raise ConfigError(f"select.strategy: {wrong}")


def _share_of(budget: int, share: float, spent: int) -> int:
    """How many of `budget` are the share's, so that it is kept over many batches of one frame each
    too.
    """
    before, after = (math.floor(total * share + 0.5) for total in (spent, spent + budget))
    return min(budget, after - before)


@dataclass(frozen=True, eq=False)
class _Part:
    """rows: (k,) of production, best first, with one value each."""

    rows: Ints
    purpose: Purpose
    reasons: Sequence[str]
    components: Sequence[str]
    slices: Sequence[int | None]
    probability: Sequence[float | None]

    def __len__(self) -> int:
        return len(self.rows)


def _train(view: CoverageView, rows: Ints, pool: Pool, strategy: str, budget: int, seed: int) -> _Part:
    picked = STRATEGIES[strategy](pool, budget, np.random.default_rng([seed, 0]))
    components = [str(component) for component in picked.component]
    return _Part(
        rows[picked.indices],
        Purpose.TRAIN,
        reason_lines(picked, pool, view.gaps),
        components,
        [_slice_id(view, view.frame_slices, code) for code in pool.slices[picked.indices]],
        [float(p) or None for p in picked.contributions.get("probability", np.zeros(len(components)))],
    )


def _chooser(view: CoverageView, request: Request, taught: Calibrated, seed: int) -> Choose:
    """By the strategy of the batch, among some rows alone."""

    def choose(rows: Ints, rules: Rules, count: int, place: int) -> Ints:
        pool = pool_of(view, rows, rules, taught, request.queries or None)
        near = np.isin(rules.cluster[rows], rules.cluster[rules.engaged & rules.in_pool])
        pool = replace(pool, excluded=pool.excluded | near)
        picked = STRATEGIES[request.strategy](pool, count, np.random.default_rng([seed, 6, place]))
        return rows[picked.indices]

    return choose


def _filled(view: CoverageView, quotas: Sequence[Quota], rules: Rules, budget: int, choose: Choose) -> _Part:
    found = filled(quotas, rules, budget, choose)
    size = len(found)
    ids = [one.slice_id for one in found.quota]
    return _Part(found.rows, Purpose.TRAIN, found.reasons, [COMPONENT] * size, ids, [None] * size)


def _loose(view: CoverageView, chosen: Loosening) -> _Part:
    size, codes = len(chosen), view.frame_slices.code[chosen.rows]
    slices = [_slice_id(view, view.frame_slices, code) for code in codes]
    return _Part(
        chosen.rows, Purpose.TRAIN, chosen.reasons, [loosening.COMPONENT] * size, slices, [None] * size
    )


def _together(*parts: _Part) -> _Part:
    """One after the other."""
    return _Part(
        np.concatenate([part.rows for part in parts]),
        parts[0].purpose,
        [reason for part in parts for reason in part.reasons],
        [component for part in parts for component in part.components],
        [slice_id for part in parts for slice_id in part.slices],
        [probability for part in parts for probability in part.probability],
    )


def _evaluation(view: CoverageView, judging: EvaluationDraw) -> _Part:
    rows, slices = judging.draw.rows, judging.slices
    codes = slices.code[rows]
    reasons = [evaluation_line("" if code == NO_SLICE else slices.names[code]) for code in codes]
    drawn = [_slice_id(view, slices, code) for code in codes]
    probability = [float(p) for p in judging.draw.probability]
    return _Part(rows, Purpose.EVALUATION, reasons, ["evaluation"] * len(rows), drawn, probability)


def _slice_id(view: CoverageView, slices: FrameSlices, code: int) -> int | None:
    return None if code == NO_SLICE else view.slice_ids[slices.keys[code]]


def _merged(view: CoverageView, parts: Sequence[_Part], names: Mapping[int, str]) -> list[Chosen]:
    """All parts spread evenly over one order, so that a labeler who stops early has done some of
    each. names: of slices by id.
    """
    places = sorted(((i + 0.5) / len(part), n, i) for n, part in enumerate(parts) for i in range(len(part)))
    rows = np.array([parts[n].rows[i] for _, n, i in places], dtype=np.int64)
    return [
        _chosen(frame, parts[n], i, rank, len(places), names)
        for rank, (frame, (_, n, i)) in enumerate(zip(view.frames.take(rows), places, strict=True))
    ]


def _chosen(
    frame: FrameRow, part: _Part, index: int, rank: int, total: int, names: Mapping[int, str]
) -> Chosen:
    slice_id = part.slices[index]
    return Chosen(
        frame=frame.seq,
        content_hash=frame.content_hash,
        path=frame.path,
        file=frame.source_key,
        camera=frame.camera,
        purpose=part.purpose,
        rank=rank,
        priority=round(1 - rank / total, 6),
        reason=part.reasons[index],
        component=part.components[index],
        slice=None if slice_id is None else names[slice_id],
        slice_id=slice_id,
        probability=part.probability[index],
    )


def _keep(
    project: Project,
    view: CoverageView,
    request: Request,
    report: SelectReport,
    chances: Sequence[SliceChance],
    quotas: Sequence[Quota],
) -> int:
    gaps = [
        {
            "slice_id": view.slice_ids[gap.key],
            "name": gap.name,
            "why": gap.why,
            "share": gap.production_share,
        }
        for gap in view.gaps
    ]
    with write(project.engine) as session:
        batch = create_batch(
            session,
            request.strategy,
            report.seed,
            request.budget,
            {CONSIDERED: len(view.production), "gaps": gaps}
            | as_setting(chances)
            | ({WITHIN: request.within.address, WORK: request.within.work} if request.within else {}),
        )
        add_tasks(session, batch, _tasks(view, report.chosen, batch, quotas))
        queue_batch(session, batch)
    return batch


def _tasks(
    view: CoverageView, chosen: Sequence[Chosen], batch: int, quotas: Sequence[Quota]
) -> list[NewTask]:
    frames = np.array([item.frame for item in chosen], dtype=np.int64)
    shown = shows_of(quotas, view.production.seq)
    for gap in view.gaps:
        for frame in np.intersect1d(view.production.seq[gap.frames], frames).tolist():
            shown.setdefault(frame, []).append(view.slice_ids[gap.key])
    return [_task(item, batch, view.detector, tuple(sorted(shown.get(item.frame, ())))) for item in chosen]


def _task(item: Chosen, batch: int, detector: int, shows: tuple[int, ...]) -> NewTask:
    return NewTask(
        frame=item.frame,
        purpose=item.purpose,
        key=f"{item.content_hash[:20]}-b{batch}-{item.purpose}",
        rank=item.rank,
        priority=item.priority,
        reason=item.reason,
        component=item.component,
        slice_id=item.slice_id,
        inclusion_probability=item.probability,
        detector=detector,
        shows=shows,
    )
