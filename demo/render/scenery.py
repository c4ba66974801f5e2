"""What stands still around each site's working area, as one mesh in world coordinates."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from demo.render.mesh import Builder, Mesh, Rgb
from demo.render.sites import LAMPS, steps


@lru_cache(maxsize=8)
def scenery(site: str) -> Mesh:
    """Everything that stands still, in world coordinates."""
    build = Builder()
    _WALLS[site](build)
    for x, y, z in LAMPS[site]:
        _lamp(build, x, y, z)
    return build.build()


def _lamp(build: Builder, x: float, y: float, z: float) -> None:
    build.part((x, y, z / 2))
    build.tube((x, y, 0), (x, y, z), (0.13, 0.09), (70, 72, 78), 6)
    arm = -1.3 if x > 0 else 1.3
    build.part((x, y, z))
    build.box(sorted((x, x + arm)), (y - 0.08, y + 0.08), (z, z + 0.12), (70, 72, 78))
    build.box(
        sorted((x + arm * 0.6, x + arm * 1.2)), (y - 0.16, y + 0.16), (z - 0.06, z + 0.1), (226, 220, 190)
    )


def _wall(
    build: Builder,
    x: tuple[float, float],
    y: float,
    z: tuple[float, float],
    color: Rgb,
    layer: int = 1,
    glow: float = 0.0,
) -> None:
    build.face([(x[0], y, z[0]), (x[1], y, z[0]), (x[1], y, z[1]), (x[0], y, z[1])], color, layer, glow)


def _side(
    build: Builder,
    x: float,
    y: tuple[float, float],
    z: tuple[float, float],
    color: Rgb,
    layer: int = 1,
    glow: float = 0.0,
) -> None:
    build.face([(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])], color, layer, glow)


def _block(
    build: Builder,
    x: tuple[float, float],
    y: tuple[float, float],
    height: float,
    color: Rgb,
    pane: Rgb = (70, 84, 98),
    story: float = 3.0,
) -> None:
    """A building with rows of windows on the three faces that a camera may see; some are lit at
    night.
    """
    build.part(((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, height / 2))
    build.box(x, y, (0, height), color)
    dark: Rgb = (color[0] * 0.72, color[1] * 0.72, color[2] * 0.72)
    for level, z in enumerate(steps(1.0, height - 1.5, story)):
        for n, c in enumerate(steps(x[0] + 0.8, x[1] - 1.4, 2.3)):
            _wall(build, (c - 0.1, c + 1.3), y[0] - 0.02, (z - 0.1, z + 1.6), dark, 1)
            _wall(
                build,
                (c, c + 1.2),
                y[0] - 0.03,
                (z, z + 1.5),
                pane,
                2,
                0.7 if (level * 3 + n) % 4 == 0 else 0,
            )
        for n, c in enumerate(steps(y[0] + 0.8, y[1] - 1.4, 2.3)):
            for edge, out in ((x[0], -1), (x[1], 1)):
                _side(build, edge + out * 0.02, (c - 0.1, c + 1.3), (z - 0.1, z + 1.6), dark, 1)
                _side(
                    build,
                    edge + out * 0.03,
                    (c, c + 1.2),
                    (z, z + 1.5),
                    pane,
                    2,
                    0.7 if (level + n) % 4 == 1 else 0,
                )
    _wall(build, x, y[0] - 0.04, (height - 0.35, height), dark, 3)


def _tree(build: Builder, x: float, y: float, size: float) -> None:
    build.part((x, y, 1))
    build.tube((x, y, 0), (x, y, 2.0 * size), (0.16, 0.12), (92, 68, 46), 6)
    for n, (dx, dz, r) in enumerate(((0, 2.7, 1.25), (-0.6, 2.3, 0.9), (0.6, 2.4, 0.95), (0.1, 3.4, 0.9))):
        build.part((x + dx * size, y - 0.2 * n, dz * size))
        green: Rgb = ((58, 112, 52), (48, 98, 46), (70, 126, 58), (82, 138, 64))[n]
        z = dz * size
        build.tube(
            (x + dx * size, y, z - r * size * 0.8),
            (x + dx * size, y, z),
            (r * size * 0.6, r * size),
            green,
            9,
        )
        build.part((x + dx * size, y - 0.2 * n, z + 0.1))
        build.tube(
            (x + dx * size, y, z),
            (x + dx * size, y, z + r * size * 0.8),
            (r * size, r * size * 0.45),
            green,
            9,
        )


def _container(build: Builder, x: tuple[float, float], y: tuple[float, float], z: float, color: Rgb) -> None:
    build.part(((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, z + 1.3))
    build.box(x, y, (z, z + 2.5), color)
    dark: Rgb = (color[0] * 0.8, color[1] * 0.8, color[2] * 0.8)
    for c in steps(x[0] + 0.2, x[1] - 0.2, 0.5):
        _wall(build, (c, c + 0.2), y[0] - 0.02, (z + 0.1, z + 2.4), dark)
    for c in steps(y[0] + 0.2, y[1] - 0.2, 0.5):
        for edge, out in ((x[0], -0.02), (x[1], 0.02)):
            _side(build, edge + out, (c, c + 0.2), (z + 0.1, z + 2.4), dark)


def _depot_walls(build: Builder) -> None:
    build.part((0, 40, 3))
    build.box((-26, 26), (36, 44), (0, 6.4), (214, 212, 206))
    _wall(build, (-26, 26), 35.97, (5.4, 6.4), (190, 44, 38), 1)
    _wall(build, (-26, 26), 35.97, (0, 0.5), (120, 120, 120), 1)
    for n, x in enumerate(steps(-24, 22, 5.2)):
        _wall(build, (x - 0.2, x + 3.6), 35.96, (0, 4.2), (96, 98, 104), 1)
        _wall(build, (x, x + 3.4), 35.95, (0.5, 4.0), (48, 108, 176), 2)
        for z in steps(0.9, 4.0, 0.45):
            _wall(build, (x, x + 3.4), 35.94, (z, z + 0.07), (34, 82, 140), 3)
        _wall(build, (x + 1.2, x + 2.2), 35.93, (4.5, 5.1), (246, 240, 210), 3, 0.9 if n % 2 else 0)
    _container(build, (-22, -13), (24, 27), 0, (64, 124, 84))
    _container(build, (-21, -12.5), (28, 31), 0, (174, 84, 46))
    _container(build, (-22, -14), (24, 27), 2.5, (70, 92, 128))
    for y in (20.0, 25.0, 30.0):
        _shelf(build, 12.5, y)


def _shelf(build: Builder, x: float, y: float) -> None:
    """A pallet rack along the depot's right side."""
    for level in range(3):
        z = 0.2 + 1.5 * level
        for n, c in enumerate(steps(0, 4.2, 1.4)):
            build.part((x + 1.2, y + c + 0.6, z))
            build.box(
                (x + 0.2, x + 1.6),
                (y + c, y + c + 1.1),
                (z, z + 1.0),
                ((186, 142, 92), (150, 152, 158), (92, 120, 160))[(level + n) % 3],
            )
        build.part((x + 0.9, y + 2.2, z - 0.1))
        build.box((x, x + 1.8), (y - 0.1, y + 4.4), (z - 0.14, z), (238, 128, 36))
    for c in (-0.1, 4.3):
        build.part((x + 0.2, y + c, 2))
        build.box((x - 0.08, x + 0.08), (y + c - 0.08, y + c + 0.08), (0, 4.8), (38, 72, 140))


