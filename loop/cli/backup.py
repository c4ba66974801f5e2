"""backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectors.errors import ConnectorError
from loop.base.errors import LoopError
from loop.base.moments import shown
from loop.cli.app import HERE, JsonOption, ProjectOption, app, emit, opened, progress_bar

if TYPE_CHECKING:
    from loop.project.backup import Backup
    from loop.project.wiring import Parts


@app.command(epilog="Example: fieldloop backup /backup/helmets-2026-11-30.tar --project helmets")
def backup(
    target: Annotated[Path, typer.Argument(help="The file to make.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Save the whole project in one file, also while it runs, and check that file."""
    from loop.project.backup import back_up

    place = opened(project).project
    with progress_bar("backup") as progress:
        made = back_up(place, target, progress)
    emit(made, as_json, lambda: made.lines(place.settings.frames.timezone))


@app.command(epilog="Example: fieldloop restore /backup/helmets-2026-11-30.tar helmets")
def restore(
    file: Annotated[Path, typer.Argument(help="What `fieldloop backup` made.")],
    directory: Annotated[Path, typer.Argument(help="A new or empty folder to make the project in.")],
    as_json: JsonOption = False,
) -> None:
    """Make a project from a backup, and fetch the answers that were given since."""
    from loop.project.backup import restore as take_back

    with progress_bar("restore") as progress:
        found = take_back(file, directory, progress)
    parts = opened(directory)
    fetched = _fetched(parts, found)
    emit(
        {"backup": found, "fetched": fetched},
        as_json,
        lambda: [*found.lines(parts.project.settings.frames.timezone), *fetched],
    )


def _fetched(parts: Parts, found: Backup) -> list[str]:
    """What came of fetching the answers that are younger than the backup."""
    from loop.labeling.pull import anything_to_pull, pull

    made_at = shown(found.made_at, parts.project.settings.frames.timezone)
    since = f"answers given in Label Studio after {made_at} are not in it"
    if not anything_to_pull(parts):
        return ["nothing was before labelers then: there are no answers to fetch"]
    try:
        with progress_bar("pull") as progress:
            return [f"{since}; fetching all again:", *pull(parts, progress).lines()]
    except (LoopError, ConnectorError) as error:
        return [f"{since}; `fieldloop pull` fetches them, now it cannot: {error}"]
