"""Polygon meshes: convex parts with decals on them, and a small builder to write them down."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.render.spec import Floats

Rgb = tuple[float, float, float]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Mesh:
    """points (V, 3) meters; face f uses corners[f] (indices into points), colors (F, 3), unit
    normals (F, 3), centers (F, 3), part (F,) into anchors (P, 3), layer (F,) 0 hull, 1+ decals,
    glow (F,) 0 to 1.
    """

    points: Floats
    corners: tuple[NDArray[np.intp], ...]
    colors: Floats
    normals: Floats
    centers: Floats
    part: NDArray[np.intp]
    layer: NDArray[np.intp]
    glow: Floats
    anchors: Floats
    named: dict[str, int]


class Builder:
    """Collects faces. Parts are convex and painted whole, farthest anchor first; put the anchors of
    two touching parts mirror-wise to the plane that separates them and their order is exact.
    """

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._faces: list[tuple[list[int], Rgb, int, int, float]] = []
        self._anchors: list[Point] = []
        self._named: dict[str, int] = {}

    def part(self, anchor: Point, name: str = "") -> int:
        self._anchors.append(anchor)
        if name:
            self._named[name] = len(self._anchors) - 1
        return len(self._anchors) - 1

    def face(self, points: Sequence[Point], color: Rgb, layer: int = 0, glow: float = 0.0) -> None:
        start = len(self._points)
        self._points.extend(points)
        corners = list(range(start, start + len(points)))
        self._faces.append((corners, color, len(self._anchors) - 1, layer, glow))

    def box(
        self,
        x: Sequence[float],
        y: Sequence[float],
        z: Sequence[float],
        color: Rgb,
        taper: tuple[float, float] = (0.0, 0.0),
        layer: int = 0,
    ) -> None:
        """An upright box; ``taper`` meters are taken off each side at the top."""
        tx, ty = taper
        low = [(x[0], y[0], z[0]), (x[1], y[0], z[0]), (x[1], y[1], z[0]), (x[0], y[1], z[0])]
        high = [
            (x[0] + tx, y[0] + ty, z[1]),
            (x[1] - tx, y[0] + ty, z[1]),
            (x[1] - tx, y[1] - ty, z[1]),
            (x[0] + tx, y[1] - ty, z[1]),
        ]
        self.loft(low, high, color, layer)

    def loft(self, low: Sequence[Point], high: Sequence[Point], color: Rgb, layer: int = 0) -> None:
        """The convex solid between two polygons with equally many corners."""
        count = len(low)
        for i in range(count):
            j = (i + 1) % count
            self.face([low[i], low[j], high[j], high[i]], color, layer)
        self.face(low, color, layer)
        self.face(high, color, layer)

    def tube(
        self,
        low: Point,
        high: Point,
        radii: tuple[float, float],
        color: Rgb,
        sides: int = 8,
        squash: float = 1.0,
    ) -> None:
        """A round column between two heights; ``squash`` scales its depth along y."""
        self.loft(_ring(low, radii[0], sides, squash), _ring(high, radii[1], sides, squash), color)

    def band(
        self,
        low: Point,
        high: Point,
        radii: tuple[float, float],
        color: Rgb,
        sides: int = 8,
        squash: float = 1.0,
        layer: int = 1,
    ) -> None:
        """A tube's side alone, laid over its part as a decal."""
        bottom, top = _ring(low, radii[0], sides, squash), _ring(high, radii[1], sides, squash)
        for i in range(sides):
            j = (i + 1) % sides
            self.face([bottom[i], bottom[j], top[j], top[i]], color, layer)

    def extrude(self, profile: Sequence[tuple[float, float]], half: Sequence[float], color: Rgb) -> None:
        """A side profile of (x, z) corners, as wide at each corner as ``half`` says, on both sides."""
        left = [(x, h, z) for (x, z), h in zip(profile, half, strict=True)]
        right = [(x, -h, z) for (x, z), h in zip(profile, half, strict=True)]
        self.loft(left, right, color)

    def disc(self, center: Point, radius: float, color: Rgb, layer: int, sides: int = 12) -> None:
        """A disc that faces along y, away from the part's anchor."""
        turn = np.arange(sides) * 2 * np.pi / sides
        x, y, z = center
        self.face(
            [(x + radius * float(np.cos(a)), y, z + radius * float(np.sin(a))) for a in turn], color, layer
        )

    def build(self, scale: float = 1.0) -> Mesh:
        points = np.asarray(self._points, dtype=float) * scale
        corners = tuple(np.asarray(face[0], dtype=np.intp) for face in self._faces)
        part = np.asarray([face[2] for face in self._faces], dtype=np.intp)
        centers = np.stack([points[c].mean(axis=0) for c in corners])
        middles = np.stack(
            [
                centers[part == p].mean(axis=0) if (part == p).any() else np.zeros(3)
                for p in range(len(self._anchors))
            ]
        )
        normals = np.stack([_normal(points[c]) for c in corners])
        inward = ((centers - middles[part]) * normals).sum(axis=1) < 0
        normals[inward] *= -1
        return Mesh(
            points,
            corners,
            np.asarray([face[1] for face in self._faces], dtype=float),
            normals,
            centers,
            part,
            np.asarray([face[3] for face in self._faces], dtype=np.intp),
            np.asarray([face[4] for face in self._faces]),
            np.asarray(self._anchors) * scale,
            self._named,
        )


def _ring(center: Point, radius: float, sides: int, squash: float) -> list[Point]:
    turn = np.arange(sides) * 2 * np.pi / sides + np.pi / sides
    x, y, z = center
    return [(x + radius * squash * float(np.cos(a)), y + radius * float(np.sin(a)), z) for a in turn]


def _normal(points: Floats) -> Floats:
    """Newell's normal, of unit length."""
    following = np.roll(points, -1, axis=0)
    normal = np.cross(points - points[0], following - points[0]).sum(axis=0)
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-12))
