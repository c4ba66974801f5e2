"""The class names of a checkpoint, however it keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def class_names(kept: Any, count: int) -> tuple[str, ...]:
    """Names by class id, without blanks around them.

    kept: a list, or a mapping from ids, which may be texts. count: of the model's outputs.
    Raises ValueError where they are not one distinct name for each output.
    """
    by_id = _by_id(kept)
    if sorted(by_id) != list(range(count)):
        raise ValueError(f"expected names with ids 0..{count - 1}, got {', '.join(map(str, sorted(by_id)))}")
    names = tuple(by_id[number] for number in range(count))
    if any(not name or not name.isprintable() for name in names):
        raise ValueError(f"expected names that can be read, got {', '.join(map(repr, names))}")
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected distinct names, got {', '.join(map(repr, doubles))} more than once")
    return names


def _by_id(kept: Any) -> dict[int, str]:
    pairs = kept.items() if isinstance(kept, Mapping) else enumerate(kept or ())
    try:
        return {int(number): str(name).strip() for number, name in pairs}
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected names by whole numbers, got {kept!r}") from error
