import pytest

from demo.control_groups import with_passes
from loop.datasets.freeze import Entry


def entry(frame: int, repeats: int, split: str = "train") -> Entry:
    digest = f"{frame:064d}"
    return Entry(frame, digest, digest, "a.jpg", 10, 10, (), split, repeats, "production", "g", "u")


def test_passes_are_met_exactly_by_turns() -> None:
    new = [entry(1, 2), entry(2, 2)]
    kept = [entry(3, 1), entry(4, 1, "val")]
    balanced = with_passes([*kept, *new], 8, new)
    assert {e.frame: e.repeats for e in balanced} == {3: 1, 4: 1, 1: 4, 2: 3}
    assert sum(e.repeats for e in balanced if e.split == "train") == 8


def test_passes_are_lowered_too_but_never_below_one() -> None:
    new = [entry(1, 3), entry(2, 2)]
    assert {e.frame: e.repeats for e in with_passes(new, 3, new)} == {1: 2, 2: 1}
    with pytest.raises(ValueError, match="expected 1 passes to be reachable, got -1 left over"):
        with_passes(new, 1, new)
