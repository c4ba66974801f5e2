"""demo: the whole loop on a rendered world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import config
from loop.cli.app import FAILED, app, fail, progress_bar, say


@app.command(epilog="Example: fieldloop demo --quick")
def demo(
    plan: Annotated[
        Path | None, typer.Option("--config", help="The world to show; config/demo.yaml when left out.")
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Where everything is written.")] = Path("demo-run"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A small world in a few minutes; nothing is required of its gain.")
    ] = False,
    human: Annotated[
        bool, typer.Option("--human", help="You label, in the browser, instead of the stand-in annotator.")
    ] = False,
    control_groups: Annotated[
        bool, typer.Option(help="Train on random frames and on no new frames too, to compare.")
    ] = True,
) -> None:
    """Turn the loop once on a rendered world and write a report page."""
    from connectors.errors import ConnectorError
    from demo.plan import read_plan
    from demo.report import write_report
    from demo.run import run, stop_server
    from loop.project.project import open_project
    from loop.project.wiring import Parts

    chosen = plan or config.FOLDER / ("demo-quick.yaml" if quick else "demo.yaml")
    if quick:
        folder = folder.with_name(folder.name + "-quick")
    try:
        with progress_bar("demo") as progress:
            outcome = run(read_plan(chosen), folder.resolve(), say, progress, human, control_groups)
            page, needs = write_report(
                outcome, Parts(open_project(folder.resolve() / "project")), folder.resolve()
            )
    except (ConnectorError, ValueError) as error:
        fail(str(error), FAILED)
    if quick:
        say(
            "the quick form shows that every part works; of its gain nothing is required, it is said as"
            " measured:"
        )
    for need in needs:
        say(f"  {'holds' if need.holds else 'does not hold'}  {need.text}")
    say(f"report: {page}")
    if quick:
        stop_server(folder.resolve())
        return
    say(
        f"Label Studio goes on at {outcome.project_url}; stop it with: fieldloop labelstudio stop --project"
        f" {folder / 'project'}"
    )
    if control_groups and not all(need.holds for need in needs):
        fail("the demo did not show what it must show; the report says what is missing", FAILED)
