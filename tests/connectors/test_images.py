from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Pil

from connectors import images
from connectors.errors import ImageRejected
from connectors.ports import Image

HEIGHT, WIDTH = 48, 64


def scene(height: int = HEIGHT, width: int = WIDTH) -> Image:
    """Smooth and different in every corner, so that each of the eight orientations looks different."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x // width, 255 * y // height, 90 + 0 * x], axis=-1).astype(np.uint8)


def encoded(pixels: Image, kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Pil.fromarray(pixels).convert(mode).save(out, kind, **options)
    return out.getvalue()


def with_orientation(kind: str, orientation: int) -> bytes:
    exif = Pil.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(scene(), kind, exif=exif)


def as_cv2_sees(data: bytes, path: Path) -> Image:
    path.write_bytes(data)
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.asarray(bgr[..., ::-1], dtype=np.uint8)


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def rejected_by(read: Callable[[bytes], object], data: bytes) -> ImageRejected:
    with pytest.raises(ImageRejected) as caught:
        read(data)
    return caught.value


def rejected(data: bytes) -> ImageRejected:
    with pytest.raises(ImageRejected) as caught:
        images.decode(data)
    return caught.value


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_the_header_names_format_and_size(kind: str) -> None:
    info = images.inspect(encoded(scene(), kind))
    assert (info.format, info.width, info.height) == (kind, WIDTH, HEIGHT)
    assert info.suffix == images.SUFFIXES[kind]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_decoded_pixels_are_those_of_cv2(kind: str, tmp_path: Path) -> None:
    data = encoded(scene(), kind)
    pixels = images.decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels.astype(int) - as_cv2_sees(data, tmp_path / "a")).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_as_cv2_applies_it(orientation: int, tmp_path: Path) -> None:
    data = with_orientation("JPEG", orientation)
    info = images.inspect(data)
    pixels = images.decode(data, info)
    expected = as_cv2_sees(data, tmp_path / "a.jpg")
    assert pixels.shape == expected.shape == (info.height, info.width, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_rotation_pending_is_refused_where_programs_disagree(kind: str) -> None:
    error = rejected(with_orientation(kind, 6))
    assert error.code == "unsupported"
    assert f"expected a {kind} that is stored upright, got EXIF orientation 6" in str(error)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("PNG", "1"),
        ("BMP", "L"),
        ("WEBP", "RGBA"),
    ],
)
def test_every_color_mode_becomes_rgb_as_in_cv2(kind: str, mode: str, tmp_path: Path) -> None:
    data = encoded(scene(), kind, mode)
    pixels = images.decode(data)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels.astype(int) - as_cv2_sees(data, tmp_path / "a")).max() <= 4


def deep_png(values: np.ndarray) -> bytes:
    done, out = cv2.imencode(".png", values.astype(np.uint16))
    assert done
    return out.tobytes()


@pytest.mark.parametrize("brightest", [255, 1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_16_bits_is_stretched_over_8(brightest: int, channels: int, tmp_path: Path) -> None:
    """A ramp stays a ramp, from black to white, whatever part of the 16 bits it fills."""
    ramp = np.linspace(0, brightest, 256).round()
    data = deep_png(np.repeat(np.tile(ramp, (40, 1))[..., None], channels, axis=2))
    assert images.inspect(data).bits == 16
    flat = images.stretched(data)
    assert images.inspect(flat).bits == 8
    seen = images.decode(flat)
    assert np.abs(seen[0].astype(int) - np.arange(256)[:, None]).max() <= 1
    assert np.array_equal(seen, as_cv2_sees(flat, tmp_path / "a.png"))


def test_colors_are_stretched_alike_and_one_value_is_no_failure() -> None:
    pixels = np.zeros((40, 40, 3), np.uint16)
    pixels[..., 0], pixels[..., 2], pixels[:20] = 1000, 4000, 0  # blue and red, as cv2 orders them
    assert images.decode(images.stretched(deep_png(pixels)))[30, 30].tolist() == [255, 0, 64]
    flat = images.decode(images.stretched(deep_png(np.full((40, 40), 700))))
    assert (flat == flat[0, 0]).all()


def test_a_damaged_picture_of_16_bits_is_rejected() -> None:
    data = deep_png(np.random.default_rng(0).integers(0, 4096, (40, 40)))
    assert rejected_by(images.stretched, data[: len(data) // 2]).code in ("truncated", "corrupt")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_stretch_is_that_of_the_exact_thousandths(channels: int) -> None:
    """Also of a picture that is worked off in many strips."""
    deep = np.random.default_rng(1).gamma(2.0, 900.0, (2300, 1100, channels)).clip(0, 65535).astype(np.uint16)
    low, high = np.percentile(deep, [0.1, 99.9])
    expected = ((deep.astype(np.float64) - low) * (255 / (high - low))).clip(0, 255).round().astype(np.uint8)
    seen = images.decode(images.stretched(deep_png(deep)))
    assert np.array_equal(seen, np.broadcast_to(expected[..., ::-1], seen.shape))


@pytest.mark.parametrize(
    ("read", "depth", "most"),
    [("decode", np.uint8, 9), ("stretched", np.uint16, 14)],
)
def test_a_large_picture_takes_little_more_than_its_decoder_needs(
    read: str, depth: type, most: int, tmp_path: Path
) -> None:
    """Bytes of memory a pixel: PIL keeps 4 and we keep 3; of 16 bits cv2 keeps 6, we and PNG 3 each."""
    side = 4000
    pixels = np.zeros((side, side, 3), depth)
    pixels[:] = np.arange(side).astype(depth)[:, None, None]
    path = tmp_path / "large.png"
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    assert path.stat().st_size < 400_000
    program = (
        "import re, cv2\nfrom pathlib import Path\nfrom connectors import images\n"
        "def peak():\n"
        "    return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) * 1024\n"
        f"data = Path({str(path)!r}).read_bytes()\nbefore = peak()\n"
        f"images.{read}(data)\nprint(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert 3 * side**2 <= int(done.stdout) <= most * side**2


@pytest.mark.parametrize("channels", [1, 3])
def test_of_16_bits_the_upper_8_stay(channels: int, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, channels), dtype=np.uint16)
    data = cv2.imencode(".png", deep)[1].tobytes()
    expected = as_cv2_sees(data, tmp_path / "a.png")
    assert np.abs(images.decode(data).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_jpeg_is_rejected(kept: float, progressive: bool) -> None:
    whole = encoded(
        np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8), progressive=progressive
    )
    error = rejected(whole[: int(len(whole) * kept)])
    assert error.code == "truncated"
    assert "expected a whole JPEG" in str(error)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_other_truncated_images_are_rejected(kind: str) -> None:
    whole = encoded(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8), kind)
    assert rejected(whole[: len(whole) // 2]).code in ("truncated", "corrupt")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_cut_file_does_not_end_well(kind: str) -> None:
    whole = encoded(scene(), kind)
    assert images.ends_well(whole, kind)
    assert not any(images.ends_well(whole[: int(len(whole) * part)], kind) for part in (0.5, 0.9, 0.99))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_an_image_cut_anywhere_is_rejected_and_nothing_else_happens(kind: str) -> None:
    whole = encoded(scene(), kind)
    for length in range(0, len(whole) - 20, max(1, len(whole) // 40)):
        assert rejected(whole[:length]).code in ("empty", "not_an_image", "truncated", "corrupt")


def test_flipped_bytes_never_raise_anything_but_a_rejection() -> None:
    dice = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "BMP", "WEBP"):
        whole = np.frombuffer(encoded(scene(), kind), np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            damaged[dice.integers(len(whole), size=4)] = dice.integers(256, size=4)
            with contextlib.suppress(ImageRejected):
                assert images.decode(damaged.tobytes()).shape[2] == 3


def test_damage_inside_a_jpeg_is_rejected_as_corrupt() -> None:
    whole = encoded(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
    error = rejected(whole[:5000] + b"\xff\xd0" * 50 + whole[5100:])
    assert error.code == "corrupt"
    assert "expected a sound JPEG" in str(error)


def test_bytes_after_the_end_of_a_jpeg_do_no_harm() -> None:
    assert images.decode(encoded(scene()) + b"appended by a camera").shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (b"", "empty", "got a file of 0 bytes"),
        (b"file,camera\na.jpg,1\n", "not_an_image", "begins with b'file,cam'"),
        (b"GIF89a" + b"\0" * 20, "unsupported", "got a GIF; convert it"),
        (b"II*\0" + b"\0" * 20, "unsupported", "got a TIFF; convert it"),
        (b"\0\0\0\x20ftypisom" + b"\0" * 20, "unsupported", "got a video; give the video as the source"),
        (b"\0\0\0\x20ftypheic" + b"\0" * 20, "unsupported", "got a HEIC; convert it"),
        (b"\xff\xd8\xff\xe0garbage", "truncated", "expected a whole JPEG"),
        (b"\xff\xd8\xff\xe0" + b"\0\2" * 40, "corrupt", "expected a sound JPEG"),
    ],
)
def test_what_is_no_usable_image_is_named(data: bytes, code: str, text: str) -> None:
    error = rejected(data)
    assert error.code == code
    assert text in str(error)


def test_a_bomb_is_rejected_from_its_header_in_milliseconds() -> None:
    bomb = png_header(14_320, 14_320)
    started = time.process_time()
    error = rejected(bomb)
    assert time.process_time() - started < 0.05
    assert error.code == "oversized"
    assert "got 14320x14320 = 205,062,400" in str(error)


def test_a_webp_bomb_is_rejected_before_its_canvas_is_allocated() -> None:
    canvas = struct.pack("<I", 16_382)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + canvas + canvas
    assert rejected(b"RIFF" + struct.pack("<I", len(body)) + body).code == "oversized"


def test_limits_can_be_set() -> None:
    data = encoded(scene())
    with pytest.raises(ImageRejected, match="expected at most 100 pixels, got 64x48"):
        images.inspect(data, max_pixels=100)
    with pytest.raises(ImageRejected, match="expected at most 10 bytes"):
        images.inspect(data, max_bytes=10)


def test_inspection_decodes_no_pixel() -> None:
    whole = encoded(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
    assert images.inspect(whole[:2000]).width == 300


def test_a_scaled_decode_keeps_the_asked_side_and_the_content() -> None:
    large = encoded(scene(960, 1280))
    small = images.decode_scaled(large, 224)
    assert 224 <= min(small.shape[:2]) < 448
    assert abs(float(small.mean()) - float(images.decode(large).mean())) < 2
    assert images.decode_scaled(encoded(scene()), 500).shape == (HEIGHT, WIDTH, 3)
    assert images.decode_scaled(encoded(scene(), "PNG"), 10).shape == (HEIGHT, WIDTH, 3)


def test_a_scaled_decode_is_upright_and_strict() -> None:
    data = with_orientation("JPEG", 6)
    assert images.decode_scaled(data, 10_000).shape == (WIDTH, HEIGHT, 3)
    with pytest.raises(ImageRejected):
        images.decode_scaled(data[:-40], 16)


def test_exif_time_and_camera_are_read() -> None:
    exif = Pil.Exif()
    exif[ExifTags.Base.Model] = "Axis P1448"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2026:03:01 12:30:00"
    details[ExifTags.Base.OffsetTimeOriginal] = "+02:00"
    details[ExifTags.Base.BodySerialNumber] = "77"
    for kind in ("JPEG", "PNG", "WEBP"):
        facts = images.inspect(encoded(scene(), kind, exif=exif)).exif
        assert facts.camera == "Axis P1448 77"
        assert facts.taken is not None
        assert facts.taken.utcoffset() == timedelta(hours=2)
        assert facts.taken.astimezone(UTC) == datetime(2026, 3, 1, 10, 30, tzinfo=UTC)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_counts_as_silent() -> None:
    data = encoded(scene(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert images.inspect(data).exif == images.ExifFacts()


def test_exif_from_a_file_never_raises(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no image")
    assert images.read_exif(tmp_path / "a.txt") == images.ExifFacts()
    assert images.read_exif(tmp_path / "absent.jpg") == images.ExifFacts()
    (tmp_path / "a.jpg").write_bytes(with_orientation("JPEG", 3))
    assert images.read_exif(tmp_path / "a.jpg").orientation == 3


def test_the_content_hash_is_that_of_the_bytes() -> None:
    assert images.content_hash(b"abc") == hashlib.sha256(b"abc").hexdigest()
