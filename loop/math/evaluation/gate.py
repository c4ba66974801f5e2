"""The gate: whether a candidate replaces the deployed model, check by check, with the numbers.

A candidate is promoted when it is better over all held-out frames or over the targeted gaps, by a
paired test over groups, and no class and no condition has fallen. What too few groups show is
called unverifiable: nothing is claimed of it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from loop.base.arrays import Ints, Reals
from loop.math.evaluation.ap import Matches
from loop.math.evaluation.compare import DRAWS, Difference, Slice, compare, group_numbers, p_gain
from loop.math.statistics.multiple_testing import holm

Status = Literal["pass", "fail", "unverifiable"]
NO_FALL = "no fall: "
_MIN_TIMINGS = 20


class GateSettings(Protocol):
    """What a verdict depends on; the section `gate` of a project's settings is such, and the
    defaults stand there.

    margin: AP that no class and no condition may lose.
    few_margin: the same where fewer than min_groups show it, and where a fall within chance is
    large.
    alpha: of the tests, family-wise.
    max_slowdown: candidate / deployed.
    required: names of checks that must pass, not merely not fail.
    """

    margin: float
    few_margin: float
    alpha: float
    min_groups: int
    max_slowdown: float
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds per image, (M,) each, of the same images in the same order, taken in turns on
    one machine.
    """

    deployed_ms: Sequence[float]
    candidate_ms: Sequence[float]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the verdict. statistic is held against bound; before, after: AP of deployed model
    and candidate.

    slice_id: of the condition or class that it is about.
    """

    name: str
    status: Status
    statistic: float | None
    bound: float | None
    groups: int
    text: str
    before: float | None = None
    after: float | None = None
    slice_id: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """reasons: for people, the deciding ones first."""

    promote: bool
    reasons: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are not there are None."""
        return asdict(self)

    def with_slices(self, ids: Mapping[str, int]) -> Verdict:
        """Every check knows its slice. ids: by "condition NAME" and "class NAME"."""
        checks = [replace(check, slice_id=ids.get(check.name.removeprefix(NO_FALL))) for check in self.checks]
        return replace(self, checks=checks)


@dataclass(frozen=True, slots=True)
class _Pair:
    deployed: Matches
    candidate: Matches
    groups: Ints
    settings: GateSettings
    seed: int
    draws: int

    def compare(self, slices: Sequence[Slice]) -> Difference:
        return compare(self.deployed, self.candidate, slices, self.groups)

    def p_gain(self, slices: Sequence[Slice]) -> float:
        return p_gain(self.deployed, self.candidate, slices, self.groups, draws=self.draws, seed=self.seed)


def judge(
    deployed: Matches,
    candidate: Matches,
    *,
    groups: Sequence[Hashable],
    classes: Sequence[str],
    conditions: Mapping[str, ArrayLike] | None = None,
    targets: Collection[str] = (),
    weights: ArrayLike | None = None,
    latency: Latency | None = None,
    settings: GateSettings,
    seed: int = 0,
    draws: int = DRAWS,
) -> Verdict:
    """Judges a candidate on the frames that both models saw.

    groups: (N,) camera-day or sequence of each image.
    conditions: name to (N,) bool.
    targets: names of conditions or classes that the round was to mend.
    weights: (N,) 1 / inclusion probability, used for the overall estimate alone.
    Deterministic given the seed.
    Raises ValueError on lengths that do not fit or an unknown target.
    """
    if len(classes) != deployed.classes or candidate.classes != deployed.classes:
        raise ValueError(
            f"expected {deployed.classes} class names for both models, got {len(classes)} and "
            f"{candidate.classes} candidate classes; compare models of one class list"
        )
    slices = _slices(deployed, classes, conditions or {})
    overall = Slice("overall", _weights(weights, deployed.images))
    aims = [slices[_resolve(target, slices)] for target in targets]
    pair = _Pair(deployed, candidate, group_numbers(groups), settings, seed, draws)
    judged = {one.name: pair.compare([one]) for one in (overall, *slices.values())}
    gains = _superiority(pair, overall, aims)
    falls = _falls(judged, settings)
    checks = [*gains, *falls, _latency(latency, settings)]
    return _verdict(checks, gains, settings)


