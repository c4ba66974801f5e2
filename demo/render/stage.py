"""Where a scene's objects stand and how they move from frame to frame."""

from dataclasses import dataclass

import numpy as np

from demo.render.cameras import Camera
from demo.render.models import LENGTHS, STRIDES, VARIANTS
from demo.render.sites import AREA
from demo.render.spec import CANVAS

MIX: dict[str, dict[str, float]] = {
    "depot": {
        "person": 0.18,
        "helmet": 0.26,
        "car": 0.12,
        "truck": 0.12,
        "pallet": 0.22,
        "extinguisher": 0.10,
    },
    "construction": {
        "person": 0.12,
        "helmet": 0.34,
        "car": 0.08,
        "truck": 0.16,
        "pallet": 0.20,
        "extinguisher": 0.10,
    },
    "street": {
        "person": 0.32,
        "helmet": 0.10,
        "car": 0.32,
        "truck": 0.12,
        "pallet": 0.06,
        "extinguisher": 0.08,
    },
    "parking": {
        "person": 0.34,
        "helmet": 0.06,
        "car": 0.40,
        "truck": 0.08,
        "pallet": 0.05,
        "extinguisher": 0.07,
    },
    "harbor": {
        "person": 0.12,
        "helmet": 0.28,
        "car": 0.10,
        "truck": 0.20,
        "pallet": 0.22,
        "extinguisher": 0.08,
    },
}
_COUNTS = (2, 3, 4, 5, 6, 7)
_COUNT_ODDS = (0.12, 0.22, 0.26, 0.2, 0.12, 0.08)
_SPEED = {"person": 0.35, "helmet": 0.35, "car": 0.55, "truck": 0.4, "forklift": 0.4}
_NEAREST = {
    "person": 5.2,
    "helmet": 5.2,
    "car": 7.5,
    "truck": 11.0,
    "pallet": 5.5,
    "extinguisher": 4.6,
    "forklift": 7.0,
}
_FARTHEST = {
    "person": 16.0,
    "helmet": 14.0,
    "car": 24.0,
    "truck": 27.0,
    "pallet": 16.0,
    "extinguisher": 12.0,
    "forklift": 18.0,
}


@dataclass(frozen=True)
class Actor:
    name: str
    variant: int
    stride: int
    position: tuple[float, float]
    heading: float


def sample_objects(site: str, rng: np.random.Generator, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A site's usual objects, 2 to 7 of them, in the names that SceneSpec.objects takes."""
    mix = {name: odds for name, odds in MIX[site].items() if name not in without}
    odds = np.array(list(mix.values()))
    count = rng.choice(_COUNTS, p=_COUNT_ODDS)
    return tuple(str(name) for name in rng.choice(list(mix), size=count, p=odds / odds.sum()))


def cast(names: tuple[str, ...], camera: Camera, rng: np.random.Generator, step: int) -> list[Actor]:
    """Places objects without overlap, larger ones first, and moves them on by ``step`` frames."""
    actors: list[Actor] = []
    taken: list[tuple[float, float, float]] = []
    for name in sorted(names, key=lambda n: -LENGTHS[n]):
        spot = _spot(name, camera, taken, rng)
        heading = _heading(name, camera.site, spot, rng)
        speed = _SPEED.get(name, 0.0) * rng.uniform(0.2, 1.0) * (rng.random() < 0.8)
        variant, start = int(rng.integers(VARIANTS)), int(rng.integers(STRIDES))
        walk = heading if rng.random() < 0.85 else heading + np.pi
        x, y = spot[0] + step * speed * np.cos(walk), spot[1] + step * speed * np.sin(walk)
        stride = (start + (step if speed > 0.1 else 0)) % STRIDES
        actors.append(Actor(name, variant, stride, (float(x), float(y)), heading))
        taken.append((*spot, LENGTHS[name] / 2))
    return actors


def _spot(
    name: str, camera: Camera, taken: list[tuple[float, float, float]], rng: np.random.Generator
) -> tuple[float, float]:
    best, most = (0.0, 12.0), -np.inf
    for _ in range(40):
        pixel = rng.uniform((0.06, 0.3), (0.94, 0.98)) * CANVAS
        x, y = camera.ground(pixel)
        if not _fits(name, camera, x, y):
            continue
        room = min((np.hypot(x - a, y - b) - r - LENGTHS[name] / 2 for a, b, r in taken), default=1.0)
        if room > 0.25:
            return float(x), float(y)
        if room > most:
            best, most = (float(x), float(y)), room
    return best


def _fits(name: str, camera: Camera, x: float, y: float) -> bool:
    left, right, near, far = AREA[camera.site]
    if not (left < x < right and near < y < far):
        return False
    away = float(np.hypot(np.hypot(x - camera.position[0], y - camera.position[1]), camera.position[2] - 1))
    stretch = 0.62 if camera.bend else 1.0
    return _NEAREST[name] * stretch < away < _FARTHEST[name] * (0.8 if camera.bend else 1.0)


def _heading(name: str, site: str, spot: tuple[float, float], rng: np.random.Generator) -> float:
    if name in ("car", "truck") and site == "street" and abs(spot[0]) < 4.6:
        lane = np.pi / 2 if spot[0] > 0 else -np.pi / 2
        return float(lane + rng.normal(0, 0.08))
    if name in ("car", "truck") and site == "parking":
        return float(rng.choice([np.pi / 2, -np.pi / 2, 0, np.pi]) + rng.normal(0, 0.12))
    return float(rng.uniform(-np.pi, np.pi))
