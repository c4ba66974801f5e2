"""The order of frames a page at a time: by a value, larger first, without sorting those that are not
looked at. Frames of one value come newest first, by their row.
"""

from __future__ import annotations

import numpy as np

from loop.base.arrays import Bools, Ints, Reals
from loop.base.errors import ConfigError

Cursor = tuple[float, int]
"""A value and a row, behind which a page begins."""


def behind(key: Reals, mask: Bools, place: Cursor | None, reverse: bool = False) -> Bools:
    """Rows behind a place (value, row): larger values first, of one value larger rows first;
    reverse: smaller rows first.
    """
    if place is None:
        return mask
    value, row = place
    rows = np.zeros(len(key), np.bool_)
    if reverse:
        rows[row + 1 :] = True
    else:
        rows[:row] = True
    found: Bools = mask & ((key < value) | ((key == value) & rows))
    return found


def first(key: Reals, mask: Bools, place: Cursor | None, size: int, reverse: bool = False) -> Ints:
    """The first `size` rows of the mask behind the place, without sorting the others."""
    rows = np.flatnonzero(behind(key, mask, place, reverse))
    if len(rows) > size:
        values = key[rows]
        least = np.partition(values, len(values) - size)[len(values) - size]
        over = rows[values > least]
        ties = rows[values == least]
        left = size - len(over)
        rows = np.concatenate([over, ties[:left] if reverse else ties[len(ties) - left :]])
    order = np.lexsort((rows if reverse else -rows, -key[rows]))
    ordered: Ints = rows[order]
    return ordered


def cursor(seqs: Ints, value: float, row: int) -> str:
    """The place of a row in an order, that lasts when other frames come in. seqs: (N,) ids."""
    return f"{value.hex().replace('+', '')}_{seqs[row]}"  # as it stands it fits an address


def read_cursor(seqs: Ints, text: str) -> Cursor:
    """Its value, and the row of its frame or of the next one. seqs: (N,) ids, ascending.

    Raises ConfigError for what is no cursor.
    """
    value, _, seq = text.rpartition("_")
    try:
        found = float.fromhex(value), int(seq)
        if found[0] != found[0] or not 0 <= found[1] < 2**62:
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"frames: expected a cursor of a page of this set, got {text[:80]!r}; begin at its first page"
        ) from error
    return found[0], int(np.searchsorted(seqs, found[1]))
