"""Small pieces of sentences for people."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, one: str, more: str = "") -> str:
    """1 frame, 2 frames. more: of a word that takes no s."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def either(number: int, one: str, more: str) -> str:
    """The words that go with one of a thing, or with more of them: is, are."""
    return one if number == 1 else more


def listed(names: Sequence[str], most: int) -> str:
    """All of them, or the first and how many more."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
