"""tasks: the queue of label tasks, and what a person does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loop.cli.app import FAILED, HERE, JsonOption, ProjectOption, app, emit, opened, say

if TYPE_CHECKING:
    from loop.changes.tasks import Report
    from loop.insights.queue import QueueItem

tasks_app = typer.Typer(
    invoke_without_command=True,
    help="The queue of label tasks: list it, drop tasks, pin or hurry them.",
    epilog="Example: fieldloop tasks hurry 12 15",
)
app.add_typer(tasks_app, name="tasks")
TaskIds = Annotated[
    list[int], typer.Argument(metavar="ID...", help="Their numbers, as `fieldloop tasks` shows them.")
]
FIRST = 20


@tasks_app.callback()
def tasks(
    context: typer.Context,
    tab: Annotated[
        str, typer.Option(help="due, pinned, mend, sending, answered or dropped: which part of the queue.")
    ] = "due",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Tasks to list.")] = FIRST,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List a part of the queue, in the order in which labelers get it."""
    if context.invoked_subcommand is not None:
        return
    from loop.insights.queue import QueueQuery, queue
    from loop.project.project import open_project

    page = queue(open_project(project), QueueQuery.parse({"tab": tab, "limit": str(limit)}))
    rest = [f"and more; --limit shows up to 200 of {page.counts[tab]}"] if page.next else []
    emit(page, as_json, lambda: [*map(_line, page.items), *rest] or ["none"])


@tasks_app.command("drop", epilog='Example: fieldloop tasks drop 12 15 --reason "too blurred to tell"')
def tasks_drop(
    numbers: TaskIds,
    reason: Annotated[str, typer.Option(help="Why, for those who look later.")] = "",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Ask nobody to label these any more; their frames are not chosen again."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.tasks import drop

    _show(drop(opened(project).project, at_the_terminal(), numbers, reason), as_json)


@tasks_app.command("pin", epilog="Example: fieldloop tasks pin 12")
def tasks_pin(
    numbers: TaskIds,
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Keep these first, whatever is chosen later."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.tasks import pin

    _show(pin(opened(project).project, at_the_terminal(), numbers, not off), as_json)


@tasks_app.command("hurry", epilog="Example: fieldloop tasks hurry 12 15")
def tasks_hurry(numbers: TaskIds, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Put these before all that are open now, behind the pinned ones."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.tasks import hurry

    _show(hurry(opened(project).project, at_the_terminal(), numbers), as_json)


@tasks_app.command("undo", epilog="Example: fieldloop tasks undo 101 102")
def tasks_undo(
    numbers: Annotated[
        list[int],
        typer.Argument(metavar="CHANGE...", help="Their numbers in the audit log, as the command said them."),
    ],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take back what was dropped, pinned or hurried."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.tasks import undo

    _show(undo(opened(project).project, at_the_terminal(), numbers), as_json)


def _show(report: Report, as_json: bool) -> None:
    emit(report, as_json, report.lines)
    if report.changes and not as_json:
        say("Label Studio hears of it with the next push; `fieldloop push` does it now")
    if report.changes and report.undoable and not as_json:
        say(f"to take it back: fieldloop tasks undo {' '.join(map(str, report.changes))}")
    if not report.done:
        raise typer.Exit(FAILED)


def _line(item: QueueItem) -> str:
    mark = "pinned" if item.pinned else "hurried" if item.hurried else f"{item.priority:.2f}"
    told = item.problem or item.reason
    return f"{item.id:>6}  {item.state:<10} {mark:<8} {item.purpose:<10} {item.file}: {told}"
