from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from benchmarks.analysis_speed import SIZE, compared, picture
from benchmarks.scale.late import SEED, late_bursts
from benchmarks.scale.models import FreeDetector, FreeEmbedder, boxes_of, picture_of
from benchmarks.scale.speed import speed_section
from benchmarks.scale.world import vectors


def test_both_ways_see_the_same_frames(tmp_path: Path) -> None:
    world = late_bursts(12)
    embedder = _Counting(vectors(world, SEED))
    found = compared(
        tmp_path,
        [picture_of(number) for number in range(12)],
        embedder,
        FreeDetector(boxes_of(world, SEED)),
        2,
    )
    # warm-up, two runs of both ways in both orders, each piece alone and the vectors kept for it
    assert embedder.seen == 12 * (1 + 2 * 4 + 2)
    assert [run["share"] for run in found["runs"]] == [
        pytest.approx(run["bare"]["wall"] / run["analysis"]["wall"], abs=1e-4) for run in found["runs"]
    ]
    assert set(found["alone"]) >= {"decode", "measure", "embed", "detect"}
    made_with = {
        "commit": "abc",
        "batch": 32,
        "size": [32, 32],
        "models": ["a", "b"],
        "seed": 5,
        "threads": 2,
        "cores": 2,
        "load": 1,
    }
    assert f"**{sorted(run['share'] for run in found['runs'])[1]:.2f}**" in speed_section(found | made_with)


def test_pictures_are_as_large_as_a_camera_s() -> None:
    data = picture(1)
    assert Pil.open(io.BytesIO(data)).size == SIZE
    assert 150_000 < len(data) < 1_500_000
    assert data != picture(2)


class _Counting(FreeEmbedder):
    seen = 0

    def embed(self, images):  # type: ignore[no-untyped-def]
        self.seen += len(images)
        return np.asarray(super().embed(images))
