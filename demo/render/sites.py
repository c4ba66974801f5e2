"""The five sites: where objects may stand, where lamps hang, and the ground seen from above."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from demo.render.mesh import Rgb
from demo.render.spec import Floats, Pixels

_OPEN = (-8.5, 8.5, 5.5, 24.0)
AREA = {
    "depot": _OPEN,
    "construction": _OPEN,
    "street": (-6.6, 6.6, 5.5, 30.0),
    "parking": _OPEN,
    "harbor": _OPEN,
}
PER_METER = 24
ORIGIN = (-40.0, -6.0)
_EXTENT = (80.0, 86.0)
Lamp = tuple[float, float, float]
LAMPS: dict[str, tuple[Lamp, ...]] = {
    "depot": ((-9.5, 12, 6.0), (9.5, 15, 6.0), (-4, 33, 6.5), (6, 33, 6.5)),
    "construction": ((-9.5, 15, 6.5), (9.5, 11, 6.5), (0, 30, 7.0)),
    "street": ((-7.0, 10, 6.0), (7.0, 17, 6.0), (-7.0, 25, 6.0), (7.0, 33, 6.0)),
    "parking": ((-9.5, 14, 6.0), (9.5, 12, 6.0), (0, 29, 6.0)),
    "harbor": ((-9.5, 13, 7.0), (9.5, 16, 7.0), (2, 31, 7.5)),
}


@lru_cache(maxsize=8)
def ground(site: str) -> Pixels:
    """The ground from above, PER_METER pixels a meter, row 0 at ORIGIN's y, column 0 at its x."""
    rng = np.random.default_rng(SEEDS[site])
    tone = {
        "depot": (126, 126, 128),
        "construction": (190, 160, 118),
        "street": (112, 114, 118),
        "parking": (146, 146, 144),
        "harbor": (150, 147, 138),
    }[site]
    rows, columns = int(_EXTENT[1] * PER_METER), int(_EXTENT[0] * PER_METER)
    texture = np.zeros((rows, columns), dtype=np.float32)
    for cell, weight in ((1, 0.035), (5, 0.04), (40, 0.05), (260, 0.07)):
        texture += weight * _noise(rng, rows, columns, cell)
    image = np.clip((1 + texture)[:, :, None] * np.asarray(tone, dtype=np.float32), 0, 255).astype(np.uint8)
    _MARKS[site](image, rng)
    return image


def steps(start: float, stop: float, step: float) -> list[float]:
    return [float(x) for x in np.arange(start, stop, step)]


