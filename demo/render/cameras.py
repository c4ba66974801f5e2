"""The cameras: where they hang, what their lenses do, and projection both ways."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from demo.render.spec import CANVAS, Floats


@dataclass(frozen=True)
class Camera:
    """Position in meters (x right, y forward, z up), angles in degrees, pitch downwards. ``bend``
    is the parameter of the FOV lens model (Devernay and Faugeras 2001), 0 for a pinhole. ``known``
    cameras are the ones a training set may have seen.
    """

    id: str
    site: str
    view: str
    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float = 0.0
    fov: float = 64.0
    bend: float = 0.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    resolution: float = 1.0
    jpeg: tuple[int, int] | None = None
    known: bool = True

    @cached_property
    def axes(self) -> Floats:
        """Rows: the camera's right, down and forward axes in the world."""
        yaw, pitch, roll = np.radians((self.yaw, self.pitch, self.roll))
        forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), -np.sin(pitch)])
        right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
        down = np.cross(forward, right)
        cos, sin = np.cos(roll), np.sin(roll)
        return np.stack([cos * right + sin * down, cos * down - sin * right, forward])

    @cached_property
    def focal(self) -> float:
        edge = np.tan(np.radians(self.fov / 2))
        return float(CANVAS[0] / 2 / self._bent(np.array(edge)))

    def to_camera(self, points: Floats) -> Floats:
        return np.asarray((points - np.asarray(self.position)) @ self.axes.T)

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """World points (N, 3) to canvas pixels (N, 2) and depth (N,) in meters; depth is kept above
        .2.
        """
        local = self.to_camera(points)
        depth = np.maximum(local[:, 2], 0.2)
        flat = local[:, :2] / depth[:, None]
        if self.bend:
            radius = np.maximum(np.hypot(flat[:, 0], flat[:, 1]), 1e-9)
            flat = flat * (self._bent(radius) / radius)[:, None]
        return flat * self.focal + np.asarray(CANVAS) / 2, depth

    def rays(self, pixels: Floats) -> Floats:
        """World directions (..., 3), one meter deep, of canvas pixels (..., 2)."""
        flat = (pixels - np.asarray(CANVAS) / 2) / self.focal
        if self.bend:
            radius = np.maximum(np.hypot(flat[..., 0], flat[..., 1]), 1e-9)
            straight = np.tan(np.minimum(radius * self.bend, 1.5)) / (2 * np.tan(self.bend / 2))
            flat = flat * (straight / radius)[..., None]
        local = np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)
        return np.asarray(local @ self.axes)

    def ground(self, pixels: Floats) -> Floats:
        """Where the rays of canvas pixels (..., 2) meet the ground, (..., 2) meters; nan above the
        horizon.
        """
        rays = self.rays(pixels)
        fall = np.where(rays[..., 2] < -1e-4, -rays[..., 2], np.nan)
        reach = self.position[2] / fall
        return np.asarray(np.asarray(self.position[:2]) + rays[..., :2] * reach[..., None])

    def _bent(self, radius: Floats) -> Floats:
        if not self.bend:
            return radius
        return np.asarray(np.arctan(2 * radius * np.tan(self.bend / 2)) / self.bend)


_GREEN = (0.76, 0.96, 0.74)
_STRANGE: Any = {"cast": _GREEN, "resolution": 0.52, "jpeg": (14, 23), "known": False}

_TABLE = (
    Camera("depot-1", "depot", "eye level", (-1.0, 0.0, 3.2), 3, 9),
    Camera("depot-2", "depot", "overhead", (3.0, 2.0, 7.5), -10, 33, fov=62),
    Camera("construction-1", "construction", "eye level", (0.5, 0.0, 3.0), -4, 9),
    Camera("construction-2", "construction", "overhead", (-4.0, 2.0, 7.5), 14, 33, fov=62),
    Camera("street-1", "street", "eye level", (0.4, 0.0, 3.4), 0, 10),
    Camera("street-2", "street", "overhead", (-5.5, 2.0, 7.2), 20, 32, fov=62),
    Camera("parking-1", "parking", "eye level", (1.0, 0.0, 3.0), 5, 9),
    Camera("parking-2", "parking", "overhead", (-3.0, 2.0, 7.5), 8, 33, fov=62),
    Camera("harbor-1", "harbor", "eye level", (-0.5, 0.0, 3.2), -5, 9),
    Camera("harbor-2", "harbor", "overhead", (3.5, 2.0, 7.5), -12, 33, fov=62),
    Camera("parking-3", "parking", "wide angle", (0.0, 3.0, 3.6), 0, 16, fov=118, bend=1.35, known=False),
    Camera("parking-4", "parking", "tilted", (2.0, 0.5, 5.0), -8, 19, roll=-21, known=False),
    Camera("harbor-3", "harbor", "wide angle", (1.0, 3.0, 3.8), -6, 17, fov=118, bend=1.35, known=False),
    Camera("harbor-4", "harbor", "tilted", (-2.0, 0.5, 5.0), 8, 19, roll=22, known=False),
    Camera("depot-8", "depot", "tilted", (-3.5, 1.0, 6.2), 10, 25, roll=22, fov=72, **_STRANGE),
    Camera("construction-8", "construction", "tilted", (3.5, 1.0, 6.0), -9, 24, roll=-23, fov=72, **_STRANGE),
    Camera(
        "street-8", "street", "wide angle", (1.5, 2.5, 5.0), -6, 24, roll=9, fov=118, bend=1.35, **_STRANGE
    ),
    Camera(
        "depot-9", "depot", "wide angle", (2.0, 2.5, 5.2), -4, 24, roll=-9, fov=118, bend=1.35, **_STRANGE
    ),
)
CAMERAS = {camera.id: camera for camera in _TABLE}
