"""Frames without a camera or a time, and times that are in doubt: how many, and what to do."""

from __future__ import annotations

from db.engine import read
from db.frames import Unplaced, days_by_camera, frame_counts, unplaced
from loop.base.wording import counted, either
from loop.ingest.camera_days import BLOCK
from loop.ingest.clocks import doubtful_lines
from loop.project.project import Project
from loop.project.wiring import likely_pattern, told_paths
from loop.settings.settings import Frames


def unplaced_lines(project: Project) -> list[str]:
    """How many frames have no camera or no time, or a time that is in doubt, what that means and what
    to do; empty when all have both.
    """
    with read(project.engine) as session:
        found = unplaced(session)
        counts = frame_counts(session) if found.paths else {}
        return [
            *lines_of(found, counts, project.settings.frames),
            *doubtful_lines(days_by_camera(session)),
        ]


def lines_of(found: Unplaced, counts: dict[str, int], settings: Frames) -> list[str]:
    lacking = {"camera": found.without_camera, "time": found.without_time}
    said = [(count, f"no {what}") for what, count in lacking.items() if count]
    if not said:
        return []
    (first, lacked), *others = said
    has = either(first, "has", "have")
    lacks = [f"{first} {has} {lacked}", *(f"{count} {what}" for count, what in others)]
    are, together = either(found.by_arrival, "is", "are"), f"grouped by order of arrival, {BLOCK} at a time"
    grouped = f"; {found.by_arrival} {are} {together}" if found.by_arrival else ""
    return [
        f"of {counted(counts['production'], 'production frame')} {' and '.join(lacks)}{grouped}",
        _place_them(found, settings),
    ]


def _place_them(found: Unplaced, settings: Frames) -> str:
    """What to do."""
    told = list(told_paths(found.paths, settings)) if settings.pattern else []
    if (found.without_camera and any(one.camera for one in told)) or (
        found.without_time and any(one.captured_at for one in told)
    ):
        return (
            "frames.pattern fits paths of frames that came before it was set: `fieldloop metadata import"
            " --paths` reads it for them"
        )
    likely = likely_pattern(found.paths)
    example = (
        f"the paths look like {likely!r}"
        if likely and likely != settings.pattern
        else "such as '{camera}/{date:%Y-%m-%d}/{time:%H%M%S}-{n}.jpg'"
    )
    return (
        f"{'correct' if settings.pattern else 'set'} frames.pattern ({example}), set frames.camera, or put a"
        " sidecar beside each; frames that are in keep what they have, until `fieldloop metadata import`"
        " tells more: from a table, or with --paths by frames.pattern"
    )
