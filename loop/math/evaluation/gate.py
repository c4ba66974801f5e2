"""The gate: whether a candidate replaces the deployed model, check by check, with the numbers.

The tests have a fixed order. First the targeted gaps: the candidate must be better there, by a
paired test over groups at all of alpha that is left; all held-out frames only after that, or alone
where no gap can be tested. Then nothing may have fallen: no class and no condition by AP50, no class and not
the whole by mAP50-95. What too few frames, objects or groups show is called unverifiable: nothing
is claimed of it. What was to be mended and is held out nowhere stands first, and a person decides;
so does a person where no held-out object shows a class at all, or the candidate finds none of one
that was found: it may have been forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import ArrayLike

from loop.base.arrays import Reals
from loop.base.wording import counted, listed
from loop.math.evaluation.ap import Matches
from loop.math.evaluation.compare import DRAWS, Slice, group_numbers
from loop.math.evaluation.falls import falls, interval_of
from loop.math.evaluation.gains import OVERALL, gains
from loop.math.evaluation.pair import GateSettings, Pair
from loop.math.evaluation.verdict import GONE, LOOK, NO_FALL, UNLABELED, Check, Verdict, with_interval

_MIN_TIMINGS = 20
MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds per image, (M,) each, of the same images in the same order, taken in turns on
    one machine.
    """

    deployed_ms: Sequence[float]
    candidate_ms: Sequence[float]


def judge(
    deployed: Matches,
    candidate: Matches,
    *,
    groups: Sequence[Hashable],
    classes: Sequence[str],
    conditions: Mapping[str, ArrayLike] | None = None,
    targets: Collection[str] = (),
    weights: ArrayLike | None = None,
    looks: ArrayLike | None = None,
    latency: Latency | None = None,
    settings: GateSettings,
    seed: int = 0,
    draws: int = DRAWS,
) -> Verdict:
    """Judges a candidate on the frames that both models saw.

    groups: (N,) camera-day or sequence of each image.
    conditions: name to (N,) bool; a target that no frame shows is all False.
    targets: names of conditions or classes that the round was to mend.
    weights: (N,) 1 / inclusion probability, used for the overall estimate alone.
    looks: (N,) how often each image has judged before, 0 where it is None.
    Deterministic given the seed.
    Raises ValueError on lengths that do not fit or an unknown target.
    """
    if len(classes) != deployed.classes or candidate.classes != deployed.classes:
        raise ValueError(
            f"expected {deployed.classes} class names for both models, got {len(classes)} and "
            f"{candidate.classes} candidate classes; compare models of one class list"
        )
    slices = _slices(deployed, classes, conditions or {})
    overall = Slice("overall", _numbers("weights", weights, deployed.images, 1.0))
    aims = [slices[_resolve(target, slices)] for target in sorted(targets)]
    looked = _numbers("looks", looks, deployed.images, 0.0)
    pair = Pair(deployed, candidate, group_numbers(groups), looked, settings, seed, draws)
    judged = {one.name: pair.compare([one]) for one in (overall, *slices.values())}
    unseen = [_unseen(one, slices[one.name]) for one in aims if not judged[one.name].objects]
    shown = [one for one in aims if judged[one.name].objects]
    named = {check.name for check in unseen}
    every, chance = falls(pair, overall, slices, judged, aims)
    fallen = [check for check in every if check.name not in named]
    better = [
        with_interval(check, interval_of(pair, [overall] if check.name == OVERALL else shown, chance))
        for check in gains(pair, overall, shown)
    ]
    checks = [*unseen, *better, *fallen, _latency(latency, settings)]
    return _verdict(checks, better, settings)


def _verdict(checks: list[Check], gained: list[Check], settings: GateSettings) -> Verdict:
    """gained: the first of them decides."""
    better = gained[0].status == "pass"
    failed = [c for c in checks if c.status == "fail" and c not in gained]
    missing = _missing(checks, failed, settings.required)
    asking = [c for c in checks if c.asks]
    promote = better and not failed and not missing
    waits = promote and bool(asking) and settings.when_unjudged == "wait"
    told = [c for c in gained if c.status == "pass"] if better else gained[:1]
    unseen = [c for c in asking if c.text.endswith(UNLABELED)]
    gone = [c for c in asking if GONE in c.text]
    likely = [c for c in asking if c.text.endswith(LOOK)]
    lost = [
        *(c.text for c in likely),
        *_together(gone, "{} classes are found no more"),
        *_together(unseen, "no object of {} classes was labeled"),
    ]
    reasons = [
        *([_waits(asking)] if waits else []),
        *(c.text for c in asking if c not in (*unseen, *gone, *likely)),
        *(lost if promote else []),
        *(c.text for c in failed),
        *missing,
        *(c.text for c in told),
        *([] if promote else lost),
    ]
    if unknown := [c for c in checks if c.status == "unverifiable" and c not in (*gained, *asking)]:
        texts = "; ".join(c.text for c in sorted(unknown, key=_lost, reverse=True))
        reasons.append(f"could not be verified, so nothing is claimed of {_it(unknown)}: {texts}")
    return Verdict(promote, reasons, checks, waits)


def _waits(asking: Sequence[Check]) -> str:
    names = listed([check.name.removeprefix(NO_FALL) for check in asking], MOST_NAMES)
    return f"it passed, but a person decides, because too little is held out of: {names}"


def _together(classes: Sequence[Check], what: str) -> list[str]:
    """Of classes of which the same is said, in one sentence, however many they are. what: {} for how
    many.
    """
    if len(classes) < 2:
        return [check.text for check in classes]
    names = listed([check.name.removeprefix(f"{NO_FALL}class ") for check in classes], MOST_NAMES)
    return [f"{what.format(len(classes))}, and they may be forgotten: {names}"]


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


def _unseen(target: Slice, found: Slice) -> Check:
    """Of a target that no held-out object shows."""
    frames = int((found.weights > 0).sum()) if found.classes is None else 0
    held = f"{counted(frames, 'frame')} held out, none with an object" if frames else "0 frames held out"
    text = f"{target.name}: {held}, so nothing is known of what this round was to mend"
    return Check(f"{NO_FALL}{target.name}", "unverifiable", None, None, 0, text, asks=True)


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


def _numbers(what: str, given: ArrayLike | None, images: int, usual: float) -> Reals:
    out = np.full(images, usual) if given is None else np.asarray(given, dtype=np.float64)
    if out.shape != (images,) or not np.isfinite(out).all() or (out < 0).any():
        raise ValueError(
            f"expected {images} {what}, finite and not negative, got shape {out.shape}; correct them"
        )
    return out
