"""The still part of a camera's picture, drawn once for each camera and sun and kept."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from demo.render import sites
from demo.render.cameras import CAMERAS, Camera
from demo.render.mesh import Mesh
from demo.render.paint import Light, shade
from demo.render.spec import CANVAS, SIZE, Floats, Pixels

SUNS = (
    Light(np.array([-0.45, -0.55, 0.70]), 0.50, 0.62),
    Light(np.array([0.60, -0.45, 0.66]), 0.50, 0.62),
    Light(np.array([0.25, 0.50, 0.83]), 0.44, 0.64),
    Light(np.array([0.05, -0.10, 0.99]), 0.10, 0.84),
)
OVERCAST = 3
FAR = 400.0
_FINE = (CANVAS[0] * 2, CANVAS[1] * 2)
_EDGE = 6


@dataclass(frozen=True)
class Backdrop:
    """canvas (384, 640, 4) uint8; at (192, 320): depth in meters, ground and sky and lit windows in 0 to 1,
    the ground's lamp light in 0 to 1."""

    canvas: Pixels
    depth: Floats
    ground: Floats
    sky: Floats
    windows: Floats
    pools: Floats


@lru_cache(maxsize=128)
def backdrop(camera_id: str, sun: int) -> Backdrop:
    camera, light = CAMERAS[camera_id], SUNS[sun]
    grid = np.stack(np.meshgrid(np.arange(_FINE[0]) / 2, np.arange(_FINE[1]) / 2), axis=-1)
    rays = camera.rays(grid)
    spots = camera.ground(grid)
    depth = (spots[..., 1] - camera.position[1]) / rays[..., 1]
    land = np.isfinite(depth) & (depth > 0) & (depth < FAR)
    image = _sky(rays, sun)
    image[land] = _land(camera, spots, depth, light)[land]
    layers = np.zeros((*image.shape[:2], 2), dtype=np.float32)
    layers[..., 0] = np.where(land, depth, FAR)
    solid = _scenery(image, layers, sites.scenery(camera.site), camera, light)
    haze = np.exp(-layers[..., :1] / 260) * np.where(layers[..., :1] < FAR, 1, 0) + (layers[..., :1] >= FAR)
    image = np.clip(image * haze + np.array([206, 216, 226]) * (1 - haze), 0, 255).astype(np.uint8)
    canvas = np.zeros((CANVAS[1], CANVAS[0], 4), dtype=np.uint8)
    canvas[..., :3] = cv2.resize(image, CANVAS, interpolation=cv2.INTER_AREA)
    ground = np.where(land & ~solid, 1.0, 0.0)
    sky = np.where(layers[..., 0] >= FAR, 1.0, 0.0)
    return Backdrop(canvas, _small(layers[..., 0]), _small(ground), _small(sky), _small(layers[..., 1]),
                    pools(camera.site, _small_spots(camera)))


def pools(site: str, spots: Floats) -> Floats:
    """Lamp light on ground positions (..., 2), 0 to 1."""
    light = np.zeros(spots.shape[:-1])
    for x, y, z in sites.LAMPS[site]:
        offset = spots - np.array([x + (-1.2 if x > 0 else 1.2), y])
        light = light + 1 / (1 + (offset**2).sum(axis=-1) / (0.62 * z) ** 2) ** 2
    return np.asarray(np.nan_to_num(np.minimum(light, 1.0)))


def _small(layer: Floats) -> Floats:
    return np.asarray(cv2.resize(layer.astype(np.float32), SIZE, interpolation=cv2.INTER_AREA))


def _small_spots(camera: Camera) -> Floats:
    grid = np.stack(np.meshgrid(np.arange(SIZE[0]) * 2 + 1, np.arange(SIZE[1]) * 2 + 1), axis=-1)
    return np.clip(np.nan_to_num(camera.ground(grid.astype(float)), nan=90.0), -90, 90)


