"""The objects of the world as meshes: length along x, front at +x, standing on z = 0."""

from functools import lru_cache

from demo.render.mesh import Mesh
from demo.render.people import person
from demo.render.vehicles import car, truck
from demo.render.yard import extinguisher, forklift, pallet

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
_MAKERS = {
    "car": car,
    "truck": truck,
    "pallet": pallet,
    "extinguisher": extinguisher,
    "forklift": forklift,
}


@lru_cache(maxsize=512)
def model(name: str, variant: int, stride: int = 0) -> Mesh:
    """One of VARIANTS looks of a class; ``stride`` is a walking person's step phase."""
    if name in ("person", "helmet"):
        return person(variant, stride, helmet=name == "helmet")
    return _MAKERS[name](variant)
