"""What a scene is asked for (SceneSpec) and what comes back (Scene)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]

SIZE = (320, 192)
SCALE = 2
CANVAS = (SIZE[0] * SCALE, SIZE[1] * SCALE)
CLASSES = ("person", "helmet", "car", "truck", "pallet", "extinguisher", "forklift")
SITES = ("depot", "construction", "street", "parking", "harbor")
TIMES = ("day", "dusk", "night")
WEATHERS = ("clear", "fog", "rain", "snow")
QUALITIES = ("sharp", "blurred", "compressed", "low resolution", "dirty lens")
VIEWS = ("eye level", "overhead", "wide angle", "tilted")
BURST = 6


@dataclass(frozen=True)
class SceneSpec:
    """One frame to draw. ``objects`` are class names; "helmet" is a person who wears one, "person"
    one who does not, None samples a site's usual mix (never a forklift). Frames that share
    everything but ``burst_index`` are consecutive pictures of the same moving objects.
    """

    site: str
    camera: str
    time: str
    weather: str
    quality: str
    objects: tuple[str, ...] | None
    seed: int
    burst_index: int


@dataclass(frozen=True)
class Scene:
    """image (192, 320, 3) uint8 RGB; xyxy (K, 4) float32 pixels; class_ids (K,) int64 into CLASSES."""

    image: Pixels
    xyxy: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    attributes: dict[str, str]


def check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(allowed)}; got {value!r}")
