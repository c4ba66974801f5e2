from __future__ import annotations

import math
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from simplejpeg import decode_jpeg, encode_jpeg

from connectors.ports import Image
from loop.analysis.producers import MEASURES_VERSION
from loop.math.coverage.image_detail import CELLS, SLANTS
from loop.math.coverage.image_statistics import measure

NAMES = {
    *SLANTS,
    *CELLS,
    "brightness",
    "contrast",
    "haze",
    "compression",
    "dark_fraction",
    "bright_fraction",
    "entropy",
    "saturation",
    "colorfulness",
    "sharpness",
    "noise",
    "blockiness",
}


def scene(seed: int, height: int = 400, width: int = 600) -> Image:
    """A road scene of sorts: sloping light, colored things with edges, fine texture at all scales,
    a little sensor noise.
    """
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    canvas = np.stack([90 + 80 * y / height, 100 + 60 * x / width, 140 - 50 * y / height], axis=-1)
    for _ in range(25):
        left, top = (int(dice.integers(size)) for size in (width, height))
        wide, high = (int(size) for size in dice.integers(15, 120, 2))
        canvas[top : top + high, left : left + wide] = dice.integers(20, 236, 3)
    for scale in (3, 5, 9):
        texture = cv2.resize(
            dice.normal(0, 6, (height // scale, width // scale)).astype(np.float32), (width, height)
        )
        canvas += texture[..., None]
    return np.clip(canvas + dice.normal(0, 1, canvas.shape), 0, 255).astype(np.uint8)


def jpeg(quality: int) -> Callable[[Image], Image]:
    def through(image: Image) -> Image:
        ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert ok
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)

    return through


def dimmed(image: Image) -> Image:
    return (image * 0.3).astype(np.uint8)


def overexposed(image: Image) -> Image:
    return np.clip(image.astype(np.int16) * 2 + 60, 0, 255).astype(np.uint8)


def fogged(image: Image) -> Image:
    return (image * 0.35 + 145).astype(np.uint8)


def blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2.0), dtype=np.uint8)


def noisy(image: Image) -> Image:
    return np.clip(image + np.random.default_rng(1).normal(0, 15, image.shape), 0, 255).astype(np.uint8)


def demosaiced(image: Image) -> Image:
    """Noise that was smeared over neighbors."""
    noise = cv2.GaussianBlur(np.random.default_rng(2).normal(0, 1, image.shape), (0, 0), 0.6)
    return np.clip(image + 10 * noise / noise.std(), 0, 255).astype(np.uint8)


def swept(image: Image) -> Image:
    """Motion across the frame."""
    return np.asarray(cv2.blur(image, (9, 1)), dtype=np.uint8)


def resized(scale: float) -> Callable[[Image], Image]:
    def through(image: Image) -> Image:
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=way), dtype=np.uint8)

    return through


def grayed(image: Image) -> Image:
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.uint8)


PLANTED: list[tuple[Callable[[Image], Image], str, float, float]] = [
    (dimmed, "brightness", 0.0, 0.4),
    (dimmed, "dark_fraction", 5.0, math.inf),
    (overexposed, "brightness", 1.3, 3.0),
    (overexposed, "bright_fraction", 5.0, math.inf),
    (fogged, "contrast", 0.2, 0.5),
    (fogged, "brightness", 1.2, 3.0),
    (fogged, "saturation", 0.0, 0.5),
    (blurred, "sharpness", 0.0, 0.1),
    (noisy, "noise", 2.0, 20.0),
    (lambda image: noisy(blurred(image)), "sharpness", -0.1, 0.2),
    (lambda image: noisy(dimmed(image)), "sharpness", 0.9, math.inf),
    (fogged, "haze", 2.0, 20.0),
    (jpeg(20), "compression", 3.0, 100.0),
    (jpeg(20), "blockiness", 1.5, 6.0),
    (jpeg(10), "blockiness", 1.9, 12.0),
    (jpeg(10), "noise", 0.0, 0.5),
    (grayed, "saturation", 0.0, 0.01),
    (grayed, "colorfulness", 0.0, 0.01),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("plant", "name", "least", "most"), PLANTED)
def test_a_planted_change_moves_its_measurement(
    plant: Callable[[Image], Image], name: str, least: float, most: float, seed: int
) -> None:
    clean = scene(seed)
    before, after = measure(clean)[name], measure(plant(clean))[name]
    assert least <= after / max(before, 1e-3) <= most


