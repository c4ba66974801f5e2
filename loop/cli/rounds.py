"""round and models: retraining and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loop.base.errors import RoundError
from loop.base.moments import shown
from loop.base.printable import set_in
from loop.cli.app import (
    BUSY,
    FAILED,
    HERE,
    JsonOption,
    ProjectOption,
    app,
    emit,
    fail,
    opened,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    from loop.project.wiring import Parts

round_app = typer.Typer(
    no_args_is_help=True,
    help="Retraining rounds: freeze, train, judge, promote.",
    epilog="Example: fieldloop round start",
)
models_app = typer.Typer(
    no_args_is_help=True,
    help="Checkpoints: those made, and the one deployed.",
    epilog="Example: fieldloop models list",
)
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why, for those who look later; it stands in the audit log.")
]
app.add_typer(round_app, name="round")
app.add_typer(models_app, name="models")


@round_app.command("start", epilog="Example: fieldloop round start")
def round_start(
    open_only: Annotated[
        bool, typer.Option("--open-only", help="Open it and leave the work to `fieldloop serve`.")
    ] = False,
    chosen: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of this round alone, such as epochs=5; may be given again."),
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Freeze what is labeled, fine-tune the deployed model, judge the candidate."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.rounds import start_round
    from loop.rounds import rounds

    parts = opened(project)
    if not as_json and rounds.current(parts.project) is None:
        _say_what_can_be_judged(parts)
    number = start_round(parts, at_the_terminal(), _chosen(chosen or []))
    if not open_only:
        say(f"round {number} is open")
        _run(parts, as_json)
        return
    emit(
        rounds.reread(parts.project, number),
        as_json,
        lambda: [f"round {number} is open; `fieldloop serve` or `fieldloop round advance` does the work"],
    )


@round_app.command("preflight", epilog="Example: fieldloop round preflight")
def round_preflight(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """What the next verdict could show of each gap, and which frames to label so that it can."""
    from loop.rounds.preflight import preflight

    parts = opened(project)
    found = preflight(parts)
    emit(found, as_json, found.lines)


@round_app.command("advance", epilog="Example: fieldloop round advance")
def round_advance(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Go on with the open round, from wherever it was stopped."""
    from loop.rounds import rounds

    parts = opened(project)
    if rounds.current(parts.project) is None:
        raise RoundError("expected an open round, found none; open one with `fieldloop round start`")
    _run(parts, as_json)


