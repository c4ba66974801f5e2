"""Is a class tied to a place? Gathered from the database: what labels and production show, how the
detector fares from place to place, and what to collect.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.engine import read, write
from db.facts import get_fact
from db.labels import LabelRow, labels
from db.page_facts import add_page_fact, drop_page_facts, latest_page_fact, page_fact_dates
from db.tasks import engaged_frames
from loop.analysis.near_duplicates import stored_clusters
from loop.base.arrays import Bools, Ints, Reals
from loop.base.wording import counted, either
from loop.gaps.bias_recall import recalls
from loop.gaps.bias_report import (
    FALSE_TIES,
    REPORTS,
    BiasReport,
    Collect,
    Level,
    Scope,
    Table,
    Tie,
    at_place,
    place_name,
)
from loop.gaps.coverage_view import CoverageView
from loop.gaps.shown import Described, limits_of
from loop.math.bias.association import (
    ENOUGH_DAYS,
    UNKNOWN,
    Assessed,
    Factor,
    assessed,
    exchanged_units,
    log_odds,
    telling_level,
    thinned,
    wanted_draws,
)
from loop.math.bias.evening import evening
from loop.math.bias.scene_clusters import scene_clusters
from loop.math.coverage.facets import NONE, Facet
from loop.math.coverage.frame_arrays import Vectors
from loop.math.statistics.multiple_testing import benjamini_hochberg
from loop.project.project import Project

KIND = "bias"
"""Of the dated facts that pages show."""
CHOICES = "bias_choices"
KEPT = 30
MOST_DRAWS = 4999
SCENE_GROUPS, SCENE_FRAMES = 2000, 8
"""Scenes are told by so many camera-days at most, and so many frames of each."""
MUCH_THE_SAME = 0.5
"""A place that shares so much of its frames with another, or holds so much of it, is told with it."""
OTHER = "none of these"
DAY = 86_400
"""Seconds."""


@dataclass(frozen=True, eq=False)
class Bias:
    """The report, and what selection needs of it: rows of the comparison's production frames.

    suspected: (N, C) whether each seems to show each class, by label or detection.
    right: by class, how many of the labeled frames that the detector suspects to show it do, and of
    the others do not.
    factors: over production rows, by kind and name.
    """

    report: BiasReport
    suspected: Bools
    right: Mapping[str, tuple[float, float]]
    factors: Mapping[tuple[str, str], Factor]

    def rows(self, tie: Tie, level: int, with_class: bool) -> Bools:
        """(N,) production frames of one level of the tie's factor that seem to show its class, or not
        to.
        """
        shows = self.suspected[:, self.report.classes.index(tie.class_name)]
        here: Bools = self.factors[tie.kind, tie.factor].code == level
        return here & (shows if with_class else ~shows)

    def available(self, tie: Tie, open_rows: Bools) -> Ints:
        """(K, 2) open frames of each level that seem to show the class, and that do not."""
        levels = range(len(self.factors[tie.kind, tie.factor].levels))
        return np.array(
            [
                [int((self.rows(tie, one, kind) & open_rows).sum()) for kind in (True, False)]
                for one in levels
            ],
            dtype=np.int64,
        )


def find(project: Project, view: CoverageView, most: int) -> Bias:
    """Every class against every way of telling places apart.

    most: frames that the next batch could spend on one tie.
    """
    known = _gather(project, view)
    scopes: dict[Scope, Ints] = {
        "labeled": np.flatnonzero(known.taught),
        "production": np.arange(len(view.production)),
    }
    factors = _factors(known, view, project.settings.seed)
    ties, lacking = _ties(known, factors, scopes, view.classes, project.settings.seed)
    tables = tuple(_table(known, factor, scopes, view) for factor in factors)
    with read(project.engine) as session:
        chosen, engaged = choices(session), engaged_frames(session)
    open_rows = view.in_pool & ~np.isin(view.production.seq, list(engaged))
    production = {
        (each.kind, each.name): replace(each, code=each.code[: len(view.production)]) for each in factors
    }
    by_place, untold = recalls(project, view)
    report = BiasReport(
        classes=view.classes,
        labeled_frames=len(scopes["labeled"]),
        by_label=int(known.labeled[: len(view.production)].sum()),
        by_detection=int((~known.labeled[: len(view.production)]).sum()),
        limits=known.limits,
        tables=tables,
        ties=ties,
        recalls=by_place,
        lacking=(*lacking, *untold),
    )
    bias = Bias(report, known.presence[: len(view.production)], _right(known, view), production)
    decided = [_decided(tie, chosen) for tie in ties]
    final = [_collecting(bias, tie, open_rows, most) if tie.targeted or tie.told else tie for tie in decided]
    return replace(bias, report=replace(report, ties=tuple(final)))


def known_counts(report: BiasReport, tie: Tie, most: int) -> tuple[Ints, Ints]:
    """(K,) frames of each level that show the class, and all of them, among those that are labeled;
    where these tell nothing of the places yet, as production shows it, in `most` frames.
    """
    table = next(each for each in report.tables if (each.kind, each.name) == (tie.kind, tie.factor))
    index = report.classes.index(tie.class_name)
    totals, hits = np.array(table.labeled), np.array([row[index] for row in table.labeled_with])
    if np.count_nonzero(totals) >= 2:
        return hits, totals
    totals, hits = np.array(table.production), np.array([row[index] for row in table.production_with])
    scale = min(most / max(int(totals.sum()), 1), 1.0)
    return np.round(scale * hits).astype(np.int64), np.round(scale * totals).astype(np.int64)


def expected_counts(report: BiasReport, tie: Tie, most: int, others: int) -> tuple[Reals, Reals]:
    """(K,) the same once `others` more frames are labeled that are as production shows them."""
    table = next(each for each in report.tables if (each.kind, each.name) == (tie.kind, tie.factor))
    hits, totals = known_counts(report, tie, most)
    index, size = report.classes.index(tie.class_name), sum(table.production)
    scale = others / max(size, 1)
    more = np.array([row[index] for row in table.production_with])
    return hits + scale * more, totals + scale * np.array(table.production)


def choices(session: Session) -> dict[str, dict[str, str]]:
    """What people decided, by id of the tie: choice and reason."""
    return dict(json.loads(get_fact(session, CHOICES) or "{}"))


def keep(project: Project, report: BiasReport) -> None:
    """Stores the report for pages; the newest few stay."""
    with write(project.engine) as session:
        add_page_fact(session, KIND, json.loads(REPORTS.dump_json(report)))
        old = [fact for fact, _ in page_fact_dates(session, KIND)][:-KEPT]
        drop_page_facts(session, old)


def kept(project: Project) -> tuple[datetime, BiasReport] | None:
    """The newest report that was stored and when it was made, with what people decided since."""
    with read(project.engine) as session:
        row = latest_page_fact(session, KIND)
        chosen = choices(session)
    if row is None:
        return None
    report = REPORTS.validate_python(row.value)
    return row.made_at, replace(report, ties=tuple(_decided(tie, chosen) for tie in report.ties))


@dataclass(frozen=True, eq=False)
class _Known:
    """N production frames, then imported training frames; a row each.

    day: (N,) number of the UTC day, NaN for unknown. presence: (N, C).
    labeled, taught: (N,) whether people told, and whether it trains.
    """

    seq: Ints
    group: Ints
    camera: list[str | None]
    site: list[str | None]
    day: Reals
    presence: Bools
    labeled: Bools
    taught: Bools
    imported: Ints
    vectors: tuple[Vectors, Vectors]
    limits: dict[str, float]


def _gather(project: Project, view: CoverageView) -> _Known:
    production, training = view.production, view.training
    imported = np.flatnonzero(~np.isin(training.seq, production.seq))
    seq = np.concatenate([production.seq, training.seq[imported]])
    with read(project.engine) as session:
        known = labels(session)
    limits = limits_of(Described.of(view))
    presence = np.zeros((len(seq), len(view.classes)), dtype=np.bool_)
    presence[: len(production)] = view.scores > np.array([limits[name] for name in view.classes])
    labeled, taught = np.zeros(len(seq), dtype=np.bool_), np.zeros(len(seq), dtype=np.bool_)
    order = np.argsort(seq)
    told = np.array(sorted(known), dtype=np.int64)
    rows = order[np.minimum(np.searchsorted(seq, told, sorter=order), len(seq) - 1)]
    for row, frame in zip(rows.tolist(), told.tolist(), strict=True):
        if seq[row] == frame:
            presence[row] = _shown_by(known[frame], view.classes)
            labeled[row], taught[row] = True, known[frame].purpose == Purpose.TRAIN
    group = np.concatenate([production.group, _imported_groups(project, view, imported)])
    return _Known(
        seq,
        group,
        [*production.by_camera.listed(), *(training.cameras[code] for code in training.camera[imported])],
        [*production.by_site.listed(), *(training.sites[code] for code in training.site[imported])],
        np.floor(np.concatenate([production.captured_at, training.captured_at[imported]]) / DAY),
        presence,
        labeled,
        taught,
        imported,
        (production.vectors, training.vectors),
        limits,
    )


def _shown_by(label: LabelRow, classes: Sequence[str]) -> Bools:
    shown = {box.class_name for box in label.boxes}
    return np.array([name in shown for name in classes], dtype=np.bool_)


def _imported_groups(project: Project, view: CoverageView, imported: Ints) -> Ints:
    """Images that came one by one are grouped with their near-duplicates."""
    group = view.training.group[imported]
    _, code, size = np.unique(group, return_inverse=True, return_counts=True)
    alike = stored_clusters(project.engine, view.embedder, view.training.seq[imported])
    found: Ints = np.where(size[code] == 1, -1 - alike, group) if len(group) else group
    return found


def _right(known: _Known, view: CoverageView) -> dict[str, tuple[float, float]]:
    """By labeled production frames; of few it is taken to be nearer to one half (Laplace)."""
    rows = np.flatnonzero(known.labeled[: len(view.production)])
    found = {}
    for index, name in enumerate(view.classes):
        seems, shows = view.scores[rows, index] > known.limits[name], known.presence[rows, index]
        each = [
            (int((shows == kind)[seems == kind].sum()), int((seems == kind).sum())) for kind in (True, False)
        ]
        found[name] = tuple((hits + 1) / (size + 2) for hits, size in each)
    return {name: (shown, not_shown) for name, (shown, not_shown) in found.items()}


def _factors(known: _Known, view: CoverageView, seed: int) -> list[Factor]:
    """Every way of telling places apart that knows two or more."""
    found = [_named("camera", known.camera), _named("site", known.site), _scenes(known, seed)]
    found += [_slice(facet, known.imported) for facet in view.facets if facet.key not in ("camera", "site")]
    return told_apart(found)


def told_apart(factors: Sequence[Factor]) -> list[Factor]:
    """Of those that are called alike, such as two limits of one measurement, each by its levels too."""
    count = Counter((factor.kind, factor.name) for factor in factors)
    return [
        replace(factor, name=f"{factor.name} ({', '.join(factor.levels)})")
        if count[factor.kind, factor.name] > 1
        else factor
        for factor in factors
    ]


def _named(kind: str, names: Sequence[str | None]) -> Factor:
    levels = tuple(sorted({name for name in names if name}))
    index = {name: place for place, name in enumerate(levels)}
    code = np.array([index[name] if name else UNKNOWN for name in names], dtype=np.int64)
    return Factor(kind, kind, levels, levels, code)


def _slice(facet: Facet, imported: Ints) -> Factor:
    code = np.concatenate([facet.production, facet.training[imported]]).astype(np.int64)
    shown = np.where(code == NONE, len(facet.options), np.where(code < 0, UNKNOWN, code))
    return Factor("slice", facet.name, (*facet.options, OTHER), (*facet.keys, ""), shown)


def _scenes(known: _Known, seed: int) -> Factor:
    """Named by the camera, or else the site, that most of their frames are of."""
    rng = np.random.default_rng([seed, 11])
    rows = _sampled(known.group, rng)
    here = rows[rows < len(known.seq) - len(known.imported)]
    there = known.imported[rows[len(here) :] - (len(known.seq) - len(known.imported))]
    vectors = np.concatenate([known.vectors[0][here], known.vectors[1][there]])
    sampled = scene_clusters(vectors, known.presence[rows], known.group[rows], seed)
    of_group = dict(zip(known.group[rows].tolist(), sampled.tolist(), strict=True))
    groups, code = np.unique(known.group, return_inverse=True)
    scene = np.array([of_group.get(group, UNKNOWN) for group in groups.tolist()], dtype=np.int64)[code]
    names = _scene_names(scene, known)
    return Factor("scene", "scene", names, names, scene)


def _sampled(group: Ints, rng: np.random.Generator) -> Ints:
    """Rows, ascending: a few frames of each of many groups."""
    _, code = np.unique(group, return_inverse=True)
    groups = int(code.max(initial=-1)) + 1
    kept = np.zeros(groups, dtype=np.bool_)
    kept[rng.permutation(groups)[:SCENE_GROUPS]] = True
    order = np.lexsort((rng.random(len(group)), code))
    first = np.searchsorted(code[order], np.arange(groups))
    place = np.arange(len(group)) - first[code[order]]
    rows: Ints = np.sort(order[(place < SCENE_FRAMES) & kept[code[order]]])
    return rows


def _scene_names(scene: Ints, known: _Known) -> tuple[str, ...]:
    names: list[str] = []
    for number in range(int(scene.max(initial=-1)) + 1):
        rows = np.flatnonzero(scene == number).tolist()
        own = Counter(known.camera[row] or known.site[row] or "" for row in rows)
        common = max(sorted(own), key=own.__getitem__)
        like = f"scenes like {common}" if common else "scenes of unknown cameras"
        again = sum(name.partition(" (")[0] == like for name in names)
        names.append(f"{like} ({again + 1})" if again else like)
    return tuple(names)


def _ties(
    known: _Known,
    factors: Sequence[Factor],
    scopes: Mapping[Scope, Ints],
    classes: tuple[str, ...],
    seed: int,
) -> tuple[tuple[Tie, ...], list[str]]:
    """Every pair that can be tested, those that are shown first; and what cannot."""
    pairs = len(factors) * len(classes) * len(scopes)
    draws = min(wanted_draws(pairs, FALSE_TIES), MOST_DRAWS)
    sample = {scope: rows[thinned(known.group[rows], seed)] for scope, rows in scopes.items()}
    site = _named("site", known.site).code
    units = {
        kind: exchanged_units(kind, site, known.day, known.group)
        for kind in dict.fromkeys(factor.kind for factor in factors)
    }
    found: list[Tie] = []
    for place, factor in enumerate(factors):
        for scope, rows in scopes.items():
            few, unit = sample[scope], units[factor.kind]
            own = replace(factor, code=factor.code[few])
            told = assessed(
                known.presence[few], own, known.group[few], unit[few], seed=seed + place, draws=draws
            )
            every = replace(factor, code=factor.code[rows])
            found += _told(known.presence[rows], every, unit[rows], told, scope, classes)
    q = benjamini_hochberg([tie.p for tie in found])
    certain = [
        replace(tie, q=float(each), shown=bool(each <= FALSE_TIES))
        for tie, each in zip(found, q, strict=True)
    ]
    ordered = sorted(certain, key=_clearest_first)
    return tuple(_each_once(ordered, known, factors)), _lacking(certain, factors, scopes, known, classes)


def _clearest_first(tie: Tie) -> tuple[bool, bool, bool, float, str]:
    """Of places that are much the same, the first stands for all: rather one that has a name."""
    return not tie.shown, tie.scope != "labeled", tie.kind == "scene", -tie.clarity, tie.id


def _told(
    presence: Bools, factor: Factor, unit: Ints, told: Assessed, scope: Scope, classes: tuple[str, ...]
) -> Iterator[Tie]:
    _, day = np.unique(unit, return_inverse=True)
    where = factor.code != UNKNOWN
    totals = np.bincount(factor.code[where], minlength=len(factor.levels))
    for index in np.flatnonzero(~np.isnan(told.p)).tolist():
        shown = presence[:, index]
        hits = np.bincount(factor.code[where & shown], minlength=len(factor.levels))
        level = telling_level(hits, totals, [name != OTHER for name in factor.levels])
        if level is None:
            continue
        odds = log_odds(*_by_day(day, shown, factor.code, level))
        frames, showing = int(totals[level]), int(hits[level])
        yield Tie(
            id=f"{classes[index]}|{factor.kind}|{factor.name}|{factor.levels[level]}",
            class_name=classes[index],
            kind=factor.kind,
            factor=factor.name,
            place=factor.levels[level],
            more=odds.value > 0,
            scope=scope,
            shown=False,
            v=told.v(index, int(np.count_nonzero(totals)), int(totals.sum())),
            p=float(told.p[index]),
            q=1.0,
            odds=odds.value,
            interval=odds.interval,
            frames=frames,
            showing=showing,
            others=int(totals.sum()) - frames,
            others_showing=int(hits.sum()) - showing,
        )


def _by_day(day: Ints, shown: Bools, code: Ints, level: int) -> tuple[Ints, Ints]:
    """(G, 2) frames of each day with and without the class, within the level and elsewhere."""
    kind = 2 * (code != level) + ~shown
    known = code != UNKNOWN
    days = int(day.max(initial=-1)) + 1
    counts = np.bincount((4 * day + kind)[known], minlength=4 * days).reshape(days, 4).astype(np.int64)
    return counts[:, :2], counts[:, 2:]


def _each_once(ties: Sequence[Tie], known: _Known, factors: Sequence[Factor]) -> Iterator[Tie]:
    """Of findings of one class in much the same place, the first stands for all: another name of it is
    said beside it, and so is the other scope.
    """
    by_name = {(factor.kind, factor.name): factor for factor in factors}

    def frames_of(tie: Tie) -> Bools:
        factor = by_name[tie.kind, tie.factor]
        inside: Bools = factor.code == factor.levels.index(tie.place)
        return inside

    led: list[tuple[Tie, Bools, list[str]]] = []
    rest: list[Tie] = []
    for tie in ties:
        if not tie.shown:
            rest.append(tie)
            continue
        own = frames_of(tie)
        leader = next(
            (
                one
                for one in led
                if one[0].class_name == tie.class_name
                and one[0].more == tie.more
                and (one[1] & own).sum() >= MUCH_THE_SAME * min(one[1].sum(), own.sum())
            ),
            None,
        )
        if leader is None:
            led.append((tie, own, []))
        else:
            same = leader[0].id == tie.id
            name = f"in {tie.scope} frames" if same else place_name(tie)
            if name not in leader[2] and name != place_name(leader[0]):
                leader[2].append(name)
            rest.append(replace(tie, led_by=leader[0].id))
    yield from (replace(tie, also=tuple(names)) for tie, _, names in led)
    yield from rest


def _lacking(
    ties: Sequence[Tie],
    factors: Sequence[Factor],
    scopes: Mapping[Scope, Ints],
    known: _Known,
    classes: tuple[str, ...],
) -> list[str]:
    """What could not be tested, and what is missing for it."""
    said = []
    if not len(scopes["labeled"]):
        said.append("no frame that trains is labeled, so what the model learns from is not known")
    for factor in factors:
        levels = len(np.unique(factor.code[factor.code != UNKNOWN]))
        if levels < 2 and factor.kind != "slice":
            seen = f"{counted(levels, factor.kind)} {either(levels, 'is', 'are')} known"
            said.append(f"{factor.kind}: {seen}, two are needed")
    done = {tie.class_name for tie in ties}
    for index, name in enumerate(classes):
        if name not in done:
            days = len(np.unique(known.group[known.presence[:, index]]))
            said.append(
                f"{name}: {counted(days, 'camera-day')} {either(days, 'shows', 'show')} it;"
                f" {ENOUGH_DAYS} that do and {ENOUGH_DAYS} with frames that do not are needed"
            )
    return said


def _table(known: _Known, factor: Factor, scopes: Mapping[Scope, Ints], view: CoverageView) -> Table:
    counts: dict[Scope, tuple[Ints, Ints]] = {}
    for scope, rows in scopes.items():
        code = factor.code[rows]
        where = code != UNKNOWN
        size = np.bincount(code[where], minlength=len(factor.levels))
        hits = [np.bincount(code[where & shown], minlength=len(size)) for shown in known.presence[rows].T]
        counts[scope] = size, np.stack(hits, axis=1)
    levels = tuple(
        Level(name, key, _query(factor.kind, name, key, view))
        for name, key in zip(factor.levels, factor.keys, strict=True)
    )
    (labeled, labeled_with), (production, production_with) = counts["labeled"], counts["production"]
    return Table(
        factor.kind,
        factor.name,
        levels,
        tuple(labeled.tolist()),
        tuple(tuple(row) for row in labeled_with.tolist()),
        tuple(production.tolist()),
        tuple(tuple(row) for row in production_with.tolist()),
    )


def _query(kind: str, name: str, key: str, view: CoverageView) -> str:
    if kind in ("camera", "site"):
        return urlencode({kind: name})
    number = view.slice_ids.get(key) if kind == "slice" else None
    return "" if number is None else urlencode({"slice": number})


def _decided(tie: Tie, chosen: Mapping[str, Mapping[str, Any]]) -> Tie:
    found = chosen.get(tie.id)
    return replace(tie, choice=found["choice"], reason=found["reason"]) if found else tie


def _collecting(bias: Bias, tie: Tie, open_rows: Bools, most: int) -> Tie:
    """With what to collect, what is wanted most first."""
    table = next(each for each in bias.report.tables if (each.kind, each.name) == (tie.kind, tie.factor))
    wanted = evening(*known_counts(bias.report, tie, most), most)
    there = bias.available(tie, open_rows)
    found = []
    for place, column in np.argwhere(wanted > 0).tolist():
        level, with_class = table.levels[place], column == 0
        at = at_place(tie, level.name)
        text = f"{tie.class_name} {at}" if with_class else f"frames {at} without {tie.class_name}"
        count, available = int(wanted[place, column]), int(there[place, column])
        found.append(Collect(text, level.name, with_class, count, available, level.query))
    return replace(tie, collect=tuple(sorted(found, key=lambda one: -one.wanted)))
