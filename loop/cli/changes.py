"""changes: the audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from loop.cli.app import HERE, JsonOption, ProjectOption, app, emit

LISTED = 50
MOST = 1000


@app.command("changes", epilog='Example: fieldloop changes --by ana --what "model promoted"')
def list_changes(
    by: Annotated[str, typer.Option(help="Those by this person or program alone.")] = "",
    what: Annotated[str, typer.Option(help='Those of this kind alone, such as "model promoted".')] = "",
    subject: Annotated[str, typer.Option("--of", help='Those of this alone, such as "model 3".')] = "",
    before: Annotated[str, typer.Option(help="Those before the change of this number.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="At most so many.")] = LISTED,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List who changed what, and what it was before, newest first."""
    from loop.insights.changes import ChangeQuery, change_lines, page_of_changes
    from loop.project.project import open_project

    place = open_project(project)
    found = page_of_changes(place, ChangeQuery(by, what, subject), before, limit)
    older = [f"--before {found.older} lists those before"] if found.older else []
    timezone = place.settings.frames.timezone
    told = {"changes": [asdict(row) for row in found.changes], "older": found.older}
    emit(told, as_json, lambda: [*change_lines(found.changes, timezone), *older])
