"""How sure a rate is."""

from __future__ import annotations

from scipy import stats

_Z = float(stats.norm.ppf(0.975))


def wilson(yes: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927). Of nothing seen it is 0 to 1."""
    if not of:
        return 0.0, 1.0
    rate, square = yes / of, _Z**2
    middle = (rate + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * (rate * (1 - rate) / of + square / (4 * of**2)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)
