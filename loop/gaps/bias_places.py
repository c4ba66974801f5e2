"""Ways of telling places apart for `loop.gaps.bias`: cameras, sites, scenes and slices; and how many
frames of each show each class.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

import numpy as np

from db.engine import read, write
from db.facts import get_fact, set_fact
from loop.base.arrays import Ints
from loop.gaps.bias_choices import choices
from loop.gaps.bias_known import Known
from loop.gaps.bias_report import Level, Scope, Table
from loop.gaps.coverage_view import CoverageView
from loop.math.bias.association import UNKNOWN, Factor
from loop.math.bias.scene_clusters import scene_clusters
from loop.math.bias.scene_matching import names_of_scenes
from loop.math.coverage.facets import NONE, Facet
from loop.project.project import Project

SCENES = "bias_scenes"
"""Fact: by name, the camera-days of each scene."""
SCENE_GROUPS, SCENE_FRAMES = 2000, 8
"""Scenes are told by so many camera-days at most, and so many frames of each."""
OTHER = "none of these"
OF_A_SCENE = "|scene|scene|"
"""Stands in the id of a tie to one."""


def factors(project: Project, known: Known, view: CoverageView) -> list[Factor]:
    """Every way of telling places apart."""
    found = [named("camera", known.camera), named("site", known.site), scenes(project, known)]
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


def named(kind: str, names: Sequence[str | None]) -> Factor:
    levels = tuple(sorted({name for name in names if name}))
    index = {name: place for place, name in enumerate(levels)}
    code = np.array([index[name] if name else UNKNOWN for name in names], dtype=np.int64)
    return Factor(kind, kind, levels, levels, code)


def _slice(facet: Facet, imported: Ints) -> Factor:
    code = np.concatenate([facet.production, facet.training[imported]]).astype(np.int64)
    shown = np.where(code == NONE, len(facet.options), np.where(code < 0, UNKNOWN, code))
    return Factor("slice", facet.name, (*facet.options, OTHER), (*facet.keys, ""), shown)


def scenes(project: Project, known: Known) -> Factor:
    """Camera-days that look alike, under names that last from run to run: each is that of the earlier
    scene which held most of its camera-days. A new one is named by the camera, or else the site, that
    most of its frames are of.
    """
    scene = _scene_of(known, project.settings.seed)
    groups = [np.unique(known.group[scene == number]) for number in range(int(scene.max(initial=-1)) + 1)]
    with read(project.engine) as session:
        before = json.loads(get_fact(session, SCENES) or "{}")
        decided = {one.split(OF_A_SCENE, 1)[1] for one in choices(session) if OF_A_SCENE in one}
    names = names_of_scenes([own.tolist() for own in groups], _like(scene, known, len(groups)), before)
    now = {name: own.tolist() for name, own in zip(names, groups, strict=True)}
    # one that is there no more and that somebody decided of may come back
    kept = {name: own for name, own in before.items() if name in decided} | now
    if kept != before:
        with write(project.engine) as session:
            set_fact(session, SCENES, json.dumps(kept))
    return Factor("scene", "scene", names, names, scene)


def _scene_of(known: Known, seed: int) -> Ints:
    """(N,) the scene of each frame, -1 for unknown."""
    rng = np.random.default_rng([seed, 11])
    rows = _sampled(known.group, rng)
    here = rows[rows < len(known.seq) - len(known.imported)]
    there = known.imported[rows[len(here) :] - (len(known.seq) - len(known.imported))]
    vectors = np.concatenate([known.vectors[0][here], known.vectors[1][there]])
    sampled = scene_clusters(vectors, known.presence[rows], known.group[rows], seed)
    of_group = dict(zip(known.group[rows].tolist(), sampled.tolist(), strict=True))
    groups, code = np.unique(known.group, return_inverse=True)
    scene: Ints = np.array([of_group.get(group, UNKNOWN) for group in groups.tolist()], dtype=np.int64)[code]
    return scene


def _like(scene: Ints, known: Known, size: int) -> list[str]:
    """(size,) what each scene is called where it is new."""
    names = []
    for number in range(size):
        own = Counter(known.camera[row] or known.site[row] or "" for row in np.flatnonzero(scene == number))
        common = max(sorted(own), key=own.__getitem__)
        names.append(f"scenes like {common}" if common else "scenes of unknown cameras")
    return names


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


def table_of(known: Known, factor: Factor, scopes: Mapping[Scope, Ints], view: CoverageView) -> Table:
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
