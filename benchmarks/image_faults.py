"""Faults planted into real frames: what a camera does to a picture when light, focus, air, lens or
network are bad. Order is that of a camera: optics, light, sensor, compression.

Each takes an (H, W, 3) uint8 RGB image and the dice, and gives such an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from connectors.ports import Image

Dice = np.random.Generator
Fault = Callable[[Image, Dice], Image]
Floats = NDArray[np.float32]
BLUR = 1.2, 2.5
"""Standard deviation, pixels."""
NIGHT = 0.3
"""Share of the light that is left."""
GRAIN = 6.0, 15.0
"""Standard deviation of a channel's noise, gray levels."""
FINE_GRAIN = 1.0, 6.0
MOVED = 7.0, 15.0
"""Pixels."""
JPEG = 20
RESIZED = {"1/2": 0.5, "3/4": 0.75, "3/2": 1.5}


def blurred(image: Image, dice: Dice) -> Image:
    return _image(cv2.GaussianBlur(image, (0, 0), dice.uniform(*BLUR)))


def night(image: Image, dice: Dice) -> Image:
    """Sharp."""
    return _grainy(NIGHT * image.astype(np.float32), dice, GRAIN)


def blurred_night(image: Image, dice: Dice) -> Image:
    return night(blurred(image, dice), dice)


def dark(image: Image, dice: Dice) -> Image:
    return _image(image * dice.uniform(0.3, 0.6))


def glaring(image: Image, dice: Dice) -> Image:
    return _image(image * dice.uniform(1.3, 1.8) + dice.uniform(0, 30))


def flat(image: Image, dice: Dice) -> Image:
    """Less contrast around the same mean."""
    mean = float(image.mean())
    return _image(mean + dice.uniform(0.4, 0.7) * (image - mean))


def noisy(image: Image, dice: Dice) -> Image:
    return _grainy(image.astype(np.float32), dice, GRAIN)


def moved(image: Image, dice: Dice) -> Image:
    """Motion along one direction while the shutter was open, with some noise."""
    kernel = _line(dice.uniform(*MOVED), dice.uniform(0, math.pi))
    return _grainy(cv2.filter2D(image, -1, kernel).astype(np.float32), dice, FINE_GRAIN)


def defocused(image: Image, dice: Dice) -> Image:
    """As wide on the whole as `moved`: a line of length L has L * L / 12 along one axis, a disk of
    radius r has r * r / 4 along both.
    """
    kernel = _disk(dice.uniform(*MOVED) / math.sqrt(6))
    return _grainy(cv2.filter2D(image, -1, kernel).astype(np.float32), dice, FINE_GRAIN)


def fogged(image: Image, dice: Dice) -> Image:
    """Koschmieder (1924): each pixel fades toward the airlight by exp(-beta * depth), the depth being
    that of a ground plane whose horizon lies above the frame; mean depth 1.
    """
    below = np.linspace(0.25, 1.25, len(image))
    depth = (1 / below) / (1 / below).mean()
    through = np.exp(-dice.uniform(0.5, 1.5) * depth)[:, None, None]
    return _image(image * through + dice.uniform(180, 235) * (1 - through))


