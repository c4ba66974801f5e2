"""Image statistics of one frame: light, haze, blur, contrast, noise, compression, color.

They compare frames of one camera with one another; across cameras and scenes clean values differ
too much for a global threshold. Pointwise statistics come from a regular grid of pixels, which
unlike a downscaled image keeps their distribution; all that look at neighbors take strips of the
native grid.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from connectors.ports import Image
from loop.base.arrays import Bytes, Reals
from loop.math.coverage.image_blocks import compression
from loop.math.coverage.image_detail import details

GRID_PIXELS = 65_000
BAND_ROWS = 16
BANDS = 14
SPARSE_PIXELS = 1_000_000
DARK, BRIGHT = 0.1, 0.95
VEIL, AIRLIGHT = 0.05, 0.99


def measure(image: Image) -> dict[str, float]:
    """Statistics of an (H, W, 3) uint8 RGB image, all finite.

    brightness: mean luma, 0..1.
    contrast: standard deviation of luma, 0..0.5.
    dark_fraction, bright_fraction: share of pixels with luma below 0.1, above 0.95.
    entropy: of the luma histogram, bits, 0..8.
    saturation: mean HSV saturation, 0..1.
    colorfulness: Hasler and Suesstrunk (2003), about 0 (gray) to 1.
    haze: 5th percentile of the darkest channel over the 99th percentile of luma, 0..1; fog fills
    the dark places (dark channel of He, Sun and Tang 2009).
    sharpness: fine detail / variance of luma, both without noise; falls with blur.
    slant_upright, slant_diagonal: log of coarse detail along one direction over that across it.
    cell_00 to cell_35: coarse detail in 4 x 6 parts of the frame / variance of luma.
    noise: standard deviation, 0..1, median form of Immerkaer (1996).
    blockiness: steps across the 8-pixel grid of JPEG against steps elsewhere, 1 = none.
    compression: depth of a grid of blocks of any size from 4 to 16 pixels, so of a JPEG that was
    resized too; 0 = none.
    Raises ValueError for another shape or dtype.
    """
    _check(image)
    image = np.ascontiguousarray(image)
    values = {**_pointwise(_grid(image)), **_neighborhood(image)}
    return {name: float(value) for name, value in values.items()}


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"expected an (H, W, 3) uint8 RGB image, got {image.dtype} of shape {image.shape}")


def _grid(image: Image) -> Bytes:
    """Every n-th pixel in both directions, (h, w, 3); n is odd, so that it does not walk along an
    8-pixel grid.
    """
    step = int(math.sqrt(image.shape[0] * image.shape[1] / GRID_PIXELS)) | 1
    return _every(image[step // 2 :: step], step // 2, step) if min(image.shape[:2]) > step else image


def _every(image: Image, first: int, step: int) -> Bytes:
    """Every n-th column. The three bytes of a pixel are copied as one, in half the time."""
    pixels = image.view(_PIXEL)[:, first::step, 0]
    return np.ascontiguousarray(pixels).view(np.uint8).reshape(*pixels.shape, 3)


_PIXEL = np.dtype((np.void, 3))


def _pointwise(pixels: Bytes) -> dict[str, float]:
    luma = _luma(pixels)
    shares = _histogram(luma, 256) / luma.size
    levels = np.arange(256) / 255
    brightness = float(shares @ levels)
    present = shares[shares > 0]
    return {
        "brightness": brightness,
        "haze": _haze(pixels, shares),
        "contrast": math.sqrt(float(shares @ (levels - brightness) ** 2)),
        "dark_fraction": shares[levels < DARK].sum(),
        "bright_fraction": shares[levels > BRIGHT].sum(),
        "entropy": -float(present @ np.log2(present)),
        "saturation": cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))[1] / 255,
        "colorfulness": _colorfulness(pixels),
    }


def _haze(pixels: Bytes, luma_shares: Reals) -> float:
    red, green, blue = cv2.split(pixels)
    darkest = np.asarray(cv2.min(cv2.min(red, green), blue), dtype=np.uint8)
    return max(0.0, _quantile(_histogram(darkest, 256), VEIL) / max(_quantile(luma_shares, AIRLIGHT), 1.0))


def _colorfulness(pixels: Bytes) -> float:
    red, green, blue = (plane.astype(np.int16) for plane in cv2.split(pixels))
    (across, spread_across), (along, spread_along) = _moments(red - green), _moments(red + green - 2 * blue)
    spread = math.sqrt(spread_across + spread_along / 4)
    return (spread + 0.3 * math.hypot(across, along / 2)) / 255


def _moments(values: NDArray[np.int16]) -> tuple[float, float]:
    """Mean and variance of a matrix; (0, 0) where it is empty."""
    if not values.size:
        return 0.0, 0.0
    mean = cv2.sumElems(values)[0] / values.size
    return mean, max(0.0, cv2.norm(values, cv2.NORM_L2SQR) / values.size - mean**2)


def _histogram(values: Bytes | NDArray[np.uint16], levels: int) -> Reals:
    """(levels,) how often each whole number occurs."""
    counts: NDArray[np.float32] = cv2.calcHist([values], [0], None, [levels], [0, levels])
    return counts.ravel().astype(np.float64)


def _neighborhood(image: Image) -> dict[str, float]:
    bands, lines = _bands(image), _lines(image)
    return {
        **details(bands),
        "noise": _noise(bands[::2]),
        "blockiness": _blockiness(*lines),
        "compression": compression(*lines),
    }


def _luma(pixels: Image) -> Bytes:
    if 0 in pixels.shape:
        return np.zeros(pixels.shape[:2], np.uint8)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _bands(image: Image) -> Bytes:
    """(n, rows, W) luma: all of a small image, BANDS strips of BAND_ROWS rows of a large one."""
    height, width = image.shape[:2]
    if height <= BAND_ROWS * BANDS:
        return _luma(image)[None]
    starts = np.linspace(0, height - BAND_ROWS, BANDS).astype(int)
    strips = np.concatenate([image[start : start + BAND_ROWS] for start in starts])
    return _luma(strips).reshape(BANDS, BAND_ROWS, width)


def _inner(bands: Bytes, kernel: NDArray[np.float32]) -> NDArray[np.int16]:
    """(n * (rows - 2), W - 2) the response to a 3x3 kernel, given as a column times a row, where it lies
    within one band.
    """
    response = cv2.filter2D(bands.reshape(-1, bands.shape[2]), cv2.CV_16S, kernel).reshape(bands.shape)
    inner = response[:, 1:-1, 1:-1]
    return np.ascontiguousarray(inner).reshape(inner.shape[0] * inner.shape[1], inner.shape[2])


_DIFFERENCE_OF_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_STEEPEST = 8 * 255  # the most that the latter responds
_KERNEL_GAIN = 6.0  # root of its sum of squares
_MEDIAN_TO_SIGMA = 1.4826


def _noise(bands: Bytes) -> float:
    response = np.abs(_inner(bands, _DIFFERENCE_OF_LAPLACIANS)).view(np.uint16)
    if not response.size:
        return 0.0
    median = max(0.0, _quantile(_histogram(response, _STEEPEST + 1), 0.5))
    return _MEDIAN_TO_SIGMA * median / _KERNEL_GAIN / 255


def _quantile(counts: Reals, share: float) -> float:
    """Of whole numbers that occur so often, interpolated within one of them, so that it follows the
    distribution smoothly.
    """
    reached = np.cumsum(counts)
    rank = share * reached[-1]
    level = int(np.searchsorted(reached, rank))
    return level - 0.5 + float((rank - (reached[level] - counts[level])) / counts[level])


def _lines(image: Image) -> tuple[Bytes, Bytes]:
    """Every n-th row, and every n-th column as a row, of luma; both through the middle of the blocks
    of a JPEG.
    """
    every = 8 if image.shape[0] * image.shape[1] < SPARSE_PIXELS else 24
    return _luma(image[4::every]), np.ascontiguousarray(_luma(_every(image, 4, every)).T)


def _blockiness(rows: Bytes, columns: Bytes) -> float:
    ratios = [ratio for ratio in map(_grid_steps, (rows, columns)) if ratio is not None]
    return float(np.mean(ratios)) if ratios else 1.0


_FLAT = 0.5  # gray levels: keeps the ratio of two nearly empty steps near 1


def _grid_steps(lines: Bytes) -> float | None:
    """Mean step onto a multiple of 8 along the lines, over the median of the other seven phases;
    None when they are too short.
    """
    length = (lines.shape[1] - 1) // 8 * 8
    if length < 16 or not lines.size:
        return None
    steps = cv2.absdiff(lines[:, 1 : length + 1], lines[:, :length])
    phases = cv2.reduce(steps, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F).reshape(-1, 8).mean(axis=0)
    return float((phases[7] + _FLAT) / (np.median(phases[:7]) + _FLAT))