def _noise(rng: np.random.Generator, rows: int, columns: int, cell: int) -> Floats:
    coarse = rng.standard_normal((rows // cell + 2, columns // cell + 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC))


def _px(x: float, y: float) -> tuple[int, int]:
    return int((x - ORIGIN[0]) * PER_METER), int((y - ORIGIN[1]) * PER_METER)


def _rect(
    image: Pixels, x: tuple[float, float], y: tuple[float, float], color: Rgb, strength: float = 0.85
) -> None:
    (c0, r0), (c1, r1) = _px(x[0], y[0]), _px(x[1], y[1])
    patch = image[max(r0, 0) : r1, max(c0, 0) : c1]
    grain = patch.astype(np.float32) / max(float(patch.mean()), 1.0) if patch.size else patch
    patch[:] = np.clip(patch * (1 - strength) + grain * np.asarray(color) * strength, 0, 255).astype(np.uint8)


def _stains(image: Pixels, rng: np.random.Generator, amount: int, dark: float = 0.82) -> None:
    for _ in range(amount):
        center = _px(rng.uniform(-14, 14), rng.uniform(3, 34))
        radius = int(rng.uniform(0.2, 1.1) * PER_METER)
        c, r = center
        patch = image[max(r - radius, 0) : r + radius, max(c - radius, 0) : c + radius]
        yy, xx = np.mgrid[: patch.shape[0], : patch.shape[1]]
        inside = np.clip(1.4 - np.hypot(yy - radius, xx - radius) / radius, 0, 1)[:, :, None]
        patch[:] = (patch * (1 - (1 - dark) * inside)).astype(np.uint8)


def _cracks(image: Pixels, rng: np.random.Generator, amount: int) -> None:
    for _ in range(amount):
        steps = np.cumsum(rng.normal(0, 0.5, (14, 2)), axis=0) + np.array(
            [rng.uniform(-14, 14), rng.uniform(3, 32)]
        )
        cv2.polylines(image, [np.asarray([_px(*p) for p in steps], dtype=np.int32)], False, (86, 86, 88), 1)


def _depot(image: Pixels, rng: np.random.Generator) -> None:
    _stains(image, rng, 26)
    _cracks(image, rng, 12)
    _rect(image, (-40, 40), (29.5, 36), (164, 164, 160))
    for x in steps(-15, 15.1, 3.75):
        _rect(image, (x - 0.09, x + 0.09), (21.5, 29), (238, 196, 40))
    _rect(image, (-40, 40), (21.3, 21.5), (238, 196, 40))
    for x in (-6.0, 0.0, 6.0):
        _rect(image, (x - 0.08, x + 0.08), (6, 14), (226, 226, 224))
    _rect(image, (-11, 11), (16.2, 16.4), (226, 226, 224))


def _construction(image: Pixels, rng: np.random.Generator) -> None:
    _stains(image, rng, 40, 0.88)
    for start, bend in ((-3.2, 2.4), (2.6, -1.6)):
        for side in (-0.8, 0.8):
            ys = np.arange(0, 34, 0.5)
            xs = start + side + bend * np.sin(ys / 9)
            track = np.asarray([_px(float(x), float(y)) for x, y in zip(xs, ys, strict=True)], dtype=np.int32)
            cv2.polylines(image, [track], False, (152, 124, 86), 9)
            cv2.polylines(image, [track], False, (132, 106, 74), 3)
    for _ in range(160):
        cv2.circle(
            image, _px(rng.uniform(-16, 16), rng.uniform(2, 34)), int(rng.integers(1, 4)), (150, 140, 124), -1
        )


def _street(image: Pixels, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        low, high = sorted((side * 5.6, side * 40))
        _rect(image, (low, high), (-6, 80), (172, 168, 160))
        low, high = sorted((side * 5.4, side * 5.7))
        _rect(image, (low, high), (-6, 80), (206, 204, 198))
        for y in steps(-5, 78, 1.5):
            low, high = sorted((side * 5.7, side * 9.5))
            _rect(image, (low, high), (y, y + 0.06), (140, 138, 132))
        low, high = sorted((side * 4.9, side * 5.05))
        _rect(image, (low, high), (-6, 80), (226, 226, 222))
    for y in steps(-4, 78, 4.0):
        _rect(image, (-0.09, 0.09), (y, y + 2.2), (238, 238, 234))
    _rect(image, (-4.8, 4.8), (19.8, 23.2), (112, 114, 118), 1.0)
    for x in steps(-4.6, 4.5, 1.05):
        _rect(image, (x, x + 0.55), (20, 23), (240, 240, 236))
    _stains(image, rng, 10)
    _cracks(image, rng, 10)


def _parking(image: Pixels, rng: np.random.Generator) -> None:
    _stains(image, rng, 20)
    for x in steps(-13.5, 13.6, 2.7):
        _rect(image, (x - 0.07, x + 0.07), (18, 23.5), (244, 244, 240))
        _rect(image, (x - 0.07, x + 0.07), (7.0, 11.5), (244, 244, 240))
    _rect(image, (-13.5, 13.5), (23.4, 23.6), (244, 244, 240))
    for side in (-1, 1):
        low, high = sorted((side * 14, side * 40))
        _rect(image, (low, high), (-6, 80), (96, 134, 70))
    _rect(image, (-40, 40), (27, 80), (96, 134, 70))


def _harbor(image: Pixels, rng: np.random.Generator) -> None:
    for y in steps(-6, 80, 4.0):
        _rect(image, (-40, 40), (y, y + 0.07), (112, 110, 104))
    for x in steps(-40, 40, 4.0):
        _rect(image, (x, x + 0.07), (-6, 80), (112, 110, 104))
    for x in (-7.5, -6.2, 6.4, 7.7):
        _rect(image, (x - 0.1, x + 0.1), (-6, 30), (74, 62, 54))
    _rect(image, (-40, 40), (25, 25.4), (240, 196, 30))
    _rect(image, (-40, 40), (27, 80), (62, 100, 122))
    _stains(image, rng, 24)


_MARKS: dict[str, Callable[[Pixels, np.random.Generator], None]] = {
    "depot": _depot,
    "construction": _construction,
    "street": _street,
    "parking": _parking,
    "harbor": _harbor,
}
SEEDS = {site: number for number, site in enumerate(_MARKS)}
