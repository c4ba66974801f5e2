"""Which split a folder or a file means by its name."""

from __future__ import annotations

import re

WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_of(text: str) -> str:
    """train, val or test by the last such word, with or without a year after it; train where none
    is.
    """
    known = [WORDS[word] for word in _words(text)]
    return known[-1] if known else "train"


def names_split(text: str) -> bool:
    """Whether any word of it means a split."""
    return bool(_words(text))


def _words(text: str) -> list[str]:
    words = (word.rstrip("0123456789") for word in re.split(r"[^a-z0-9]+", text.lower()))
    return [word for word in words if word in WORDS]
