"""What pattern the paths of frames look like: a proposal for people, never assumed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from itertools import product

from connectors.sources.pattern import compile_pattern

DATES = ("{date:%Y-%m-%d}", "{date:%Y%m%d}", "{date:%Y_%m_%d}")
STAMPS = tuple(
    f"{before}{{date:{date}}}{between}{{time:{time}}}*"
    for before, date, between, time in product(
        ("", "*_", "*-"), ("%Y%m%d", "%Y-%m-%d"), ("_", "-", "T", ""), ("%H%M%S", "%H-%M-%S")
    )
)
TIMES = ("{time:%H%M%S}*", "{time:%H-%M-%S}*")


def likely_pattern(keys: Sequence[str]) -> str:
    """The pattern that all of these paths fit, the first folder that is no date taken for the
    camera; "" when none tells anything.
    """
    paths = [_shown(key) for key in keys]
    parts = [path.split("/") for path in paths]
    if not parts or len({len(names) for names in parts}) > 1:
        return ""
    folders: list[str] = []
    for names in list(zip(*parts, strict=True))[:-1]:
        folders.append(_folder(names, folders))
    candidates = ("/".join([*folders, name]) for name in (TIMES if _dated(folders) else STAMPS))
    found = next((pattern for pattern in candidates if _all_fit(pattern, paths)), "/".join([*folders, "*"]))
    return found if "{" in found else ""


def _shown(key: str) -> str:
    """Of the frame of a video, the video and its folder."""
    video, number, _ = re.sub(r"#\d{8}$", "\0", key).partition("\0")
    return "/".join(video.split("/")[-2:]) if number else key


def _folder(names: Sequence[str], before: Sequence[str]) -> str:
    dates = () if _dated(before) else DATES
    free = "*" if "{camera}" in before else "{camera}"
    return next((date for date in dates if _all_fit(date, names)), free)


def _dated(folders: Sequence[str]) -> bool:
    return not set(DATES).isdisjoint(folders)


def _all_fit(pattern: str, texts: Sequence[str]) -> bool:
    compiled = compile_pattern(pattern)
    try:
        return all(compiled.facts(text, UTC) for text in texts)
    except ValueError:
        return False