UNMOVED: list[tuple[Callable[[Image], Image], str, float]] = [
    (dimmed, "saturation", 0.1),
    (dimmed, "sharpness", 0.3),
    (dimmed, "blockiness", 0.15),
    (dimmed, "haze", 0.1),
    (noisy, "sharpness", 0.15),
    (demosaiced, "sharpness", 0.15),
    (fogged, "sharpness", 0.3),
    (fogged, "blockiness", 0.15),
    (blurred, "brightness", 0.02),
    (blurred, "contrast", 0.2),
    (blurred, "blockiness", 0.15),
    (noisy, "brightness", 0.03),
    (noisy, "blockiness", 0.15),
    (jpeg(95), "blockiness", 0.15),
    (jpeg(20), "brightness", 0.02),
    (jpeg(20), "contrast", 0.1),
    (grayed, "brightness", 0.02),
    (grayed, "sharpness", 0.05),
    (grayed, "blockiness", 0.05),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("plant", "name", "share"), UNMOVED)
def test_a_planted_change_leaves_the_others_alone(
    plant: Callable[[Image], Image], name: str, share: float, seed: int
) -> None:
    clean = scene(seed)
    assert measure(plant(clean))[name] == pytest.approx(measure(clean)[name], rel=share)


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_image_has_no_blocks(seed: int) -> None:
    assert 0.8 <= measure(scene(seed))["blockiness"] <= 1.2


@pytest.mark.parametrize("seed", range(5))
def test_at_night_too_blur_takes_sharpness_however_strong_the_noise(seed: int) -> None:
    sharp, blurry = (noisy(dimmed(image)) for image in (scene(seed), blurred(scene(seed))))
    assert measure(blurry)["sharpness"] < 0.6 * measure(sharp)["sharpness"]


@pytest.mark.parametrize("scale", [0.5, 0.6, 0.75, 1.0, 1.25, 1.5])
@pytest.mark.parametrize("seed", range(2))
def test_a_jpeg_is_known_whatever_size_its_blocks_have(seed: int, scale: float) -> None:
    image = scene(seed)
    alone = measure(resized(scale)(image))["compression"]
    assert measure(resized(scale)(jpeg(20)(image)))["compression"] > 2 * alone


@pytest.mark.parametrize("seed", range(3))
def test_motion_turns_the_detail_and_defocus_does_not(seed: int) -> None:
    image = scene(seed)
    sharp, moved, down = (measure(each)["slant_upright"] for each in (image, swept(image), turned(image)))
    assert moved < sharp - 1
    assert down > sharp + 1
    assert abs(measure(blurred(image))["slant_upright"] - sharp) < 0.5
    assert abs(measure(noisy(swept(image)))["slant_upright"] - moved) < 0.5


def turned(image: Image) -> Image:
    """Motion down the frame."""
    return np.asarray(cv2.blur(image, (1, 9)), dtype=np.uint8)


def test_what_covers_a_part_of_the_lens_takes_the_detail_there() -> None:
    image = scene(1)
    covered = image.copy()
    covered[:125, :125] = 120
    before, after = measure(image), measure(covered)
    ratio = {name: after[name] / before[name] for name in CELLS}
    assert ratio["cell_00"] < 0.1
    assert min(ratio[name] for name in CELLS if name[-2:] not in ("00", "01", "10", "11")) > 0.7


def test_blocks_are_found_in_large_images_too() -> None:
    large = scene(0, 1080, 1920)
    assert measure(jpeg(20)(large))["blockiness"] > 1.5 > 1.2 >= measure(large)["blockiness"]


