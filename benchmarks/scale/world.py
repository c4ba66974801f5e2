"""An amplified world as arrays: cameras, days, bursts, light, weather, and two kinds of frame that
nobody named.

Vectors are a shared direction, the camera's, the scene's of a burst, one for each condition, and a
jitter. Sentences that name a condition lie near its direction, so that prompts tell some frames.
The same seed gives the same world.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Ints = NDArray[np.int64]

SEED = 11
DIM = 512
CAMERAS = 50
KNOWN_CAMERAS = 45
"""So many of the cameras are in the imported training set."""
SITES = 5
DAYS = 365
LONGEST_BURST = 24
STEP_S = 5
"""Seconds between two frames of a burst."""
DAY_S = 86_400
NONE = -1

LIGHT = ("day", "dusk", "night")
WEATHER = ("clear", "fog", "rain", "snow")
QUALITY = ("sharp", "blurred", "dirty lens", "low resolution")
VIEW = ("eye level", "overhead", "wide angle", "tilted")
UNNAMED = ("first unnamed", "second unnamed")
WORDS = {
    "day": ("during the day", "daylight"),
    "dusk": ("dusk", "twilight"),
    "night": ("night", "in the dark"),
    "clear": ("clear weather", "dry weather"),
    "fog": ("fog",),
    "rain": ("rain",),
    "snow": ("snow",),
    "eye level": ("eye level", "from the front"),
    "overhead": ("from above", "overhead"),
    "wide angle": ("wide angle",),
    "tilted": ("tilted",),
    "sharp": ("sharp", "in focus"),
    "blurred": ("blurred", "out of focus"),
    "dirty lens": ("dirty lens", "dirt on the lens"),
    "low resolution": ("low resolution",),
}
"""What a sentence says of each condition; one that says nothing of any lies elsewhere."""


@dataclass(frozen=True)
class Shares:
    """How often each kind of burst is, and how long a mean burst lasts.

    weather, quality, unnamed: one share for each after the first. cameras: bursts are spread evenly
    over so many.
    """

    cameras: int
    weather: tuple[float, ...]
    quality: tuple[float, ...]
    unnamed: tuple[float, ...]
    night: bool = True
    mean_burst: float = 8.0


PRODUCTION = Shares(CAMERAS, (0.03, 0.06, 0.01), (0.02, 0.01, 0.01), (0.012, 0.006))
IMPORTED = Shares(KNOWN_CAMERAS, (0.0, 0.02, 0.0), (0.01, 0.0, 0.0), (0.0, 0.0), night=False)


@dataclass(frozen=True, eq=False)
class Bursts:
    """Bursts in order of time. camera, day, start (s of the day), length: (B,) int64.

    light, weather, quality: (B,) int64, places in LIGHT, WEATHER, QUALITY. unnamed: (B,) int64
    place in UNNAMED, or NONE.
    """

    camera: Ints
    day: Ints
    start: Ints
    length: Ints
    light: Ints
    weather: Ints
    quality: Ints
    unnamed: Ints

    def __len__(self) -> int:
        return len(self.camera)

    def part(self, rows: slice) -> Bursts:
        return Bursts(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def frames(self) -> Ints:
        """(N,) the burst of each frame."""
        return np.repeat(np.arange(len(self)), self.length)

    def seconds(self) -> Ints:
        """(N,) seconds since the first day's midnight."""
        first = np.cumsum(self.length) - self.length
        own = self.frames()
        place = np.arange(len(own)) - first[own]
        seconds: Ints = (DAY_S * self.day + self.start)[own] + STEP_S * place
        return seconds


def bursts(frames: int, shares: Shares, seed: int, first_day: int = 0, days: int = DAYS) -> Bursts:
    """So many frames in bursts, spread over the cameras and over `days` days from `first_day` on."""
    rng = np.random.default_rng([SEED, seed])
    length = np.minimum(rng.geometric(1 / shares.mean_burst, size=frames), LONGEST_BURST)
    length = length[: int(np.searchsorted(np.cumsum(length), frames)) + 1]
    length[-1] -= int(length.sum()) - frames
    count = len(length)
    day = first_day + rng.integers(0, days, count)
    start = rng.integers(0, DAY_S - LONGEST_BURST * STEP_S, count)
    order = np.lexsort((start, day))
    return Bursts(
        rng.integers(0, shares.cameras, count),
        day[order],
        start[order],
        length,
        _light(start[order], shares.night),
        _drawn(rng, shares.weather, count),
        _drawn(rng, shares.quality, count),
        _drawn(rng, shares.unnamed, count) - 1,
    )


def vectors(of: Bursts, seed: int) -> Array:
    """(N, D) float32 unit vectors of the frames of these bursts. seed: of the scenes and the
    jitter.
    """
    rng = np.random.default_rng([SEED, seed, 1])
    clear = rng.uniform(0.1, 1.3, size=(len(of), 1)).astype(np.float32)
    scene = _direction("image") + 0.5 * _cameras()[of.camera] + 0.22 * _unit(rng, len(of))
    scene += 0.25 * clear * (_directions(*LIGHT)[of.light] + _directions(*WEATHER)[of.weather])
    scene += 0.25 * clear * _directions(*QUALITY)[of.quality]
    scene += np.where(of.unnamed[:, None] == NONE, 0, 0.7 * _directions(*UNNAMED)[of.unnamed])
    rows = scene[of.frames()]
    return _normalized(rows + 0.04 * _unit(rng, len(rows)))


def sentence_vectors(sentences: tuple[str, ...]) -> Array:
    """(P, D) float32 unit vectors: near the direction of the condition that the sentence names."""
    return _normalized(np.concatenate([_of_sentence(sentence) for sentence in sentences]))


def unnamed_share(of: Bursts) -> float:
    """Which part of the frames is of a kind that nobody named."""
    return float(of.length[of.unnamed != NONE].sum() / of.length.sum())


def _of_sentence(sentence: str) -> Array:
    named = [name for name, words in WORDS.items() if any(word in sentence for word in words)]
    meant = _directions(*named).mean(axis=0, keepdims=True) if named else 0
    own: Array = _direction("text") + 0.6 * meant + 0.1 * _directions(sentence)
    return own


def _light(start: Ints, night: bool) -> Ints:
    """By the hour; a set without nights was taken between 8 and 18."""
    hour = start // 3600
    light = np.where((hour >= 7) & (hour < 18), 0, np.where((hour >= 21) | (hour < 5), 2, 1))
    return light.astype(np.int64) if night else np.where(hour == 12, 1, 0).astype(np.int64)


def _drawn(rng: np.random.Generator, shares: tuple[float, ...], count: int) -> Ints:
    """(count,) 0 for what is usual, then one number for each share."""
    return rng.choice(1 + len(shares), size=count, p=[1 - sum(shares), *shares]).astype(np.int64)


def _unit(rng: np.random.Generator, count: int) -> Array:
    return _normalized(rng.standard_normal((count, DIM), dtype=np.float32))


def _normalized(rows: Array) -> Array:
    unit: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _directions(*names: str) -> Array:
    """(k, D) a direction for each name, always the same."""
    return np.stack([_direction(name) for name in names])


@cache
def _direction(name: str) -> Array:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    direction: Array = _unit(np.random.default_rng(number), 1)[0]
    return direction


@cache
def _cameras() -> Array:
    """(CAMERAS, D) what each camera shows always; a camera has one of the views."""
    own = np.stack([_direction(f"camera {number}") for number in range(CAMERAS)])
    cameras: Array = own + 0.5 * _directions(*VIEW)[np.arange(CAMERAS) % len(VIEW)]
    return cameras