def _verdict(checks: list[Check], gains: list[Check], settings: GateSettings) -> Verdict:
    better = [c for c in gains if c.status == "pass"]
    failed = [c for c in checks if c.status == "fail" and c not in gains]
    missing = _missing(checks, failed, settings.required)
    reasons = [*(c.text for c in failed), *missing, *(c.text for c in better or gains)]
    if unknown := [c for c in checks if c.status == "unverifiable" and c not in gains]:
        listed = "; ".join(c.text for c in sorted(unknown, key=_lost, reverse=True))
        reasons.append(f"could not be verified, so nothing is claimed of {_it(unknown)}: {listed}")
    return Verdict(bool(better) and not failed and not missing, reasons, checks)


def _missing(checks: list[Check], failed: list[Check], required: Sequence[str]) -> list[str]:
    """What is said of each required check that neither passed nor is among those said to fail
    anyway.
    """
    known = {c.name: c for c in checks}
    said = []
    for name in required:
        check = known.get(name)
        if check is None:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            said.append(f"required, but {name!r} is no check of this verdict; {hint}")
        elif check.status != "pass" and check not in failed:
            said.append(f"required, but {check.text}")
    return said


def _lost(check: Check) -> float:
    """AP lost as measured; 0 where nothing is known or nothing was lost."""
    return 0.0 if check.before is None or check.after is None else max(check.before - check.after, 0.0)


def _it(checks: list[Check]) -> str:
    return "it" if len(checks) == 1 else "them"


def _superiority(pair: _Pair, overall: Slice, aims: Sequence[Slice]) -> list[Check]:
    """Two ways to be better share alpha between them."""
    if _same(pair.deployed, pair.candidate):
        text = "no difference: both models gave the same detections"
        return [_check("better overall", "fail", None, None, pair.compare([overall]), text)]
    alpha = pair.settings.alpha / (2 if aims else 1)
    gaps = [_gain(pair, "better on the gaps", "the targeted gaps", aims, alpha)] if aims else []
    return [*gaps, _gain(pair, "better overall", "all held-out frames", [overall], alpha)]


def _gain(pair: _Pair, name: str, where: str, slices: Sequence[Slice], alpha: float) -> Check:
    one, needed = pair.compare(slices), pair.settings.min_groups
    if one.groups < needed:
        text = f"{name} cannot be told: {_groups(one)} show objects, {needed} are needed"
        return _check(name, "unverifiable", None, alpha, one, text)
    p = pair.p_gain(slices)
    status: Status = "pass" if p <= alpha and one.estimate > 0 else "fail"
    verb = "is better" if status == "pass" else "is not shown to be better"
    text = f"the candidate {verb} over {where}: {_moved(one)}, p = {p:.4f} against {alpha:g}, {_groups(one)}"
    return _check(name, status, p, alpha, one, text)


def _falls(judged: Mapping[str, Difference], settings: GateSettings) -> list[Check]:
    told = [name for name, one in judged.items() if one.groups >= settings.min_groups]
    adjusted = holm([judged[name].p_fall() for name in told])
    significant = dict(zip(told, (adjusted <= settings.alpha).tolist(), strict=True))
    return [_fall(name, one, significant.get(name), settings) for name, one in judged.items()]


def _fall(name: str, one: Difference, significant: bool | None, settings: GateSettings) -> Check:
    """significant: None where too few groups show the slice."""
    label = f"{NO_FALL}{name}"
    if np.isnan(one.before):
        return _check(label, "unverifiable", None, None, one, f"{name}: no object of it was labeled")
    fall = -one.estimate
    if significant is None:
        return _few(label, name, one, settings)
    upper = one.upper_fall(settings.alpha)
    large = fall > settings.few_margin and one.p_fall() <= 0.2
    if fall > settings.margin and (significant or large):
        text = f"{name} fell: {_moved(one)}, {_groups(one)}; at most {settings.margin:g} is allowed"
        return _check(label, "fail", fall, settings.margin, one, text)
    if upper <= settings.margin:
        text = f"{name} did not fall: {_moved(one)}, at most {max(upper, 0):.3f} lost, {_groups(one)}"
        return _check(label, "pass", upper, settings.margin, one, text)
    seen = f"{name} may have fallen" if fall > 0 else name
    text = f"{seen}: {_moved(one)}, up to {upper:.2f} may be lost, {_groups(one)}"
    return _check(label, "unverifiable", upper, settings.margin, one, text)