def _construction_walls(build: Builder) -> None:
    for level in range(3):
        z = level * 3.2
        build.part((4, 38, z + 3))
        build.box((-9, 17), (34, 42), (z + 2.8, z + 3.2), (176, 172, 164))
        build.part((4, 41, z + 1))
        build.box((-8.5, 16.5), (40, 41), (z, z + 2.8), (112, 108, 104))
        for x in steps(-8.6, 17, 4.2):
            build.part((x, 33, z + 1))
            build.box((x - 0.25, x + 0.25), (34.2, 34.8), (z, z + 2.8), (188, 184, 176))
    _block(build, (-26, -13), (32, 40), 5.5, (222, 206, 176))
    build.part((-9, 28, 1))
    build.box((-13.5, -8.5), (27, 29.5), (0.2, 2.7), (236, 236, 232))
    _wall(build, (-12.8, -11.6), 26.97, (1.2, 2.1), (70, 84, 98), 1, 0.8)
    _wall(build, (-10.4, -9.5), 26.97, (0.3, 2.2), (64, 100, 160), 1)
    _crane(build, 19.0, 36.0)
    build.part((14, 27, 0.5))
    build.loft(
        [(14 + 3.2 * float(np.cos(a)), 27 + 2 * float(np.sin(a)), 0) for a in np.arange(10) * 0.628],
        [(14 + 0.5 * float(np.cos(a)), 27 + 0.3 * float(np.sin(a)), 1.9) for a in np.arange(10) * 0.628],
        (196, 160, 104),
    )
    for x in steps(-24, 24, 2.6):
        build.part((x, 31, 0.5))
        build.box((x, x + 2.4), (30.95, 31.05), (0.15, 1.1), (240, 118, 30))
        _wall(build, (x, x + 2.4), 30.94, (0.5, 0.72), (250, 246, 240), 1)


