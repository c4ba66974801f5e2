"""labels effort: what labeling costs, and what drawn boxes do to it."""

from __future__ import annotations

from loop.cli.app import HERE, JsonOption, ProjectOption, emit
from loop.cli.labels import labels_app


@labels_app.command("effort", epilog="Example: fieldloop labels effort")
def labels_effort(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Seconds per task and box, what became of drawn boxes, and from which confidence on they are drawn."""
    from loop.insights.effort import effort
    from loop.insights.effort_words import lines
    from loop.project.project import open_project

    found = effort(open_project(project))
    emit(found, as_json, lambda: lines(found))
