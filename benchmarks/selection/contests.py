"""Who is compared with whom, on what."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace

from samplers.engine.covering import Cells
from samplers.strategies.hybrid import CELLS

OFTEN = 99
SMALL = 20_000
MAPPED = 10
MILLION = 1_000_000


Methods = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Contest:
    """ours: {contender: method and options of benchmarks.selection.ours}. peers: {peer: how often
    it runs at most}.

    first: rows from 0 on that are labeled. labeled: rows of the world's other part that are, which
    only ours can take. judge: radius (k-center), covered (herding, at a scale) or facility.
    """

    name: str
    world: str
    rows: int
    k: int
    ours: Methods
    peers: dict[str, int] = field(default_factory=dict)
    first: int = 0
    labeled: int = 0
    dtype: str = "float32"
    judge: str | None = "radius"
    scale: float | None = None

    @property
    def contenders(self) -> dict[str, int]:
        return dict.fromkeys(self.ours, OFTEN) | self.peers


def contests(size: int) -> list[Contest]:
    tenth = size // 10
    rows: Methods = {"fieldloop": ("rows",)}
    return [
        Contest("clustered", "clustered", size, 1000, rows, {"mundig": 2, "plain": 1}, first=1),
        Contest("isotropic", "isotropic", size, 1000, rows, {"mundig": 1, "plain": 1}, first=1),
        Contest("copies", "copies", size, 1000, rows, {"mundig": 1, "plain": 1}, first=1),
        Contest("continued", "clustered", size, 1000, rows, labeled=tenth),
        Contest(
            "continued at a tenth",
            "clustered",
            tenth,
            1000,
            rows,
            {"mundig": 1, "plain": 1},
            first=tenth // 10,
        ),
        Contest(
            "at a tenth",
            "clustered",
            tenth,
            1000,
            rows,
            {"mundig": OFTEN, "plain": OFTEN},
            first=1,
        ),
        Contest(
            "small", "clustered", SMALL, 1000, rows, {"mundig": OFTEN, "plain": OFTEN, "fps": 1}, first=1
        ),
        Contest("mapped", "clustered", MAPPED * size, 1000, {"fieldloop": ("mapped",)}, dtype="float16"),
        Contest(
            "herding",
            "clustered",
            size,
            1000,
            {"fieldloop": _herding(Cells()), "as in the default": _herding(CELLS)},
            judge="covered",
        ),
        Contest(
            "herding, small",
            "clustered",
            SMALL,
            500,
            {"fieldloop": _herding(Cells()), "exact": _herding(Cells(dense_rows=SMALL))},
            judge="covered",
        ),
        *(_sampled(scale) for scale in (0.4, 0.8)),
        Contest(
            "facility location",
            "clustered",
            SMALL // 4,
            100,
            {"fieldloop": ("facility",)},
            {"apricot": OFTEN, "submodlib": OFTEN},
            judge="facility",
        ),
        *(_default(name, size // part) for name, part in (("", 1), (", a half", 2), (", a quarter", 4))),
        _rich(size, tenth // 10),
    ]


def _herding(cells: Cells, scale: float | None = None) -> tuple[str, ...]:
    given = () if scale is None else ("--scale", str(scale))
    return ("herding", "--cells", json.dumps(asdict(cells)), *given)


def _default(name: str, rows: int) -> Contest:
    methods: Methods = {each: (each,) for each in ("k_center", "herding", "hybrid")}
    return Contest(f"default{name}", "clustered", rows, 1000, methods, judge=None)


def _rich(rows: int, labeled: int) -> Contest:
    methods: Methods = {"k_center": ("k_center_rich",), "hybrid": ("hybrid_rich",)}
    return Contest("default, all known", "clustered", rows, 1000, methods, labeled=labeled, judge=None)


def _sampled(scale: float) -> Contest:
    """As many rows for a pick, and as few of all candidates, as at a million."""
    rows = 2 * SMALL
    cells, thin = (replace(each, most_rows=each.most_rows * rows // MILLION) for each in (Cells(), CELLS))
    methods: Methods = {
        "fieldloop": _herding(cells, scale),
        "as in the default": _herding(thin, scale),
        "exact": _herding(Cells(dense_rows=rows), scale),
    }
    return Contest(
        f"herding, sampled {scale}", "clustered", rows, rows // 1024, methods, judge="covered", scale=scale
    )
