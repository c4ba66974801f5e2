"""What a user looks for, as vectors of the embedder: a sentence, or a picture that shows it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from connectors.errors import ImageRejected
from connectors.images import SUFFIXES, decode, inspect
from connectors.ports import Array, Embedder
from loop.base.errors import ConfigError


def query_vectors(embedder: Embedder, given: Sequence[str]) -> tuple[Array, ...]:
    """One (D,) unit vector for each: of the picture where there is such a file, of the sentence
    otherwise.

    Raises ConfigError for a file that is no image, a sentence of words that the embedder never met,
    and for an empty one.
    """
    return tuple(_query(embedder, text) for text in given)


def _query(embedder: Embedder, text: str) -> Array:
    if not text.strip():
        raise ConfigError("--like: expected a sentence or an image file, got nothing")
    if os.path.isfile(text):  # noqa: PTH113 - Path.is_file raises for a long sentence
        return _of_picture(embedder, Path(text))
    if _named_like_a_file(text):
        raise ConfigError(f"--like: expected a sentence or an image file, found no file {text}")
    if unknown := embedder.unknown_words([text]):
        raise ConfigError(
            f"--like: expected words that the embedder knows, got {', '.join(unknown)}; say it otherwise, or"
            " give an image file that shows it"
        )
    vector: Array = embedder.embed_text([text])[0]
    return vector


def _named_like_a_file(text: str) -> bool:
    """A sentence may have a slash or a full stop in it, but does not end as pictures' names do."""
    suffix = os.path.splitext(text)[1].lower()  # noqa: PTH122 - for a long sentence too
    return suffix in {*SUFFIXES.values(), ".jpeg"} or (" " not in text and ("/" in text or bool(suffix)))


def _of_picture(embedder: Embedder, path: Path) -> Array:
    try:
        data = path.read_bytes()
        vector: Array = embedder.embed([decode(data, inspect(data))])[0]
    except (OSError, ImageRejected) as error:
        raise ConfigError(f"--like: expected an image file, got {path} ({error})") from error
    return vector
