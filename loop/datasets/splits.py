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
    words = (word.rstrip("0123456789") for word in re.split(r"[^a-z0-9]+", text.lower()))
    known = [WORDS[word] for word in words if word in WORDS]
    return known[-1] if known else "train"
