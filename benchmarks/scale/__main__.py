"""What the loop costs as a project grows: amplified projects, every verb in a process of its own.

    python -m benchmarks.scale --work /data/scale [--sizes 10000 24000 100000 204000 1000000] [--only gaps select]
    python -m benchmarks.scale --report

Projects are made in the folder of --work once for each size and schema, and stay there. A result
that is in the file of this commit stays; --again measures anew. --report writes docs/scale.md
alone, from the files in benchmarks/results/scale.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scale.measures import MEASURES, Asked
from benchmarks.scale.project import folder_of
from benchmarks.scale.report import document
from benchmarks.scale.runs import Limits, measured, prepared

RESULTS = Path(__file__).parents[1] / "results" / "scale"
SPEED = Path(__file__).parents[1] / "results" / "analysis_speed.json"
DOCUMENT = Path(__file__).parents[2] / "docs" / "scale.md"
SIZES = (10_000, 24_000, 100_000, 204_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/scale"), help="where projects are made")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), default=list(MEASURES))
    parser.add_argument("--again", action="store_true", help="measure what is in the file too")
    parser.add_argument("--name", default="", help="of the result file; the commit when left out")
    parser.add_argument(
        "--seconds", type=float, default=Limits.seconds, help="CPU seconds after which a measure is ended"
    )
    parser.add_argument("--gigabytes", type=float, default=Limits.gigabytes)
    for name, default in vars(Asked()).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--report", action="store_true", help="write the page from the results there are")
    given = parser.parse_args()
    if not given.report:
        asked = Asked(given.budget, given.frames, given.incoming, given.labels)
        file = RESULTS / f"{given.name or commit()}.json"
        for size in given.sizes:
            add(
                file, given.work, size, given.only, asked, Limits(given.seconds, given.gigabytes), given.again
            )
    DOCUMENT.write_text(document(*read_results()), encoding="utf-8")
    print(DOCUMENT)


def add(
    file: Path, work: Path, size: int, names: list[str], asked: Asked, limits: Limits, again: bool
) -> None:
    """Measures what the file lacks of this size, and writes it there."""
    results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else _header(file.stem)
    known = results["sizes"].get(str(size), {}).get("measures", {})
    wanted = [name for name in names if again or name not in known]
    if not wanted:
        return
    print(f"{size:,} frames", flush=True)
    folder = folder_of(work, size)
    prepared(folder, size)
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    file.parent.mkdir(parents=True, exist_ok=True)
    for name, found in measured(folder, wanted, asked, limits):
        known = known | {name: found}
        results["sizes"][str(size)] = {"made": made, "asked": vars(asked), "measures": known}
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def read_results() -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Of every version measured, oldest first; and the speed of analysis."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in RESULTS.glob("*.json")]
    speed = json.loads(SPEED.read_text(encoding="utf-8")) if SPEED.is_file() else None
    return sorted(found, key=lambda each: str(each["begun"])), speed


def _header(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "commit": commit(),
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "sizes": {},
    }


def commit() -> str:
    """The short hash of the code that runs."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
