"""The objects of the world as meshes: length along x, front at +x, standing on z = 0."""

from functools import lru_cache

import numpy as np

from demo.render.mesh import Builder, Mesh, Rgb

VARIANTS = 12
STRIDES = 4
LENGTHS = {
    "person": 0.7,
    "helmet": 0.7,
    "car": 4.4,
    "truck": 6.8,
    "pallet": 1.5,
    "extinguisher": 0.8,
    "forklift": 3.4,
}
_DARK: Rgb = (34, 34, 38)
_GLASS: Rgb = (72, 94, 116)
_UNDER = -50.0
_PAINTS: tuple[Rgb, ...] = (
    (196, 38, 34),
    (236, 236, 238),
    (38, 84, 172),
    (44, 46, 52),
    (172, 176, 182),
    (36, 128, 74),
    (226, 178, 44),
    (120, 30, 48),
    (70, 140, 190),
    (214, 214, 206),
    (96, 98, 104),
    (150, 92, 50),
)
_VESTS: tuple[Rgb, ...] = ((250, 126, 20), (206, 236, 30), (252, 216, 20))
_HELMETS: tuple[Rgb, ...] = ((255, 214, 0), (250, 250, 250), (232, 36, 28), (28, 96, 226), (255, 122, 0))
_SHIRTS: tuple[Rgb, ...] = (
    (60, 88, 158),
    (148, 48, 52),
    (70, 70, 74),
    (226, 226, 220),
    (56, 118, 86),
    (128, 82, 140),
)


@lru_cache(maxsize=512)
def model(name: str, variant: int, stride: int = 0) -> Mesh:
    """One of VARIANTS looks of a class; ``stride`` is a walking person's step phase."""
    if name in ("person", "helmet"):
        return _person(variant, stride, helmet=name == "helmet")
    makers = {
        "car": _car,
        "truck": _truck,
        "pallet": _pallet,
        "extinguisher": _extinguisher,
        "forklift": _forklift,
    }
    return makers[name](variant)


