"""What the makers of several objects share."""

from demo.render.mesh import Rgb

DARK: Rgb = (34, 34, 38)
GLASS: Rgb = (72, 94, 116)
UNDER = -50.0
"""The height of an anchor below everything: such a part is painted first."""
PAINTS: tuple[Rgb, ...] = (
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
