"""A small rendered world of camera scenes: the same spec gives the same bytes on one kind of
processor.
"""

from demo.render.cameras import CAMERAS, Camera
from demo.render.compose import render
from demo.render.spec import BURST, CLASSES, QUALITIES, SITES, SIZE, TIMES, VIEWS, WEATHERS, Scene, SceneSpec
from demo.render.stage import sample_objects

__all__ = [
    "BURST",
    "CAMERAS",
    "CLASSES",
    "QUALITIES",
    "SITES",
    "SIZE",
    "TIMES",
    "VIEWS",
    "WEATHERS",
    "Camera",
    "Scene",
    "SceneSpec",
    "render",
    "sample_objects",
]