def _person(variant: int, stride: int, helmet: bool) -> Mesh:
    build = Builder()
    swing = 0.24 * float(np.sin(stride * np.pi / 2 + 0.6))
    vest = variant % 4 != 3 if helmet else variant % 4 == 0
    top = _VESTS[variant % 3] if vest else _SHIRTS[variant % 6]
    pants: Rgb = ((38, 52, 92), (58, 58, 66), (92, 76, 56))[variant // 4]
    skin: Rgb = ((232, 184, 150), (150, 100, 70), (204, 156, 122))[(variant + 1) % 3]
    for side in (-1, 1):
        build.part((swing * side * 0.5, 0.12 * side, 0.45))
        build.tube((swing * side, 0.12 * side, 0.05), (0, 0.11 * side, 0.9), (0.09, 0.13), pants, 6)
        build.part((swing * side + 0.05, 0.12 * side, 0.04))
        build.box(
            (swing * side - 0.1, swing * side + 0.2),
            (0.12 * side - 0.08, 0.12 * side + 0.08),
            (0, 0.1),
            _DARK,
        )
    for side in (-1, 1):
        build.part((-swing * side * 0.4, 0.34 * side, 1.1))
        build.tube((-swing * side * 0.9, 0.34 * side, 0.78), (0, 0.27 * side, 1.42), (0.07, 0.09), top, 6)
        build.part((-swing * side * 0.8, 0.34 * side, 0.74))
        build.tube(
            (-swing * side, 0.34 * side, 0.68),
            (-swing * side * 0.9, 0.34 * side, 0.79),
            (0.06, 0.07),
            skin,
            5,
        )
    build.part((0, 0, 1.15))
    build.tube((0, 0, 0.86), (0, 0, 1.2), (0.22, 0.25), top, 8, 0.72)
    build.tube((0, 0, 1.2), (0, 0, 1.48), (0.25, 0.2), top, 8, 0.72)
    if vest:
        for low, high in ((0.95, 1.02), (1.13, 1.2)):
            build.band((0, 0, low), (0, 0, high), (0.25, 0.25), (240, 242, 244), 8, 0.74)
    build.part((0, 0, 1.6))
    build.tube((0, 0, 1.46), (0, 0, 1.62), (0.1, 0.16), skin, 8)
    build.tube((0, 0, 1.62), (0, 0, 1.76), (0.16, 0.14), skin, 8)
    build.part((0, 0, 1.9), "helmet" if helmet else "")
    if helmet:
        color = _HELMETS[variant % 5]
        brim: Rgb = (color[0] * 0.82, color[1] * 0.82, color[2] * 0.82)
        build.tube((0.05, 0, 1.68), (0.03, 0, 1.73), (0.28, 0.27), brim, 10)
        build.tube((0, 0, 1.73), (0, 0, 1.87), (0.235, 0.2), color, 8)
        build.tube((0, 0, 1.87), (0, 0, 1.96), (0.2, 0.09), color, 8)
    else:
        hair: Rgb = ((44, 32, 26), (92, 62, 38), (24, 24, 28))[variant % 3]
        build.tube((-0.03, 0, 1.68), (-0.02, 0, 1.83), (0.175, 0.1), hair, 8)
    return build.build(0.92 + 0.05 * (variant % 5))


def _wheels(build: Builder, xs: tuple[float, ...], half: float, radius: float) -> None:
    for x in xs:
        for side in (-1, 1):
            build.disc((x, side * (half + 0.01), radius), radius, (24, 24, 26), 2)
            build.disc((x, side * (half + 0.02), radius), radius * 0.58, (176, 178, 184), 3, 8)
            build.disc((x, side * (half + 0.03), radius), radius * 0.24, (70, 70, 76), 4, 6)


def _lamps(build: Builder, x: tuple[float, float], half: float, z: tuple[float, float]) -> None:
    for side in (-1, 1):
        inner, outer = side * half * 0.55, side * half * 0.95
        build.face(
            [(x[1], inner, z[0]), (x[1], outer, z[0]), (x[1], outer, z[1]), (x[1], inner, z[1])],
            (255, 248, 214),
            2,
            1,
        )
        build.face(
            [(x[0], inner, z[0]), (x[0], outer, z[0]), (x[0], outer, z[1]), (x[0], inner, z[1])],
            (214, 24, 24),
            2,
            0.6,
        )
    for end in x:
        build.face(
            [(end, -0.26, 0.42), (end, 0.26, 0.42), (end, 0.26, 0.54), (end, -0.26, 0.54)], (238, 236, 214), 2
        )


_CABINS = (
    ([(-1.75, 0.9), (-1.25, 1.44), (0.3, 1.44), (1.0, 0.9)], 0.92),
    ([(-2.05, 0.9), (-1.8, 1.5), (0.3, 1.5), (1.05, 0.9)], 0.92),
    ([(-2.08, 0.9), (-2.0, 1.85), (0.85, 1.85), (1.5, 0.95)], 0.98),
)


def _car(variant: int) -> Mesh:
    build = Builder()
    paint = _PAINTS[variant]
    profile, nose = _CABINS[variant % 3]
    build.part((0, 0, _UNDER))
    build.extrude([(-2.0, 0.22), (2.0, 0.22), (2.0, 0.34), (-2.0, 0.34)], [0.8] * 4, _DARK)
    build.extrude(
        [(-2.12, 0.32), (2.1, 0.32), (2.16, 0.6), (2.0, 0.78), (1.0, nose), (-2.0, 0.92), (-2.15, 0.7)],
        [0.84, 0.84, 0.88, 0.86, 0.86, 0.86, 0.88],
        paint,
    )
    _wheels(build, (-1.3, 1.32), 0.88, 0.35)
    _lamps(build, (-2.16, 2.17), 0.86, (0.58, 0.72))
    for side in (-0.885, 0.885):
        build.face(
            [(-0.15, side, 0.4), (-0.13, side, 0.4), (-0.13, side, 0.9), (-0.15, side, 0.9)], (30, 30, 34), 1
        )
    build.part((0, 0, 1.25))
    build.extrude(profile, [0.84, 0.66, 0.66, 0.84], paint)
    _windows(build, profile)
    return build.build()


def _windows(build: Builder, profile: list[tuple[float, float]]) -> None:
    (x0, z0), (x1, z1), (x2, _), (x3, z3) = profile
    low, high = z0 + 0.07, z1 - 0.09

    def at(a: tuple[float, float], b: tuple[float, float], z: float) -> float:
        return a[0] + (b[0] - a[0]) * (z - a[1]) / (b[1] - a[1])

    def half(z: float) -> float:
        return 0.86 - 0.2 * (z - z0) / (z1 - z0)

    post = (x1 + x2) / 2
    for side in (-1, 1):
        for left, right in ((None, post - 0.05), (post + 0.05, None)):
            xs = [
                at((x0, z0), (x1, z1), low) + 0.16 if left is None else left,
                at((x3, z3), (x2, z1), low) - 0.16 if right is None else right,
                at((x3, z3), (x2, z1), high) - 0.12 if right is None else right,
                at((x0, z0), (x1, z1), high) + 0.12 if left is None else left,
            ]
            build.face(
                [(x, side * half(z), z) for x, z in zip(xs, (low, low, high, high), strict=True)], _GLASS, 1
            )
    for a, b, out in (((x0, z0), (x1, z1), -0.01), ((x3, z3), (x2, z1), 0.01)):
        edge = 0.86
        build.face(
            [
                (at(a, b, z) + out, s * half(z) * edge, z)
                for s, z in ((-1, low), (1, low), (1, high), (-1, high))
            ],
            _GLASS,
            1,
        )


def _truck(variant: int) -> Mesh:
    build = Builder()
    cab = _PAINTS[(variant * 5 + 2) % 12]
    cargo: Rgb = (
        (238, 238, 234),
        (56, 104, 176),
        (222, 222, 214),
        (196, 70, 48),
        (90, 130, 100),
        (242, 240, 232),
    )[variant % 6]
    stripe = _PAINTS[(variant + 4) % 7]
    build.part((1.5, 0, _UNDER))
    build.box((-3.3, 3.2), (-0.9, 0.9), (0.4, 0.75), _DARK)
    _wheels(build, (-2.4, -1.4, 2.1), 0.98, 0.48)
    build.part((1.0, 0, 1.9))
    build.box((-3.4, 1.35), (-1.12, 1.12), (0.75, 3.05), cargo)
    for side in (-1.13, 1.13):
        build.face([(-3.4, side, 1.25), (1.35, side, 1.25), (1.35, side, 1.6), (-3.4, side, 1.6)], stripe, 1)
        for x in (-2.3, -1.1, 0.1):
            build.face(
                [(x, side, 0.8), (x + 0.05, side, 0.8), (x + 0.05, side, 3.0), (x, side, 3.0)],
                (150, 150, 150),
                2,
            )
    build.face(
        [(-3.41, -0.03, 0.85), (-3.41, 0.03, 0.85), (-3.41, 0.03, 2.95), (-3.41, -0.03, 2.95)],
        (90, 90, 92),
        1,
    )
    for side in (-1, 1):
        build.face(
            [
                (-3.42, side * 0.7, 0.8),
                (-3.42, side * 1.05, 0.8),
                (-3.42, side * 1.05, 0.95),
                (-3.42, side * 0.7, 0.95),
            ],
            (214, 24, 24),
            2,
            0.6,
        )
        build.face(
            [
                (-3.41, side * 0.12, 1.7),
                (-3.41, side * 0.2, 1.7),
                (-3.41, side * 0.2, 2.3),
                (-3.41, side * 0.12, 2.3),
            ],
            (90, 90, 92),
            1,
        )
    build.part((2.0, 0, 1.9))
    build.extrude(
        [(1.55, 0.5), (3.3, 0.5), (3.35, 1.35), (3.05, 2.45), (1.55, 2.45)],
        [1.05, 1.05, 1.08, 0.98, 0.98],
        cab,
    )
    build.face([(3.36, -0.92, 1.42), (3.36, 0.92, 1.42), (3.09, 0.86, 2.3), (3.09, -0.86, 2.3)], _GLASS, 1)
    build.face([(3.36, -0.6, 0.75), (3.36, 0.6, 0.75), (3.37, 0.6, 1.2), (3.37, -0.6, 1.2)], (52, 52, 56), 1)
    for side in (-1, 1):
        build.face(
            [
                (1.95, side * 1.09, 1.4),
                (3.05, side * 1.09, 1.4),
                (2.9, side * 1.02, 2.2),
                (1.95, side * 1.02, 2.2),
            ],
            _GLASS,
            1,
        )
        build.face(
            [(3.36, side * 0.68, 0.7), (3.36, side, 0.7), (3.37, side, 0.95), (3.37, side * 0.68, 0.95)],
            (255, 248, 214),
            2,
            1,
        )
    return build.build()


def _pallet(variant: int) -> Mesh:
    build = Builder()
    wood: Rgb = (182, 138, 84)
    build.part((0, 0, 2 * _UNDER))
    build.box((-0.62, 0.62), (-0.62, 0.62), (0.0, 0.1), (70, 52, 34))
    for y in (-0.52, 0, 0.52):
        build.part((0, y, _UNDER))
        build.box((-0.65, 0.65), (y - 0.1, y + 0.1), (0, 0.14), wood)
    build.part((0, 0, -20.0))
    build.box((-0.68, 0.68), (-0.68, 0.68), (0.14, 0.2), (206, 162, 104))
    kind = variant % 3
    rows = (2, 3, 2)[variant // 4]
    for level in range(rows):
        build.part((0, 0, 0.5 + level))
        low, high = 0.2 + level * 0.4, 0.58 + level * 0.4
        if kind == 0:
            _carton(build, low, high, (198, 150, 96))
        elif kind == 1:
            _carton(build, low, high, (60, 120, 196))
        else:
            _sacks(build, low, high)
    return build.build(1.05)


def _carton(build: Builder, low: float, high: float, color: Rgb) -> None:
    build.box((-0.6, 0.6), (-0.6, 0.6), (low, high), color)
    tape: Rgb = (236, 220, 180)
    edge: Rgb = (color[0] * 0.62, color[1] * 0.62, color[2] * 0.62)
    for e in (-0.605, 0.605):
        build.face([(-0.6, e, high - 0.05), (0.6, e, high - 0.05), (0.6, e, high), (-0.6, e, high)], edge, 1)
        build.face([(e, -0.6, high - 0.05), (e, 0.6, high - 0.05), (e, 0.6, high), (e, -0.6, high)], edge, 1)
        for c in (-0.3, 0.3):
            build.face(
                [(c - 0.05, e, low), (c + 0.05, e, low), (c + 0.05, e, high), (c - 0.05, e, high)], tape, 2
            )
            build.face(
                [(e, c - 0.05, low), (e, c + 0.05, low), (e, c + 0.05, high), (e, c - 0.05, high)], tape, 2
            )
        build.face([(-0.02, e, low), (0.02, e, low), (0.02, e, high), (-0.02, e, high)], edge, 2)
        build.face([(e, -0.02, low), (e, 0.02, low), (e, 0.02, high), (e, -0.02, high)], edge, 2)
    build.face([(-0.6, -0.05, high), (0.6, -0.05, high), (0.6, 0.05, high), (-0.6, 0.05, high)], tape, 1)


def _sacks(build: Builder, low: float, high: float) -> None:
    build.box((-0.58, 0.58), (-0.58, 0.58), (low, high), (226, 220, 204), (0.05, 0.05))
    for e in (-0.59, 0.59):
        build.face(
            [
                (-0.3, e * 0.96, low + 0.1),
                (0.3, e * 0.96, low + 0.1),
                (0.3, e * 0.96, high - 0.1),
                (-0.3, e * 0.96, high - 0.1),
            ],
            (72, 136, 84),
            1,
        )
        build.face(
            [
                (e * 0.96, -0.3, low + 0.1),
                (e * 0.96, 0.3, low + 0.1),
                (e * 0.96, 0.3, high - 0.1),
                (e * 0.96, -0.3, high - 0.1),
            ],
            (72, 136, 84),
            1,
        )


def _extinguisher(variant: int) -> Mesh:
    build = Builder()
    red: Rgb = ((214, 18, 22), (196, 14, 20), (228, 30, 26))[variant % 3]
    build.part((0, 0, _UNDER))
    build.box((-0.3, 0.3), (-0.3, 0.3), (0, 0.07), (30, 30, 32))
    build.part((0, 0, 0.5))
    build.tube((0, 0, 0.07), (0, 0, 0.9), (0.22, 0.22), red, 10)
    build.tube((0, 0, 0.9), (0, 0, 1.02), (0.22, 0.09), red, 10)
    build.band((0, 0, 0.42), (0, 0, 0.62), (0.224, 0.224), (246, 244, 236), 10)
    build.band((0, 0, 0.84), (0, 0, 0.88), (0.224, 0.224), (250, 206, 40), 10)
    build.part((0, 0, 1.4))
    build.box((-0.07, 0.07), (-0.07, 0.07), (1.02, 1.12), (30, 30, 32))
    build.box((-0.08, 0.08), (-0.22, 0.1), (1.12, 1.2), (30, 30, 32))
    build.part((0.1, 0.36, 0.75))
    build.tube((0.1, 0.38, 0.3), (0.1, 0.3, 1.05), (0.06, 0.035), (26, 26, 28), 5)
    return build.build(1.02)


def _forklift(variant: int) -> Mesh:
    build = Builder()
    paint: Rgb = ((250, 150, 16), (246, 196, 20), (214, 44, 34), (250, 150, 16))[variant % 4]
    build.part((-0.2, 0, _UNDER))
    build.box((-1.3, 0.75), (-0.52, 0.52), (0.2, 0.45), _DARK)
    build.extrude(
        [(-1.35, 0.4), (0.8, 0.4), (0.8, 0.78), (0.3, 0.84), (-0.2, 1.02), (-1.1, 1.1), (-1.38, 0.85)],
        [0.56, 0.56, 0.56, 0.56, 0.56, 0.54, 0.52],
        paint,
    )
    _wheels(build, (-0.9, 0.45), 0.57, 0.34)
    build.face([(-1.39, -0.4, 0.55), (-1.39, 0.4, 0.55), (-1.39, 0.36, 0.85), (-1.39, -0.36, 0.85)], _DARK, 1)
    for side in (-0.575, 0.575):
        build.face(
            [(-0.45, side, 0.55), (0.1, side, 0.55), (0.1, side, 0.72), (-0.45, side, 0.72)],
            (250, 246, 236),
            1,
        )
    build.part((-0.4, 0, 1.2))
    build.tube((-0.4, 0, 1.0), (-0.36, 0, 1.5), (0.24, 0.2), (40, 66, 124), 7)
    build.part((-0.38, 0, 1.65))
    build.tube((-0.36, 0, 1.5), (-0.36, 0, 1.78), (0.14, 0.13), (220, 172, 138), 7)
    for x in (-1.05, 0.35):
        for y in (-0.5, 0.5):
            build.part((x, y, 1.5))
            lean = 0.16 if x > 0 else -0.1
            build.loft(
                [
                    (x + dx, y + dy, 0.8)
                    for dx, dy in ((-0.05, -0.05), (0.05, -0.05), (0.05, 0.05), (-0.05, 0.05))
                ],
                [
                    (x - lean + dx, y + dy, 2.1)
                    for dx, dy in ((-0.05, -0.05), (0.05, -0.05), (0.05, 0.05), (-0.05, 0.05))
                ],
                _DARK,
            )
    build.part((-0.4, 0, 2.6))
    build.box((-1.05, 0.35), (-0.56, 0.56), (2.08, 2.18), _DARK)
    lift = 0.14 + 0.35 * (variant % 3)
    for side in (-1, 1):
        build.part((0.92, 0.34 * side, 1.3))
        build.box((0.84, 1.0), (0.34 * side - 0.08, 0.34 * side + 0.08), (0.08, 2.5), (52, 54, 60))
    build.part((0.95, 0, 2.4))
    build.box((0.86, 0.98), (-0.4, 0.4), (2.34, 2.48), (52, 54, 60))
    build.part((1.1, 0, lift + 0.3))
    build.box((1.0, 1.08), (-0.5, 0.5), (lift, lift + 0.5), (70, 72, 78))
    for side in (-1, 1):
        build.part((1.6, 0.28 * side, lift))
        build.box(
            (1.08, 2.15),
            (0.28 * side - 0.08, 0.28 * side + 0.08),
            (lift, lift + 0.09),
            (40, 40, 44),
            (0.0, 0.0),
        )
    return build.build(1.06)
