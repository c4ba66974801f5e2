"""Tiny datasets on disk and in memory."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from loop.datasets.units import Item


def jpeg(seed: int, size: tuple[int, int] = (64, 48), exif: bytes = b"") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", exif=exif)
    return out.getvalue()


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def stored(store: Path, frame: int, **options) -> Item:
    """An item whose image lies in the store."""
    data = jpeg(frame)
    digest = hashlib.sha256(data).hexdigest()
    write(store / "frames" / f"{digest}.jpg", data)
    return item(frame, content_hash=digest, path=f"frames/{digest}.jpg", **options)


def item(frame: int, **options) -> Item:
    filled = {
        "frame": frame,
        "content_hash": hashlib.sha256(str(frame).encode()).hexdigest(),
        "path": f"frames/{frame}.jpg",
        "width": 64,
        "height": 48,
        "boxes": ((0, 4.0, 4.0, 20.0, 24.0),),
        "origin": "production",
        "group": f"cam{frame}|2026-11-24",
    }
    return Item(**(filled | options))
