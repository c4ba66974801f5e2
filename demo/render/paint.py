"""Paints meshes on a four-channel canvas: red, green, blue and the id of the object on top."""

from dataclasses import dataclass

import cv2
import numpy as np

from demo.render.cameras import Camera
from demo.render.mesh import Mesh
from demo.render.spec import CANVAS, Floats, Pixels

_SHIFT = 3


@dataclass(frozen=True)
class Light:
    """Direction to the sun (3,), its strength and the sky's; 1.0 + 0.0 leaves colors as they are."""

    toward: Floats
    sun: float
    sky: float


@dataclass(frozen=True)
class Placed:
    """A mesh in the world and how it is seen: box in canvas pixels (x1, y1, x2, y2), not clipped."""

    mesh: Mesh
    points: Floats
    normals: Floats
    anchors: Floats
    uv: Floats
    depth: float

    @property
    def box(self) -> Floats:
        return np.concatenate([self.uv.min(axis=0), self.uv.max(axis=0)])


def place(mesh: Mesh, position: tuple[float, float], heading: float, camera: Camera) -> Placed:
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    shift = np.array([*position, 0.0])
    points = mesh.points @ turn.T + shift
    uv, depth = camera.project(points)
    return Placed(mesh, points, mesh.normals @ turn.T, mesh.anchors @ turn.T + shift, uv, float(depth.mean()))


def draw(canvas: Pixels, thing: Placed, camera: Camera, light: Light, ids: tuple[int, int]) -> None:
    """Paints a thing, its part named "helmet" under the second id."""
    mesh = thing.mesh
    starts = np.array([c[0] for c in mesh.corners])
    eye = np.asarray(camera.position)
    seen = ((eye - thing.points[starts]) * thing.normals).sum(axis=1) > 0
    order = np.flatnonzero(seen)
    away = np.linalg.norm(thing.anchors - eye, axis=1)[mesh.part[order]]
    order = order[np.lexsort((mesh.layer[order], -away))]
    colors = shade(mesh.colors, thing.normals, mesh.glow, light)
    fixed = np.clip(np.rint(thing.uv * 2**_SHIFT), -30000, 30000).astype(np.int32)
    special = mesh.named.get("helmet", -1)
    for f in order:
        color = colors[f]
        mark = ids[1] if mesh.part[f] == special else ids[0]
        cv2.fillConvexPoly(canvas, fixed[mesh.corners[f]], (color[0], color[1], color[2], mark), shift=_SHIFT)


def shade(colors: Floats, normals: Floats, glow: Floats, light: Light) -> list[list[float]]:
    facing = np.maximum(normals @ light.toward, 0.0)
    strength = light.sky * (0.78 + 0.22 * normals[:, 2]) + light.sun * facing
    strength = np.maximum(strength, glow)[:, None]
    shaded: list[list[float]] = np.clip(colors * strength, 0, 255).tolist()
    return shaded


def shadow(mask: Pixels, thing: Placed, camera: Camera, toward: Floats) -> None:
    """Adds the shadow a thing casts on the ground to a mask of the canvas' size."""
    fall = thing.points[:, 2:] / max(float(toward[2]), 0.15)
    flat = thing.points - fall * toward
    flat[:, 2] = 0.0
    uv, _ = camera.project(flat)
    fixed = np.clip(np.rint(uv * 2**_SHIFT), -30000, 30000).astype(np.int32)
    mesh = thing.mesh
    for part in range(len(mesh.anchors)):
        corners = [mesh.corners[f] for f in np.flatnonzero((mesh.part == part) & (mesh.layer == 0))]
        if corners:
            cv2.fillConvexPoly(mask, cv2.convexHull(fixed[np.concatenate(corners)]), 255, shift=_SHIFT)


def clipped(box: Floats) -> Floats:
    limit = np.asarray([*CANVAS, *CANVAS])
    return np.clip(box, 0, limit)


def count(canvas: Pixels, box: Floats, mark: int) -> int:
    """Canvas pixels inside a box that carry an id."""
    x1, y1, x2, y2 = np.rint(clipped(box)).astype(int)
    return int((canvas[y1 : y2 + 1, x1 : x2 + 1, 3] == mark).sum())
