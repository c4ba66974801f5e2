"""The still part of a camera's picture, drawn once for each camera and sun and kept."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.render import sites
from demo.render.cameras import CAMERAS, Camera
from demo.render.mesh import Mesh
from demo.render.paint import Light, shade
from demo.render.scenery import scenery
from demo.render.spec import CANVAS, SIZE, Floats, Pixels

Mask = NDArray[np.bool_]
SUNS = (
    Light(np.array([-0.45, -0.55, 0.70]), 0.50, 0.62),
    Light(np.array([0.60, -0.45, 0.66]), 0.50, 0.62),
    Light(np.array([0.25, 0.50, 0.83]), 0.44, 0.64),
    Light(np.array([0.05, -0.10, 0.99]), 0.10, 0.84),
)
OVERCAST = 3
FAR = 400.0
_FINE = (CANVAS[0] * 2, CANVAS[1] * 2)
_EDGE = 8
_SKIES = {
    False: (np.array([206, 224, 240], np.float32), np.array([84, 146, 214], np.float32), 2.2),
    True: (np.array([214, 218, 222], np.float32), np.array([168, 176, 186], np.float32), 1.0),
}


@dataclass(frozen=True)
class Backdrop:
    """canvas (384, 640, 4) uint8; at (192, 320): depth in meters, ground and sky and lit windows in
    0 to 1, the ground's lamp light in 0 to 1.
    """

    canvas: Pixels
    depth: Floats
    ground: Floats
    sky: Floats
    windows: Floats
    pools: Floats


@dataclass(frozen=True)
class _View:
    """A camera's rays, the ground's unlit color where they meet it and how far off, on the fine
    canvas.
    """

    rays: Floats
    ground: Floats
    depth: Floats
    land: Mask


def backdrop(camera_id: str, sun: int) -> Backdrop:
    return _backdrops(camera_id)[sun]


@lru_cache(maxsize=32)
def _backdrops(camera_id: str) -> tuple[Backdrop, ...]:
    camera = CAMERAS[camera_id]
    view = _view(camera)
    return tuple(_drawn(camera, view, sun) for sun in range(len(SUNS)))


def _view(camera: Camera) -> _View:
    grid = np.stack(np.meshgrid(np.arange(_FINE[0]) / 2, np.arange(_FINE[1]) / 2), axis=-1)
    rays = camera.rays(grid).astype(np.float32)
    depth = camera.position[2] / np.maximum(-rays[..., 2], 1e-4)
    spots = np.asarray(camera.position[:2], dtype=np.float32) + rays[..., :2] * depth[..., None]
    return _View(rays, _ground(camera, spots, depth), depth, depth < FAR)


def _drawn(camera: Camera, view: _View, sun: int) -> Backdrop:
    light, land = SUNS[sun], view.land
    strength = float(light.sky + light.sun * light.toward[2])
    image = np.minimum(view.ground * strength, 255)
    above = ~land.all(axis=1)
    if above.any():
        image[above] = np.where(land[above][..., None], image[above], _sky(view.rays[above], sun))
    layers = np.stack([np.where(land, view.depth, FAR), np.zeros_like(view.depth)], axis=-1)
    _still_shadows(image, scenery(camera.site), camera, light, land)
    solid = _scenery(image, layers, scenery(camera.site), camera, light)
    _haze(image, layers[..., 0])
    canvas = np.zeros((CANVAS[1], CANVAS[0], 4), dtype=np.uint8)
    canvas[..., :3] = cv2.resize(
        np.clip(image, 0, 255).astype(np.uint8), CANVAS, interpolation=cv2.INTER_AREA
    )
    return Backdrop(
        canvas,
        _small(layers[..., 0]),
        _small(land & ~solid),
        _small(layers[..., 0] >= FAR),
        _small(layers[..., 1]),
        pools(camera.site, _small_spots(camera)).astype(np.float32),
    )


def _haze(image: Floats, depth: Floats) -> None:
    clear = np.where(depth < FAR, np.exp(depth / -260), 1)[..., None].astype(np.float32)
    grain = _speckle()[..., None]
    image *= clear * np.where(depth[..., None] < FAR, grain, 1)
    image += np.array([206, 216, 226], dtype=np.float32) * (1 - clear)


@lru_cache(maxsize=1)
def _speckle() -> Floats:
    return np.random.default_rng(9).normal(1, 0.022, _FINE[::-1]).astype(np.float32)


def pools(site: str, spots: Floats) -> Floats:
    """Lamp light on ground positions (..., 2), 0 to 1."""
    light = np.zeros(spots.shape[:-1])
    for x, y, z in sites.LAMPS[site]:
        offset = spots - np.array([x + (-1.2 if x > 0 else 1.2), y])
        light = light + 1 / (1 + (offset**2).sum(axis=-1) / (0.95 * z) ** 2) ** 2
    return np.asarray(np.nan_to_num(np.minimum(light, 1.0)))


def _small(layer: Floats | Mask) -> Floats:
    return np.asarray(cv2.resize(layer.astype(np.float32), SIZE, interpolation=cv2.INTER_AREA))


def _small_spots(camera: Camera) -> Floats:
    grid = np.stack(np.meshgrid(np.arange(SIZE[0]) * 2 + 1, np.arange(SIZE[1]) * 2 + 1), axis=-1)
    return np.clip(np.nan_to_num(camera.ground(grid.astype(float)), nan=90.0), -90, 90)


def _sky(rays: Floats, sun: int) -> Floats:
    rise = np.clip(rays[..., 2] / np.sqrt((rays**2).sum(axis=-1)), 0, 1)
    low, high, climb = _SKIES[sun == OVERCAST]
    up = np.minimum(rise * climb, 1)[..., None]
    base = low * (1 - up) + high * up
    u = (np.arctan2(rays[..., 0], rays[..., 1]) * (500 / np.pi) + 500).astype(np.float32)
    v = np.minimum(rise * 700, 255).astype(np.float32)
    cover = cv2.remap(_clouds(sun), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)[..., None] * 0.75
    return np.asarray(base * (1 - cover) + 250 * cover)


@lru_cache(maxsize=8)
def _clouds(sun: int) -> Floats:
    rng = np.random.default_rng(40 + sun)
    total = sum(
        w
        * cv2.resize(
            rng.standard_normal((256 // c + 2, 1024 // (c * 3) + 2)).astype(np.float32),
            (1024, 256),
            interpolation=cv2.INTER_CUBIC,
        )
        for c, w in ((48, 0.6), (20, 0.4), (8, 0.25))
    )
    return np.clip(np.asarray(total) - 0.15, 0, 1).astype(np.float32)


def _ground(camera: Camera, spots: Floats, depth: Floats) -> Floats:
    """The ground's texture, from a coarser copy where it is far so that it does not flicker."""
    x, y = ((spots[..., i] - sites.ORIGIN[i]) * sites.PER_METER for i in (0, 1))
    flat = sites.ground(camera.site)
    near = cv2.remap(flat, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    shrunk = cv2.resize(flat, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    far = cv2.remap(shrunk, x / 4, y / 4, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    mix = np.clip((depth - 14) / 16, 0, 1)[..., None]
    return np.asarray(near * (1 - mix) + far * mix, dtype=np.float32)


def _scenery(image: Floats, layers: Floats, mesh: Mesh, camera: Camera, light: Light) -> Mask:
    """Paints the still meshes, farthest part first; returns where they are, shadows on the ground
    included.
    """
    eye = np.asarray(camera.position)
    starts = np.array([c[0] for c in mesh.corners])
    seen = np.flatnonzero(((eye - mesh.points[starts]) * mesh.normals).sum(axis=1) > 0)
    away = _part_distance(mesh, eye)[mesh.part[seen]]
    order = seen[np.lexsort((mesh.layer[seen], -away))]
    colors = shade(mesh.colors, mesh.normals, np.zeros(len(mesh.corners)), light)
    solid = np.zeros(image.shape[:2], dtype=np.uint8)
    for f in order:
        outline = _outline(mesh.points[mesh.corners[f]], camera)
        if outline is None:
            continue
        polygon, depth = outline
        cv2.fillPoly(image, [polygon], colors[f], cv2.LINE_8, 3)
        cv2.fillPoly(solid, [polygon], 1, cv2.LINE_8, 3)
        cv2.fillPoly(layers, [polygon], (depth, float(mesh.glow[f])), cv2.LINE_8, 3)
    return np.asarray(solid > 0)


def _part_distance(mesh: Mesh, eye: Floats) -> Floats:
    away = np.zeros(len(mesh.anchors))
    for part in range(len(away)):
        faces = np.flatnonzero(mesh.part == part)
        if len(faces):
            points = mesh.points[np.concatenate([mesh.corners[f] for f in faces])]
            nearest = np.clip(eye, points.min(axis=0), points.max(axis=0))
            away[part] = np.linalg.norm(nearest - eye)
    return away


def _still_shadows(image: Floats, mesh: Mesh, camera: Camera, light: Light, land: Mask) -> None:
    mask = np.zeros(image.shape[:2], dtype=np.uint8)
    for part in range(len(mesh.anchors)):
        faces = np.flatnonzero((mesh.part == part) & (mesh.layer == 0))
        if not len(faces):
            continue
        points = mesh.points[np.concatenate([mesh.corners[f] for f in faces])]
        flat = points - points[:, 2:] / light.toward[2] * light.toward
        hull = cv2.convexHull(flat[:, :2].astype(np.float32))[:, 0]
        outline = _outline(np.column_stack([hull, np.zeros(len(hull))]), camera)
        if outline is not None:
            cv2.fillPoly(mask, [outline[0]], 255, cv2.LINE_8, 3)
    soft = cv2.GaussianBlur(mask, (0, 0), 3).astype(np.float32)
    image *= (1 - soft * land * (light.sun * 0.8 / 255))[..., None]


def _outline(points: Floats, camera: Camera) -> tuple[NDArray[np.int32], float] | None:
    """A face's outline on the fine canvas, cut at .3 m and with its edges split so that a lens can
    bend them.
    """
    steps = np.linspace(0, 1, _EDGE, endpoint=False)[:, None]
    edges = zip(points, np.roll(points, -1, axis=0), strict=True)
    dense = np.concatenate([a + (b - a) * steps for a, b in edges])
    depth = camera.to_camera(dense)[:, 2]
    if (depth > 0.3).sum() < 3:
        return None
    uv, _ = camera.project(dense[depth > 0.3])
    polygon = np.clip(np.rint(uv * 2 * 8), -60000, 60000).astype(np.int32)
    return polygon, float(depth[depth > 0.3].mean())
