"""Which classes are tied to which places: every pair tested, for `loop.gaps.bias`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from loop.base.arrays import Bools, Ints
from loop.base.wording import counted, either
from loop.gaps.bias_known import Known
from loop.gaps.bias_places import OTHER, named
from loop.gaps.bias_report import FALSE_TIES, Scope, Tie, place_name
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
from loop.math.statistics.multiple_testing import benjamini_hochberg

MOST_DRAWS = 4999
MUCH_THE_SAME = 0.5
"""A place that shares so much of its frames with another, or holds so much of it, is told with it."""


def ties_of(
    known: Known,
    factors: Sequence[Factor],
    scopes: Mapping[Scope, Ints],
    classes: tuple[str, ...],
    seed: int,
) -> tuple[tuple[Tie, ...], list[str]]:
    """Every pair that can be tested, those that are shown first; and what cannot."""
    pairs = len(factors) * len(classes) * len(scopes)
    draws = min(wanted_draws(pairs, FALSE_TIES), MOST_DRAWS)
    sample = {scope: rows[thinned(known.group[rows], seed)] for scope, rows in scopes.items()}
    site = named("site", known.site).code
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


def _each_once(ties: Sequence[Tie], known: Known, factors: Sequence[Factor]) -> Iterator[Tie]:
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
    known: Known,
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
