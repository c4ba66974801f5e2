"""Edge cases that boxes tell: crowds, objects that cover one another, objects that lie unusually."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Bools, Ints, Reals
from samplers.ragged import Ragged

SURE = 0.25
"""Confidence from which on a box counts; it is drawn for people from there too."""
OF_A_CROWD = 0.1
"""Confidence from which on a box counts in a crowd, whose small objects a detector is unsure of."""
CONTAINED = 0.9
"""A box of which so much lies within one of another class is a part of that object, as a helmet is."""
LEAST_SIDE = 12.0
"""Pixels; of a smaller box a pixel more or less changes the ratio of sides."""
BORDER = 0.01
"""Part of the frame; a box that comes so near to the border may be cut there."""
ENOUGH_BOXES = 20
"""Of a class, from which on it is known how its boxes usually are."""
LEAST_SPREAD = 0.1
"""Of the log of width over height; no class is steadier."""
ALONG = 0.6
"""Of the shorter side, that two boxes share along the edge at which they touch."""
LIKE_SIZE = 2.0
"""Up to this factor, two boxes that touch are as high, or as wide, as one another."""
_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class Corners:
    """Where the boxes of N frames lie.

    xyxy: (B, 4) float32 px, ragged by frame.
    class_id, confidence: (B,).
    width, height: (N,) px of the frames.
    """

    xyxy: Ragged
    class_id: Ints
    confidence: Reals
    width: Ints
    height: Ints

    def __len__(self) -> int:
        return len(self.xyxy)

    def kept(self, keep: Bools) -> Corners:
        """Those boxes alone. keep: (B,)."""
        counts = np.bincount(self.xyxy.row[keep], minlength=len(self))
        start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        return Corners(
            Ragged(self.xyxy.values[keep], start),
            self.class_id[keep],
            self.confidence[keep],
            self.width,
            self.height,
        )

    def sure(self, confidence: float = SURE) -> Corners:
        """Boxes of so much confidence or more."""
        return self.kept(self.confidence >= confidence)


def box_counts(boxes: Corners) -> Ints:
    """(N,) boxes of each frame that count in a crowd."""
    return boxes.sure(OF_A_CROWD).xyxy.lengths


def overlapped_share(boxes: Corners, covered: float) -> Reals:
    """(N,) share of a frame's sure boxes of which another one covers so large a part (intersection
    over own area); 0 without boxes.

    A box that lies within one of another class is no case: it is a part of that object, and so is
    what contains it.
    """
    return _share(boxes.sure(), lambda xyxy, class_id: _covered(xyxy, class_id) >= covered)


def touching_share(boxes: Corners, gap: float) -> Reals:
    """(N,) share of a frame's sure boxes that another one of their class, about as large, touches
    from the side, from above or from below; 0 without boxes.

    A detector draws of an object that another one hides in part what is seen, so that its box ends
    where the other one begins. gap: that may lie between them, as a part of the smaller box.
    """
    return _share(boxes.sure(), lambda xyxy, class_id: _touched(xyxy, class_id, gap))


def _share(own: Corners, told: Callable[[Reals, Ints], Bools]) -> Reals:
    """(N,) share of the boxes of each frame. told: of F frames with K boxes each, (F, K, 4) corners and
    (F, K) classes, which of them.
    """
    hidden = np.zeros(len(own.class_id), dtype=np.bool_)
    lengths, first = own.xyxy.lengths, own.xyxy.start[:-1]
    for count in np.unique(lengths[lengths > 1]).tolist():
        frames = np.flatnonzero(lengths == count)
        step = max(1, _CELLS // count**2)
        for start in range(0, len(frames), step):
            places = first[frames[start : start + step], None] + np.arange(count)
            hidden[places] = told(own.xyxy.values[places], own.class_id[places])
    share: Reals = own.xyxy.with_values(hidden).sums() / np.maximum(lengths, 1)
    return share


def _covered(xyxy: Reals, class_id: Ints) -> Reals:
    """(F, K) the largest part of each box that another one covers. xyxy: (F, K, 4)."""
    left, right = xyxy[:, :, None].astype(np.float64), xyxy[:, None].astype(np.float64)
    size = np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2])
    common = size.clip(min=0).prod(axis=-1)
    area = np.maximum((left[..., 2:] - left[..., :2]).clip(min=0).prod(axis=-1), 1e-9)
    part = common / area
    within = np.maximum(part, part.transpose(0, 2, 1)) >= CONTAINED
    part[within & (class_id[:, :, None] != class_id[:, None])] = 0
    part[:, np.arange(xyxy.shape[1]), np.arange(xyxy.shape[1])] = 0
    found: Reals = part.max(axis=2)
    return found


def _touched(xyxy: Reals, class_id: Ints, gap: float) -> Bools:
    """(F, K) see `touching_share`. xyxy: (F, K, 4)."""
    left, right = xyxy[:, :, None].astype(np.float64), xyxy[:, None].astype(np.float64)
    common = np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2])
    sides = [np.maximum(each[..., 2:] - each[..., :2], 1e-9) for each in (left, right)]
    smaller, ratio = np.minimum(*sides), np.maximum(*sides) / np.minimum(*sides)
    meets = (common >= -gap * smaller) & (common < CONTAINED * smaller)
    beside = (common >= ALONG * smaller) & (ratio < LIKE_SIZE)
    found = np.any(meets & beside[..., ::-1], axis=3) & (class_id[:, :, None] == class_id[:, None])
    found[:, np.arange(xyxy.shape[1]), np.arange(xyxy.shape[1])] = False
    told: Bools = found.any(axis=2)
    return told


def usual_ratios(boxes: Corners) -> dict[int, tuple[float, float]]:
    """By class, the median of log(width / height) of its whole boxes and their spread (median
    absolute deviation, as a standard deviation); a class of fewer than 20 such boxes is absent.
    """
    own = whole(boxes.sure())
    ratio = log_ratios(own)
    found = {}
    for class_id in np.unique(own.class_id).tolist():
        values = ratio[own.class_id == class_id]
        if len(values) >= ENOUGH_BOXES:
            middle = float(np.median(values))
            spread = max(1.4826 * float(np.median(np.abs(values - middle))), LEAST_SPREAD)
            found[int(class_id)] = (round(middle, 4), round(spread, 4))
    return found


def oddness(boxes: Corners, usual: Mapping[int, tuple[float, float]]) -> Reals:
    """(N,) how many spreads the oddest whole and sure box of each frame is from its class's usual
    ratio of sides; 0 where nothing is known.
    """
    own = whole(boxes.sure())
    ratio, far = log_ratios(own), np.zeros(len(own.class_id))
    for class_id, (middle, spread) in usual.items():
        rows = own.class_id == class_id
        far[rows] = np.abs(ratio[rows] - middle) / spread
    found: Reals = own.xyxy.with_values(far).maxima()
    return found


def whole(boxes: Corners) -> Corners:
    """Boxes that are not small, and that the frame's border does not cut."""
    xyxy, row = boxes.xyxy.values.reshape(-1, 4), boxes.xyxy.row
    width, height = boxes.width[row], boxes.height[row]
    inner = (xyxy[:, 0] > BORDER * width) & (xyxy[:, 2] < (1 - BORDER) * width)
    inner &= (xyxy[:, 1] > BORDER * height) & (xyxy[:, 3] < (1 - BORDER) * height)
    return boxes.kept(inner & ((xyxy[:, 2:] - xyxy[:, :2]).min(axis=1, initial=np.inf) >= LEAST_SIDE))


def log_ratios(boxes: Corners) -> Reals:
    """(B,) log of width over height of each box."""
    xyxy = boxes.xyxy.values.reshape(-1, 4)
    sides = xyxy[:, 2:] - xyxy[:, :2]
    ratios: Reals = np.log(np.maximum(sides[:, 0], 1e-6) / np.maximum(sides[:, 1], 1e-6)).astype(np.float64)
    return ratios
