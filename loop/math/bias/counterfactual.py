"""The same object elsewhere, and the same place without the object: images that never were.

Where a detection follows the object, it is found wherever it is pasted, and gone where it is painted
over (Beery, Van Horn and Perona 2018 have recall fall in places that training does not know; Dwibedi,
Misra and Hebert 2017 paste with soft edges).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from connectors.ports import Detections, Image
from loop.base.arrays import Bools, Ints, Reals
from loop.math.boxes.matching import iou_matrix

Corners = tuple[float, float, float, float]
FEATHER = 0.12
"""Of a box's sides: so wide a rim is cut with it, and fades."""
PAINTED_SIDE = 64
"""px: an object is painted over at this size, for fine grain is not what tells a detector."""
IOU = 0.5


@dataclass(frozen=True, eq=False)
class Patch:
    """An object that was cut out.

    pixels: (h, w, 3) uint8. alpha: (h, w) float32 in 0..1, 1 over the box and fading in the rim.
    box: of the object within the patch, xyxy px. source: (height, width) of the image it is of.
    """

    pixels: Image
    alpha: NDArray[np.float32]
    box: Corners
    source: tuple[int, int]


def cut(image: Image, xyxy: Corners) -> Patch:
    """The object of this box, px, with a rim of `FEATHER` that fades out."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = xyxy
    rim_x, rim_y = FEATHER * (x2 - x1), FEATHER * (y2 - y1)
    left, top = max(int(x1 - rim_x), 0), max(int(y1 - rim_y), 0)
    right, bottom = min(int(np.ceil(x2 + rim_x)), width), min(int(np.ceil(y2 + rim_y)), height)
    across = _ramp(np.arange(left + 0.5, right), x1, x2, rim_x)
    down = _ramp(np.arange(top + 0.5, bottom), y1, y2, rim_y)
    alpha = np.outer(down, across).astype(np.float32)
    box = (x1 - left, y1 - top, x2 - left, y2 - top)
    return Patch(image[top:bottom, left:right].copy(), alpha, box, (height, width))


def pasted(image: Image, patch: Patch, center: tuple[float, float]) -> tuple[Image, Corners]:
    """The image with the object on it, as large for the image as it was for its own, and its box in px.

    center: of the box, as shares of width and height. It is moved inwards where it would be cut off.
    """
    height, width = image.shape[:2]
    scale = min(height / patch.source[0], width / patch.source[1])
    size = max(round(patch.pixels.shape[1] * scale), 1), max(round(patch.pixels.shape[0] * scale), 1)
    pixels = cv2.resize(patch.pixels, size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(patch.alpha, size, interpolation=cv2.INTER_LINEAR)[..., None]
    ratio = size[0] / patch.pixels.shape[1], size[1] / patch.pixels.shape[0]
    box = [side * ratio[place % 2] for place, side in enumerate(patch.box)]
    left = int(np.clip(round(center[0] * width - (box[0] + box[2]) / 2), 0, width - size[0]))
    top = int(np.clip(round(center[1] * height - (box[1] + box[3]) / 2), 0, height - size[1]))
    made = image.copy()
    under = made[top : top + size[1], left : left + size[0]]
    under[:] = np.round(alpha * pixels + (1 - alpha) * under).astype(np.uint8)
    return made, (box[0] + left, box[1] + top, box[2] + left, box[3] + top)


def painted_over(image: Image, xyxy: Corners) -> Image:
    """The image without the object: its box and rim are filled from around them (Telea 2004)."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = xyxy
    wide, high = max(x2 - x1, 1.0), max(y2 - y1, 1.0)
    left, top = max(int(x1 - wide / 2), 0), max(int(y1 - high / 2), 0)
    right, bottom = min(int(np.ceil(x2 + wide / 2)), width), min(int(np.ceil(y2 + high / 2)), height)
    around = np.ascontiguousarray(image[top:bottom, left:right])
    hole = np.zeros(around.shape[:2], np.uint8)
    rim_x, rim_y = FEATHER * wide, FEATHER * high
    rows = slice(max(int(y1 - rim_y) - top, 0), int(np.ceil(y2 + rim_y)) - top)
    hole[rows, max(int(x1 - rim_x) - left, 0) : int(np.ceil(x2 + rim_x)) - left] = 1
    scale = min(PAINTED_SIDE / max(wide, high), 1.0)
    small = max(round(around.shape[1] * scale), 1), max(round(around.shape[0] * scale), 1)
    smaller = cv2.resize(around, small, interpolation=cv2.INTER_AREA)
    smaller_hole = cv2.resize(hole, small, interpolation=cv2.INTER_NEAREST)
    filled = cv2.inpaint(smaller, smaller_hole, 3, cv2.INPAINT_TELEA)
    fill = cv2.resize(filled, (around.shape[1], around.shape[0]), interpolation=cv2.INTER_LINEAR)
    made = image.copy()
    made[top:bottom, left:right][hole > 0] = fill[hole > 0]
    return made


def is_found(seen: Detections, xyxy: Corners, class_id: int, sure: float) -> bool:
    """Whether a box of the class lies on it, with an IoU of .5 and that confidence at least."""
    kept = (np.asarray(seen.confidence) >= sure) & (np.asarray(seen.class_id) == class_id)
    return bool((iou_matrix(np.asarray(seen.xyxy)[kept], [xyxy]) >= IOU).any())


def free(boxes: Reals, xyxy: Corners) -> bool:
    """Whether none of these boxes (B, 4) touches it."""
    x1, y1, x2, y2 = xyxy
    apart = (boxes[:, 0] >= x2) | (boxes[:, 2] <= x1) | (boxes[:, 1] >= y2) | (boxes[:, 3] <= y1)
    return bool(apart.all())


def alone(boxes: Reals, width: int, height: int, least: float, most: float) -> Bools:
    """(B,) boxes xyxy px that can be cut out: of `least` to `most` of the image's area, and touching no
    other.
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (width * height)
    single = [free(np.delete(boxes, row, axis=0), tuple(boxes[row])) for row in range(len(boxes))]
    fitting: Bools = (area >= least) & (area <= most) & np.array(single, dtype=np.bool_)
    return fitting


def fall(own: Bools, elsewhere: Bools, group: Ints) -> tuple[float, tuple[float, float] | None]:
    """How many more of the same objects are found at their own place than elsewhere, as a share, with
    its 95 % interval; None with fewer than five groups.

    own, elsewhere: (N,). group: (N,) camera-days. Jackknife over groups, Student's t.
    """
    difference = own.astype(np.float64) - elsewhere.astype(np.float64)
    value = float(difference.mean())
    _, code = np.unique(group, return_inverse=True)
    groups = int(code.max()) + 1
    if groups < 5:
        return value, None
    sums, sizes = np.bincount(code, difference), np.bincount(code)
    left = (difference.sum() - sums) / (len(difference) - sizes)
    error = float(np.sqrt((groups - 1) / groups * ((left - left.mean()) ** 2).sum()))
    half = float(stats.t.isf(0.025, groups - 1)) * error
    return value, (max(value - half, -1.0), min(value + half, 1.0))


def _ramp(at: NDArray[np.floating], low: float, high: float, rim: float) -> Reals:
    """1 from low to high, falling to 0 over the rim on both sides."""
    outside = np.maximum(np.maximum(low - at, at - high), 0)
    ramp: Reals = np.clip(1 - outside / max(rim, 1e-9), 0, 1)
    return ramp
