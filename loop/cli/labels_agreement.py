"""labels agreement: how far two people who labeled the same frames agree."""

from __future__ import annotations

from loop.cli.app import HERE, JsonOption, ProjectOption, emit
from loop.cli.labels import labels_app


@labels_app.command("agreement", epilog="Example: fieldloop labels agreement")
def labels_agreement(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show how far people agree who labeled the same frames, and what the guideline should settle."""
    from loop.insights.agreement import agreement, lines
    from loop.project.project import open_project

    found = agreement(open_project(project))
    emit(found, as_json, lambda: lines(found))
