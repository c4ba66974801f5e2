"""labels suspects: labels that look wrong, and what a person does about them."""

from __future__ import annotations

import json
from pathlib import Path
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


@labels_app.command(
    "audit", epilog="Example: fieldloop labels audit --dataset data.yaml --weights best.pt --folds 3"
)
def labels_audit(
    dataset: Annotated[Path, typer.Option(help="A labeled dataset, such as a YOLO data.yaml.")],
    weights: Annotated[Path, typer.Option(help="YOLO weights that know its classes (.pt).")],
    folds: Annotated[
        int,
        typer.Option(min=0, max=20, help="Train so many models, each judging what it did not learn."),
    ] = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of their training.", show_default="labels.fold_epochs")
    ] = None,
    imgsz: Annotated[
        int | None,
        typer.Option(min=32, help="The longer side of what they see, px.", show_default="as set"),
    ] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the page and of the models.")] = Path(
        "label-audit"
    ),
    as_json: JsonOption = False,
) -> None:
    """Find labels that look wrong in a dataset that is no project, as a page with pictures."""
    from connectors.files import write_atomically
    from loop.base.jsonable import plain
    from loop.rounds.audit import audit, with_folds
    from loop.settings.settings import load_settings
    from loop.web.pages.audit import write
    from loop.web.pages.selection import check_writable

    settings = with_folds(load_settings(None), epochs, imgsz)
    check_writable(out / "suspects.html")
    with progress_bar("audit labels") as progress:
        found = audit(dataset, weights, out, folds, settings, progress)
    write_atomically((out / "suspects.json").resolve(), json.dumps(plain(found), indent=1))
    page = write(found, out)
    emit(found, as_json, found.lines)
    say(f"the page with pictures: {page}")
