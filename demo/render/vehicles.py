"""Car and truck."""

from demo.render.mesh import Builder, Mesh, Rgb
from demo.render.palette import DARK, GLASS, PAINTS, UNDER

_CABINS = (
    ([(-1.75, 0.9), (-1.25, 1.44), (0.3, 1.44), (1.0, 0.9)], 0.92),
    ([(-2.05, 0.9), (-1.8, 1.5), (0.3, 1.5), (1.05, 0.9)], 0.92),
    ([(-2.08, 0.9), (-2.0, 1.85), (0.85, 1.85), (1.5, 0.95)], 0.98),
)


def car(variant: int) -> Mesh:
    build = Builder()
    paint = PAINTS[variant]
    profile, nose = _CABINS[variant % 3]
    build.part((0, 0, UNDER))
    build.extrude([(-2.0, 0.22), (2.0, 0.22), (2.0, 0.34), (-2.0, 0.34)], [0.8] * 4, DARK)
    build.extrude(
        [(-2.12, 0.32), (2.1, 0.32), (2.16, 0.6), (2.0, 0.78), (1.0, nose), (-2.0, 0.92), (-2.15, 0.7)],
        [0.84, 0.84, 0.88, 0.86, 0.86, 0.86, 0.88],
        paint,
    )
    wheels(build, (-1.3, 1.32), 0.88, 0.35)
    _lamps(build, (-2.16, 2.17), 0.86, (0.58, 0.72))
    for side in (-0.885, 0.885):
        build.face(
            [(-0.15, side, 0.4), (-0.13, side, 0.4), (-0.13, side, 0.9), (-0.15, side, 0.9)], (30, 30, 34), 1
        )
    build.part((0, 0, 1.25))
    build.extrude(profile, [0.84, 0.66, 0.66, 0.84], paint)
    _windows(build, profile)
    return build.build()


def truck(variant: int) -> Mesh:
    build = Builder()
    cab = PAINTS[(variant * 5 + 2) % 12]
    cargo: Rgb = (
        (238, 238, 234),
        (56, 104, 176),
        (222, 222, 214),
        (196, 70, 48),
        (90, 130, 100),
        (242, 240, 232),
    )[variant % 6]
    stripe = PAINTS[(variant + 4) % 7]
    build.part((1.5, 0, UNDER))
    build.box((-3.3, 3.2), (-0.9, 0.9), (0.4, 0.75), DARK)
    wheels(build, (-2.4, -1.4, 2.1), 0.98, 0.48)
    _cargo(build, cargo, stripe)
    _rear(build)
    _cab(build, cab)
    return build.build()


def _cargo(build: Builder, cargo: Rgb, stripe: Rgb) -> None:
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


def _rear(build: Builder) -> None:
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


def _cab(build: Builder, cab: Rgb) -> None:
    build.part((2.0, 0, 1.9))
    build.extrude(
        [(1.55, 0.5), (3.3, 0.5), (3.35, 1.35), (3.05, 2.45), (1.55, 2.45)],
        [1.05, 1.05, 1.08, 0.98, 0.98],
        cab,
    )
    build.face([(3.36, -0.92, 1.42), (3.36, 0.92, 1.42), (3.09, 0.86, 2.3), (3.09, -0.86, 2.3)], GLASS, 1)
    build.face([(3.36, -0.6, 0.75), (3.36, 0.6, 0.75), (3.37, 0.6, 1.2), (3.37, -0.6, 1.2)], (52, 52, 56), 1)
    for side in (-1, 1):
        build.face(
            [
                (1.95, side * 1.09, 1.4),
                (3.05, side * 1.09, 1.4),
                (2.9, side * 1.02, 2.2),
                (1.95, side * 1.02, 2.2),
            ],
            GLASS,
            1,
        )
        build.face(
            [(3.36, side * 0.68, 0.7), (3.36, side, 0.7), (3.37, side, 0.95), (3.37, side * 0.68, 0.95)],
            (255, 248, 214),
            2,
            1,
        )


def wheels(build: Builder, xs: tuple[float, ...], half: float, radius: float) -> None:
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
                [(x, side * half(z), z) for x, z in zip(xs, (low, low, high, high), strict=True)], GLASS, 1
            )
    for a, b, out in (((x0, z0), (x1, z1), -0.01), ((x3, z3), (x2, z1), 0.01)):
        edge = 0.86
        build.face(
            [
                (at(a, b, z) + out, s * half(z) * edge, z)
                for s, z in ((-1, low), (1, low), (1, high), (-1, high))
            ],
            GLASS,
            1,
        )
