"""Slow and plainly written forms: what the fast ones are held against."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
Similar = Callable[[Floats, Floats], Floats]
"""(A, D) and (B, D) to similarities (A, B)."""


def k_center(points: Floats, k: int, labeled: Floats) -> tuple[list[int], list[float]]:
    """The farthest row, again and again, by differences in float64; ties to the lowest row."""
    exact, distance = points.astype(np.float64), to_nearest(points, labeled)
    picks: list[int] = []
    radii: list[float] = []
    for _ in range(k):
        distance[picks] = -1
        picks.append(int(distance.argmax()))
        radii.append(float(distance.max()))
        distance = np.minimum(distance, np.linalg.norm(exact - exact[picks[-1]], axis=1))
    return picks, radii


def distances(points: Floats, picks: list[int], labeled: Floats) -> tuple[list[float], list[float]]:
    """Of each pick in turn its distance to the nearest center before it, and the largest one that
    any row had.
    """
    exact, distance = points.astype(np.float64), to_nearest(points, labeled)
    had: list[float] = []
    farthest: list[float] = []
    for pick in picks:
        had.append(float(distance[pick]))
        farthest.append(float(distance.max()))
        distance = np.minimum(distance, np.linalg.norm(exact - exact[pick], axis=1))
    return had, farthest


def to_nearest(points: Floats, centers: Floats) -> Floats:
    """(N,) by differences in float64; infinite without centers."""
    exact = points.astype(np.float64)
    distance = np.full(len(points), np.inf)
    for center in centers.astype(np.float64):
        distance = np.minimum(distance, np.linalg.norm(exact - center, axis=1))
    return distance


def uncertainty(frames: list[Floats], measure: str, aggregation: str, least: float, top: int) -> list[float]:
    """Of each frame, box by box."""
    values = [of_boxes(boxes, measure, least) for boxes in frames]
    if aggregation == "size_corrected":
        return size_corrected(values)
    return [of_frame(each, aggregation, top) for each in values]


def of_boxes(boxes: Floats, measure: str, least: float) -> list[float]:
    values = []
    for box in boxes:
        scores = sorted(np.atleast_1d(box).tolist(), reverse=True)
        first, second = (scores[0], scores[1]) if len(scores) > 1 else (scores[0], 1 - scores[0])
        if first >= least:
            values.append(
                {
                    "least_confidence": 1 - first,
                    "margin": 1 - abs(first - second),
                    "entropy": -first * math.log(first) - (1 - first) * math.log(1 - first),
                }[measure]
            )
    return values


def of_frame(values: list[float], aggregation: str, top: int) -> float:
    if not values:
        return 0.0
    return {
        "sum": sum(values),
        "mean": sum(values) / len(values),
        "max": max(values),
        "top": sum(sorted(values)[-top:]) / top,
    }[aggregation]


def size_corrected(values: list[list[float]]) -> list[float]:
    """Sums over sqrt(n), less what a line through them says of ln(1 + n), but for the mean; of
    frames with boxes.
    """
    points = [(math.log(1 + len(each)), sum(each) / math.sqrt(len(each))) for each in values if each]
    slope, middle = 0.0, 0.0
    if points:
        count = len(points)
        middle = sum(size for size, _ in points) / count
        if len({size for size, _ in points}) > 1:
            products = sum(size * value for size, value in points)
            sums = sum(size for size, _ in points) * sum(value for _, value in points)
            squares = sum(size * size for size, _ in points)
            slope = (count * products - sums) / (count * squares - sum(size for size, _ in points) ** 2)
    corrected = []
    for each in values:
        if each:
            expected = slope * (math.log(1 + len(each)) - middle)
            corrected.append(max(sum(each) / math.sqrt(len(each)) - expected, 0.0))
        else:
            corrected.append(0.0)
    return corrected


def webster(weights: list[float], turns: int) -> list[int]:
    """Who has each turn: one after another to the largest weight / (turns had + 1/2), the first of
    equals.
    """
    had, order = [0] * len(weights), []
    for _ in range(turns):
        best = max(range(len(weights)), key=lambda place: (weights[place] / (had[place] + 0.5), -place))
        had[best] += 1
        order.append(best)
    return order


def covering(
    points: Floats,
    weights: Floats,
    picks: list[int],
    labeled: Floats,
    similar: Similar,
    cost: Floats | None = None,
) -> tuple[list[float], list[float]]:
    """Of each pick in turn the gain in sum_i w_i max_s similar(x_i, s), over its cost where that is
    given, and the largest one to be had.
    """
    exact = points.astype(np.float64)
    kernel = similar(exact, exact)
    covered = np.zeros(len(points))
    if len(labeled):
        covered = similar(exact, labeled.astype(np.float64)).max(axis=1)
    had: list[float] = []
    best: list[float] = []
    for step, pick in enumerate(picks):
        gain = np.array([weights @ np.maximum(kernel[:, row] - covered, 0) for row in range(len(points))])
        gain /= 1 if cost is None else cost
        gain[picks[:step]] = -1
        had.append(float(gain[pick]))
        best.append(float(gain.max()))
        covered = np.maximum(covered, kernel[:, pick])
    return had, best


def gaussian(scale: float) -> Similar:
    """exp(-|x - s|^2 / scale^2)."""
    return lambda left, right: np.exp(-((left[:, None] - right[None]) ** 2).sum(axis=2) / scale**2)


def cosine(left: Floats, right: Floats) -> Floats:
    """Of unit vectors, 0 where it is negative."""
    return np.array([[max(0.0, sum(a * b for a, b in zip(x, s, strict=True))) for s in right] for x in left])


def coverage(points: Floats, weights: Floats, chosen: Floats, scale: float) -> float:
    """The objective itself."""
    if not len(chosen):
        return 0.0
    return float(weights @ gaussian(scale)(points.astype(np.float64), chosen.astype(np.float64)).max(axis=1))


def greedy(value: Any, size: int, k: int, cost: Floats | None = None) -> list[int]:
    """The row that adds most to value(list of rows) per cost, again and again; ties to the lowest
    row.
    """
    price = np.ones(size) if cost is None else cost
    picks: list[int] = []
    for _ in range(k):
        gain = np.array([(value([*picks, row]) - value(picks)) / price[row] for row in range(size)])
        gain[picks] = -np.inf
        picks.append(int(np.flatnonzero(gain >= gain.max() - 1e-9)[0]))
    return picks


def mutual_information(similar: Floats, rows: list[int], eta: float) -> float:
    """similar: (N, Q)."""
    if not rows:
        return 0.0
    of_queries = sum(max(similar[row, query] for row in rows) for query in range(similar.shape[1]))
    return float(of_queries + eta * sum(similar[row].max() for row in rows))


def in_balls(points: Floats, rows: list[int], radius: float) -> int:
    """How many points are within the radius of one of the rows."""
    return sum(any(np.linalg.norm(point - points[row]) <= radius for row in rows) for point in points)


def typicality(points: Floats, neighbors: int) -> Floats:
    near = min(neighbors, max(len(points) // 2, 1))
    distance = np.linalg.norm(points[:, None].astype(np.float64) - points[None], axis=2)
    return 1 / (np.sort(distance, axis=1)[:, 1 : near + 1].mean(axis=1) + 1e-5)


def stream(points: Floats, k: int, labeled: Floats, past: Floats | None, tau: float) -> list[int]:
    """One frame after another. past: None for a first day, judged by how far its own last tenth (20
    at least) lay as it came in.
    """
    share, step, memory = k / len(points), math.ceil(len(points) / 50), max(len(points) // 10, 20)
    least = math.inf if past is None else np.quantile(past, 1 - share)
    kept: list[int] = []
    came: list[float] = []
    for row, point in enumerate(points):
        if past is None and row % step == 0 and came:
            least = np.quantile(came[-memory:], 1 - share)
        known = [*labeled, *points[kept]]
        far = min((float(np.linalg.norm(point - other)) for other in known), default=2.0)
        came.append(far)
        if (far >= least or not known) and far > tau and len(kept) < share * (row + 1):
            kept.append(row)
    return kept


def medoid_cost(distance: Floats, medoids: Any) -> float:
    return float(distance[:, list(medoids)].min(axis=1).sum())


def admitted(order: list[int], cluster: Floats, sequence: Floats, limit: int, count: int) -> list[int]:
    """The first `count` of the order of which no two share a cluster, and no more than `limit` a
    sequence; 0 is no limit.
    """
    rows: list[int] = []
    for row in order:
        if len(rows) < count and may_come(row, rows, cluster, sequence, limit):
            rows.append(row)
    return rows


def may_come(row: int, chosen: list[int], cluster: Floats, sequence: Floats, limit: int) -> bool:
    if row in chosen or any(cluster[row] >= 0 and cluster[row] == cluster[other] for other in chosen):
        return False
    same = [other for other in chosen if sequence[row] >= 0 and sequence[row] == sequence[other]]
    return limit == 0 or len(same) < limit


def average_rank(values: Floats) -> list[float]:
    """Of each value the mean place from 1 among all of them, over their number."""
    ranks = []
    for value in values:
        below, equal = sum(other < value for other in values), sum(other == value for other in values)
        ranks.append((below + (equal + 1) / 2) / len(values))
    return ranks


def of_deficit(
    slices: Floats,
    deficit: list[float],
    worth: list[float],
    novelty: Floats,
    cluster: Floats,
    sequence: Floats,
    limit: int,
    k: int,
    cap: float,
    floor: float,
) -> list[int]:
    """Rows that slices with a deficit choose, turn by turn; no more than they have."""
    weights = [min(each, cap) for each in deficit]
    order = {
        name: turns_of_sequences(
            [row for row in range(len(slices)) if slices[row] == name], worth, novelty, sequence, floor
        )
        for name in range(len(deficit))
        if weights[name] > 0
    }
    had = dict.fromkeys(order, 0)
    chosen: list[int] = []
    while len(chosen) < k:
        free = {
            name: [row for row in rows if may_come(row, chosen, cluster, sequence, limit)]
            for name, rows in order.items()
        }
        able = [name for name in free if free[name]]
        if not able:
            break
        turn = max(able, key=lambda name: (weights[name] / (had[name] + 0.5), -name))
        chosen.append(free[turn][0])
        had[turn] += 1
    return chosen


def turns_of_sequences(
    rows: list[int], worth: list[float], novelty: Floats, sequence: Floats, floor: float
) -> list[int]:
    """The best frame of every sequence, the best of them first, then the second best of each; dull
    sequences are left out.
    """
    groups: list[list[int]] = []
    for row in rows:
        others = [group for group in groups if sequence[row] >= 0 and sequence[group[0]] == sequence[row]]
        if others:
            others[0].append(row)
        else:
            groups.append([row])
    usual = float(np.median([novelty[row] for row in rows])) if rows else 0.0
    groups = [group for group in groups if sum(novelty[row] for row in group) / len(group) >= floor * usual]
    groups = [sorted(group, key=lambda row: (-worth[row], row)) for group in groups]
    order: list[int] = []
    for place in range(max((len(group) for group in groups), default=0)):
        there = [group for group in groups if len(group) > place]
        there.sort(key=lambda group: (-worth[group[0]], group[place]))
        order += [group[place] for group in there]
    return order


def difficulty(boxes: Floats, quality: list[float], alpha: float, beta: float, least: float) -> float:
    """Of one frame (K, C): entropies of the boxes' top classes, each by how hard its class is."""
    total = 0.0
    for box in boxes:
        p, best = max(box), list(box).index(max(box))
        if p >= least:
            hard = 1 + alpha * beta * math.log(1 + (math.exp(1 / alpha) - 1) * (1 - quality[best]))
            total += hard * (-p * math.log(p) - (1 - p) * math.log(1 - p))
    return total


def frame_distance(one: Floats, boxes: Floats, other: Floats, other_boxes: Floats, least: float) -> float:
    """1 - similarity of two vectors, as far as the classes of each frame are found in the other,
    and 2 as far as not.
    """
    similar = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    mine, its = shares_of_classes(boxes, least), shares_of_classes(other_boxes, least)
    total = 0.0
    for shares, found in ((mine, its), (its, mine)):
        for name, share in shares.items():
            total += share * (1 - similar if name in found else 2) / 2
    return total


def shares_of_classes(boxes: Floats, least: float) -> dict[int, float]:
    """{class: part of the confidence}; a frame without boxes is of class -1."""
    shares: dict[int, float] = {}
    for box in boxes:
        if max(box) >= least:
            name = list(box).index(max(box))
            shares[name] = shares.get(name, 0.0) + max(box)
    whole = sum(shares.values())
    return {name: share / whole for name, share in shares.items()} if shares else {-1: 1.0}


def best_medoids(distance: Floats, k: int) -> float:
    """The least cost that any k rows have as medoids."""
    return min(medoid_cost(distance, some) for some in combinations(range(len(distance)), k))
