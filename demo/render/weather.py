"""What time of day, weather, lens and transmission do to a picture; float32 images (192, 320, 3) in
0 to 255.
"""

from functools import lru_cache

import cv2
import numpy as np

from demo.render.backdrop import Backdrop
from demo.render.spec import SIZE, Floats, Pixels


def dusk(image: Floats, still: Backdrop, covered: Floats, rng: np.random.Generator) -> Floats:
    """Low orange light: a warm sky, violet shade, long contrast."""
    strength = rng.uniform(0.56, 0.68)
    rows = np.linspace(0, 2.2, SIZE[1], dtype=np.float32)[:, None, None]
    glow = _rgb(255, 148, 78) * np.clip(rows, 0, 1) + _rgb(92, 74, 134) * np.clip(1 - rows, 0, 1)
    lit = image * strength * _rgb(1.15, 0.87, 0.84)
    lit = lit + still.windows[..., None] * _rgb(150, 110, 46)
    sky = (still.sky * (1 - covered))[..., None]
    return _f32(lit * (1 - sky) + glow * 0.92 * sky)


def night(image: Floats, still: Backdrop, lamp: Floats, covered: Floats, rng: np.random.Generator) -> Floats:
    """Dark blue ambient light plus the lamps' ``lamp`` (192, 320) in 0 to 1."""
    ambient = rng.uniform(0.13, 0.21)
    light = ambient * _rgb(0.70, 0.86, 1.2) + lamp[..., None] * _rgb(0.92, 0.74, 0.44)
    sky = (still.sky * (1 - covered))[..., None]
    dark = image * light * (1 - sky) + _rgb(7, 10, 24) * sky
    dark = dark + (still.windows * (1 - covered))[..., None] * _rgb(190, 150, 70)
    return _f32(dark)


def grain(image: Floats, rng: np.random.Generator) -> Floats:
    """The noise of a sensor that sees little light."""
    row, column = int(rng.integers(SIZE[1])), int(rng.integers(SIZE[0]))
    return _f32(image + _grain_bank()[row : row + SIZE[1], column : column + SIZE[0]] * rng.uniform(3.0, 5.5))


def beams(
    image: Floats,
    covered: Floats,
    power: float,
    points: list[tuple[float, float, float]],
    cones: list[Floats],
) -> Floats:
    """Headlights: ``points`` (x, y, radius) glow, ``cones`` are outlines on the ground; picture
    pixels.
    """
    if not cones:
        return image
    layer, halo = np.zeros((2, SIZE[1], SIZE[0]), dtype=np.float32)
    for cone in cones:
        cv2.fillConvexPoly(layer, np.rint(np.clip(cone, -2000, 2000)).astype(np.int32), 0.6)
    layer = (cv2.GaussianBlur(layer, (0, 0), 6) * (1 - 0.7 * covered) * power)[..., None]
    image = image * (1 + 2.2 * layer) + layer * _rgb(24, 22, 16)
    for x, y, radius in points:
        cv2.circle(halo, (round(x), round(y)), max(1, round(radius)), 1.0, -1)
    wide = cv2.GaussianBlur(halo, (0, 0), 5) * 2.2 + cv2.GaussianBlur(halo, (0, 0), 1)
    return _f32(image + np.minimum(wide, 1.4)[..., None] * _rgb(235, 222, 180))


def fog(image: Floats, depth: Floats, dark: float, rng: np.random.Generator) -> Floats:
    """Koschmieder's law: contrast falls as exp(-density x depth)."""
    density = rng.uniform(0.085, 0.14)
    clear = np.exp(-density * np.minimum(depth, 200.0))[..., None]
    drift = 1 + 0.035 * _drift(rng)[..., None]
    return _f32(image * clear + _rgb(202, 206, 208) * dark * drift * (1 - clear))


