"""select, push, pull, labelstudio: the review desk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loop.cli.app import (
    BUSY,
    HERE,
    JsonOption,
    ProjectOption,
    app,
    emit,
    fail,
    opened,
    progress_bar,
    say,
    told_by_step,
)
from loop.settings.strategy_names import STRATEGY_NAMES, unknown_strategy

if TYPE_CHECKING:
    from loop.gaps.coverage_view import CoverageView
    from loop.selection.select import SelectReport

CREDENTIALS = "credentials.json"

labelstudio = typer.Typer(
    no_args_is_help=True,
    help="Our own Label Studio server, in an environment of its own.",
    epilog="Example: fieldloop labelstudio start",
)
app.add_typer(labelstudio, name="labelstudio")


def _known_strategy(name: str | None) -> str | None:
    if name is not None and (wrong := unknown_strategy(name)):
        raise typer.BadParameter(wrong)
    return name


@app.command(epilog="Example: fieldloop select --budget 50 --dry-run --explain --html batch.html")
def select(
    budget: Annotated[
        int | None, typer.Option(min=1, help="Frames to choose; select.budget when left out.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(STRATEGY_NAMES[:-1])} or {STRATEGY_NAMES[-1]}.", callback=_known_strategy
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the random choices; the same seed gives the same answer.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be chosen, keep nothing.")
    ] = False,
    like: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "A sentence, or an image file, of what to look for; may be given several times. Chooses by"
                " `targeted`."
            )
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            help="Choose only from the frames of this address, such as slice=12&camera=gate; see `frames`."
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say what the batch buys: coverage, conditions, classes, hours."),
    ] = False,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Explain the batch as a page with pictures.")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Choose the frames most worth labeling, each with its reason."""
    from loop.rounds.preflight import preflight
    from loop.selection import select as selection
    from loop.web.pages.selection import check_writable, write

    parts = opened(project)
    chosen_from = None
    if within is not None:
        from loop.insights.frame_list import within_of
        from loop.insights.frame_query import FrameQuery

        chosen_from = within_of(parts, FrameQuery.parse(within))
    if html:
        check_writable(html)

    def show(view: CoverageView, chosen: SelectReport) -> None:
        if html:
            write(parts.project, view, chosen, html)

    with progress_bar("select") as progress:
        report = selection.select(
            parts,
            progress,
            budget=budget,
            strategy=strategy,
            seed=seed,
            dry_run=dry_run,
            like=like or (),
            explain=explain or html is not None,
            within=chosen_from,
            show=show,
        )
    if report.busy:
        fail("another process is selecting for this project; run the command again when it is done", BUSY)
    judged = preflight(parts).lines() if explain and not as_json else []
    emit(report, as_json, lambda: [*report.lines(), *(f"judged by  {line}" for line in judged)])
    if html:
        say(f"the page with pictures: {html}")


@app.command(epilog="Example: fieldloop push")
def push(
    new_project: Annotated[
        bool,
        typer.Option(
            "--new-project",
            help=(
                "Fetch what the old Label Studio project holds, then make a new one; open tasks go there"
                " again."
            ),
        ),
    ] = False,
    give_up_answers: Annotated[
        bool,
        typer.Option(
            "--give-up-answers",
            help=(
                "With --new-project, or after label_studio.project_id was changed, where the old project"
                " cannot be read any more: what was answered there and not pulled is lost."
            ),
        ),
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Put the chosen frames before the labelers, each exactly once."""
    from loop.labeling import push as pushing

    with progress_bar("push") as progress:
        report = pushing.push(
            opened(project), progress, new_project=new_project, give_up_answers=give_up_answers
        )
    if report.busy:
        fail("another process is pushing; it takes everything that is pending", BUSY)
    emit(report, as_json, report.lines)


@app.command(epilog="Example: fieldloop pull --json")
def pull(
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help=(
                "Compare all answers by what they hold, not only those whose time moved: after a bulk action,"
                " a restored backup, or a wrong clock."
            ),
        ),
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Fetch what people changed since the last time: an answer becomes a label, one deleted or
    turned into a skip revokes it.
    """
    from loop.labeling import pull as pulling

    with progress_bar("pull") as progress:
        report = pulling.pull(opened(project), progress, everything)
    emit(report, as_json, report.lines)


@labelstudio.command("install", epilog="Example: fieldloop labelstudio install")
def labelstudio_install(as_json: JsonOption = False) -> None:
    """Make the environment that Label Studio lives in (once a machine; `start` does it too)."""
    from connectors.label_studio.environment import ensure_environment
    from loop.project.project import home

    folder = ensure_environment(home(), told_by_step())
    emit({"environment": folder}, as_json, lambda: [f"Label Studio's environment: {folder}"])


@labelstudio.command("start", epilog="Example: fieldloop labelstudio start")
def labelstudio_start(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Start it; it goes on after this command ends and keeps its data in the project."""
    from loop.labeling.server import start_label_studio

    parts = opened(project)
    server = start_label_studio(parts, told_by_step())
    credentials = parts.project.label_studio / CREDENTIALS
    emit(
        {"url": server.url, "username": server.username, "credentials": credentials, "pid": server.pid},
        as_json,
        lambda: [
            f"Label Studio listens at {server.url}; log in as {server.username}, the password stands in"
            f" {credentials}"
        ],
    )


@labelstudio.command("stop", epilog="Example: fieldloop labelstudio stop")
def labelstudio_stop(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Stop it; its data stays."""
    from connectors.label_studio.server import stop

    stopped = stop(opened(project).project.label_studio)
    emit({"stopped": stopped}, as_json, lambda: ["stopped" if stopped else "it was not running"])


@labelstudio.command("status", epilog="Example: fieldloop labelstudio status --json")
def labelstudio_status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Whether it runs, and where."""
    from connectors.label_studio.server import status

    server = status(opened(project).project.label_studio)
    ready = server is not None and server.ready
    result = {"running": server is not None, "ready": ready, "url": server.url if server else None}
    answers = "" if ready else ", but it does not answer yet"
    emit(result, as_json, lambda: [f"running at {server.url}{answers}" if server else "not running"])
