"""Whether classes are tied to places, as pages and the command read it."""

from __future__ import annotations

from typing import Any

from connectors.ports import Progress
from loop.gaps import coverage_view
from loop.gaps.bias import find, keep
from loop.gaps.bias_report import REPORTS, BiasReport, lines, sentence
from loop.project.wiring import Parts

__all__ = ["as_json", "lines", "survey"]


def survey(parts: Parts, progress: Progress) -> BiasReport:
    """Looks at all that the current models have analyzed, and stores what it finds for pages. Raises
    ProjectError when there is nothing to compare yet.
    """
    view = coverage_view.build(parts, progress)
    select = parts.project.settings.select
    progress(0, 0, "classes and places")
    report = find(parts.project, view, max(round(select.budget * select.bias_share), 1)).report
    keep(parts.project, report)
    return report


def as_json(report: BiasReport) -> dict[str, Any]:
    """For programs: all that was tested, and each finding in words."""
    told: dict[str, Any] = REPORTS.dump_python(report, mode="json")
    return told | {"findings": [{"id": tie.id, "text": sentence(tie)} for tie in report.shown]}
