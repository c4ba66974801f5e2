"""Thumbnails: made while a frame is analyzed, made anew where they lack, of nothing but what is stored."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pil

from db.engine import read
from db.frames import frames
from loop.analysis import thumbnails
from loop.analysis.analyze import analyze
from loop.analysis.thumbnails import TALLEST, WIDTH, thumbnail, webp
from loop.ingest.ingest import ingest
from tests.fakes import FakeParts, quiet


def opened(data: bytes) -> Pil.Image:
    return Pil.open(io.BytesIO(data))


def hashes(parts: FakeParts) -> list[str]:
    with read(parts.project.engine) as session:
        return [frame.content_hash for frame in frames(session)]


def test_each_analyzed_frame_has_one_for_its_owner_alone(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(parts, quiet)
    analyze(parts, quiet)
    known = hashes(parts)
    kept = {path.stem: path for path in parts.project.thumbnails.rglob("*.webp")}
    assert kept.keys() == set(known)
    assert {path.stat().st_mode & 0o777 for path in kept.values()} == {0o600}
    monkeypatch.setattr(thumbnails, "_made", lambda *_: pytest.fail("made again"))
    assert all(opened(thumbnail(parts.project, each) or b"").format == "WEBP" for each in known)


def test_what_lacks_or_is_cut_is_made_from_the_store_and_kept(parts: FakeParts) -> None:
    ingest(parts, quiet)
    first, second, third, *_ = hashes(parts)
    made = thumbnail(parts.project, first)
    assert made is not None
    path = parts.project.thumbnails / first[:2] / f"{first}.webp"
    assert path.read_bytes() == made
    for damaged in (made[:-7], b"", bytes(len(made))):
        path.write_bytes(damaged)
        assert thumbnail(parts.project, first) == made
        assert path.read_bytes() == made
    [stored] = (parts.project.store / "frames" / second[:2]).glob(f"{second}.*")
    stored.write_bytes(b"no picture")
    assert thumbnail(parts.project, second) is None
    frames_settings = parts.project.settings.frames.model_copy(update={"max_pixels": 10})
    bounded = replace(
        parts.project, settings=parts.project.settings.model_copy(update={"frames": frames_settings})
    )
    assert thumbnail(bounded, third) is None


@pytest.mark.parametrize("name", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n", "0" * 64])
def test_nothing_but_a_stored_hash_has_one(parts: FakeParts, name: str) -> None:
    assert thumbnail(parts.project, name) is None
    assert not parts.project.thumbnails.exists()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((720, 1280), (256, 144)), ((100, 90), (90, 100)), ((5000, 100), (15, 768)), ((3, 300), (256, 3))],
)
def test_it_is_small_and_keeps_its_shape(size: tuple[int, int], expected: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    found = opened(webp(rng.integers(0, 255, (*size, 3), dtype=np.uint8)))
    assert found.size == expected
    assert found.width <= WIDTH
    assert found.height <= TALLEST * WIDTH


def test_its_colors_are_those_of_the_picture() -> None:
    red = np.zeros((720, 1280, 3), dtype=np.uint8)
    red[..., 0] = 200
    middle = opened(webp(red)).convert("RGB").getpixel((128, 72))
    np.testing.assert_allclose(middle, (200, 0, 0), atol=6)
