"""Collections in a batch: quotas that are filled before the strategy chooses, and those that are drawn
to judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from db.engine import read
from db.slice_members import members
from db.slices import SliceRow, slices
from db.states import SliceKind
from loop.base.arrays import Ints
from loop.base.errors import ConfigError
from loop.gaps.coverage_view import CoverageView
from loop.math.coverage.gaps import Gap
from loop.project.project import Project
from loop.selection.exclusions import Rules, after
from loop.selection.reasons import quota_line

COMPONENT = "quota"
Choose = Callable[[Ints, Rules, int, int], Ints]
"""Chooses of these rows, by the rules, so many, for the quota of this place."""


@dataclass(frozen=True)
class GivenQuota:
    """What a collection is to have of each batch.

    value: a share below 1, or a number of frames.
    by_settings: `select.quotas` says so; else people do, on the page or by a command.
    """

    value: float
    by_settings: bool


@dataclass(frozen=True, eq=False)
class Quota:
    """So many frames of a batch that are of a collection.

    given: its share or number.
    rows: (K,) of production, its members.
    """

    slice_id: int
    name: str
    given: float
    wanted: int
    rows: Ints


@dataclass(frozen=True, eq=False)
class Filled:
    """Frames that quotas chose. rows: (k,) of production; quota: of each."""

    rows: Ints
    quota: tuple[Quota, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def reasons(self) -> list[str]:
        """(k,) a line for the labeler."""
        return [quota_line(one.name, one.given) for one in self.quota]


def given_quotas(known: Sequence[SliceRow], settings: Mapping[str, float]) -> dict[int, GivenQuota]:
    """By the id of the collection; a retired one has none. The settings hold before what people set.

    settings: of `select.quotas`, by name or number.
    """
    live = [row for row in known if row.retired_at is None]
    found = {row.id: GivenQuota(own, False) for row in live if (own := row.definition.get("quota"))}
    return found | {
        row.id: GivenQuota(given, True)
        for name, given in settings.items()
        for row in live
        if _is_named(row, name)
    }


def quotas_of(project: Project, view: CoverageView, budget: int, spent: int) -> list[Quota]:
    """Those that this batch has, the smallest collection first.

    budget: frames to train on; spent: those of earlier batches, so that a share is kept over many
    small ones. Raises ConfigError for a name or number that is no collection's.
    """
    wanted = project.settings.select.quotas
    with read(project.engine) as session:
        known = slices(session, [SliceKind.COLLECTION])
        for name in wanted:
            _check_named(known, name)
        names = {row.id: row.name for row in known}
        found = [
            Quota(
                number,
                names[number],
                given.value,
                _number(given.value, budget, spent),
                _rows(session, view, number),
            )
            for number, given in given_quotas(known, wanted).items()
        ]
    return sorted(found, key=lambda one: (len(one.rows), one.slice_id))


def filled(quotas: Sequence[Quota], rules: Rules, budget: int, choose: Choose) -> Filled:
    """Fills one quota after the other; what an earlier one chose counts for a later one too."""
    rows: list[int] = []
    owners: list[Quota] = []
    now = rules
    for place, one in enumerate(quotas):
        have = int(np.isin(rows, one.rows).sum())
        wanted = min(one.wanted - have, budget - len(rows))
        open_rows = one.rows[now.in_pool[one.rows]]
        if wanted > 0 and len(open_rows):
            chosen = choose(open_rows, now, wanted, place).tolist()
            rows += chosen
            owners += [one] * len(chosen)
            now = after(rules, np.array(rows, dtype=np.int64))
    return Filled(np.array(rows, dtype=np.int64), tuple(owners))


def unmet(quotas: Sequence[Quota], rows: Ints) -> list[str]:
    """A line for each quota of which the batch holds less. rows: (k,) all that train."""
    return [
        f"quota {one.name}: {have} of {one.wanted} frames; no more of the collection can be chosen"
        for one in quotas
        if (have := int(np.isin(rows, one.rows).sum())) < one.wanted
    ]


def retired_quotas(project: Project) -> list[str]:
    """A line for each quota of the settings whose collection is retired: it has none then."""
    wanted = project.settings.select.quotas
    if not wanted:
        return []
    with read(project.engine) as session:
        known = slices(session, [SliceKind.COLLECTION])
    return [
        f"quota {name}: the collection is retired, so nothing is chosen for it; take it out of select.quotas"
        for name in wanted
        if not any(_is_named(row, name) for row in known if row.retired_at is None)
    ]


def judged_collections(project: Project, view: CoverageView) -> list[Gap]:
    """Collections that rounds judge, as parts of production that the evaluation draw looks for."""
    with read(project.engine) as session:
        known = slices(session, [SliceKind.COLLECTION])
        judged = [row for row in known if row.retired_at is None and row.definition.get("judged")]
        return [one for row in judged if len((one := _as_gap(session, view, row)).frames)]


def names_of(view: CoverageView, judged: Sequence[Gap], quotas: Sequence[Quota]) -> dict[int, str]:
    """What a frame can be chosen for, by the id of its slice."""
    named = {view.slice_ids[one.key]: one.name for one in (*view.gaps, *judged)}
    return named | {one.slice_id: one.name for one in quotas}


def _as_gap(session: Session, view: CoverageView, row: SliceRow) -> Gap:
    rows = _rows(session, view, row.id)
    share = len(rows) / max(len(view.production), 1)
    groups = len(np.unique(view.production.group[rows]))
    return Gap(
        name=row.name,
        kind="collection",
        production_share=share,
        training_share=0.0,
        shown=True,
        interval=None,
        deficit=0.0,
        loss_inside=0.0,
        loss_elsewhere=0.0,
        frames=rows,
        groups=groups,
        why="",
        score=0.0,
        key=row.key,
    )


def _rows(session: Session, view: CoverageView, slice_id: int) -> Ints:
    found, _ = members(session, view.made.measure, slice_id)
    return np.flatnonzero(np.isin(view.production.seq, found))


def _is_named(row: SliceRow, name: str) -> bool:
    return row.name.casefold() == name.casefold() or str(row.id) == name


def _check_named(known: Sequence[SliceRow], name: str) -> None:
    """Raises ConfigError where a quota of the settings is of no collection, or of several."""
    named = [row for row in known if _is_named(row, name)]
    same = [row for row in named if row.retired_at is None]
    if len(same) != 1 and (same or not named):
        live = sorted(row.name for row in known if row.retired_at is None)
        names = ", ".join(live) or "none yet; run `fieldloop gaps`"
        raise ConfigError(
            f"select.quotas: expected the name or number of one collection, got {name!r}, which is that of"
            f" {len(same)}; there are {names}"
        )


def _number(given: float, budget: int, spent: int) -> int:
    if given >= 1:
        return min(int(given), budget)
    before, now = (math.floor(total * given + 0.5) for total in (spent, spent + budget))
    return min(now - before, budget)


def shows_of(quotas: Sequence[Quota], seqs: Ints) -> dict[int, list[int]]:
    """By frame, the collections with a quota that it shows. seqs: (N,) of production rows."""
    found: dict[int, list[int]] = {}
    for one in quotas:
        for seq in seqs[one.rows].tolist():
            found.setdefault(seq, []).append(one.slice_id)
    return found