def _few(label: str, name: str, one: Difference, settings: GateSettings) -> Check:
    """With few groups one lost object moves AP far: a fall counts when it is large, and in every
    group's absence.
    """
    fall, bound = -one.estimate, settings.few_margin
    if fall > bound and (one.persistent or fall > 2 * bound):
        text = (
            f"{name} fell: {_moved(one)}, {_groups(one)}; at most {bound:g} is allowed where so few show it"
        )
        return _check(label, "fail", fall, bound, one, text)
    seen = f"{name} may have fallen" if fall > 0 else name
    text = f"{seen}: {_moved(one)}, but only {_groups(one)}, {settings.min_groups} are needed"
    return _check(label, "unverifiable", fall, bound, one, text)


def _latency(latency: Latency | None, settings: GateSettings) -> Check:
    bound = settings.max_slowdown
    if latency is None or min(len(latency.deployed_ms), len(latency.candidate_ms)) < _MIN_TIMINGS:
        text = f"latency: fewer than {_MIN_TIMINGS} timings of each model"
        return Check("latency", "unverifiable", None, bound, 0, text)
    before, after = (np.asarray(ms, dtype=np.float64) for ms in (latency.deployed_ms, latency.candidate_ms))
    # Image by image: while other work comes and goes, the two medians may each fall on another side of it.
    middle, tail = (
        float(np.median(after / before)),
        float(np.percentile(after, 95) / np.percentile(before, 95)),
    )
    said = (
        f"{tail:.2f} x the deployed model's at p95, {middle:.2f} x on the middle image; at most {bound:g} x"
        " is allowed"
    )
    if middle > bound:
        return Check("latency", "fail", middle, bound, 0, f"latency rose: {said}")
    if tail > bound:
        return Check(
            "latency", "unverifiable", tail, bound, 0, f"latency: {said}; time it on a quiet machine"
        )
    return Check("latency", "pass", tail, bound, 0, f"latency held: {said}")


def _slices(
    deployed: Matches, classes: Sequence[str], conditions: Mapping[str, ArrayLike]
) -> dict[str, Slice]:
    everywhere = np.ones(deployed.images)
    out = {f"class {name}": Slice(f"class {name}", everywhere, (i,)) for i, name in enumerate(classes)}
    for name, mask in conditions.items():
        chosen = np.asarray(mask, dtype=np.float64)
        if chosen.shape != (deployed.images,):
            raise ValueError(
                f"expected condition {name!r} as ({deployed.images},) bool, got shape {chosen.shape}; "
                "say for each image whether it holds"
            )
        out[f"condition {name}"] = Slice(f"condition {name}", chosen)
    return out


def _resolve(target: str, slices: Mapping[str, Slice]) -> str:
    for name in (target, f"condition {target}", f"class {target}"):
        if name in slices:
            return name
    short = [name.split(" ", 1)[1] for name in slices]
    near = get_close_matches(target, short, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(short)}"
    raise ValueError(f"expected a condition or class as target, got {target!r}; {hint}")


def _weights(weights: ArrayLike | None, images: int) -> Reals:
    out = np.ones(images) if weights is None else np.asarray(weights, dtype=np.float64)
    if out.shape != (images,) or not np.isfinite(out).all() or (out < 0).any():
        raise ValueError(
            f"expected {images} weights, finite and not negative, got shape {out.shape}; correct them"
        )
    return out


def _same(deployed: Matches, candidate: Matches) -> bool:
    return all(
        np.array_equal(getattr(deployed, name), getattr(candidate, name))
        for name in ("image", "class_id", "confidence", "hit")
    )


def _check(
    name: str, status: Status, statistic: float | None, bound: float | None, one: Difference, text: str
) -> Check:
    return Check(
        name, status, _finite(statistic), bound, one.groups, text, _finite(one.before), _finite(one.after)
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _moved(one: Difference) -> str:
    return f"AP50 {one.before:.3f} -> {one.after:.3f} ({one.estimate:+.3f})"


def _groups(one: Difference) -> str:
    return f"{one.groups} group{'' if one.groups == 1 else 's'}"
