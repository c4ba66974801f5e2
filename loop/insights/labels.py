"""Whether the labels can be trusted: what each part found, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loop.insights import agreement, effort, effort_words, suspects
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


def _agreement(project: Project) -> list[Finding]:
    said = agreement.in_words(project)
    return [Finding("agreement", text, action, agreement.HERE, bad) for text, action, bad in said]


def _effort(project: Project) -> list[Finding]:
    said = effort_words.in_words(project)
    return [Finding("effort", text, action, effort.HERE, bad) for text, action, bad in said]


def _suspects(project: Project) -> list[Finding]:
    said = suspects.in_words(project)
    return [] if said is None else [Finding("suspects", said[0], said[1], suspects.HERE, said[2])]


PARTS: tuple[Part, ...] = (_suspects, _agreement, _effort)
"""What each part finds wrong."""


def findings(project: Project) -> list[Finding]:
    """What all parts found, the worst first."""
    return sorted((one for part in PARTS for one in part(project)), key=lambda one: -one.severity)


def lines(found: list[Finding]) -> list[str]:
    """A line each."""
    return [f"{one.text} ({one.action}: {one.address})" for one in found] or ["nothing is known to be wrong"]
