"""init, status."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from loop.cli.app import (
    HERE,
    JsonOption,
    ProjectOption,
    agreed,
    app,
    emit,
    moment,
    opened,
    progress_bar,
)


@app.command(
    epilog="Example: fieldloop init helmets --dataset data.yaml --weights best.pt --frames /mnt/cameras"
)
def init(
    directory: Annotated[Path, typer.Argument(help="The folder to make the project in.")],
    dataset: Annotated[
        Path,
        typer.Option(
            help=(
                "The training set: a YOLO data.yaml, a COCO .json, a VOC folder, an export of Label Studio or"
                " CVAT, a folder of labelImg or labelme, or a zip."
            )
        ),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(help="The deployed YOLO weights: a .pt file of ultralytics."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help=(
                "In their place, any pretrained YOLO weights to start a detector for the dataset's classes"
                " from."
            )
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="A class of the dataset that the weights call otherwise: vehicle=car; may be repeated.",
        ),
    ] = None,
    frames: Annotated[str, typer.Option(help="Where production frames arrive: a folder or a video.")] = "",
    label_studio: Annotated[
        str,
        typer.Option(
            "--label-studio",
            help="URL of your own Label Studio; its token goes into FIELDLOOP_LABEL_STUDIO_TOKEN.",
        ),
    ] = "",
    clip: Annotated[
        str,
        typer.Option(
            help=(
                "open_clip architecture[:pretrained tag], hf-hub:owner/name, a local open_clip folder, or"
                " 'small' (carried, needs no download)."
            )
        ),
    ] = "",
    train_camera: Annotated[
        str, typer.Option(help="The camera of all training images of which nothing else names one.")
    ] = "",
    train_site: Annotated[str, typer.Option(help="Likewise their site.")] = "",
    train_pattern: Annotated[
        str,
        typer.Option(
            help=(
                "What a training image's path below the dataset's folder says, as frames.pattern does of"
                " production: 'images/*/{camera}_{date:%Y-%m-%d}_{n}.jpg'."
            )
        ),
    ] = "",
    train_time: Annotated[
        datetime | None,
        typer.Option(
            help=(
                "About when training images without a time of their own were taken: ISO 8601, in"
                " frames.timezone without an offset. It tells their time of day alone."
            ),
            parser=moment,
            metavar="TIME",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="The folder of the training images, where they lie apart from a COCO .json."),
    ] = None,
    accept_problems: Annotated[
        bool,
        typer.Option(
            "--accept-problems",
            help="Go on without labels and images that cannot be used, even where they are more than 5 %.",
        ),
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, as select.budget=50; may be repeated."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree unasked that classes are forgotten.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a project from a training set and the deployed weights."""
    if (weights is None) == (start is None):
        raise typer.BadParameter(
            "expected one of --weights and --start; give the deployed weights if there are any"
        )
    from loop.project.init import NewProject, create_project
    from loop.project.training_metadata import TrainingMetadata

    said = TrainingMetadata(train_camera, train_site, train_pattern, train_time)
    brought = weights or start
    assert brought is not None
    plan = NewProject(
        directory,
        dataset,
        brought,
        frames,
        label_studio,
        clip,
        tuple(set_ or ()),
        said,
        tuple(map_ or ()),
        start is not None,
        images,
        accept_problems,
    )
    with progress_bar("import", at_once=False) as progress:
        report = create_project(plan, progress, lambda said: yes or agreed(said))
    emit(report, as_json, report.lines)


@app.command(epilog="Example: fieldloop status --json")
def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """What came in, what was set aside and why, and where every step stands."""
    from loop.insights.overview import overview, overview_lines

    result = overview(opened(project).project)
    emit(result, as_json, lambda: overview_lines(result))
