"""Which split a folder or a file means by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable

WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


_HELD_OUT = ("test", "val", "train")


def held_out(splits: Iterable[str]) -> str:
    """The one of several splits that keeps a file: it would leak from what is held out otherwise."""
    return min(splits, key=_HELD_OUT.index)


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
