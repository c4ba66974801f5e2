"""A run on several workers: what is to begin first is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import LONGEST_FIRST

FILES = [path.as_posix() for path in Path(__file__).parent.rglob("test_*.py")]


@pytest.mark.parametrize("end", LONGEST_FIRST)
def test_a_file_that_begins_first_is_one_file(end: str) -> None:
    assert len([path for path in FILES if path.endswith(end)]) == 1
