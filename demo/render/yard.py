"""What stands and drives about a yard: pallets, extinguishers, forklifts."""

from demo.render.mesh import Builder, Mesh, Rgb
from demo.render.palette import DARK, UNDER
from demo.render.vehicles import wheels


def pallet(variant: int) -> Mesh:
    build = Builder()
    wood: Rgb = (182, 138, 84)
    build.part((0, 0, 2 * UNDER))
    build.box((-0.62, 0.62), (-0.62, 0.62), (0.0, 0.1), (70, 52, 34))
    for y in (-0.52, 0, 0.52):
        build.part((0, y, UNDER))
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


def extinguisher(variant: int) -> Mesh:
    build = Builder()
    red: Rgb = ((214, 18, 22), (196, 14, 20), (228, 30, 26))[variant % 3]
    build.part((0, 0, UNDER))
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


def forklift(variant: int) -> Mesh:
    build = Builder()
    paint: Rgb = ((250, 150, 16), (246, 196, 20), (214, 44, 34), (250, 150, 16))[variant % 4]
    build.part((-0.2, 0, UNDER))
    build.box((-1.3, 0.75), (-0.52, 0.52), (0.2, 0.45), DARK)
    build.extrude(
        [(-1.35, 0.4), (0.8, 0.4), (0.8, 0.78), (0.3, 0.84), (-0.2, 1.02), (-1.1, 1.1), (-1.38, 0.85)],
        [0.56, 0.56, 0.56, 0.56, 0.56, 0.54, 0.52],
        paint,
    )
    wheels(build, (-0.9, 0.45), 0.57, 0.34)
    build.face([(-1.39, -0.4, 0.55), (-1.39, 0.4, 0.55), (-1.39, 0.36, 0.85), (-1.39, -0.36, 0.85)], DARK, 1)
    for side in (-0.575, 0.575):
        build.face(
            [(-0.45, side, 0.55), (0.1, side, 0.55), (0.1, side, 0.72), (-0.45, side, 0.72)],
            (250, 246, 236),
            1,
        )
    _driver(build)
    _roof(build)
    _mast(build, variant)
    return build.build(1.06)


def _driver(build: Builder) -> None:
    build.part((-0.4, 0, 1.2))
    build.tube((-0.4, 0, 1.0), (-0.36, 0, 1.5), (0.24, 0.2), (40, 66, 124), 7)
    build.part((-0.38, 0, 1.65))
    build.tube((-0.36, 0, 1.5), (-0.36, 0, 1.78), (0.14, 0.13), (220, 172, 138), 7)


def _roof(build: Builder) -> None:
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
                DARK,
            )
    build.part((-0.4, 0, 2.6))
    build.box((-1.05, 0.35), (-0.56, 0.56), (2.08, 2.18), DARK)


def _mast(build: Builder, variant: int) -> None:
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
