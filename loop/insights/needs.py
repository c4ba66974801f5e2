"""What needs a person, the most urgent first, each with the place where it is done."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from db.reports import ReportRow
from db.rounds import RoundRow
from db.states import RoundStatus
from loop.base.wording import counted, either, listed
from loop.insights.frame_query import frames_url
from loop.labeling.mending import Mend

FULL_SHARE = 0.9
"""A disk needs a person from this share on."""
SEEN_DAYS, QUIET_TIMES, FORGOTTEN = 5, 2, timedelta(days=60)
"""A camera counts as silent once it was seen on so many days, and is missing for longer than twice the
longest pause that it made among them; after 60 days it counts as taken down.
"""
UNVERIFIABLE = "unverifiable"
Days = Mapping[str, Mapping[date, int]]


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that waits for a person.

    kind: disk, approval, mend, silent, due, unverifiable, clock, unplaced, reports or lots.
    text: one sentence. more: what else there is to say of it, a line each.
    action: what to do, as a link says it; address: where, "" for nowhere on these pages.
    """

    kind: str
    text: str
    action: str = ""
    address: str = ""
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SilentCamera:
    """last: the last day with a frame of it. days: from then to the newest day of any camera."""

    camera: str
    last: date
    days: int


def of_disk(folder: Path) -> list[Need]:
    """Of the file system that holds this folder."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return []
    share = usage.used / (usage.used + usage.free)
    if share < FULL_SHARE:
        return []
    text = f"the disk of the project is {share:.0%} full, {usage.free / 1e9:.1f} GB are left"
    return [Need("disk", text, more=(f"make room in {folder}, or move the project to a larger disk",))]


def of_rounds(rounds: Sequence[RoundRow]) -> list[Need]:
    """The candidate that waits for approval; what the newest verdict could not verify."""
    found = []
    waiting = [row for row in rounds if row.status is RoundStatus.AWAITING_APPROVAL]
    for row in waiting:
        reasons = tuple((row.verdict or {}).get("reasons", [])[:3])
        text = f"the candidate of round {row.id} waits for approval"
        found.append(Need("approval", text, "look at its verdict", f"/rounds/{row.id}", reasons))
    judged = [row for row in rounds if row.verdict]
    for row in judged[-1:]:
        checks = (row.verdict or {}).get("checks", [])
        open_ = [check for check in checks if check.get("status") == UNVERIFIABLE]
        if open_:
            rules = counted(len(open_), "rule")
            text = f"{rules} of round {row.id} could not be verified: {listed([c['name'] for c in open_], 3)}"
            found.append(
                Need(UNVERIFIABLE, text, "see what is missing", f"/rounds/{row.id}", (open_[0]["text"],))
            )
    return found


def of_tasks(due: int, mend: Sequence[Mend]) -> list[Need]:
    """Answers that are no label yet; tasks that wait for an answer."""
    found = []
    if mend:
        text = (
            f"{counted(len(mend), 'answer')} {either(len(mend), 'is', 'are')} no label until a person mends"
        )
        text = f"{text} {either(len(mend), 'it', 'them')}: {mend[0].reason}"
        found.append(Need("mend", text, "mend", "/queue?tab=mend"))
    if due:
        text = f"{counted(due, 'task')} {either(due, 'waits', 'wait')} for an answer"
        found.append(Need("due", text, "open the queue", "/queue"))
    return found


def of_cameras(days: Days) -> list[Need]:
    """Cameras that fell silent, by the days of their frames."""
    silent = silent_cameras(days)
    if not silent:
        return []
    first, names = silent[0], [one.camera for one in silent]
    if len(silent) == 1:
        text = (
            f"no frame of camera {first.camera} for {counted(first.days, 'day')}, the last is of {first.last}"
        )
    else:
        text = f"{counted(len(silent), 'camera')} fell silent: {listed(names, 5)}; the first on {first.last}"
    return [Need("silent", text, "its last frames", frames_url(camera=names[:20], order="newest"))]


def of_places(unplaced: Sequence[str], doubtful: Sequence[str]) -> list[Need]:
    """Frames of which nobody knows where or when they were taken, or whose clock was wrong."""
    found = []
    if doubtful:
        found.append(Need("clock", doubtful[0], more=tuple(doubtful[1:])))
    if unplaced:
        address = frames_url(time="unknown") if "no time" in unplaced[0] else frames_url(camera="unknown")
        found.append(Need("unplaced", unplaced[0], "see them", address, tuple(unplaced[1:])))
    return found


def of_reports(reports: Sequence[ReportRow]) -> list[Need]:
    """Mistakes that people reported and nobody closed; the newest first."""
    if not reports:
        return []
    text = f"{counted(len(reports), 'reported mistake')} {either(len(reports), 'waits', 'wait')} for a look"
    return [Need("reports", text, "see the newest", f"/frames/{reports[0].frame}")]


def of_lots(said: Sequence[tuple[str, str]]) -> list[Need]:
    """Lots of labels that failed inspection or wait for it. said: sentence and what to do."""
    return [Need("lots", text, action, "/labels/lots") for text, action in said]


def silent_cameras(days: Days) -> list[SilentCamera]:
    """The one that is missing longest first. What counts is the newest day of any camera, not the
    calendar: a plant that stands still says nothing of one camera.
    """
    newest = max((day for of_camera in days.values() for day in of_camera), default=None)
    if newest is None:
        return []
    found = []
    for camera, of_camera in days.items():
        seen = sorted(of_camera)[-SEEN_DAYS * 2 :]
        missing = newest - seen[-1] if seen else timedelta(0)
        if len(seen) < SEEN_DAYS or missing > FORGOTTEN:
            continue
        pause = max(later - earlier for earlier, later in pairwise(seen))
        if missing > QUIET_TIMES * pause:
            found.append(SilentCamera(camera, seen[-1], missing.days))
    return sorted(found, key=lambda one: (one.last, one.camera))