def rain(
    image: Floats, still: Backdrop, covered: Floats, depth: Floats, dark: float, rng: np.random.Generator
) -> Floats:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    wet = (image * 0.66 + gray * 0.34) * (_rgb(0.95, 0.99, 1.06) * np.float32(rng.uniform(0.58, 0.7)))
    floor = (still.ground * (1 - covered))[..., None]
    mirror = cv2.GaussianBlur(_mirrored(wet, covered), (0, 0), sigmaX=0.8, sigmaY=2.2)
    wet += (mirror[..., :3] - wet * mirror[..., 3:]) * (0.42 * floor) + floor * (9 * _puddles(rng) - 6)
    sky = (still.sky * (1 - covered))[..., None]
    veil = np.maximum(1 - np.exp(-0.016 * np.minimum(depth, 150.0))[..., None], sky)
    wet += (_rgb(132, 138, 145) * dark - wet) * veil
    wet += _streaks(int(rng.integers(8)))[..., None] * (_rgb(120, 124, 130) * (0.35 + 0.65 * dark))
    return _drops(wet, rng, int(rng.integers(5, 12)))


def snow(
    image: Floats, still: Backdrop, covered: Floats, depth: Floats, dark: float, rng: np.random.Generator
) -> Floats:
    cover = np.clip(0.78 + 0.35 * _drift(rng), 0.35, 0.95) * still.ground * (1 - covered)
    shade = np.clip(image.mean(axis=2, keepdims=True) / 110, 0.45, 1.15)
    white = _rgb(226, 232, 240) * shade
    scene = image * 0.94 * (1 - cover[..., None]) + white * cover[..., None]
    sky = (still.sky * (1 - covered))[..., None]
    scene = scene * (1 - sky) + _rgb(206, 210, 216) * dark * sky
    veil = (1 - np.exp(-0.02 * np.minimum(depth, 150.0)))[..., None]
    scene = scene * (1 - veil) + _rgb(214, 218, 222) * dark * veil
    flakes = _flakes(int(rng.integers(8)))[..., None]
    return _f32(scene * (1 - flakes) + 250 * (0.3 + 0.7 * dark) * flakes)


def quality(image: Pixels, name: str, rng: np.random.Generator) -> Pixels:
    if name == "blurred":
        return _blurred(image, rng)
    if name == "compressed":
        return jpeg(image, int(rng.integers(9, 14)))
    if name == "low resolution":
        return shrink(image, rng.uniform(0.34, 0.44))
    if name == "dirty lens":
        return _dirty(image, rng)
    return image


def jpeg(image: Pixels, grade: int) -> Pixels:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, grade])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def shrink(image: Pixels, share: float) -> Pixels:
    small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, SIZE, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _blurred(image: Pixels, rng: np.random.Generator) -> Pixels:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(2.0, 3.0)), dtype=np.uint8)
    length = int(rng.integers(8, 13))
    shape = (length, 2) if rng.random() < 0.7 else (2, length)
    return np.asarray(cv2.blur(image, shape), dtype=np.uint8)


def _dirty(image: Pixels, rng: np.random.Generator) -> Pixels:
    smear = _smears(int(rng.integers(6)))
    hazy = cv2.GaussianBlur(image, (0, 0), 4).astype(np.float32) * 0.5 + _rgb(104, 92, 72) * 0.42
    return np.asarray(np.clip(image * (1 - smear) + hazy * smear, 0, 255), dtype=np.uint8)


@lru_cache(maxsize=8)
def _smears(number: int) -> Floats:
    rng = np.random.default_rng(900 + number)
    layer = np.zeros((SIZE[1], SIZE[0]), dtype=np.float32)
    for _ in range(int(rng.integers(16, 24))):
        center = rng.uniform((0, 0), SIZE).astype(int).tolist()
        axes = rng.integers((6, 5), (34, 18)).tolist()
        cv2.ellipse(layer, center, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.6, 1.0)), -1)
    for _ in range(60):
        cv2.circle(layer, rng.uniform((0, 0), SIZE).astype(int).tolist(), int(rng.integers(1, 3)), 0.95, -1)
    return np.asarray(np.clip(cv2.GaussianBlur(layer, (0, 0), 2.6), 0, 0.92)[..., None])


def _rgb(red: float, green: float, blue: float) -> Floats:
    return np.array([red, green, blue], dtype=np.float32)


def _f32(image: Floats) -> Floats:
    return image.astype(np.float32, copy=False)


