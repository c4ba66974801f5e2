"""slices: the named parts of the frames, which last."""

from __future__ import annotations

from typing import Annotated

import typer

from loop.cli.app import HERE, JsonOption, ProjectOption, app, emit

slices_app = typer.Typer(
    invoke_without_command=True,
    help="Conditions, classes and regions with their counts; name or retire one.",
    epilog='Example: fieldloop slices name 12 "wet ramp"',
)
app.add_typer(slices_app, name="slices")
SliceId = Annotated[int, typer.Argument(metavar="ID", help="Its number, as `fieldloop slices` shows it.")]


@slices_app.callback()
def slices(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Retired ones, and those that no frame shows, too.")
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List the slices of production with their counts, by kind, the largest first."""
    if context.invoked_subcommand is not None:
        return
    from loop.insights.slices import all_slices, lines
    from loop.project.project import open_project

    place = open_project(project)
    found = all_slices(place, every)
    emit(found, as_json, lambda: lines(found, place.settings.frames.timezone))


@slices_app.command("name", epilog='Example: fieldloop slices name 12 "wet ramp"')
def slices_name(
    number: SliceId,
    name: Annotated[str, typer.Argument(help='What to call it from now on; "" takes a given name back.')],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Call a slice by a name of your own; its history stays with it."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.slices import give_name
    from loop.insights.slices import lines
    from loop.project.project import open_project

    place = open_project(project)
    found = give_name(place, at_the_terminal(), number, name)
    emit(found, as_json, lambda: lines([found], place.settings.frames.timezone))


@slices_app.command("retire", epilog="Example: fieldloop slices retire 12")
def slices_retire(number: SliceId, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Stop looking for a slice; what was found, labeled and judged of it stays."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.slices import retire
    from loop.insights.slices import lines
    from loop.project.project import open_project

    place = open_project(project)
    found = retire(place, at_the_terminal(), number)
    emit(found, as_json, lambda: lines([found], place.settings.frames.timezone))


@slices_app.command("restore", epilog="Example: fieldloop slices restore 12")
def slices_restore(number: SliceId, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Look for a retired slice again."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.slices import restore
    from loop.insights.slices import lines
    from loop.project.project import open_project

    place = open_project(project)
    found = restore(place, at_the_terminal(), number)
    emit(found, as_json, lambda: lines([found], place.settings.frames.timezone))
