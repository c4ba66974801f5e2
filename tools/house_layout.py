"""Where rooms and arrows of a drawing in floors lie: few crossings, short arrows, nothing on top of
another.

The method is Sugiyama's (1981): an arrow over several floors gets a lane on each floor between,
lanes and rooms of a floor are ordered by the mean of their neighbors, then moved as near to these
as order and width allow. Arrows to one room share their lanes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SWEEPS = 24


@dataclass(frozen=True)
class Piece:
    """A piece of an arrow, from something on `floor` to something on the next. starts, ends: at a
    room, not a lane.
    """

    upper: str
    lower: str
    floor: int
    starts: bool
    ends: bool


@dataclass(frozen=True)
class Layout:
    """x: the middle of each room and lane, in pixels. pieces: the arrows. width: of everything."""

    x: Mapping[str, float]
    pieces: tuple[Piece, ...]
    width: float


def arrange(
    floors: Sequence[Sequence[str]],
    arrows: Iterable[tuple[str, str]],
    room_width: float,
    lane_width: float,
    gap: float,
) -> Layout:
    """Rooms on floors (top first) and the arrows between them, all of which run down."""
    floor_of = {name: number for number, floor in enumerate(floors) for name in floor}
    pieces = _pieces(sorted(arrows), floor_of)
    rows = [list(floor) for floor in floors]
    for piece in pieces:
        for name, number in ((piece.upper, piece.floor), (piece.lower, piece.floor + 1)):
            if name not in rows[number]:
                rows[number].append(name)
    width = {name: room_width if name in floor_of else lane_width for row in rows for name in row}
    neighbors: dict[str, list[str]] = {name: [] for name in width}
    for piece in pieces:
        neighbors[piece.upper].append(piece.lower)
        neighbors[piece.lower].append(piece.upper)
    x = _placed(rows, width, neighbors, gap)
    left = min(x[name] - width[name] / 2 for name in x)
    margin = gap + 4 - left
    x = {name: value + margin for name, value in x.items()}
    return Layout(x, tuple(pieces), max(x[name] + width[name] / 2 for name in x) + gap)


def _pieces(arrows: Sequence[tuple[str, str]], floor_of: Mapping[str, int]) -> list[Piece]:
    found: dict[Piece, None] = {}
    for upper, lower in arrows:
        last = floor_of[lower]
        for floor in range(floor_of[upper], last):
            start = upper if floor == floor_of[upper] else f"{lower} at {floor}"
            end = lower if floor + 1 == last else f"{lower} at {floor + 1}"
            found[Piece(start, end, floor, start == upper, end == lower)] = None
    return list(found)


def _placed(
    rows: list[list[str]], width: Mapping[str, float], neighbors: Mapping[str, list[str]], gap: float
) -> dict[str, float]:
    x: dict[str, float] = {}
    for row in rows:
        x |= _spread(row, dict.fromkeys(row, 0.0), width, gap)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = {
                name: sum(x[other] for other in neighbors[name]) / len(neighbors[name])
                if neighbors[name]
                else x[name]
                for name in row
            }
            if sweep < SWEEPS - 8:
                row.sort(key=lambda name: (wanted[name], name))
            x |= _spread(row, wanted, width, gap)
    return x


def _spread(
    row: Sequence[str], wanted: Mapping[str, float], width: Mapping[str, float], gap: float
) -> dict[str, float]:
    """Places as near to the wanted ones as order and widths allow: least squares, by pooling
    neighbors that collide.
    """
    offsets, at = [], 0.0
    for number, name in enumerate(row):
        at += 0 if number == 0 else (width[row[number - 1]] + width[name]) / 2 + gap
        offsets.append(at)
    pools: list[list[float]] = []
    for name, offset in zip(row, offsets, strict=True):
        pools.append([wanted[name] - offset, 1])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            value, count = pools.pop()
            former, many = pools.pop()
            pools.append([(value * count + former * many) / (count + many), count + many])
    flat = [value for value, count in pools for _ in range(int(count))]
    return {name: value + offset for name, value, offset in zip(row, flat, offsets, strict=True)}