def reflecting(image: Image, dice: Dice) -> Image:
    """Highlights of the sun on wet or bare metal: 3 to 8 saturated spots with a halo, on 0.5 to 4 % of
    the frame.
    """
    height, width = image.shape[:2]
    light = np.zeros((height, width), dtype=np.float32)
    for area in dice.dirichlet(np.ones(dice.integers(3, 9))) * dice.uniform(0.005, 0.04) * height * width:
        long, short = (
            math.sqrt(area / math.pi) * (stretch := dice.uniform(1, 2)),
            math.sqrt(area / math.pi) / stretch,
        )
        center = int(dice.uniform(0, width)), int(dice.uniform(height / 4, height))
        axes = max(int(long), 1), max(int(short), 1)
        cv2.ellipse(light, center, axes, dice.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
    halo = 0.3 * cv2.GaussianBlur(light, (0, 0), height / 60)
    return _image(image + 255 * (light + halo)[..., None])


def dirtied(image: Image, dice: Dice) -> Image:
    """Soft spots over 5 to 20 % of the frame: what lies behind is dimmed, blurred and tinted."""
    cover = _spots(image.shape[0], image.shape[1], dice)[..., None]
    behind = (1 - cover) * image + cover * cv2.GaussianBlur(image, (0, 0), 4)
    return _image((1 - cover) * behind + cover * dice.uniform(60, 150) * np.array([1.0, 0.95, 0.85]))


def compressed(image: Image, dice: Dice) -> Image:
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG])
    if not ok:
        raise RuntimeError("expected a JPEG, got none")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def resized(image: Image, dice: Dice) -> Image:
    """Not compressed anew."""
    return _scaled(image, float(dice.choice(list(RESIZED.values()))))


def _compressed_then_scaled(scale: float, image: Image, dice: Dice) -> Image:
    return _scaled(compressed(image, dice), scale)


def _scaled(image: Image, scale: float) -> Image:
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return _image(cv2.resize(image, None, fx=scale, fy=scale, interpolation=way))


FAULTS: dict[str, Fault] = {
    "blurred": blurred,
    "night": night,
    "blurred night": blurred_night,
    "dark": dark,
    "glaring": glaring,
    "flat": flat,
    "noisy": noisy,
    "moved": moved,
    "defocused": defocused,
    "fogged": fogged,
    "dirtied": dirtied,
    "compressed": compressed,
    "resized": resized,
    **{f"compressed, x {name}": partial(_compressed_then_scaled, scale) for name, scale in RESIZED.items()},
}
"""Of conditions, which `image_conditions` measures."""
OF_EDGE_CASES: dict[str, Fault] = FAULTS | {"reflecting": reflecting}


def _image(values: NDArray[np.floating] | NDArray[np.integer]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _grainy(image: Floats, dice: Dice, grain: tuple[float, float]) -> Image:
    """Noise of each channel, in half of the frames smeared over neighbors as demosaicing does."""
    noise = dice.standard_normal(image.shape, dtype=np.float32)
    if dice.random() < 0.5:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.6), dtype=np.float32)
        noise /= noise.std()
    return _image(image + dice.uniform(*grain) * noise)


def _line(length: float, angle: float) -> Floats:
    """A square kernel; points close together, each shared among four pixels."""
    size = 2 * (int(length) // 2) + 5
    kernel = np.zeros((size, size))
    along = np.linspace(-length / 2, length / 2, 200)
    x, y = size // 2 + along * math.cos(angle), size // 2 + along * math.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = x - left, y - top
    for row, column, share in (
        (top, left, (1 - right) * (1 - down)),
        (top, left + 1, right * (1 - down)),
        (top + 1, left, (1 - right) * down),
        (top + 1, left + 1, right * down),
    ):
        np.add.at(kernel, (row, column), share)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _disk(radius: float) -> Floats:
    half = int(radius) + 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _spots(height: int, width: int, dice: Dice) -> Floats:
    """(height, width) opacity 0 to .85 of ellipses with soft edges."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    cover, wanted = np.zeros((height, width), np.float32), dice.uniform(0.05, 0.2)
    while (cover > 0.3).mean() < wanted:
        radius, stretch = dice.uniform(0.05, 0.13) * math.sqrt(height * width), dice.uniform(0.6, 1.6)
        across, down = x - dice.uniform(0, width), y - dice.uniform(0, height)
        away = np.hypot(across * stretch, down / stretch) / radius
        spot = dice.uniform(0.5, 0.85) * np.clip((1.2 - away) / 0.5, 0, 1)
        cover = np.maximum(cover, spot.astype(np.float32))
    return cover
