"""labels lots: random inspections of labels."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from loop.cli.app import HERE, JsonOption, ProjectOption, emit, opened, say
from loop.cli.labels import labels_app

lots_app = typer.Typer(
    invoke_without_command=True,
    help="Lots of labels: a random sample is inspected, and a plan says what holds of all.",
    epilog="Example: fieldloop labels lots draw --batch 3",
)
labels_app.add_typer(lots_app, name="lots")
FramesOption = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="The frames, as an address of the page Frames.",
        show_default="all new labels that people gave",
    ),
]
BatchOption = Annotated[int, typer.Option(min=0, help="The frames of this batch.", show_default="any")]
PlanOption = Annotated[
    str,
    typer.Option(help="double turns down fewer good lots; zero inspects fewer places and allows no error."),
]
LotNumber = Annotated[int, typer.Argument(metavar="LOT", help="Its number.")]


@lots_app.callback()
def labels_lots(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List lots, the newest first, with what may be said of them."""
    if context.invoked_subcommand is not None:
        return
    from loop.insights.lots import lots_page
    from loop.project.project import open_project

    page = lots_page(open_project(project))
    rest = [f"and {page.left_out} before"] if page.left_out else []
    lines = [f"lot {one.id} ({one.name}): {one.verdict}" for one in page.lots]
    emit(page, as_json, lambda: [*lines, *rest, f"never inspected: {page.never} labels"])


@lots_app.command("plan", epilog="Example: fieldloop labels lots plan --batch 3 --plan zero")
def labels_lots_plan(
    frames: FramesOption = "",
    batch: BatchOption = 0,
    plan: PlanOption = "double",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show how many places would be inspected, and with what risks; nothing is drawn."""
    from loop.insights.lots import address_of, planned, sample_lines

    found = planned(opened(project), address_of(frames, batch), plan, 0)
    emit(asdict(found.sample), as_json, lambda: sample_lines(found))


@lots_app.command("draw", epilog="Example: fieldloop labels lots draw --batch 3")
def labels_lots_draw(
    frames: FramesOption = "",
    batch: BatchOption = 0,
    plan: PlanOption = "double",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draws the same again.", show_default="a new one")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Draw a random sample of these labels and put it before inspectors."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.lots import draw
    from loop.insights.lots import address_of

    made = draw(opened(project), at_the_terminal(), address_of(frames, batch), plan, seed)
    emit(made, as_json, lambda: [f"lot {made.lot} is drawn", *made.said])
    if not as_json:
        say("its tasks go to Label Studio with the next push; `fieldloop push` does it now")


@lots_app.command("show", epilog="Example: fieldloop labels lots show 2")
def labels_lots_show(lot: LotNumber, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show one lot: its plan, how far its inspection is, and what it says."""
    from loop.insights.lots import lot_view
    from loop.project.project import open_project

    view = lot_view(open_project(project), lot)
    emit(view, as_json, view.lines)


@lots_app.command("withdraw", epilog="Example: fieldloop labels lots withdraw 2")
def labels_lots_withdraw(lot: LotNumber, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Give up the inspection of a lot; nothing is claimed of its labels."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.lots import withdraw
    from loop.project.project import open_project

    said = withdraw(open_project(project), at_the_terminal(), lot)
    emit({"lot": lot, "said": said}, as_json, lambda: [said])
