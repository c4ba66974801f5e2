"""Whether the labels can be trusted: what each part found, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loop.insights import agreement, effort, effort_words, guideline, lots, suspects
from loop.project.project import Project


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with labels, or with how they are made.

    part: guideline, effort, agreement, suspects or inspection.
    text: one sentence. action: what to do, as a link says it. address: of the page that shows more.
    severity: 0 for a note to 1 for labels that must not train.
    """

    part: str
    text: str
    action: str
    address: str
    severity: float


Part = Callable[[Project], list[tuple[str, str, float]]]
"""What a part finds wrong: a sentence, what to do, and how bad it is, 0..1."""
PARTS: dict[str, tuple[str, Part]] = {
    "inspection": (lots.HERE, lots.in_words),
    "suspects": (suspects.HERE, suspects.in_words),
    "agreement": (agreement.HERE, agreement.in_words),
    "guideline": (guideline.HERE, guideline.in_words),
    "effort": (effort.HERE, effort_words.in_words),
}


def findings(project: Project) -> list[Finding]:
    """What all parts found, the worst first."""
    found = [
        Finding(part, text, action, address, severity)
        for part, (address, in_words) in PARTS.items()
        for text, action, severity in in_words(project)
    ]
    return sorted(found, key=lambda one: -one.severity)


def lines(found: list[Finding]) -> list[str]:
    """A line each."""
    return [f"{one.text} ({one.action}: {one.address})" for one in found] or ["nothing is known to be wrong"]