@lru_cache(maxsize=1)
def _grain_bank() -> Floats:
    noise = np.random.default_rng(77).standard_normal((SIZE[1] * 2, SIZE[0] * 2, 3)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.6) * 1.8)


@lru_cache(maxsize=1)
def _drift_bank() -> Floats:
    coarse = np.random.default_rng(78).standard_normal((14, 20)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIZE[0] * 2, SIZE[1] * 2), interpolation=cv2.INTER_CUBIC))


def _drift(rng: np.random.Generator) -> Floats:
    row, column = int(rng.integers(SIZE[1])), int(rng.integers(SIZE[0]))
    return _drift_bank()[row : row + SIZE[1], column : column + SIZE[0]]


def _puddles(rng: np.random.Generator) -> Floats:
    return np.asarray(np.clip(_drift(rng), 0, 2)[..., None])


def _mirrored(image: Floats, covered: Floats) -> Floats:
    """Each column's objects flipped about their lowest row, with their cover as a fourth channel."""
    height = SIZE[1]
    rows = np.arange(height)[:, None]
    solid = covered > 0.5
    last = np.maximum.accumulate(np.where(solid, rows, -1), axis=0)
    source = 2 * last - rows
    fade = (np.clip(1 - (rows - last) / 34.0, 0, 1) * (last >= 0) * (source >= 0)).astype(np.float32)
    source = np.clip(source, 0, height - 1)
    flipped = np.take_along_axis(image, source[..., None], axis=0)
    cover = (np.take_along_axis(covered, source, axis=0) * fade * ~solid)[..., None]
    return np.asarray(np.concatenate([flipped * cover, cover], axis=2), dtype=np.float32)


@lru_cache(maxsize=8)
def _streaks(number: int) -> Floats:
    rng = np.random.default_rng(500 + number)
    layer = np.zeros((SIZE[1] * 2, SIZE[0] * 2), dtype=np.float32)
    slant = rng.uniform(-0.25, 0.25)
    for _ in range(230):
        x, y = rng.uniform((-20, -20), (SIZE[0] * 2, SIZE[1] * 2))
        length = rng.uniform(16, 40)
        cv2.line(
            layer,
            (int(x), int(y)),
            (int(x + slant * length), int(y + length)),
            float(rng.uniform(0.3, 0.95)),
            1,
        )
    small = cv2.resize(cv2.GaussianBlur(layer, (0, 0), 0.7), SIZE, interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small * 1.5, 0, 1))


@lru_cache(maxsize=8)
def _flakes(number: int) -> Floats:
    rng = np.random.default_rng(600 + number)
    layer = np.zeros((SIZE[1] * 2, SIZE[0] * 2), dtype=np.float32)
    for _ in range(420):
        x, y = rng.uniform((0, 0), (SIZE[0] * 2, SIZE[1] * 2))
        cv2.circle(
            layer, (int(x), int(y)), int(rng.choice([1, 1, 2, 2, 3, 4])), float(rng.uniform(0.5, 1)), -1
        )
    return np.asarray(
        np.clip(cv2.resize(cv2.GaussianBlur(layer, (0, 0), 1.1), SIZE, interpolation=cv2.INTER_AREA), 0, 0.95)
    )


def _drops(image: Floats, rng: np.random.Generator, amount: int) -> Floats:
    """Drops on the lens: small discs that show the blurred world upside down, with a bright rim."""
    for _ in range(amount):
        radius = int(rng.integers(4, 11))
        x, y = int(rng.integers(radius, SIZE[0] - radius)), int(rng.integers(radius, SIZE[1] - radius))
        patch = image[y - radius : y + radius, x - radius : x + radius]
        yy, xx = np.mgrid[-radius:radius, -radius:radius] + 0.5
        reach = np.hypot(xx, yy)[..., None].astype(np.float32) / radius
        inside = np.clip((1 - reach) * radius / 1.5, 0, 1) * 0.8
        rim = np.clip(1 - np.abs(reach - 0.85) * 6, 0, 1) * (yy[..., None] < 0) * 42.0
        turned = cv2.GaussianBlur(patch[::-1], (0, 0), 2)
        patch[:] = patch * (1 - inside) + (turned * 1.08 + rim) * inside
    return image
