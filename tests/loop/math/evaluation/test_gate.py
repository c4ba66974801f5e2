"""The gate on planted cases: chance is not promoted, a real gain is, a broken slice never."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from loop.math.evaluation.ap import Matches
from loop.math.evaluation.gate import Latency, judge
from loop.math.evaluation.pair import GateSettings, alpha_left
from loop.math.evaluation.verdict import Check, Verdict
from loop.settings.settings import load_settings
from tests.loop.math.evaluation.simulated import BLIND, CLASSES, CONDITIONS, GOOD, detector, skills, world

GAPS = ("night", "fog", "rain")
USUAL = load_settings(None).gate
FAST = {"settings": USUAL, "draws": 200}
STEADY = Latency([10.0] * 30, [10.0] * 30)
BETTER = skills(day=GOOD - 0.1, gaps=0.3)


def verdict(seed: int, groups: int, before, after, *, frames: int = 4, targets=GAPS, **options) -> Verdict:
    rng = np.random.default_rng(seed)
    scene = world(rng, groups, frames)
    pair = detector(rng, scene, before), detector(rng, scene, after)
    settings = FAST | {"latency": STEADY} | options
    return judge(
        *pair,
        groups=scene.group.tolist(),
        classes=CLASSES,
        conditions=scene.masks,
        targets=targets,
        seed=seed,
        **settings,
    )


def requiring(name: str) -> GateSettings:
    return USUAL.model_copy(update={"required": (name,)})


def promoted(seeds: int, *args, **options) -> float:
    return float(np.mean([verdict(seed, *args, **options).promote for seed in range(seeds)]))


def check_of(out: Verdict, name: str) -> Check:
    return next(check for check in out.checks if check.name == name)


def many_slices(
    rng: np.random.Generator, group: NDArray[np.int64], count: int
) -> dict[str, NDArray[np.bool_]]:
    """A third are cameras, the others come and go."""
    camera = rng.integers(0, count // 3, group.max() + 1)[group]
    seen = rng.choice(count - count // 3, len(group), p=rng.dirichlet(np.full(count - count // 3, 1.5)))
    cameras = {f"camera {i}": camera == i for i in range(count // 3)}
    return cameras | {f"weather {i}": seen == i for i in range(count - count // 3)}


@pytest.mark.slow
@pytest.mark.parametrize("slices", [4, 30])
def test_equal_models_are_not_said_to_have_fallen(slices: int) -> None:
    fell = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scene = world(rng, 30)
        a, b = (detector(rng, scene, skills(gaps=-0.5)) for _ in range(2))
        conditions = scene.masks if slices == 4 else many_slices(rng, scene.group, slices)
        labels = {"groups": scene.group.tolist(), "classes": CLASSES, "conditions": conditions}
        out = judge(a, b, **labels, latency=STEADY, seed=seed, **FAST)
        fell += any(c.status == "fail" for c in out.checks if c.name.startswith("no fall: "))
    assert fell / 100 <= 0.06


@pytest.mark.slow
def test_a_broken_camera_of_few_frames_blocks_though_no_target() -> None:
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = world(rng, 30, frames=10)
        camera = rng.random(len(scene.group)) < 0.03
        table = skills(gaps=BLIND)
        skill, better = (each[scene.condition[scene.image], scene.class_id] for each in (table, BETTER))
        skill[camera[scene.image]], better[camera[scene.image]] = GOOD, -3.0
        a, b = detector(rng, scene, skill), detector(rng, scene, better)
        labels = {"groups": scene.group.tolist(), "classes": CLASSES}
        conditions = scene.masks | {"camera 7": camera}
        out = judge(a, b, **labels, conditions=conditions, targets=GAPS, latency=STEADY, seed=seed, **FAST)
        held += not out.promote or out.needs_approval
    assert held / 40 >= 0.95


@pytest.mark.slow
def test_looser_boxes_are_refused() -> None:
    blocked = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scene = world(rng, 30)
        a = detector(rng, scene, skills(gaps=BLIND), boxes=np.array([6.0, 2.0]))
        b = detector(rng, scene, BETTER, boxes=np.array([2.0, 6.0]))
        labels = {"groups": scene.group.tolist(), "classes": CLASSES, "conditions": scene.masks}
        out = judge(a, b, **labels, targets=GAPS, latency=STEADY, seed=seed, **FAST)
        assert check_of(out, "better on the gaps").after > check_of(out, "better on the gaps").before
        blocked += not out.promote and " fell: mAP50-95 " in out.reasons[0]
    assert blocked / 30 >= 0.95


def test_the_gaps_come_first_and_have_the_whole_alpha() -> None:
    out = verdict(1, 30, skills(gaps=BLIND), BETTER)
    gaps, overall = check_of(out, "better on the gaps"), check_of(out, "better overall")
    assert gaps.bound == overall.bound == pytest.approx(USUAL.alpha * 7 / 8)
    only_day = verdict(1, 30, skills(day=0.0, gaps=BLIND), skills(day=GOOD, gaps=BLIND))
    gaps, overall = check_of(only_day, "better on the gaps"), check_of(only_day, "better overall")
    assert (gaps.status, overall.status, overall.bound) == ("fail", "unverifiable", None)
    assert overall.after > overall.before + 0.1
    assert "not tested, because the targeted gaps come first" in overall.text
    assert not only_day.promote


def test_alpha_is_spent_on_frames_that_have_judged() -> None:
    frames = 30 * 4
    fresh = verdict(1, 30, skills(gaps=BLIND), BETTER)
    again = verdict(1, 30, skills(gaps=BLIND), BETTER, looks=np.ones(frames))
    half = verdict(1, 30, skills(gaps=BLIND), BETTER, looks=np.arange(frames) % 2)
    bounds = [check_of(out, "better overall").bound for out in (fresh, again, half)]
    assert bounds == pytest.approx([0.05 * 7 / 8, 0.05 / 16, 0.05 * (7 / 8 + 1 / 16) / 2])
    spent = [alpha_left(0.05, np.array([looks])) for looks in range(5000)]
    assert spent == sorted(spent, reverse=True)
    assert 0.0499 < sum(spent) <= 0.05
    assert "because these frames have judged before" in check_of(again, "better overall").text


def test_what_was_to_be_mended_and_is_held_out_nowhere_stands_first_and_a_person_decides() -> None:
    rng = np.random.default_rng(1)
    scene = world(rng, 30)
    a, b = detector(rng, scene, skills(gaps=BLIND)), detector(rng, scene, BETTER)
    nowhere = np.zeros(len(scene.group), bool)
    labels = {
        "groups": scene.group.tolist(),
        "classes": CLASSES,
        "latency": STEADY,
        "targets": [*GAPS, "snow"],
    }
    conditions = scene.masks | {"snow": nowhere}
    out = judge(a, b, **labels, conditions=conditions, **FAST)
    assert (out.promote, out.needs_approval) == (True, True)
    assert out.reasons[:2] == [
        "it passed, but a person decides, because too little is held out of: condition snow",
        "condition snow: 0 frames held out, so nothing is known of what this round was to mend",
    ]
    assert [c.name for c in out.checks].count("no fall: condition snow") == 1
    told = FAST | {"settings": USUAL.model_copy(update={"when_unjudged": "promote"})}
    alone = judge(a, b, **labels, conditions=conditions, **told)
    assert (alone.promote, alone.needs_approval) == (True, False)
    assert alone.reasons[0].startswith("condition snow: 0 frames held out")
    worse = judge(b, a, **labels, conditions=conditions, **FAST)
    assert (worse.promote, worse.needs_approval) == (False, False)
    assert worse.reasons[0].startswith("condition snow: 0 frames held out")


def test_frames_that_have_judged_too_often_are_named() -> None:
    """Nine groups tell no less than 1/512."""
    out = verdict(1, 9, skills(gaps=BLIND), skills(), targets=(), looks=np.full(36, 4))
    overall = check_of(out, "better overall")
    assert (out.promote, overall.status) == (False, "unverifiable")
    assert "these frames have judged too often; label new ones to judge with" in out.reasons[0]
    assert verdict(1, 9, skills(gaps=BLIND), skills(), targets=()).promote


def test_targets_of_too_few_groups_ask_a_person() -> None:
    """All frames decide then, and the targets may have become worse."""
    wanting = USUAL.model_copy(update={"min_groups": 12})
    out = verdict(1, 40, skills(gaps=BLIND), BETTER, targets=GAPS[:1], settings=wanting)
    gaps = check_of(out, "better on the gaps")
    assert (gaps.status, gaps.asks, gaps.groups) == ("unverifiable", True, 10)
    assert (out.promote, out.needs_approval) == (True, True)
    assert out.reasons[0].endswith("too little is held out of: better on the gaps")
    assert out.reasons[1].startswith("better on the gaps cannot be told: 10 groups show objects")


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.8, 4.0])
def test_a_large_gain_on_the_gaps_hides_no_fall_elsewhere(gain: float) -> None:
    before, after = skills(gaps=0.0), skills(gaps=gain)
    before[3], after[3] = 1.5, -0.8
    found = [verdict(seed, 40, before, after, targets=GAPS[:2]) for seed in range(30)]
    assert np.mean([check_of(out, "no fall: condition rain").status == "fail" for out in found]) >= 0.9


@pytest.mark.slow
def test_the_bound_of_a_fall_covers() -> None:
    """Two trainings of equal skill: what may be lost at most is above the true 0 in 19 of 20."""
    covered = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        scene = world(rng, 20, frames=3)
        a, b = (detector(rng, scene, skills(gaps=GOOD - 1.5)) for _ in range(2))
        labels = {"groups": scene.group.tolist(), "classes": CLASSES, "conditions": scene.masks}
        out = judge(a, b, **labels, latency=STEADY, seed=seed, **FAST)
        falls = [c for c in out.checks if c.name.startswith("no fall: ") and c.statistic is not None]
        covered += [c.statistic >= 0 for c in falls if c.status != "fail"] + [
            False for c in falls if c.status == "fail"
        ]
    assert np.mean(covered) >= 0.93


@pytest.mark.slow
def test_looser_boxes_of_one_class_are_a_fall() -> None:
    fell = 0
    fields = ("image", "class_id", "confidence", "hit")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = world(rng, 30)
        tight = np.array([6.0, 2.0])
        a, b = (detector(rng, scene, skills(), boxes=tight) for _ in range(2))
        loose = detector(rng, scene, skills(), boxes=tight[::-1])
        of_class = [(b, b.class_id != 2), (loose, loose.class_id == 2)]
        mixed = [np.concatenate([getattr(m, f)[..., keep] for m, keep in of_class], axis=-1) for f in fields]
        order = np.lexsort((-mixed[2], mixed[1]))
        candidate = replace(b, **{f: part[..., order] for f, part in zip(fields, mixed, strict=True)})
        labels = {"groups": scene.group.tolist(), "classes": CLASSES, "conditions": scene.masks}
        out = judge(a, candidate, **labels, latency=STEADY, seed=seed, **FAST)
        fell += check_of(out, "no fall: class truck, mAP50-95").status == "fail"
    assert fell / 20 >= 0.95


def test_what_few_frames_lose_altogether_a_person_looks_at() -> None:
    """Two camera-days of a new kind, on which the candidate is blind."""
    asked = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = world(rng, 30)
        place = np.isin(scene.group, np.bincount(scene.group[scene.image]).argsort()[-2:])
        skill = skills(gaps=BLIND)[scene.condition[scene.image], scene.class_id]
        better = BETTER[scene.condition[scene.image], scene.class_id]
        skill[place[scene.image]], better[place[scene.image]] = 4.0, -4.0
        a, b = detector(rng, scene, skill), detector(rng, scene, better)
        labels = {"groups": scene.group.tolist(), "classes": CLASSES, "latency": STEADY, "targets": GAPS}
        out = judge(a, b, **labels, conditions=scene.masks | {"yard": place}, seed=seed, **FAST)
        yard = check_of(out, "no fall: condition yard")
        assert (yard.status, yard.groups) == ("unverifiable", 2)
        asked += yard.asks and "look at it, because to tell, 3 frames, 5 objects and 3 groups" in yard.text
    assert asked >= 15


def test_a_fall_that_is_likely_and_not_certain_a_person_looks_at() -> None:
    """Three frames of thirty camera-days, among twenty other slices."""
    told, asked = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = world(rng, 30)
        shown = np.flatnonzero(np.bincount(scene.image, minlength=120) > 1)
        lost = np.isin(np.arange(120), rng.permutation(shown)[:3])
        skill = skills(day=1.0, gaps=1.0)[scene.condition[scene.image], scene.class_id]
        a = detector(rng, scene, skill)
        b = detector(rng, scene, np.where(lost[scene.image], -3.0, skill))
        conditions = many_slices(rng, scene.group, 20) | {"snow": lost}
        labels = {"groups": scene.group.tolist(), "classes": CLASSES, "latency": STEADY, "targets": ()}
        snow = check_of(
            judge(a, b, **labels, conditions=conditions, seed=seed, **FAST), "no fall: condition snow"
        )
        told += snow.status == "fail"
        asked += snow.status == "unverifiable" and snow.asks and snow.text.endswith("; look at it")
    assert told + asked >= 19
    assert asked >= 2, "it is the asking that tells them"


def broken(skill, *, condition: int | None = None, kind: int | None = None):
    out = skill.copy()
    if condition is not None:
        out[condition] = -3.0
    if kind is not None:
        out[:, kind] = -1.5
    return out


@pytest.mark.slow
def test_equal_models_are_not_promoted() -> None:
    assert promoted(100, 20, skills(gaps=0), skills(gaps=0), frames=2) <= 0.06
    assert promoted(80, 24, skills(), skills(), frames=2, targets=()) <= 0.06


@pytest.mark.slow
def test_a_real_gain_on_the_gaps_is_promoted() -> None:
    assert promoted(40, 30, skills(gaps=BLIND), BETTER, frames=2) >= 0.85
    assert promoted(40, 60, skills(gaps=BLIND), BETTER, frames=1) >= 0.85


def test_a_gain_is_promoted_without_targets_too() -> None:
    assert promoted(40, 30, skills(gaps=BLIND), BETTER, frames=2, targets=()) >= 0.85


def test_a_broken_condition_blocks() -> None:
    before = skills(gaps=BLIND)
    before[3] = 0.3
    assert promoted(40, 30, before, broken(BETTER, condition=3), frames=2, targets=GAPS[:2]) <= 0.05


@pytest.mark.slow
def test_a_broken_rare_class_blocks_and_is_named() -> None:
    before = skills(gaps=BLIND)
    before[:, 4] = 1.5
    results = [verdict(seed, 30, before, broken(BETTER, kind=4)) for seed in range(40)]
    assert np.mean([v.promote for v in results]) <= 0.05
    named = ("class forklift fell", "class forklift may have fallen")
    assert np.mean([any(said in v.reasons[0] for said in named) for v in results]) >= 0.95
    better = [v for v in results if check_of(v, "better on the gaps").status == "pass"]
    assert np.mean([not v.promote for v in better]) >= 0.9, "better on the gaps, and blocked all the same"


@pytest.mark.slow
@pytest.mark.parametrize("groups", [12, 30, 60])
@pytest.mark.parametrize("power", [1.0, 3.0])
def test_equal_models_of_other_confidence_are_not_promoted(groups: int, power: float) -> None:
    count = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        scene = world(rng, groups)
        a, b = (detector(rng, scene, skills(gaps=0)) for _ in range(2))
        b = replace(b, confidence=b.confidence**power)
        labels = {"groups": scene.group.tolist(), "classes": CLASSES, "conditions": scene.masks}
        count += judge(a, b, **labels, targets=GAPS, latency=STEADY, seed=seed, **FAST).promote
    assert count / 300 <= 0.06


def test_a_copy_is_not_promoted() -> None:
    rng = np.random.default_rng(0)
    scene = world(rng, 30)
    model = detector(rng, scene, skills(gaps=0))
    out = judge(
        model, model, groups=scene.group.tolist(), classes=CLASSES, targets=["person"], latency=STEADY, **FAST
    )
    assert not out.promote
    said = "no difference: both models gave the same detections"
    assert out.reasons[0] == said
    assert [c.text for c in out.checks].count(said) == 1


def test_few_groups_are_unverifiable_and_said_so() -> None:
    wanting = USUAL.model_copy(update={"fall_groups": 4})
    out = verdict(1, 12, skills(gaps=BLIND), BETTER, settings=wanting)
    night = next(c for c in out.checks if c.name == "no fall: condition night")
    assert night.status == "unverifiable"
    assert night.groups == 3
    assert "11 frames of 3 groups; to tell, 3 frames, 5 objects and 4 groups are needed" in night.text
    said = "could not be verified, so nothing is claimed of them: "
    assert any(r.startswith(said) and "condition night" in r for r in out.reasons)
    required = wanting.model_copy(update={"required": (night.name,)})
    strict = verdict(1, 12, skills(gaps=BLIND), BETTER, settings=required)
    assert out.promote
    assert not strict.promote
    assert strict.reasons[0].startswith("required, but condition night")


def slightly_worse_in_rain(settings: GateSettings = USUAL) -> Verdict:
    before, after = skills(gaps=BLIND), BETTER.copy()
    before[3], after[3] = 1.0, 0.7
    return verdict(17, 20, before, after, settings=settings, targets=GAPS[:2])


def test_a_small_fall_that_few_show_is_named_first_and_never_called_passed() -> None:
    out = slightly_worse_in_rain()
    day, rain = (c for c in out.checks if c.name in ("no fall: condition day", "no fall: condition rain"))
    assert out.promote
    assert rain.before - rain.after > day.before - day.after > 0
    assert (day.status, rain.status) == ("unverifiable", "unverifiable")
    assert rain.text.startswith("condition rain may have fallen: AP50 ")
    said = "could not be verified, so nothing is claimed of them: "
    assert out.reasons[-1].startswith(f"{said}{rain.text}; {day.text}; ")


@pytest.mark.parametrize(
    ("floor", "most"), [("fall_frames", 120), ("fall_objects", 900), ("fall_groups", 30)]
)
def test_a_slice_below_a_floor_does_not_block(floor: str, most: int) -> None:
    before = skills(gaps=BLIND)
    before[3] = 0.3
    case = (3, 30, before, broken(BETTER, condition=3))
    name = "no fall: condition rain"
    assert check_of(verdict(*case, targets=GAPS[:2]), name).status == "fail"
    high = USUAL.model_copy(update={floor: most + 1})
    out = check_of(verdict(*case, targets=GAPS[:2], settings=high), name)
    assert (out.status, out.asks) == ("unverifiable", True)


def test_a_required_check_must_pass_and_must_exist() -> None:
    def judged(name: str) -> Verdict:
        return verdict(1, 30, skills(gaps=BLIND), BETTER, settings=requiring(name))

    assert judged("better on the gaps").promote
    slip = judged("no fall: class forklft")
    assert not slip.promote
    assert (
        slip.reasons[0]
        == "required, but 'no fall: class forklft' is no check of this verdict; did you mean 'no fall: class"
        " forklift'?"
    )


def test_too_few_groups_altogether_never_promote() -> None:
    out = verdict(2, 6, skills(gaps=BLIND), BETTER)
    assert not out.promote
    assert "better overall cannot be told: 6 groups show objects, 8 are needed" in out.reasons


def test_a_class_that_nobody_labeled_is_unverifiable() -> None:
    rng = np.random.default_rng(0)
    scene = world(rng, 20, rates=np.array([0.9, 0.6, 0.4, 0.5, 0.0]))
    a, b = detector(rng, scene, skills(gaps=BLIND)), detector(rng, scene, BETTER)
    out = judge(a, b, groups=scene.group.tolist(), classes=CLASSES, latency=STEADY, **FAST)
    check = next(c for c in out.checks if c.name == "no fall: class forklift")
    assert (check.status, check.before) == ("unverifiable", None)
    assert check.text == "class forklift: no object of it was labeled"
    assert out.promote


def test_a_class_that_no_held_out_object_shows_asks_a_person() -> None:
    rng = np.random.default_rng(0)
    scene = world(rng, 20, rates=np.array([0.9, 0.6, 0.4, 0.5, 0.0]))
    a, b = detector(rng, scene, skills(gaps=BLIND)), detector(rng, scene, BETTER)
    labels = {"groups": scene.group.tolist(), "classes": CLASSES, "latency": STEADY}
    out = judge(a, b, **labels, **FAST)
    assert (out.promote, out.needs_approval) == (True, True)
    assert out.reasons[:2] == [
        "it passed, but a person decides, because too little is held out of: class forklift",
        "class forklift: no object of it was labeled",
    ]
    assert [check.name for check in out.checks if check.asks] == ["no fall: class forklift"]
    alone = judge(
        a, b, **labels, **FAST | {"settings": USUAL.model_copy(update={"when_unjudged": "promote"})}
    )
    assert (alone.promote, alone.needs_approval) == (True, False)
    assert alone.reasons[0] == "class forklift: no object of it was labeled"
    worse = judge(b, a, **labels, **FAST)
    assert not worse.promote
    assert worse.reasons.index("class forklift: no object of it was labeled") > 0, "it is not why"
    assert not any(check.asks for check in verdict(1, 30, skills(gaps=BLIND), BETTER).checks)


def without_forklifts(one: Matches) -> Matches:
    """Of a detector that has forgotten them."""
    kept = one.class_id != CLASSES.index("forklift")
    return replace(
        one,
        image=one.image[kept],
        class_id=one.class_id[kept],
        confidence=one.confidence[kept],
        hit=one.hit[:, kept],
    )


def test_a_class_that_is_found_no_more_asks_a_person_however_few_objects_show_it() -> None:
    rng = np.random.default_rng(4)
    scene = world(rng, 30)
    a, b = detector(rng, scene, skills(gaps=BLIND)), detector(rng, scene, BETTER)
    forgot = without_forklifts(b)
    labels = {"groups": scene.group.tolist(), "classes": CLASSES, "conditions": scene.masks, "targets": GAPS}
    out = judge(a, forgot, **labels, latency=STEADY, seed=4, **FAST)
    check = check_of(out, "no fall: class forklift")
    assert (out.promote, out.needs_approval, check.asks) == (True, True, True)
    assert (check.status, check.after) == ("unverifiable", 0.0)
    assert check.before is not None
    assert check.before > USUAL.margin
    assert check.text.startswith(f"class forklift is found no more: AP50 {check.before:.3f} -> 0.000")
    assert check.text in out.reasons
    assert not judge(a, b, **labels, latency=STEADY, seed=4, **FAST).needs_approval
    equal = detector(rng, scene, skills(gaps=BLIND))
    worse = judge(a, without_forklifts(equal), **labels, latency=STEADY, seed=4, **FAST)
    assert not worse.promote
    assert "no more" not in worse.reasons[0], "what decides stands first"
    assert any("forklift is found no more" in said for said in worse.reasons)
    found_none = judge(forgot, forgot, **labels, latency=STEADY, seed=4, **FAST)
    assert not check_of(found_none, "no fall: class forklift").asks, "nothing was lost"


def test_many_classes_that_nothing_shows_are_one_sentence() -> None:
    rng = np.random.default_rng(0)
    scene = world(rng, 20)
    a, b = detector(rng, scene, skills(gaps=BLIND)), detector(rng, scene, BETTER)
    more = [f"c{number}" for number in range(12)]
    a, b = (replace(each, truths=np.pad(each.truths, ((0, 0), (0, len(more))))) for each in (a, b))
    out = judge(a, b, groups=scene.group.tolist(), classes=[*CLASSES, *more], latency=STEADY, **FAST)
    listed = "c0, c1, c2, c3, c4, c5, c6, c7 and 4 more"
    assert out.reasons[1] == f"no object of 12 classes was labeled, and they may be forgotten: {listed}"
    assert len(out.reasons) < 6


def test_latency() -> None:
    slow = Latency([10.0] * 30, [14.0] * 30)
    out = verdict(1, 30, skills(gaps=BLIND), BETTER, latency=slow)
    assert not out.promote
    assert out.reasons[0].startswith("latency rose: 1.40 x the deployed model's at p95")
    tail = verdict(1, 30, skills(gaps=BLIND), BETTER, latency=Latency([10.0] * 30, [10.0] * 27 + [90.0] * 3))
    assert tail.promote
    assert tail.checks[-1].status == "unverifiable"
    assert "time it on a quiet machine" in tail.checks[-1].text
    busy = Latency([10.0] * 16 + [30.0] * 16, [10.0] * 15 + [30.0] * 17)
    assert np.median(busy.candidate_ms) == 1.5 * np.median(busy.deployed_ms), "as if the model were slower"
    assert verdict(1, 30, skills(gaps=BLIND), BETTER, latency=busy).checks[-1].status == "pass"
    absent = verdict(1, 30, skills(gaps=BLIND), BETTER, latency=None)
    assert absent.checks[-1].status == "unverifiable"
    assert "fewer than 20 timings" in absent.checks[-1].text


def test_every_line_with_numbers_of_both_models_has_the_interval_of_their_difference() -> None:
    checks = verdict(4, 16, skills(gaps=BLIND), BETTER).checks
    numbers = [check for check in checks if check.before is not None and check.after is not None]
    assert len(numbers) == len(checks) - 1, "all but the latency"
    for check in numbers:
        assert check.before is not None
        assert check.after is not None
        assert check.low is not None
        assert check.high is not None
        assert check.low <= check.after - check.before <= check.high, check.name
    by_name = {check.name: check for check in checks}
    overall = by_name["better overall"]
    assert (overall.low, overall.high) == (
        by_name["no fall: overall"].low,
        by_name["no fall: overall"].high,
    )
    gaps = by_name["better on the gaps"]
    assert gaps.low is not None
    assert gaps.low > 0, "it is shown to be better"


def test_a_verdict_is_json_and_repeats() -> None:
    one, two = (verdict(4, 16, skills(gaps=BLIND), BETTER) for _ in range(2))
    text = json.dumps(one.as_dict(), allow_nan=False)
    assert text == json.dumps(two.as_dict(), allow_nan=False)
    names = [c["name"] for c in json.loads(text)["checks"]]
    assert names[:3] == ["better on the gaps", "better overall", "no fall: overall"]
    assert [f"no fall: class {c}" for c in CLASSES] == names[3:8]
    assert [f"no fall: condition {c}" for c in CONDITIONS] == names[8:12]
    assert names[12:] == ["latency"]


def test_weights_count_overall_only() -> None:
    rng = np.random.default_rng(5)
    scene = world(rng, 24)
    a, b = detector(rng, scene, skills(gaps=BLIND)), detector(rng, scene, BETTER)
    options = {
        "groups": scene.group.tolist(),
        "classes": CLASSES,
        "conditions": scene.masks,
        **FAST,
    }
    plain = judge(a, b, **options)
    daylight = judge(a, b, **options, weights=np.where(scene.masks["day"], 50.0, 1.0))
    assert daylight.checks[0].before > plain.checks[0].before + 0.2
    assert [(c.before, c.after) for c in daylight.checks[2:]] == [
        (c.before, c.after) for c in plain.checks[2:]
    ]


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match=r"got 'nigth'; did you mean 'night'\?"):
        verdict(0, 8, skills(), skills(), targets=["nigth"])
    rng = np.random.default_rng(0)
    scene = world(rng, 8)
    model = detector(rng, scene, skills())
    groups = scene.group.tolist()
    with pytest.raises(ValueError, match="expected 5 class names for both models, got 1"):
        judge(model, model, groups=groups, classes=["person"], **FAST)
    with pytest.raises(ValueError, match=r"expected condition 'night' as \(32,\) bool, got shape \(2,\)"):
        judge(model, model, groups=groups, classes=CLASSES, conditions={"night": [True, False]}, **FAST)
    with pytest.raises(ValueError, match="expected 32 weights, finite and not negative"):
        judge(model, model, groups=groups, classes=CLASSES, weights=[1.0], **FAST)
