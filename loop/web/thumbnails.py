"""Small pictures for pages: thumbnails with boxes, as data URIs so that a page stays one file."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image as Pil
from PIL import ImageDraw

from connectors.errors import ImageRejected
from connectors.images import decode, inspect
from connectors.ports import Box, Image

WIDTH = 260
QUALITY = 78
TALLEST = 3
"""Times as high as wide; what is taller is narrower instead."""


def thumbnail(path: Path, boxes: Sequence[Box] = (), width: int = WIDTH) -> str:
    """A stored image with its boxes as a JPEG data URI; "" when it cannot be read."""
    try:
        data = path.read_bytes()
        image = decode(data, inspect(data))
    except (OSError, ImageRejected):
        return ""
    return data_uri(image, boxes, width)


def data_uri(image: Image, boxes: Sequence[Box] = (), width: int = WIDTH) -> str:
    """image: (H, W, 3) uint8 RGB; boxes in its pixels."""
    scale = min(width / image.shape[1], TALLEST * width / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = Pil.fromarray(image).resize(size, Pil.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for box in boxes:
        corners = tuple(value * scale for value in box.xyxy)
        draw.rectangle(corners, outline=class_color(box.class_name), width=2)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def class_color(name: str) -> tuple[int, int, int]:
    """One clear color per class name, the same on every page."""
    hue = sum(ord(letter) * (index + 7) for index, letter in enumerate(name)) % 360 / 360
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
