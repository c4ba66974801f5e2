"""metadata: what is known of frames, told after the fact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loop.cli.app import HERE, JsonOption, ProjectOption, app, emit

metadata_app = typer.Typer(
    no_args_is_help=True,
    help="What is known of frames: camera, site, sequence and time.",
    epilog="Example: fieldloop metadata import cameras.csv",
)
app.add_typer(metadata_app, name="metadata")


@metadata_app.command("import", epilog="Example: fieldloop metadata import cameras.csv")
def metadata_import(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A CSV or a JSON list with the columns file and camera, site, sequence or captured_at."
        ),
    ] = None,
    paths: Annotated[
        bool,
        typer.Option("--paths", help="Read it from the paths of production frames, by frames.pattern."),
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Tell camera, site, sequence and time of frames that are in, production's and the training set's."""
    from loop.ingest.metadata import import_metadata, import_paths
    from loop.project.project import open_project

    if (file is None) != paths:
        got = "both" if paths else "neither"
        raise typer.BadParameter(f"expected a table or --paths, got {got}; give one of them")
    opened = open_project(project)
    report = import_paths(opened) if file is None else import_metadata(opened, file)
    emit(report, as_json, report.lines)
