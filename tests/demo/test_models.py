"""The shapes of the objects: carried weights were trained on them, so not one corner may move
unnoticed.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from demo.render.models import LENGTHS, STRIDES, VARIANTS, model

SHAPES = {
    "car": "4bbc255bb7673a24",
    "extinguisher": "464b093f0ce2031d",
    "forklift": "a8469afc403ec17f",
    "helmet": "b23913a55b00cba9",
    "pallet": "2c57d64bc54e3a3a",
    "person": "95f37502580bfa93",
    "truck": "bf213b1763240e72",
}


@pytest.mark.parametrize("name", sorted(LENGTHS))
def test_no_corner_no_color_and_no_order_of_painting_has_changed(name: str) -> None:
    digest = hashlib.sha256()
    for variant in range(VARIANTS):
        for stride in range(STRIDES):
            mesh = model(name, variant, stride)
            for values in (mesh.points, mesh.colors, mesh.normals, mesh.centers, mesh.anchors, mesh.glow):
                digest.update(np.rint(values * 1e6).astype(np.int64).tobytes())
            digest.update(repr([mesh.part.tolist(), mesh.layer.tolist(), mesh.named]).encode())
            digest.update(repr([corners.tolist() for corners in mesh.corners]).encode())
    assert digest.hexdigest()[:16] == SHAPES[name]
