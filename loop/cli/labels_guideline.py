"""labels guideline: what the team has settled about labels, and what labelers were shown of it."""

from __future__ import annotations

from dataclasses import asdict

from loop.cli.app import HERE, JsonOption, ProjectOption, emit
from loop.cli.labels import labels_app


@labels_app.command("guideline", epilog="Example: fieldloop labels guideline")
def labels_guideline(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show what labeling/guideline.md leaves open, its versions, and how many answers followed each.

    A project without the file gets it, with a section for each class and topic to be filled.
    """
    from loop.insights.guideline import guideline_view, lines
    from loop.project.guideline import ensure_guideline
    from loop.project.project import open_project

    opened = open_project(project)
    ensure_guideline(opened.root, opened.classes)
    found = guideline_view(opened)
    emit(asdict(found), as_json, lambda: lines(found))
