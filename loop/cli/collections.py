"""collections: edge cases that are gathered, watched, sampled and judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from loop.cli.app import HERE, JsonOption, ProjectOption, app, emit, opened, progress_bar

collections_app = typer.Typer(
    invoke_without_command=True,
    help="Edge cases: night, blur, crowds and your own, by rule, sentence or example.",
    epilog='Example: fieldloop collections add "wet ramp" --sentence "a photo of a wet ramp"',
)
app.add_typer(collections_app, name="collections")
Number = Annotated[int, typer.Argument(metavar="ID", help="Its number, as `fieldloop collections` shows it.")]


@collections_app.callback()
def collections(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Retired ones too.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List the collections with their frames and how many of these are labeled, the largest first."""
    if context.invoked_subcommand is not None:
        return
    from loop.insights.collections import all_collections, lines
    from loop.project.project import open_project

    place = open_project(project)
    found = all_collections(place, every)
    emit(found, as_json, lambda: lines(found, place.settings.frames.timezone))


@collections_app.command("show", epilog="Example: fieldloop collections show 12")
def collections_show(number: Number, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Everything about one collection."""
    from loop.insights.collection_accuracy import accuracy_lines, measure_accuracy
    from loop.insights.collections import details, one_collection
    from loop.project.project import open_project

    place = open_project(project)
    found, accuracy = one_collection(place, number), measure_accuracy(place).get(number, [])
    told = {"collection": found, "accuracy": accuracy}
    zone = place.settings.frames.timezone
    emit(told, as_json, lambda: [*details(found, zone), *accuracy_lines(accuracy)])


@collections_app.command(
    "add", epilog='Example: fieldloop collections add "gate at night" --frames "camera=gate"'
)
def collections_add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    sentence: Annotated[str, typer.Option(help="What its frames show, for CLIP.")] = "",
    frames: Annotated[
        str, typer.Option(help="An address of frames, such as camera=gate&from=2026-11-01.")
    ] = "",
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule", help="A rule of config/collections.yaml, such as '{crowd: 8}'; may be repeated."
        ),
    ] = None,
    example: Annotated[
        list[int] | None, typer.Option("--example", help="A frame that shows it, by number; may be repeated.")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Gather frames by rule, by sentence or by example; new frames are added as they come in."""
    from connectors.documents import parse_yaml
    from loop.base.errors import ConfigError
    from loop.changes.audit import at_the_terminal
    from loop.changes.collections import make_by_examples, make_by_rules
    from loop.settings.collections import Sentence, rule_of

    rules = [rule_of({"frames": frames}, "--frames")] if frames else []
    rules += [rule_of(parse_yaml(text), "--rule") for text in rule or ()]
    rules += [Sentence(sentence)] if sentence else []
    if bool(rules) == bool(example):
        raise ConfigError(
            "collections add: expected either rules (--sentence, --frames, --rule) or examples (--example),"
            f" got {'both' if rules else 'neither'}; `collections frames` adds examples to rules later"
        )
    parts = opened(project)
    with progress_bar("gathering") as progress:
        if rules:
            number = make_by_rules(parts, at_the_terminal(), name, rules, progress)
        else:
            number = make_by_examples(parts, at_the_terminal(), name, example or (), progress=progress)
    _tell(project, number, as_json)


@collections_app.command(
    "frames", epilog="Example: fieldloop collections frames 12 --add 4711 --exclude 4712"
)
def collections_frames(
    number: Number,
    add: Annotated[
        list[int] | None,
        typer.Option("--add", help="A frame that is always in, as those like it are."),
    ] = None,
    remove: Annotated[
        list[int] | None,
        typer.Option("--remove", help="A frame neither added nor excluded any more."),
    ] = None,
    exclude: Annotated[list[int] | None, typer.Option("--exclude", help="A frame that is never in.")] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Add or take away examples, or keep single frames out."""
    from loop.changes.audit import at_the_terminal
    from loop.changes.collections import change_examples

    with progress_bar("gathering") as progress:
        change_examples(
            opened(project),
            at_the_terminal(),
            number,
            add=add or (),
            remove=remove or (),
            exclude=exclude or (),
            progress=progress,
        )
    _tell(project, number, as_json)


@collections_app.command("name", epilog='Example: fieldloop collections name 12 "wet ramp"')
def collections_name(
    number: Number,
    name: Annotated[str, typer.Argument(help='What to call it from now on; "" takes a given name back.')],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Call a collection by another name."""
    from loop.changes.collections import rename

    _change(project, number, as_json, rename, name)


@collections_app.command("retire", epilog="Example: fieldloop collections retire 12")
def collections_retire(number: Number, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Stop gathering and judging it; its history stays."""
    from loop.changes.collections import retire

    _change(project, number, as_json, retire)


@collections_app.command("restore", epilog="Example: fieldloop collections restore 12")
def collections_restore(number: Number, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Gather a retired collection again."""
    from loop.changes.collections import restore

    _change(project, number, as_json, restore)


@collections_app.command("judge", epilog="Example: fieldloop collections judge 12 --off")
def collections_judge(
    number: Number,
    off: Annotated[bool, typer.Option("--off", help="Judge it no longer.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Let rounds judge it, and the evaluation draw look for it."""
    from loop.changes.collections import set_judged

    _change(project, number, as_json, set_judged, not off)


@collections_app.command("quota", epilog='Example: fieldloop collections quota 12 "20 %"')
def collections_quota(
    number: Number,
    quota: Annotated[
        str, typer.Argument(help='A share of each batch, such as "20 %" or 0.2, or a number of frames.')
    ] = "",
    off: Annotated[bool, typer.Option("--off", help="Take the quota away.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Give it a part of each batch to train on."""
    from loop.base.errors import ConfigError
    from loop.changes.collections import set_quota
    from loop.settings.collections import quota_of_text

    if bool(quota) == off:
        raise ConfigError(
            f"collections quota: expected a quota or --off, got {'both' if off else 'neither'}; give one"
        )
    _change(project, number, as_json, set_quota, None if off else quota_of_text(quota))


@collections_app.command("tab", epilog="Example: fieldloop collections tab 12")
def collections_tab(
    number: Number,
    off: Annotated[bool, typer.Option("--off", help="Take the tab away.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make it a tab in Label Studio, at the next push."""
    from loop.changes.collections import set_tab

    _change(project, number, as_json, set_tab, not off)


def _change(project: Any, number: int, as_json: bool, change: Callable[..., object], *values: object) -> None:
    from loop.changes.audit import at_the_terminal

    change(opened(project), at_the_terminal(), number, *values)
    _tell(project, number, as_json)


def _tell(project: Any, number: int, as_json: bool) -> None:
    from loop.insights.collections import details, one_collection
    from loop.project.project import open_project

    place = open_project(project)
    found = one_collection(place, number)
    emit(found, as_json, lambda: details(found, place.settings.frames.timezone))
