"""Whether the labels can be trusted: what each part found, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loop.insights.effort import effort, objects_line
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


Part = Callable[[Project], list[Finding]]


def findings(project: Project) -> list[Finding]:
    """What all parts found, the worst first."""
    return sorted((one for part in PARTS for one in part(project)), key=lambda one: -one.severity)


def lines(found: list[Finding]) -> list[str]:
    """A line each."""
    return [f"{one.text} ({one.action}: {one.address})" for one in found] or ["nothing is known to be wrong"]


def _effort(project: Project) -> list[Finding]:
    found, to, address = effort(project), "see what drawn boxes do", "/labels/effort"
    said = []
    if found.objects and found.objects.shown and found.objects.difference > 0:
        text = f"Drawn boxes hide objects from labelers: {objects_line(found.objects)}."
        said.append(Finding("effort", text, to, address, 0.7))
    for one in found.costly:
        text = (
            f"Drawn boxes of {one.class_name} cost labelers more than drawing them would:"
            f" {one.drawn / 60:.0f} minutes so far against {one.drawing / 60:.0f}."
        )
        said.append(Finding("effort", text, to, address, 0.3))
    return said


PARTS: tuple[Part, ...] = (_effort,)
"""What each part finds wrong."""
