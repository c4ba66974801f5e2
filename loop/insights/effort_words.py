"""What labeling costs, in words for pages and the command."""

from __future__ import annotations

from loop.base.wording import counted, either
from loop.insights.effort import Effort, EffortRow, effort
from loop.labeling.effort import DrawnFrom
from loop.math.boxes.drawn import DRAWN_ABOVE
from loop.math.quality.drawn_boxes import NEVER
from loop.math.quality.effort import FATES, FEW, LONGEST_S, EditSeconds
from loop.math.quality.grouped_means import CUT, Difference
from loop.project.project import Project

_SAID = {
    "task": "a task",
    "accepted": "a box that stays",
    "moved": "one that is moved",
    "deleted": "one that is deleted",
    "added": "one that is added",
}


def lines(found: Effort) -> list[str]:
    """For people, a line a fact."""
    if not found.whole.tasks:
        return ["no answered task yet; label some, then fieldloop pull"]
    return [
        _row_line(found.whole),
        *(_row_line(row) for row in found.rows),
        f"seconds      {seconds_text(found.seconds)}",
        *(f"class        {drawn_text(one)}" for one in found.drawn_from),
        f"objects      {objects_line(found.objects)}",
        f"time saved   {saved_line(found.saved)}",
    ]


def in_words(project: Project) -> list[tuple[str, str, float]]:
    """What is wrong: a sentence, what to do, and how bad it is."""
    found, to = effort(project), "see what drawn boxes do"
    said = []
    if found.objects and found.objects.shown and found.objects.difference > 0:
        said.append((f"Drawn boxes hide objects from labelers: {objects_line(found.objects)}.", to, 0.7))
    for one in found.costly:
        text = (
            f"Drawn boxes of {one.class_name} cost labelers more than drawing them would:"
            f" {one.drawn / 60:.0f} minutes so far against {one.drawing / 60:.0f}."
        )
        said.append((text, to, 0.3))
    return said


def seconds_text(seconds: EditSeconds) -> str:
    """What a task and each edit takes."""
    each = ", ".join(f"{getattr(seconds, name):.1f} s for {what}" for name, what in _SAID.items())
    source = f"from {seconds.tasks} timed tasks" if seconds.known else f"a rule, until {FEW} tasks were timed"
    return f"{each} ({source})"


def drawn_text(one: DrawnFrom) -> str:
    """From where on boxes of a class are drawn, and why."""
    above = "never drawn" if one.above >= NEVER else f"drawn from confidence {one.above:.2f}"
    why = {
        "setting": "labels.drawn_above says so",
        "learned": f"learned from {one.edits} timed edits",
        "rule": f"a rule, until {FEW} edits were timed; {one.edits} so far",
    }
    return f"{one.class_name}: {above} ({why[one.source]})"


def objects_line(found: Difference | None) -> str:
    """Objects per frame, without drawn boxes against with them."""
    return _difference_line(found, "objects a frame", "{:.2f}")


def saved_line(found: Difference | None) -> str:
    """Seconds per task, without drawn boxes against with them."""
    return _difference_line(found, "seconds a task", "{:.1f}")


def rule_text() -> str:
    """How the confidence is chosen, for people."""
    return (
        "A box is drawn from the confidence on at which correcting it costs less than drawing it. Before"
        f" {FEW} edits of a class were timed that is taken to be {DRAWN_ABOVE:.2f}."
    )


def times_text() -> str:
    """How times are told, for people."""
    return (
        f"More than {LONGEST_S / 60:.0f} minutes count as not timed. Times are means of which the longest are"
        f" cut at the {100 * CUT:.0f} % quantile. A task's time is shared evenly by its boxes. The dark"
        " line is the 95 % interval over camera-days."
    )


def _difference_line(found: Difference | None, unit: str, form: str) -> str:
    if found is None:
        return "not known: there are no answered tasks without drawn boxes, or none with them"
    said = f"{form.format(found.bare)} {unit} without drawn boxes, {form.format(found.drawn)} with them"
    if found.interval is None:
        few, are = counted(found.groups, "camera-day"), either(found.groups, "is", "are")
        return f"{said}; whether that is chance is not known: {few} with such tasks {are} too few"
    low, high = (form.format(end) for end in found.interval)
    return f"{said}; the difference is {low} to {high} (95 %)"


def _row_line(row: EffortRow) -> str:
    name = f"{row.kind:<12} {row.name}: " if row.name else f"{'all':<12} "
    edits = ", ".join(f"{getattr(row, fate)} {fate}" for fate in FATES) if row.accepted is not None else ""
    times = [
        *([f"{row.seconds_per_task.value:.1f} s a task"] if row.seconds_per_task else []),
        *([f"{row.seconds_per_box:.1f} s a box"] if row.seconds_per_box is not None else []),
    ]
    timed = ", ".join(times) or "times not known"
    boxes = counted(row.boxes, "box", "boxes")
    return f"{name}{counted(row.tasks, 'task')}, {boxes}, {timed}; {edits or 'edits not known'}"