def _sky(rays: Floats, sun: int) -> Floats:
    rise = np.clip(rays[..., 2] / np.linalg.norm(rays, axis=-1), 0, 1)[..., None]
    if sun == OVERCAST:
        base = np.array([214.0, 218, 222]) * (1 - rise) + np.array([168.0, 176, 186]) * rise
    else:
        base = np.array([206.0, 224, 240]) * (1 - rise * 2.2).clip(0) + np.array([84.0, 146, 214]) * (rise * 2.2).clip(0, 1)
    azimuth = np.arctan2(rays[..., 0], rays[..., 1])
    clouds = _clouds(sun)
    u = (azimuth / np.pi * 500 + 500).astype(np.float32)
    v = np.clip(rise[..., 0] * 700, 0, 255).astype(np.float32)
    cover = cv2.remap(clouds, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)[..., None]
    return np.asarray(base * (1 - cover * .75) + np.array([250, 250, 250]) * cover * .75)


def _clouds(sun: int) -> Floats:
    rng = np.random.default_rng(40 + sun)
    total = sum(w * cv2.resize(rng.standard_normal((256 // c + 2, 1024 // (c * 3) + 2)).astype(np.float32), (1024, 256),
                               interpolation=cv2.INTER_CUBIC) for c, w in ((48, .6), (20, .4), (8, .25)))
    return np.clip(np.asarray(total) - .15, 0, 1).astype(np.float32)


def _land(camera: Camera, spots: Floats, depth: Floats, light: Light) -> Floats:
    x = ((spots[..., 0] - sites.ORIGIN[0]) * sites.PER_METER).astype(np.float32)
    y = ((spots[..., 1] - sites.ORIGIN[1]) * sites.PER_METER).astype(np.float32)
    flat = sites.ground(camera.site)
    near = cv2.remap(flat, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    shrunk = cv2.resize(flat, None, fx=.25, fy=.25, interpolation=cv2.INTER_AREA)
    far = cv2.remap(shrunk, x / 4, y / 4, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    mix = np.clip((depth - 14) / 16, 0, 1)[..., None]
    strength = light.sky + light.sun * light.toward[2]
    blend = np.nan_to_num(near * (1 - mix) + far * mix)
    return np.asarray(np.clip(blend * strength, 0, 255))


def _scenery(image: Floats, layers: Floats, mesh: Mesh, camera: Camera, light: Light) -> Floats:
    """Paints the still meshes, farthest part first; returns where they are, shadows on the ground included."""
    eye = np.asarray(camera.position)
    starts = np.array([c[0] for c in mesh.corners])
    seen = np.flatnonzero(((eye - mesh.points[starts]) * mesh.normals).sum(axis=1) > 0)
    away = _part_distance(mesh, eye)[mesh.part[seen]]
    order = seen[np.lexsort((mesh.layer[seen], -away))]
    _still_shadows(image, mesh, camera, light)
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


def _still_shadows(image: Floats, mesh: Mesh, camera: Camera, light: Light) -> None:
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
    soft = cv2.GaussianBlur(mask, (0, 0), 3)[..., None] / 255
    below = camera.rays(np.stack(np.meshgrid(np.arange(_FINE[0]) / 2, np.arange(_FINE[1]) / 2), axis=-1))[..., 2:] < 0
    image *= 1 - soft * below * light.sun * .8


def _outline(points: Floats, camera: Camera) -> tuple[Floats, float] | None:
    """A face's outline on the fine canvas, cut at .3 m and with its edges split so that a lens can bend them."""
    steps = np.linspace(0, 1, _EDGE, endpoint=False)[:, None]
    edges = zip(points, np.roll(points, -1, axis=0), strict=True)
    dense = np.concatenate([a + (b - a) * steps for a, b in edges])
    depth = camera.to_camera(dense)[:, 2]
    if (depth > .3).sum() < 3:
        return None
    uv, _ = camera.project(dense[depth > .3])
    polygon = np.clip(np.rint(uv * 2 * 8), -60000, 60000).astype(np.int32)
    return polygon, float(depth[depth > .3].mean())
