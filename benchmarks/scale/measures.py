"""What is measured, each measure in a process of its own. They call the product through `verbs`
alone.

    python -m benchmarks.scale.measures NAME FOLDER [--budget 1000] [--frames 1000] [--incoming 10000]

prints what it cost as JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale import late, verbs
from benchmarks.scale.meter import Meter, cpu_seconds, memory_mb
from benchmarks.scale.project import make

WAVE = 1000
COMMAND = (sys.executable, "-P", "-m", "loop.cli")
RUNS, WAVES = 5, 3
"""How often what is short is measured: the least counts."""
WITHOUT_MODELS = ("--help", "status", "models list", "round show")
"""Commands that need no model."""


@dataclass(frozen=True)
class Asked:
    """How much is asked for. budget: of `select`. frames: analyzed at once. incoming: while memory
    is watched. labels: that enter the training set.
    """

    budget: int = 1000
    frames: int = 1000
    incoming: int = 10_000
    labels: int = 100


@dataclass(frozen=True)
class Measure:
    """changes: the project, so it gets a copy."""

    run: Callable[[Path, Asked, Meter], None]
    changes: bool = False


def status(folder: Path, asked: Asked, meter: Meter) -> None:
    """The read model alone: what every page is made from."""
    parts = late.opened(folder)
    with meter.of("status"):
        meter.facts["lines"] = len(verbs.status(parts))
    verbs.close(parts)


def commands(folder: Path, asked: Asked, meter: Meter) -> None:
    """Whole processes, with all that they import; of several runs the one that took the least."""
    for command in WITHOUT_MODELS:
        where = [] if command == "--help" else ["--project", str(folder)]
        for _ in range(RUNS):
            meter.of_command(f"command {command}", [*COMMAND, *command.split(), *where])


def pages(folder: Path, asked: Asked, meter: Meter) -> None:
    """Every page, opened once before so that templates are read."""
    parts = late.opened(folder)
    found = verbs.pages(parts)
    for path, open_page in found.items():
        open_page()
        with meter.of(f"page {path}"):
            meter.facts[f"page {path}"] = open_page()
    verbs.close(parts)


def gaps(folder: Path, asked: Asked, meter: Meter) -> None:
    parts = late.opened(folder)
    with meter.of("gaps"):
        view = verbs.gaps(parts)
        meter.facts["gaps"] = len(verbs.gap_lines(view))
    with meter.of("the page of the gaps"):
        verbs.write_gaps_page(parts, view)
    verbs.close(parts)


def select(folder: Path, asked: Asked, meter: Meter) -> None:
    parts = late.opened(folder)
    with meter.of("select"):
        meter.facts["lines"] = len(verbs.select(parts, asked.budget))
    verbs.close(parts)


def round_(folder: Path, asked: Asked, meter: Meter) -> None:
    parts = late.opened(folder)
    with meter.of("freeze"):
        verbs.freeze(parts)
    with meter.of("look-ups of the judge"):
        meter.facts["held_out"] = verbs.look_up(parts)
    verbs.close(parts)


def analyze(folder: Path, asked: Asked, meter: Meter) -> None:
    """First with nothing new, as the service asks every few seconds; then frames that came in, and
    what a comparison costs then, the least of several times. What one costs after new labels, and
    where nothing is kept of those before.
    """
    parts = late.opened(folder, WAVES * asked.frames)
    verbs.gaps(parts)
    verbs.analyze(parts)
    with meter.of("analyze, nothing new"):
        verbs.analyze(parts)
    pictures = late.pictures_of(WAVES * asked.frames)
    for wave in range(WAVES):
        late.add_rows(parts.project, pictures[wave * asked.frames : (wave + 1) * asked.frames])
        with meter.least_of("analyze, new frames"):
            meter.facts["analyzed"] = verbs.analyze(parts)
        with meter.least_of("gaps, new frames"):
            verbs.gaps(parts)
    meter.facts["labeled"] = late.label(parts.project, asked.frames, asked.labels)
    with meter.of("gaps, new labels"):
        verbs.gaps(parts)
    shutil.rmtree(parts.project.indexes)
    with meter.of("gaps, nothing kept"):
        verbs.gaps(parts)
    verbs.close(parts)


def service(folder: Path, asked: Asked, meter: Meter) -> None:
    """Memory while frames come in and are analyzed, wave by wave in one process. The first numbers
    are those of `analyze`.
    """
    first = WAVES * asked.frames
    total = first + asked.incoming
    parts = late.opened(folder, total)
    verbs.ingest(parts)
    after = [round(memory_mb("VmRSS"), 1)]
    with meter.of("frames come in"):
        for start in range(first, total, WAVE):
            numbers = range(start, min(start + WAVE, total))
            late.drop_files(parts.project, total, numbers)
            came, seen = verbs.ingest(parts), verbs.analyze(parts)
            if came != len(numbers) or seen != len(numbers):
                raise RuntimeError(f"expected {len(numbers)} frames, got {came} ingested, {seen} analyzed")
            after.append(round(memory_mb("VmRSS"), 1))
    meter.facts["memory_mb"] = after
    verbs.close(parts)


MEASURES = {
    "status": Measure(status),
    "commands": Measure(commands),
    "gaps": Measure(gaps),
    "pages": Measure(pages),
    "select": Measure(select),
    "round": Measure(round_, changes=True),
    "analyze": Measure(analyze, changes=True),
    "service": Measure(service, changes=True),
}


def prepare(folder: Path, size: int) -> None:
    """The project, analyzed and compared once: with every derived fact that is kept."""
    make(folder, size)
    parts = late.opened(folder)
    verbs.analyze(parts)
    verbs.gaps(parts)
    verbs.close(parts)


def measured(name: str, folder: Path, asked: Asked) -> dict[str, object]:
    """Costs and facts of one measure, here and now."""
    meter = Meter()
    imported = {"cpu": round(cpu_seconds(), 3), "peak_mb": round(memory_mb("VmHWM"), 1)}
    MEASURES[name].run(folder, asked, meter)
    return {"costs": meter.costs, "facts": meter.facts, "imports": imported}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=[*MEASURES, "prepare"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=0, help="of prepare")
    for name, default in vars(Asked()).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if given.name == "prepare":
        prepare(given.folder, given.size)
        return
    asked = Asked(given.budget, given.frames, given.incoming, given.labels)
    print(json.dumps(measured(given.name, given.folder, asked)))


if __name__ == "__main__":
    main()
