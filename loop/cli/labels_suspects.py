"""labels suspects: labels that look wrong, and what a person does about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loop.cli.app import BUSY, FAILED, HERE, JsonOption, ProjectOption, emit, fail, opened, progress_bar, say
from loop.cli.labels import labels_app

if TYPE_CHECKING:
    from loop.changes.suspects import SuspectsChanged

FIRST = 20


@labels_app.command("suspects", epilog="Example: fieldloop labels suspects --judge --send 20")
def labels_suspects(
    judge: Annotated[
        bool,
        typer.Option(
            "--judge", help="First judge all labels by models that were not trained on them: trains those."
        ),
    ] = False,
    send: Annotated[
        int | None,
        typer.Option(
            min=0, help="Put so many frames before labelers, the worst first; 0 for labels.suspect_budget."
        ),
    ] = None,
    dismiss: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="These labels are right; may be given several times."),
    ] = None,
    undo: Annotated[
        list[int] | None,
        typer.Option(metavar="CHANGE", help="Take back what was sent or dismissed, by its number."),
    ] = None,
    state: Annotated[str, typer.Option(help="open, asked or decided: which to list.")] = "open",
    kind: Annotated[
        str, typer.Option(help="overlooked, class, location or spurious alone.", show_default="all kinds")
    ] = "",
    class_name: Annotated[
        str, typer.Option("--class", help="Of this class alone.", show_default="all classes")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Suspects to list.")] = FIRST,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List labels that look wrong, by expected gain per second of a person."""
    from loop.changes import suspects as changing
    from loop.changes.audit import at_the_terminal
    from loop.insights.suspects import SuspectQuery, lines, suspect_page
    from loop.rounds.suspects import judge_labels

    query = SuspectQuery(state, kind, class_name, 0, limit)
    query.check()
    parts = opened(project)
    if judge:
        with progress_bar("judge labels") as progress:
            report = judge_labels(parts, progress)
        if report.busy:
            fail("another process is judging the labels; run the command again when it is done", BUSY)
        say("\n".join(report.lines()))
    who = at_the_terminal()
    made = [
        *([changing.dismiss(parts.project, who, dismiss)] if dismiss else []),
        *([changing.undo(parts.project, who, undo)] if undo else []),
        *([changing.send_worst(parts.project, who, send)] if send is not None else []),
    ]
    for one in made:
        _tell(one)
    page = suspect_page(parts.project, query)
    emit(page, as_json, lambda: lines(page))
    if any(one.refused and not one.done for one in made):
        raise typer.Exit(FAILED)


def _tell(made: SuspectsChanged) -> None:
    for line in made.lines():
        say(line)
    if made.what == "sent" and made.done:
        say("`fieldloop push` puts them into Label Studio; the service does it by itself")
    if made.undoable:
        numbers = " ".join(f"--undo {number}" for number in made.changes)
        say(f"to take it back: fieldloop labels suspects {numbers}")
