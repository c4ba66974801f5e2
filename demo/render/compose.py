"""render(): from a SceneSpec to a picture with its boxes."""

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.render import weather
from demo.render.backdrop import OVERCAST, SUNS, Backdrop, backdrop, pools
from demo.render.cameras import CAMERAS, Camera
from demo.render.models import model
from demo.render.paint import Light, Placed, clipped, count, draw, place, shadow
from demo.render.spec import (
    BURST,
    CANVAS,
    CLASSES,
    QUALITIES,
    SCALE,
    SITES,
    SIZE,
    TIMES,
    WEATHERS,
    Floats,
    Pixels,
    Scene,
    SceneSpec,
    check,
)
from demo.render.stage import Actor, cast, sample_objects

_HELMET_MARK = 100
_VISIBLE = 0.30
_SMALLEST = 5.0
_Box = tuple[str, Floats]


def render(spec: SceneSpec) -> Scene:
    """Draws a scene; the same spec gives the same bytes on one kind of processor.

    Boxes show an object's full extent inside the picture and are kept where at least 30 % of it is
    visible and both sides measure at least 5 pixels. Raises ValueError for a name that the world
    does not know.
    """
    camera = _checked(spec)
    layout = np.random.default_rng([spec.seed, zlib.crc32(spec.camera.encode())])
    names = sample_objects(spec.site, layout) if spec.objects is None else spec.objects
    sun = _sun(spec, layout)
    tone = layout.uniform(0.93, 1.07) * layout.uniform(0.97, 1.03, 3)
    actors = cast(names, camera, layout, spec.burst_index)
    things = [place(model(a.name, a.variant, a.stride), a.position, a.heading, camera) for a in actors]
    still = backdrop(camera.id, sun)
    canvas, boxes, order = _painted(things, actors, camera, SUNS[sun], still)
    rng = np.random.default_rng([spec.seed, zlib.crc32(spec.camera.encode()), 1 + spec.burst_index])
    lit = _lit(spec, canvas, still, [things[i] for i in order], [actors[i] for i in order], camera, rng, tone)
    image = _sent(lit, camera, spec.quality, rng)
    xyxy = np.asarray([box / SCALE for _, box in boxes], dtype=np.float32).reshape(-1, 4)
    class_ids = np.asarray([CLASSES.index(name) for name, _ in boxes], dtype=np.int64)
    return Scene(image, xyxy, class_ids, _attributes(spec, camera, class_ids))


def _checked(spec: SceneSpec) -> Camera:
    check("site", spec.site, SITES)
    check("time", spec.time, TIMES)
    check("weather", spec.weather, WEATHERS)
    check("quality", spec.quality, QUALITIES)
    for name in spec.objects or ():
        check("objects", name, CLASSES)
    at_site = tuple(c.id for c in CAMERAS.values() if c.site == spec.site)
    check(f"camera at {spec.site}", spec.camera, at_site)
    if not 0 <= spec.burst_index < BURST:
        raise ValueError(f"burst_index: expected 0 to {BURST - 1}; got {spec.burst_index}")
    return CAMERAS[spec.camera]


def _sun(spec: SceneSpec, rng: np.random.Generator) -> int:
    drawn = int(rng.choice(len(SUNS), p=(0.3, 0.3, 0.2, 0.2)))
    return drawn if spec.weather == "clear" and spec.time != "night" else OVERCAST


def _painted(
    things: list[Placed], actors: list[Actor], camera: Camera, light: Light, still: Backdrop
) -> tuple[Pixels, list[_Box], list[int]]:
    canvas = still.canvas.copy()
    _cast_shadows(canvas, things, camera, light)
    order = sorted(range(len(things)), key=lambda i: -things[i].depth)
    parts: list[tuple[str, Floats, list[int], int]] = []
    for rank, i in enumerate(order):
        marks = (rank + 1, rank + 1 + _HELMET_MARK)
        draw(canvas, things[i], camera, light, marks)
        parts.extend(_parts(things[i], actors[i].name, marks, canvas))
    boxes = [(name, clipped(box)) for name, box, marks, whole in parts if _kept(canvas, box, marks, whole)]
    return canvas, boxes, order


def _parts(
    thing: Placed, name: str, marks: tuple[int, int], canvas: Pixels
) -> list[tuple[str, Floats, list[int], int]]:
    """The boxes a thing may get, each with its ids and its pixels before anything stands in front."""
    own = "person" if name == "helmet" else name
    whole = [(own, thing.box, list(marks))]
    special = thing.mesh.named.get("helmet")
    if special is not None:
        corners = np.concatenate(
            [c for c, p in zip(thing.mesh.corners, thing.mesh.part, strict=True) if p == special]
        )
        uv = thing.uv[corners]
        whole.append(("helmet", np.concatenate([uv.min(axis=0), uv.max(axis=0)]), [marks[1]]))
    return [(n, box, ids, sum(count(canvas, box, m) for m in ids)) for n, box, ids in whole]


def _kept(canvas: Pixels, box: Floats, marks: list[int], whole: int) -> bool:
    inside = clipped(box)
    sides = inside[2:] - inside[:2]
    if sides.min() < _SMALLEST * SCALE or whole == 0:
        return False
    share = float(np.prod(sides) / np.prod(box[2:] - box[:2]))
    return share * sum(count(canvas, box, m) for m in marks) / whole >= _VISIBLE


