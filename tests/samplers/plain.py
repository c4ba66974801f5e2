"""Slow and plainly written forms: what the fast ones are held against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


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
    """Of each pick in turn its distance to the nearest center before it, and the largest one that any row had."""
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


def uncertainty(boxes: Floats, measure: str, aggregation: str, least: float, top: int) -> float:
    """Of one frame, box by box."""
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
    if not values:
        return 0.0
    return {
        "sum": sum(values),
        "mean": sum(values) / len(values),
        "max": max(values),
        "top": sum(sorted(values)[-top:]) / top,
    }[aggregation]


def webster(weights: list[float], turns: int) -> list[int]:
    """Who has each turn: one after another to the largest weight / (turns had + 1/2), the first of equals."""
    had, order = [0] * len(weights), []
    for _ in range(turns):
        best = max(range(len(weights)), key=lambda arm: (weights[arm] / (had[arm] + 0.5), -arm))
        had[best] += 1
        order.append(best)
    return order


def covering(
    points: Floats,
    weights: Floats,
    picks: list[int],
    labeled: Floats,
    scale: float,
    cost: Floats | None = None,
) -> tuple[list[float], list[float]]:
    """Of each pick in turn the gain in sum_i w_i max_s exp(-|x_i - s|^2 / scale^2), over its cost where that is given,
    and the largest one to be had.
    """
    exact = points.astype(np.float64)
    kernel = similarities(exact, exact, scale)
    covered = np.zeros(len(points))
    if len(labeled):
        covered = similarities(exact, labeled.astype(np.float64), scale).max(axis=1)
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


def similarities(left: Floats, right: Floats, scale: float) -> Floats:
    return np.exp(-((left[:, None] - right[None]) ** 2).sum(axis=2) / scale**2)


def coverage(points: Floats, weights: Floats, chosen: Floats, scale: float) -> float:
    """The objective itself."""
    if not len(chosen):
        return 0.0
    return float(
        weights @ similarities(points.astype(np.float64), chosen.astype(np.float64), scale).max(axis=1)
    )


def greedy(value: Any, size: int, k: int, cost: Floats | None = None) -> list[int]:
    """The row that adds most to value(list of rows) per cost, again and again; ties to the lowest row."""
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


def stream(points: Floats, k: int, labeled: Floats, past: Floats, tau: float) -> list[int]:
    """One frame after another."""
    share = k / len(points)
    least = np.quantile(past, 1 - share)
    kept: list[int] = []
    for row, point in enumerate(points):
        known = [*labeled, *points[kept]]
        far = min((float(np.linalg.norm(point - other)) for other in known), default=2.0)
        if far >= least and far > tau and len(kept) < share * (row + 1):
            kept.append(row)
    return kept


def medoid_cost(distance: Floats, medoids: Any) -> float:
    return float(distance[:, list(medoids)].min(axis=1).sum())