@round_app.command("show", epilog="Example: fieldloop round show --json")
def round_show(
    number: Annotated[int | None, typer.Argument(help="Its number; all rounds when left out.")] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """What became of the rounds, and why."""
    from db.engine import read
    from db.rounds import rounds as all_rounds
    from loop.insights.overview import round_line
    from loop.project.training_settings import trained_line

    with read(opened(project).project.engine) as session:
        found = [row for row in all_rounds(session) if number in (None, row.id)]
    if number is not None and not found:
        raise RoundError(
            f"expected a round, got the unknown number {number}; `fieldloop round show` lists them"
        )

    def lines() -> list[str]:
        brief = [line for row in found for line in set_in(f"round {row.id}: {round_line(row)}")]
        if number is None:
            return brief or ["no round yet"]
        if trained := trained_line(found[0].settings):
            brief.append(f"  {trained}")
        if not found[0].verdict:
            return brief
        return brief + [f"  {check['status']:<12} {check['text']}" for check in found[0].verdict["checks"]]

    emit(found, as_json, lines)


@round_app.command("cancel", epilog="Example: fieldloop round cancel")
def round_cancel(
    project: ProjectOption = HERE, as_json: JsonOption = False, reason: ReasonOption = ""
) -> None:
    """Stop the open round; a candidate that waits for approval is rejected."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.rounds import cancel_round

    row = cancel_round(opened(project), at_the_terminal(), reason)
    ended = row.status in ("cancelled", "rejected")
    emit(
        row,
        as_json,
        lambda: [f"round {row.id}: {row.status}" if ended else f"round {row.id} stops at its next batch"],
    )


@models_app.command("list", epilog="Example: fieldloop models list")
def models_list(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """All checkpoints."""
    from db.engine import read
    from db.models import models as all_models

    place = opened(project).project
    with read(place.engine) as session:
        found = all_models(session)
    timezone = place.settings.frames.timezone
    emit(
        found,
        as_json,
        lambda: [
            f"{row.id:>3}  {row.sha256[:16]}  {row.status:<10} {shown(row.created_at, timezone)}  {row.path}"
            for row in found
        ],
    )


@models_app.command("show", epilog="Example: fieldloop models show 2")
def models_show(
    name: Annotated[str, typer.Argument(help="Its id, or the beginning of its hash.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """One checkpoint: where it came from and how it was judged."""
    from db.engine import read
    from db.rounds import rounds as all_rounds
    from loop.insights.overview import round_line
    from loop.rounds import deploy

    parts = opened(project)
    row = deploy.find_model(parts.project, name)
    with read(parts.project.engine) as session:
        judged = [r for r in all_rounds(session) if r.candidate_id == row.id]
    emit(
        {"model": row, "rounds": judged},
        as_json,
        lambda: [
            f"model {row.id}  {row.sha256}",
            (
                f"  {row.status}, from {'model ' + str(row.parent_id) if row.parent_id else 'the team'},"
                f" classes: {', '.join(row.classes)}"
            ),
            *(line for r in judged for line in set_in(f"  round {r.id}: {round_line(r)}")),
        ],
    )


@models_app.command("promote", epilog="Example: fieldloop models promote 2")
def models_promote(
    name: Annotated[str, typer.Argument(help="Its id, or the beginning of its hash.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    reason: ReasonOption = "",
) -> None:
    """Deploy a checkpoint; the file models/deployed.pt is swapped atomically."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.rounds import promote
    from loop.rounds import deploy, rounds

    parts = opened(project)
    row = deploy.find_model(parts.project, name)
    promote(parts, at_the_terminal(), row, reason)
    if why := rounds.refusal(parts.project, row):
        say(
            f"warning: {why}; it is deployed all the same, `fieldloop models rollback` brings the former"
            " model back"
        )
    _show_deployed(parts, row.id, as_json)


@models_app.command("rollback", epilog="Example: fieldloop models rollback")
def models_rollback(
    project: ProjectOption = HERE, as_json: JsonOption = False, reason: ReasonOption = ""
) -> None:
    """Deploy the former model again."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.rounds import roll_back

    parts = opened(project)
    _show_deployed(parts, roll_back(parts, at_the_terminal(), reason).id, as_json)


def _chosen(pairs: list[str]) -> dict[str, object]:
    from connectors.documents import parse_yaml

    chosen: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE such as epochs=5, got {pair!r}")
        try:
            chosen[name.strip().removeprefix("round.")] = parse_yaml(text)
        except ValueError as error:
            raise typer.BadParameter(f"{name}: expected a value, got {text!r}: {error}") from error
    return chosen


def _show_deployed(parts: Parts, model_id: int, as_json: bool) -> None:
    from loop.rounds.deploy import find_model

    row = find_model(parts.project, str(model_id))
    line = f"deployed: model {row.id} ({row.sha256[:16]}) as {parts.project.deployed_weights}"
    emit(row, as_json, lambda: [line])


def _say_what_can_be_judged(parts: Parts) -> None:
    from connectors.errors import ModelError
    from loop.rounds.preflight import preflight

    try:
        lines = preflight(parts).lines()
    except ModelError as error:
        lines = [f"what the round could show cannot be told yet: {error}"]
    for line in lines:
        say(line)


def _run(parts: Parts, as_json: bool) -> None:
    from loop.insights.overview import round_line
    from loop.rounds import rounds

    with progress_bar("round") as progress:
        row = rounds.run(parts, progress)
    if row is None:
        fail("another process is working on this round; see `fieldloop round show`", BUSY)
    emit(row, as_json, lambda: set_in(f"round {row.id}: {round_line(row)}"))
    if row.error:
        fail(row.error, FAILED)
