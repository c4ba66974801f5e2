"""bench: does choosing pay? Labeled data replayed as unlabeled production, and the report of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loop.cli.app import FAILED, JsonOption, app, emit, fail, progress_bar, say

if TYPE_CHECKING:
    from loop.replay.settings import ReplaySettings

SMALL_FORM = "random,stratified,entropy,k_center,hybrid"

bench = typer.Typer(
    no_args_is_help=True,
    help="Whether choosing pays: labeled data replayed as unlabeled production.",
    epilog="Example: fieldloop bench replay",
)
app.add_typer(bench, name="bench")


@bench.command(
    "replay",
    epilog="Example: fieldloop bench replay --dataset data.yaml --weights base.pt --sidecar frames.csv",
)
def bench_replay(
    dataset: Annotated[
        Path,
        typer.Option(
            help="A labeled dataset: data.yaml, COCO or VOC. Its replay.yaml, if any, holds settings."
        ),
    ],
    samplers: Annotated[
        str, typer.Option(help="Separated by commas; random2 is another draw of random.")
    ] = SMALL_FORM,
    seeds: Annotated[str, typer.Option(help="How many, or which: 8, 4-7 or 1,5.")] = "8",
    rounds: Annotated[int | None, typer.Option(min=1, help="How many.", show_default="3")] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Frames labeled in a round.", show_default="60")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="The checkpoint that every training starts from.",
            show_default="the one carried for the demo",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The folder of the images, where they lie apart from a JSON.")
    ] = None,
    sidecar: Annotated[
        Path | None,
        typer.Option(help="CSV: file, camera, site, sequence, captured_at; further columns are slices."),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="What the paths say, where there is no sidecar.")
    ] = None,
    labeled: Annotated[
        list[str] | None, typer.Option(help="column=value of the frames that are labeled from the start.")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(help="column=value of the frames that judge; left out, groups are drawn."),
    ] = None,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="Instead of replay.yaml beside the dataset.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting: key=value, such as epochs=4 or train.lr0=0.002."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, or the number of a GPU.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Seeds at once; they share the cores.")] = 2,
    out: Annotated[
        Path, typer.Option(help="The results: a folder per dataset, a small file per round.")
    ] = Path("replay/results"),
    work: Annotated[Path, typer.Option(help="What can be computed again.")] = Path("replay/work"),
    name: Annotated[str, typer.Option(help="What the dataset is called.", show_default="its folder")] = "",
    as_json: JsonOption = False,
) -> None:
    """Choose, label, train, judge, round after round, for every sampler and seed alike; it goes on
    where it was stopped.
    """
    from connectors.errors import ConnectorError
    from loop.replay.bench import Folders
    from loop.replay.settings import given_settings, read_settings
    from loop.replay.workers import Job, replay, seeds_of

    given = given_settings(set_ or ()) | {
        "rounds": rounds, "budget": budget, "pattern": pattern, "device": device,
        "weights": weights and str(weights.absolute()), "sidecar": sidecar and str(sidecar.absolute()),
        "images": images and str(images.absolute()),
        "labeled": labeled or None, "test": test or None,
    }  # fmt: skip
    try:
        chosen = seeds_of(seeds)
    except ValueError:
        raise typer.BadParameter(
            f"expected how many seeds or which, such as 8, 4-7 or 1,5, got {seeds!r}"
        ) from None
    called = name or (dataset if dataset.is_dir() else dataset.parent).absolute().name
    folders = Folders((out / called).absolute(), (work / called).absolute())
    job = Job(
        dataset,
        _with_weights(read_settings(dataset, settings_file, given)),
        folders,
        called,
        tuple(part.strip() for part in samplers.split(",")),
        chosen,
        workers,
    )
    try:
        with progress_bar("replay") as progress:
            replay(job, say, progress)
    except (ConnectorError, ValueError) as error:
        fail(str(error), FAILED)
    emit(
        {"results": folders.results, "samplers": job.samplers, "seeds": job.seeds},
        as_json,
        lambda: [f"results: {folders.results}; next: fieldloop bench report --results {out}"],
    )


def _with_weights(settings: ReplaySettings) -> ReplaySettings:
    """The carried detector as base checkpoint where none is named: nothing is downloaded for a
    first look at one's own data.
    """
    if settings.weights:
        return settings
    from demo.deployed import CARRIED

    say(
        "no base checkpoint is named: every training starts from the carried detector, which knows rendered"
        " scenes alone; give --weights with the one that you train from"
    )
    return settings.model_copy(update={"weights": str(CARRIED / "base.pt")})


@bench.command("report", epilog="Example: fieldloop bench report --results replay/results --docs replay")
def bench_report(
    results: Annotated[
        Path, typer.Option(help="A dataset's folder of results, or the folder that holds several.")
    ] = Path("replay/results"),
    docs: Annotated[Path, typer.Option(help="Where replay-<data>.md and its plots are written.")] = Path(
        "replay"
    ),
    as_json: JsonOption = False,
) -> None:
    """Tables and plots of a replay, regenerated from its files."""
    from loop.replay.report import write_report
    from loop.replay.results import result_folders

    try:
        written = [write_report(folder, docs) for folder in result_folders(results)]
    except ValueError as error:
        fail(str(error), FAILED)
    emit({"written": written}, as_json, lambda: map(str, written))
