"""labels: whether labels can be trusted. Each part adds its commands."""

from __future__ import annotations

from dataclasses import asdict

import typer

from loop.cli.app import HERE, JsonOption, ProjectOption, app, emit

labels_app = typer.Typer(
    invoke_without_command=True,
    help="Whether labels can be trusted: guideline, agreement, suspects, inspections, cost.",
    epilog="Example: fieldloop labels suspects",
)
app.add_typer(labels_app, name="labels")


@labels_app.callback()
def labels(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List what is wrong with the labels or with how they are made, the worst first."""
    if context.invoked_subcommand is not None:
        return
    from loop.insights.labels import findings, lines
    from loop.project.project import open_project

    found = findings(open_project(project))
    emit({"findings": [asdict(one) for one in found]}, as_json, lambda: lines(found))
