"""The images of a project's store, and pieces of a long list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from connectors.files import write_atomically
from connectors.images import content_hash, decode
from connectors.ports import Image

T = TypeVar("T")
FRAMES = "frames"
"""The folder of the store that holds the images."""


def store_image(store: Path, sha256: str, suffix: str, data: bytes) -> str:
    """Keeps an image under its content hash; its path below `store`. Raises OSError.

    What production shows is for the owner alone (mode 0600).
    """
    relative = f"{FRAMES}/{sha256[:2]}/{sha256}{suffix}"
    target = store / relative
    if not (target.is_file() and target.stat().st_size == len(data)):
        write_atomically(target, data, private=True)
    return relative


def load_image(store: Path, path: str) -> Image:
    """The pixels of the image at `path` below `store`. Raises OSError, ImageRejected."""
    return decode((store / path).read_bytes())


def stored_problem(store: Path, path: str, sha256: str) -> str:
    """ "missing" or "exchanged" where the image at `path` below `store` is not the one of that hash,
    else "". Raises OSError where it cannot be read.
    """
    try:
        data = (store / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    return "" if content_hash(data) == sha256 else "exchanged"


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items in order, the last one of what is left."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