def _crane(build: Builder, x: float, y: float) -> None:
    for z in steps(0, 16, 2.0):
        build.part((x, y, z + 1))
        build.box((x - 0.6, x - 0.4), (y - 0.6, y - 0.4), (z, z + 2), (242, 190, 24))
        build.box((x + 0.4, x + 0.6), (y - 0.6, y - 0.4), (z, z + 2), (242, 190, 24))
        build.part((x, y - 0.7, z + 1))
        build.face(
            [
                (x - 0.6, y - 0.62, z),
                (x - 0.4, y - 0.62, z),
                (x + 0.6, y - 0.62, z + 2),
                (x + 0.4, y - 0.62, z + 2),
            ],
            (220, 168, 20),
        )
    build.part((x - 8, y, 16))
    build.box((x - 20, x + 6), (y - 0.5, y + 0.5), (15.6, 16.3), (242, 190, 24))


def _street_walls(build: Builder) -> None:
    _block(build, (-26, -10), (7, 24), 9.5, (158, 78, 58))
    _block(build, (-24, -10), (25.5, 44), 7.5, (206, 186, 150))
    _block(build, (10.5, 26), (16, 34), 8.5, (214, 200, 172))
    _block(build, (10.5, 26), (36, 52), 11, (150, 140, 140))
    _block(build, (-22, -10), (46, 66), 12, (176, 108, 84))
    build.part((0, 78, 1))
    build.box((-40, 40), (76, 78), (0, 4), (92, 120, 84))
    for x, y in ((-8.2, 16), (8.6, 10), (8.6, 24), (-8.2, 32), (8.6, 38), (-8.2, 42)):
        _tree(build, x, y, 1.05)


def _parking_walls(build: Builder) -> None:
    _block(build, (-24, -3), (38, 50), 10, (196, 200, 206), story=3.2)
    _block(build, (0, 26), (41, 50), 7.5, (232, 224, 206))
    for x in steps(-26, 26, 3.2):
        build.part((x, 27.4, 0.5))
        build.box((x, x + 3.0), (27, 27.9), (0, 1.1), (66, 112, 58), (0.1, 0.15))
    for x, y in ((-14, 31), (-7, 32), (3, 31), (10, 32), (16, 30), (-15.5, 20), (15.5, 18)):
        _tree(build, x, y, 1.15)


def _harbor_walls(build: Builder) -> None:
    colors: tuple[Rgb, ...] = ((184, 62, 48), (44, 100, 156), (60, 130, 96), (224, 144, 46), (120, 124, 130))
    for n, (x, y, z) in enumerate(
        (
            (-22, 22, 0),
            (-22, 25.2, 0),
            (-21, 22.5, 2.5),
            (12, 21, 0),
            (12.5, 24.2, 0),
            (13, 21.5, 2.5),
            (12.2, 24.5, 2.5),
        )
    ):
        _container(build, (x, x + 8.5), (y, y + 2.5), float(z), colors[n % 5])
    build.part((0, 58, 2))
    build.extrude([(-22, 0), (18, 0), (22, 4.5), (-24, 4.5)], [0.0, 0.0, 0.0, 0.0], (60, 66, 80))
    build.part((4, 66, 3))
    build.box((-24, 24), (54, 60), (0.2, 4.2), (52, 62, 84))
    _wall(build, (-24, 24), 53.9, (0.2, 1.4), (164, 50, 44), 1)
    build.part((-16, 57, 7))
    build.box((-22, -12), (55, 59), (4.2, 9), (240, 240, 236))
    for x in (-21.0, -18.5, -16.0):
        _wall(build, (x, x + 1.4), 54.9, (6.6, 7.6), (60, 74, 90), 1, 0.8)
    for n, x in enumerate(steps(-9, 20, 4.0)):
        build.part((x, 56.5, 5))
        build.box((x, x + 3.7), (55, 58), (4.2, 6.6), colors[n % 5])
    for x in (4.0, 12.0):
        build.part((x, 44, 7))
        build.box((x - 0.4, x + 0.4), (40, 40.8), (0, 13), (50, 110, 176))
    build.part((8, 39, 13))
    build.box((-6, 14), (39.6, 41.2), (12.6, 13.8), (50, 110, 176))


_WALLS: dict[str, Callable[[Builder], None]] = {
    "depot": _depot_walls,
    "construction": _construction_walls,
    "street": _street_walls,
    "parking": _parking_walls,
    "harbor": _harbor_walls,
}