def _cast_shadows(canvas: Pixels, things: list[Placed], camera: Camera, light: Light) -> None:
    mask = np.zeros((CANVAS[1], CANVAS[0]), dtype=np.uint8)
    for thing in things:
        shadow(mask, thing, camera, light.toward)
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return
    band = slice(max(int(rows[0]) - 8, 0), int(rows[-1]) + 9)
    soft = cv2.blur(mask[band], (5, 5) if light.sun > 0.3 else (11, 11))
    keep = 255 - (soft.astype(np.uint16) * (115 if light.sun > 0.3 else 80) // 255).astype(np.uint8)
    ground = canvas[band, :, :3]
    canvas[band, :, :3] = cv2.multiply(ground, cv2.merge([keep, keep, keep]), scale=1 / 255)


def _lit(
    spec: SceneSpec,
    canvas: Pixels,
    still: Backdrop,
    things: list[Placed],
    actors: list[Actor],
    camera: Camera,
    rng: np.random.Generator,
    tone: Floats,
) -> Floats:
    small = cv2.resize(canvas[..., :3], SIZE, interpolation=cv2.INTER_AREA)
    image: Floats = small.astype(np.float32) * tone.astype(np.float32)
    if spec.time == "day" and spec.weather == "clear":
        return image
    marks = np.ascontiguousarray(canvas[..., 3])
    covered = _spread(marks, np.ones(len(things)))
    away = [float(np.linalg.norm(t.points.mean(axis=0) - camera.position)) for t in things]
    depth = still.depth * (1 - covered) + _spread(marks, np.asarray(away) / 80) * 80
    if spec.time == "dusk":
        image = weather.dusk(image, still, covered, rng)
    if spec.time == "night":
        own = pools(camera.site, np.asarray([a.position for a in actors]).reshape(-1, 2))
        lamp = still.pools * (1 - covered) * (1 - still.sky) + _spread(marks, np.minimum(own + 0.06, 1))
        image = weather.night(image, still, lamp, covered, rng)
    dark = {"day": 1.0, "dusk": 0.62, "night": 0.2}[spec.time]
    if spec.weather == "fog":
        image = weather.fog(image, depth, dark, rng)
    if spec.time != "day":
        power = 1.0 if spec.time == "night" else 0.4
        image = weather.beams(image, covered, power, *_headlights(things, actors, camera))
    if spec.weather == "rain":
        image = weather.rain(image, still, covered, depth, dark, rng)
    if spec.weather == "snow":
        image = weather.snow(image, still, covered, depth, dark, rng)
    return weather.grain(image, rng) if spec.time == "night" else image


def _spread(marks: Pixels, values: Floats) -> Floats:
    """A value in 0 to 1 for each object laid over the pixels it covers, averaged down to the
    picture.
    """
    table = np.zeros(256, dtype=np.uint8)
    steps = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    table[1 : 1 + len(steps)] = steps
    table[1 + _HELMET_MARK : 1 + _HELMET_MARK + len(steps)] = steps
    layer = cv2.resize(cv2.LUT(marks, table), SIZE, interpolation=cv2.INTER_AREA)
    return np.asarray(layer.astype(np.float32) / 255)


def _headlights(
    things: list[Placed], actors: list[Actor], camera: Camera
) -> tuple[list[tuple[float, float, float]], list[Floats]]:
    points: list[tuple[float, float, float]] = []
    cones: list[Floats] = []
    for thing, actor in zip(things, actors, strict=True):
        if actor.name not in ("car", "truck"):
            continue
        lamps = np.flatnonzero(thing.mesh.glow >= 1)
        for f in lamps:
            spot = thing.points[thing.mesh.corners[f]]
            if (camera.position - spot[0]) @ thing.normals[f] > 0:
                uv, depth = camera.project(spot.mean(axis=0, keepdims=True))
                points.append((*(uv[0] / SCALE), 16 / max(float(depth[0]), 2.0)))
        cones.append(_cone(actor, camera))
    return points, cones


def _cone(actor: Actor, camera: Camera) -> Floats:
    ahead = np.array([np.cos(actor.heading), np.sin(actor.heading)])
    across = np.array([-ahead[1], ahead[0]])
    start = np.asarray(actor.position) + ahead * (2.4 if actor.name == "car" else 3.6)
    corners = [
        start + across * 0.5,
        start + ahead * 6 + across * 1.7,
        start + ahead * 6 - across * 1.7,
        start - across * 0.5,
    ]
    uv, _ = camera.project(np.column_stack([corners, np.zeros(4)]))
    return uv / SCALE


def _sent(image: Floats, camera: Camera, quality: str, rng: np.random.Generator) -> Pixels:
    """The way from the lens to the disk: color cast, resolution and compression of the camera, then
    defects.
    """
    pixels = np.clip(image * np.asarray(camera.cast, dtype=np.float32), 0, 255).astype(np.uint8)
    pixels = weather.quality(pixels, quality, rng)
    if camera.resolution < 1:
        pixels = weather.shrink(pixels, camera.resolution)
    if camera.jpeg:
        pixels = weather.jpeg(pixels, int(rng.integers(*camera.jpeg)))
    return pixels


def _attributes(spec: SceneSpec, camera: Camera, class_ids: NDArray[np.int64]) -> dict[str, str]:
    names = [CLASSES[i] for i in class_ids if CLASSES[i] != "helmet"]
    density = "empty" if not names else "few" if len(names) <= 2 else "some" if len(names) <= 4 else "many"
    return {
        "site": spec.site,
        "time": spec.time,
        "weather": spec.weather,
        "quality": spec.quality,
        "view": camera.view,
        "density": density,
        "objects": ", ".join(sorted({CLASSES[i] for i in class_ids})),
    }
