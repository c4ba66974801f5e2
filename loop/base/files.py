"""The images of a project's store, and pieces of a long list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from connectors.files import write_atomically
from connectors.images import content_hash, decode
from connectors.ports import Image

T = TypeVar("T")
BATCH_BYTES = 256_000_000
"""Of decoded images, or of files read, that are held at once: 41 frames of 1920x1080."""
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


def chunked_by_size(
    items: Iterable[T], most: int, bytes_of: Callable[[T], int], budget: int
) -> Iterator[list[T]]:
    """Lists of at most `most` items in order, which need at most `budget` bytes of memory together, or
    of one item that needs more.
    """
    chunk: list[T] = []
    held = 0
    for item in items:
        needed = bytes_of(item)
        if chunk and (len(chunk) >= most or held + needed > budget):
            yield chunk
            chunk, held = [], 0
        chunk.append(item)
        held += needed
    if chunk:
        yield chunk


def decoded_bytes(width: int, height: int) -> int:
    """Of an image in memory: RGB, one byte a color."""
    return 3 * width * height


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items in order, the last one of what is left."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
