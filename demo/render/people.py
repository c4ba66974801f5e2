"""People, with and without a helmet."""

import numpy as np

from demo.render.mesh import Builder, Mesh, Rgb
from demo.render.palette import DARK

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


def person(variant: int, stride: int, helmet: bool) -> Mesh:
    build = Builder()
    swing = 0.24 * float(np.sin(stride * np.pi / 2 + 0.6))
    vest = variant % 4 != 3 if helmet else variant % 4 == 0
    top = _VESTS[variant % 3] if vest else _SHIRTS[variant % 6]
    pants: Rgb = ((38, 52, 92), (58, 58, 66), (92, 76, 56))[variant // 4]
    skin: Rgb = ((232, 184, 150), (150, 100, 70), (204, 156, 122))[(variant + 1) % 3]
    _legs(build, swing, pants)
    _arms(build, swing, top, skin)
    _torso(build, top, vest)
    _head(build, variant, skin, helmet)
    return build.build(0.92 + 0.05 * (variant % 5))


def _legs(build: Builder, swing: float, pants: Rgb) -> None:
    for side in (-1, 1):
        build.part((swing * side * 0.5, 0.12 * side, 0.45))
        build.tube((swing * side, 0.12 * side, 0.05), (0, 0.11 * side, 0.9), (0.09, 0.13), pants, 6)
        build.part((swing * side + 0.05, 0.12 * side, 0.04))
        build.box(
            (swing * side - 0.1, swing * side + 0.2),
            (0.12 * side - 0.08, 0.12 * side + 0.08),
            (0, 0.1),
            DARK,
        )


def _arms(build: Builder, swing: float, top: Rgb, skin: Rgb) -> None:
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


def _torso(build: Builder, top: Rgb, vest: bool) -> None:
    build.part((0, 0, 1.15))
    build.tube((0, 0, 0.86), (0, 0, 1.2), (0.22, 0.25), top, 8, 0.72)
    build.tube((0, 0, 1.2), (0, 0, 1.48), (0.25, 0.2), top, 8, 0.72)
    if vest:
        for low, high in ((0.95, 1.02), (1.13, 1.2)):
            build.band((0, 0, low), (0, 0, high), (0.25, 0.25), (240, 242, 244), 8, 0.74)


def _head(build: Builder, variant: int, skin: Rgb, helmet: bool) -> None:
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
