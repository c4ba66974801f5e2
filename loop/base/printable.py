"""Text that strangers had a hand in, such as names of files, made safe to show in a terminal or log."""

from __future__ import annotations

import unicodedata

UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Controls (escape sequences begin with one), marks that turn the order of letters, halves of pairs,
ends of lines.
"""
KEPT = frozenset("\t\N{SOFT HYPHEN}\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")


def printable(text: str, line_ends: bool = False) -> str:
    """With `\\x1b` and the like in place of what a terminal would obey.

    line_ends: keep those, for a text of several lines; what follows one is set in.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character, line_ends) for character in text)


def set_in(text: str) -> list[str]:
    """The lines of a text that has several on purpose, such as the end of a log; those after the first
    are set in.
    """
    first, *more = text.split("\n")
    return [first, *(f"  {line}" for line in more)]


def _shown(character: str, line_ends: bool) -> str:
    if character in KEPT or unicodedata.category(character) not in UNSAFE:
        return character
    if character == "\n" and line_ends:
        return "\n  "
    return character.encode("unicode_escape").decode("ascii")
