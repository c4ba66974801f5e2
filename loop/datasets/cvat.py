"""CVAT for images 1.1: one annotations.xml, with boxes in px."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import cos, radians, sin
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from loop.base.wording import counted
from loop.datasets.image_files import ImageFiles
from loop.datasets.imported import DatasetError, ImportedDataset, Report
from loop.datasets.json_files import number, positive
from loop.datasets.named import Annotated, NamedObject, assembled, tell_unlabeled
from loop.datasets.splits import split_of

_OF_THE_IMAGE = ("tag", "attribute")
"""What says something of the image as a whole."""


def read_cvat(path: Path, max_pixels: int) -> ImportedDataset:
    """path: the XML; its images lie below its folder. A rotated box is taken as the box around it.

    Raises DatasetError for another XML, for tracks of a video, and when nothing is usable.
    """
    root = _root(path)
    if root.find("track") is not None:
        raise DatasetError(
            f"{path}: this looks like CVAT for video, whose tracks are not read; export the task as CVAT for"
            " images 1.1, with its images"
        )
    report = Report()
    files = ImageFiles(path.parent)
    found = []
    for entry in root.findall("image"):
        name = entry.get("name") or ""
        image = files.find(name)
        if image is None:
            report.add(path, 0, "missing_image", f"left out: {files.missing(name)}")
            continue
        split = split_of(entry.get("subset") or Path(name).parent.as_posix())
        size = positive(entry.attrib, "width", "height")
        found.append(Annotated(path, image, split, size, list(_objects(entry))))
    if tags := sum(entry.find("tag") is not None for entry in root.findall("image")):
        told = (
            f"{counted(tags, 'image has', 'images have')} tags, of which nothing is made; boxes alone count"
        )
        report.add(path, 0, "key", told, 0)
    tell_unlabeled(path, files, found, report)
    if not found:
        raise DatasetError(
            f"{path}: expected its images below {path.parent}, found none{report.first}; export the task with"
            " 'Save images', or put them there"
        )
    return assembled(found, path, report, max_pixels)


def _root(path: Path) -> Element:
    try:
        root: Element = fromstring(path.read_bytes())
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        raise DatasetError(f"{path}: expected XML, got {error}; export it again") from None
    if root.tag != "annotations":
        raise DatasetError(
            f"{path}: expected CVAT's annotations.xml, got <{root.tag}>; for VOC name the folder that"
            " holds the images and their XML"
        )
    return root


def _objects(entry: Element) -> Iterator[NamedObject]:
    shapes = (one for one in entry if one.tag not in _OF_THE_IMAGE)
    for place, shape in enumerate(shapes, start=1):
        problem = f"expected a box, polygon or ellipse with its places as numbers, got a {shape.tag}"
        yield NamedObject(place, (shape.get("label") or "").strip(), _corners(shape), problem)


def _corners(shape: Element) -> list[float] | None:
    if shape.tag == "box":
        x1, y1, x2, y2 = (number(shape.get(key)) for key in ("xtl", "ytl", "xbr", "ybr"))
        if x1 is None or y1 is None or x2 is None or y2 is None:
            return None
        return around_rotated((x1, y1, x2, y2), number(shape.get("rotation")) or 0.0)
    if shape.tag == "ellipse":
        x, y, rx, ry = (number(shape.get(key)) for key in ("cx", "cy", "rx", "ry"))
        if x is None or y is None or rx is None or ry is None or number(shape.get("rotation")):
            return None
        return [x - rx, y - ry, x + rx, y + ry]
    if shape.tag == "mask":
        left, top, width, height = (number(shape.get(key)) for key in ("left", "top", "width", "height"))
        if left is None or top is None or width is None or height is None:
            return None
        return [left, top, left + width, top + height]
    return _around(shape.get("points") or "") if shape.tag == "polygon" else None


def around_rotated(xyxy: Sequence[float], degrees: float) -> list[float]:
    """The box around one that is turned about its middle."""
    x1, y1, x2, y2 = xyxy
    if not degrees:
        return [x1, y1, x2, y2]
    turn = radians(degrees)
    width, height = x2 - x1, y2 - y1
    across = abs(width * cos(turn)) + abs(height * sin(turn))
    down = abs(width * sin(turn)) + abs(height * cos(turn))
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return [x - across / 2, y - down / 2, x + across / 2, y + down / 2]


def _around(points: str) -> list[float] | None:
    pairs = [[number(value) for value in pair.split(",")] for pair in points.split(";")]
    across = [pair[0] for pair in pairs if len(pair) == 2 and pair[0] is not None]
    down = [pair[1] for pair in pairs if len(pair) == 2 and pair[1] is not None]
    if not pairs or len(across) != len(pairs) or len(down) != len(pairs):
        return None
    return [min(across), min(down), max(across), max(down)]
