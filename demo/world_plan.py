"""Which pictures a world holds: every scene's spec and file name, before anything is drawn."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import cycle, islice

import numpy as np

from demo.render import CAMERAS, SceneSpec, sample_objects
from demo.world_schema import Condition, Gap, Where, World

_CLOCK = {
    "day": ((8 * 60, 16 * 60 + 30),),
    "dusk": ((17 * 60, 17 * 60 + 59),),
    "night": ((0, 5 * 60), (20 * 60, 24 * 60 - 1)),
}
_TRAIN, _VAL, _PRODUCTION, _TEST = range(4)


@dataclass(frozen=True)
class Shot:
    """A picture to take. ``path`` has no root and no suffix; ``needs`` names a class of which
    exactly ``instances`` must be boxed (0: at least one) in the first frame of the burst, or the
    scene is drawn anew.
    """

    spec: SceneSpec
    path: str
    gap: str | None = None
    captured: datetime | None = None
    needs: str = ""
    instances: int = 0


def training_shots(world: World, part: str) -> list[Shot]:
    """The frames of the training set's "train" or "val" part; the rare class' few are in the
    former.
    """
    training = world.training
    rng = np.random.default_rng([world.seed, _TRAIN if part == "train" else _VAL])
    rare = training.rare if part == "train" else None
    alone = rare.instances if rare else 0
    total = training.frames if part == "train" else training.validation
    shots = []
    for number in range(total):
        extra = rare.name if rare and number < alone else ""
        camera = training.cameras[number % len(training.cameras)]
        spec = _spec(
            world, camera, _drawn(training.conditions, rng), extra, rng, _TRAIN if part == "train" else _VAL
        )
        shots.append(Shot(spec, f"{number:06d}", needs=extra, instances=1 if extra else 0))
    return shots


def held_out_shots(world: World) -> dict[str, list[Shot]]:
    """Held-out frames for usual production and for each gap, all of independent scenes."""
    rng = np.random.default_rng([world.seed, _TEST])
    kinds: list[Gap | None] = [None, *world.production.gaps]
    return {
        gap.name if gap else world.production.usual: [
            _single(world, gap, number, rng) for number in range(world.test.frames_per_condition)
        ]
        for gap in kinds
    }


def production_shots(world: World) -> list[Shot]:
    """Bursts over several camera-days; a gap's bursts are spread over as many camera-days as there
    are.
    """
    rng = np.random.default_rng([world.seed, _PRODUCTION])
    plan = world.production
    bursts = plan.frames // plan.burst
    kinds: list[tuple[Gap | None, int]] = [(gap, round(gap.share * bursts)) for gap in plan.gaps]
    kinds.append((None, bursts - sum(count for _, count in kinds)))
    taken: dict[tuple[str, int], set[int]] = defaultdict(set)
    shots: list[Shot] = []
    for gap, count in kinds:
        for camera, day in islice(_camera_days(world, gap, rng), count):
            shots.extend(_burst(world, gap, camera, day, taken[camera, day], rng))
    return sorted(shots, key=lambda shot: shot.path)


def _camera_days(world: World, gap: Gap | None, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    cameras = gap.where.camera if gap and gap.where.camera else world.production.cameras
    pairs = [(camera, day) for camera in cameras for day in range(world.production.days)]
    return cycle([pairs[i] for i in rng.permutation(len(pairs))])


def _burst(
    world: World, gap: Gap | None, camera: str, day: int, taken: set[int], rng: np.random.Generator
) -> list[Shot]:
    condition = _changed(_drawn(world.production.conditions, rng), gap.where if gap else None)
    extra = (gap.where.object or "") if gap else ""
    spec = _spec(world, camera, condition, extra, rng, _PRODUCTION)
    minute = _minute(condition.time, taken, rng)
    start = datetime.combine(
        world.production.start + timedelta(days=day), time(minute // 60, minute % 60, int(rng.integers(50)))
    )
    return [
        _frame(spec, number, start + timedelta(seconds=number), gap, extra)
        for number in range(world.production.burst)
    ]


def _frame(spec: SceneSpec, number: int, moment: datetime, gap: Gap | None, extra: str) -> Shot:
    path = f"{spec.site}/{spec.camera}/{moment:%Y-%m-%d}/{moment:%H%M%S}-{number}"
    moved = SceneSpec(
        spec.site, spec.camera, spec.time, spec.weather, spec.quality, spec.objects, spec.seed, number
    )
    return Shot(moved, path, gap.name if gap else None, moment, extra)


def _minute(clock: str, taken: set[int], rng: np.random.Generator) -> int:
    """A minute of the day that suits the light and that no other burst of the camera-day has."""
    free = [m for low, high in _CLOCK[clock] for m in range(low, high) if m not in taken]
    if not free:
        raise ValueError(
            f"no minute left for another burst by {clock} on one camera-day; raise production.days or cameras"
        )
    minute = int(rng.choice(free))
    taken.add(minute)
    return minute


def _single(world: World, gap: Gap | None, number: int, rng: np.random.Generator) -> Shot:
    cameras = gap.where.camera if gap and gap.where.camera else world.production.cameras
    condition = _changed(_drawn(world.production.conditions, rng), gap.where if gap else None)
    extra = (gap.where.object or "") if gap else ""
    spec = _spec(world, cameras[number % len(cameras)], condition, extra, rng, _TEST)
    return Shot(spec, f"{number:06d}", gap.name if gap else None, needs=extra)


def _spec(
    world: World, camera: str, condition: Condition, extra: str, rng: np.random.Generator, stream: int
) -> SceneSpec:
    """A new scene; streams never share a seed, so no test scene is one of production's."""
    site = CAMERAS[camera].site
    absent = tuple({*world.scarce, *_foreign(world)})
    objects = sample_objects(site, rng, absent) + ((extra,) if extra else ())
    seed = (stream << 40) + int(rng.integers(1 << 32)) * 64
    return SceneSpec(site, camera, condition.time, condition.weather, condition.quality, objects, seed, 0)


def _foreign(world: World) -> set[str]:
    return {"person", "helmet", "car", "truck", "pallet", "extinguisher", "forklift"} - set(world.classes)


def _drawn(conditions: Sequence[Condition], rng: np.random.Generator) -> Condition:
    weights = np.array([condition.weight for condition in conditions])
    return conditions[int(rng.choice(len(conditions), p=weights / weights.sum()))]


def _changed(condition: Condition, where: Where | None) -> Condition:
    changes = where.model_dump(include={"time", "weather", "quality"}, exclude_none=True) if where else {}
    return condition.model_copy(update=changes)