def test_noise_is_told_in_its_own_unit() -> None:
    flat = np.full((400, 600), 128.0)
    grain = flat + np.random.default_rng(0).normal(0, 8, flat.shape)
    image = np.repeat(np.clip(grain, 0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    assert measure(image)["noise"] == pytest.approx(8 / 255, rel=0.05)


def test_values_of_plain_images_by_hand() -> None:
    black, white = (measure(np.full((64, 64, 3), level, np.uint8)) for level in (0, 255))
    assert (black["brightness"], black["dark_fraction"], black["bright_fraction"]) == (0.0, 1.0, 0.0)
    assert (white["brightness"], white["dark_fraction"], white["bright_fraction"]) == (1.0, 0.0, 1.0)
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[32:] = 255
    values = measure(halves)
    assert values["brightness"] == pytest.approx(0.5, abs=0.01)
    assert values["contrast"] == pytest.approx(0.5, abs=0.01)
    assert values["entropy"] == pytest.approx(1.0, abs=0.01)
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    assert measure(red)["saturation"] == 1.0


def test_values_of_a_large_image_by_their_definitions() -> None:
    """Fourteen strips of sixteen rows, each by itself; colors on every fifth pixel of both directions."""
    image = scene(3, 1080, 1920)
    strips = [image[start : start + 16] for start in np.linspace(0, 1064, 14).astype(int)]
    luma = [cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY).astype(np.int64) for strip in strips]
    across = [a[:, :-4] + a[:, 4:] - 2 * a[:, 2:-2] for a in luma[::3]]
    down = [a[:-4] + a[4:] - 2 * a[2:-2] for a in luma[::3]]
    fine = np.mean([a[:-3] * a[3:] for a in across]) + np.mean([a[:, :-3] * a[:, 3:] for a in down])
    centered = np.stack(luma[::3]) - np.mean(luma[::3])
    variance = np.mean(centered[:, :-3] * centered[:, 3:])
    second = [np.abs(np.diff(np.diff(a, 2, axis=0), 2, axis=1)) for a in luma[::2]]
    red, green, blue = (image[2::5, 2::5, channel].astype(float) for channel in range(3))
    one, other = red - green, (red + green) / 2 - blue
    colorful = math.hypot(one.std(), other.std()) + 0.3 * math.hypot(one.mean(), other.mean())
    values = measure(image)
    assert values["sharpness"] == pytest.approx(fine / variance, rel=1e-4)
    assert values["colorfulness"] == pytest.approx(colorful / 255)
    assert values["noise"] == pytest.approx(1.4826 / 6 / 255 * np.median(second), abs=1.4826 / 6 / 255 / 2)


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1),
        (1, 500),
        (500, 1),
        (2, 2),
        (7, 7),
        (8, 17),
        (17, 8),
        (24, 24),
        (3000, 4),
        (4, 3000),
        (321, 321),
    ],
)
def test_any_size_gives_the_same_finite_numbers(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for picture in (image, np.zeros_like(image), image[::-1, ::-1]):
        values = measure(picture)
        assert set(values) == NAMES
        assert all(type(value) is float and math.isfinite(value) for value in values.values())


def test_the_same_image_gives_the_same_numbers() -> None:
    image = scene(0)
    before = image.copy()
    assert measure(image) == measure(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_another_kind_of_array_is_a_clear_error(image: Image) -> None:
    with pytest.raises(ValueError, match=r"expected an \(H, W, 3\) uint8 RGB image, got \w+ of shape"):
        measure(image)


def test_values_belong_to_their_version() -> None:
    """A change of these numbers is a new producer: give MEASURES_VERSION a new name."""
    y, x = np.mgrid[0:90, 0:120]
    image = np.stack([(2 * x + y) % 256, 3 * y % 256, x * y % 256], axis=-1).astype(np.uint8)
    assert MEASURES_VERSION == "measures-2"
    values = measure(image)
    cells = [values.pop(name) for name in CELLS]
    assert (np.mean(cells), cells[0], cells[-1]) == pytest.approx((0.6118, 0.0182, 2.194), abs=2e-4)
    assert values == pytest.approx(
        {
            "brightness": 0.4907,
            "contrast": 0.2032,
            "dark_fraction": 0.0224,
            "bright_fraction": 0.0021,
            "entropy": 7.6858,
            "saturation": 0.6705,
            "colorfulness": 0.5483,
            "haze": 0.0099,
            "sharpness": 0.5246,
            "slant_upright": -1.5208,
            "slant_diagonal": 0.5574,
            "noise": 0.0271,
            "blockiness": 1.1199,
            "compression": 0.105,
        },
        abs=2e-4,
    )


@pytest.mark.slow
def test_a_full_hd_frame_costs_no_more_than_about_its_decoding() -> None:
    """Both timed in turn, for an absolute time would test the machine."""
    image = scene(0, 1080, 1920)
    jpeg = encode_jpeg(image, quality=90)
    measure(image)
    costs = [(cpu_seconds(lambda: measure(image)), cpu_seconds(lambda: decode_jpeg(jpeg))) for _ in range(20)]
    measuring, decoding = (min(each) for each in zip(*costs, strict=True))
    assert measuring < 1.5 * decoding


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
