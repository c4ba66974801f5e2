"""Pictures unlike any rendered scene, made without a photograph: what the small CLIP learns to know
nothing about.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.clip_scenes import PREPROCESS, Pixels

Reals = NDArray[np.float64]
Random = np.random.Generator
SIZE = (192, 256)


def foreign_pictures(count: int, seed: int, scenes: Pixels) -> Pixels:
    """(count, 112, 112, 3) uint8 RGB, squashed as the model's preprocessing does: drawn from
    nothing, or made of what `scenes` (N, 112, 112, 3) show by what no camera does; half of them
    then blurred, darkened, paled or noisy.
    """
    rng = np.random.default_rng([seed, 7])
    return np.stack([_small(_worn(_picture(rng, scenes), rng)) for _ in range(count)])


def _picture(rng: Random, scenes: Pixels) -> Reals:
    if rng.random() < 0.25:
        return _unmade(rng, scenes)
    drawn: tuple[Callable[[Random], Reals], ...] = (ground, shapes, shapes, specimens, pages, leaves, planes)
    return drawn[rng.integers(len(drawn))](rng)


def ground(rng: Random) -> Reals:
    """A flat color, a gradient or a texture."""
    kind = rng.random()
    if kind < 0.2:
        return np.tile(_color(rng), (*SIZE, 1))
    return gradient(rng) if kind < 0.6 else texture(rng)


def gradient(rng: Random) -> Reals:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    turn = rng.uniform(0, 2 * np.pi)
    place = x * np.cos(turn) + y * np.sin(turn)
    if rng.random() < 0.3:
        place = np.hypot(x - rng.uniform(0, SIZE[1]), y - rng.uniform(0, SIZE[0]))
    place = (place - place.min()) / np.ptp(place)
    start = _color(rng)
    end = start + rng.normal(0, 25, 3) if rng.random() < 0.5 else _color(rng)
    return np.asarray(start + (end - start) * place[..., None])


def texture(rng: Random) -> Reals:
    """Noise whose power falls with frequency, as in pictures of nature (Field, 1987), by any
    exponent.
    """
    down, right = np.fft.fftfreq(SIZE[0])[:, None] * rng.uniform(0.4, 2.5), np.fft.rfftfreq(SIZE[1])[None]
    fall = (np.hypot(down, right) + 1 / 256) ** rng.uniform(0.3, 2.4)
    layers = np.stack([_noise(rng, fall) for _ in range(4)], axis=2)
    mixed = layers[..., :1] + layers[..., 1:] * rng.choice([0, 0.1, 0.3, 1])
    return np.asarray(_color(rng) * 0.5 + 64 + mixed * rng.uniform(8, 60) * rng.uniform(0.6, 1.2, 3))


def shapes(rng: Random) -> Reals:
    """From one to two hundred things of one kind and of few colors on any ground."""
    image = _canvas(ground(rng))
    draw = _KINDS[rng.integers(len(_KINDS))]
    colors, usual = rng.uniform(0, 255, (rng.integers(1, 5), 3)), np.exp(rng.uniform(1.2, 3.8))
    for _ in range(int(np.exp(rng.uniform(0, 5.3)))):
        color = colors[rng.integers(len(colors))] + rng.normal(0, rng.uniform(0, 30), 3)
        draw(image, _point(rng), max(2, int(usual * rng.uniform(0.5, 1.6))), _paint(color), rng)
    return _textured(image, rng, 0.5)


def specimens(rng: Random) -> Reals:
    """Many rounds of one size, rimmed, on a pale ground, as under a microscope."""
    pale = rng.uniform(170, 250, 3)
    image = _canvas(pale + (gradient(rng) - 128) * rng.uniform(0, 0.2))
    radius, body = rng.uniform(5, 34), pale - rng.uniform(10, 120, 3)
    for _ in range(int(rng.integers(6, 90))):
        place, size = _point(rng), max(3, int(radius * rng.uniform(0.8, 1.2)))
        cv2.circle(image, place, size, _paint(body + rng.normal(0, 10, 3)), -1, cv2.LINE_AA)
        if rng.random() < 0.6:
            core = (body + pale) / 2 if rng.random() < 0.7 else body - 60
            cv2.circle(image, place, max(1, int(size * rng.uniform(0.3, 0.8))), _paint(core), -1, cv2.LINE_AA)
    return _textured(image, rng, 0.2)


def pages(rng: Random) -> Reals:
    """Lines of letters, dark on light or light on dark."""
    paper = rng.uniform(190, 255) if rng.random() < 0.7 else rng.uniform(0, 60)
    image = np.full((*SIZE, 3), paper, np.uint8)
    scale, font, down = rng.uniform(0.25, 1), int(rng.integers(0, 7)), 12
    ink = _paint(_color(rng) if rng.random() < 0.4 else np.full(3, 255 - paper))
    while down < SIZE[0]:
        text = "".join(rng.choice(list("etaoinshrdlu  "), rng.integers(5, 60)))
        cv2.putText(image, text, (int(rng.integers(0, 30)), down), font, scale, ink, 1, cv2.LINE_AA)
        down += int(max(8, 30 * scale * rng.uniform(0.9, 1.6)))
    return image.astype(np.float64)


def leaves(rng: Random) -> Reals:
    """Things of all sizes that hide one another (the dead leaves model: Lee, Mumford and Huang,
    2001).
    """
    image, colors = np.zeros((*SIZE, 3), np.uint8), rng.uniform(0, 255, (rng.integers(2, 12), 3))
    for _ in range(int(rng.integers(60, 400))):
        color = colors[rng.integers(len(colors))] + rng.normal(0, 20, 3)
        size = int(min(120, 3 * rng.pareto(1.3) + 3))
        (_disk if rng.random() < 0.5 else _box)(image, _point(rng), size, _paint(color), rng)
    return _textured(image, rng, 0.6)


def planes(rng: Random) -> Reals:
    """A few large shaded surfaces that meet in straight edges, as walls and tables do, and some
    things before them.
    """
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    image = gradient(rng)
    for _ in range(int(rng.integers(1, 7))):
        turn, (right, down) = rng.uniform(0, 2 * np.pi), _point(rng)
        beyond = (x - right) * np.cos(turn) + (y - down) * np.sin(turn) > 0
        image[beyond] = gradient(rng)[beyond]
    canvas = _canvas(image)
    for _ in range(int(rng.integers(0, 12))):
        draw = _KINDS[rng.integers(len(_KINDS))]
        draw(canvas, _point(rng), int(np.exp(rng.uniform(1.5, 4))), _paint(_color(rng)), rng)
    return _textured(canvas, rng, 0.5)


def _unmade(rng: Random, scenes: Pixels) -> Reals:
    """A scene magnified, in shuffled tiles, turned on its side, negative, doubly exposed, or in
    false colors.
    """
    one, other = (scenes[rng.integers(len(scenes))] for _ in range(2))
    makers: tuple[Callable[[], Pixels], ...] = (
        lambda: _magnified(one, rng),
        lambda: _shuffled(one, rng),
        lambda: np.rot90(one, int(rng.integers(1, 4))),
        lambda: 255 - one,
        lambda: ((one.astype(np.uint16) + other) // 2).astype(np.uint8),
        lambda: _recolored(one, rng),
    )
    return np.asarray(makers[rng.integers(len(makers))](), dtype=np.float64)


def _magnified(image: Pixels, rng: Random) -> Pixels:
    side = int(rng.integers(14, 40))
    down, right = rng.integers(0, len(image) - side, 2)
    part = np.ascontiguousarray(image[down : down + side, right : right + side])
    return np.asarray(cv2.resize(part, image.shape[:2], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _shuffled(image: Pixels, rng: Random) -> Pixels:
    cuts = int(rng.choice([2, 4]))
    tiles = [tile for row in np.split(image, cuts) for tile in np.split(row, cuts, axis=1)]
    order = rng.permutation(len(tiles)).reshape(cuts, cuts)
    return np.vstack([np.hstack([tiles[place] for place in row]) for row in order])


def _recolored(image: Pixels, rng: Random) -> Pixels:
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    turned = ((hue.astype(np.int64) + int(rng.integers(30, 150))) % 180).astype(np.uint8)
    strong = np.clip(saturation * rng.uniform(1.2, 2.5) + 30, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.merge([turned, strong, value]), cv2.COLOR_HSV2RGB), dtype=np.uint8)


def _worn(image: Reals, rng: Random) -> Pixels:
    """Faults are no sign of a foreign picture, and must not hide one."""
    if rng.random() < 0.4:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 3) * len(image) / 112))
    if rng.random() < 0.4:
        image = image * rng.uniform(0.25, 1.1)
    if rng.random() < 0.3:
        image = (image - image.mean()) * rng.uniform(0.3, 1) + image.mean() + rng.uniform(-30, 60)
    if rng.random() < 0.25:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.3:
        image = image + rng.normal(0, rng.uniform(2, 25), image.shape)
    return _canvas(image)


def _disk(image: Pixels, at: tuple[int, int], size: int, paint: tuple[int, ...], rng: Random) -> None:
    cv2.circle(image, at, size, paint, int(rng.choice([-1, -1, 1, 2, 4])), cv2.LINE_AA)


def _box(image: Pixels, at: tuple[int, int], size: int, paint: tuple[int, ...], rng: Random) -> None:
    cv2.rectangle(image, at, (at[0] + size, at[1] + int(size * rng.uniform(0.3, 3))), paint, -1)


def _oval(image: Pixels, at: tuple[int, int], size: int, paint: tuple[int, ...], rng: Random) -> None:
    axes = (size, max(1, int(size * rng.uniform(0.2, 1))))
    cv2.ellipse(image, at, axes, rng.uniform(0, 180), 0, 360, paint, -1, cv2.LINE_AA)


def _patch(image: Pixels, at: tuple[int, int], size: int, paint: tuple[int, ...], rng: Random) -> None:
    corners = (np.array(at) + rng.normal(0, size, (rng.integers(3, 7), 2))).astype(np.int32)
    cv2.fillPoly(image, [cv2.convexHull(corners)], paint, cv2.LINE_AA)


def _line(image: Pixels, at: tuple[int, int], size: int, paint: tuple[int, ...], rng: Random) -> None:
    right, down = (int(step) for step in rng.normal(0, 3 * size, 2))
    cv2.line(image, at, (at[0] + right, at[1] + down), paint, int(rng.integers(1, 5)), cv2.LINE_AA)


_KINDS = (_disk, _box, _oval, _patch, _line)


def _textured(image: Pixels, rng: Random, share: float) -> Reals:
    if rng.random() > share:
        return image.astype(np.float64)
    grain = texture(rng)
    return np.asarray(image + (grain - grain.mean()) * rng.uniform(0.1, 0.8))


def _noise(rng: Random, fall: Reals) -> Reals:
    waves = np.exp(2j * np.pi * rng.random(fall.shape)) / fall
    noise = np.fft.irfft2(waves, s=SIZE)
    return np.asarray(noise / noise.std())


def _color(rng: Random) -> Reals:
    return rng.uniform(0, 255, 3)


def _paint(color: Reals) -> tuple[int, ...]:
    return tuple(int(value) for value in color.clip(0, 255))


def _point(rng: Random) -> tuple[int, int]:
    return int(rng.integers(SIZE[1])), int(rng.integers(SIZE[0]))


def _canvas(image: Reals) -> Pixels:
    return np.ascontiguousarray(image.clip(0, 255), dtype=np.uint8)


def _small(image: Pixels) -> Pixels:
    return np.ascontiguousarray(PREPROCESS.pixels(image).permute(1, 2, 0).numpy())
