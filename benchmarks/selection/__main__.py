"""How fast frames are chosen, beside the peers, each in an environment and a process of its own,
one thread.

    python -m benchmarks.selection --size 1000000 --runs 3 --work /tmp/selection
    python -m benchmarks.selection --report

A result that is in the file stays; --again NAME measures a contest anew. CPU seconds (user and
system) of the choice itself, without reading the data; compared within one contest, whose
contenders take turns. --report writes the table only.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.selection.contests import Contest, contests
from benchmarks.selection.report import document
from benchmarks.selection.runs import covered, environment, facility, ours, radii, theirs
from benchmarks.selection.worlds import world_of

RESULTS = Path(__file__).parents[1] / "results" / "selection.json"
DOCUMENT = Path(__file__).parents[2] / "docs" / "selection.md"
QUALITY = {"covered": covered, "facility": facility}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="contests by name")
    parser.add_argument("--again", nargs="+", default=[], help="contests that are measured anew")
    parser.add_argument("--work", type=Path, default=Path("runs/selection"), help="data and environments")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--report", action="store_true", help="write the table from the results there are")
    options = parser.parse_args()
    results = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    if not options.report:
        options.work.mkdir(parents=True, exist_ok=True)
        for contest in contests(options.size):
            wanted = options.only is None or contest.name in options.only
            if wanted and (contest.name not in results or contest.name in options.again):
                print(contest.name, flush=True)
                results[contest.name] = held(contest, options.work, options.runs)
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    options.document.write_text(document(results), encoding="utf-8")
    print(options.document)


def held(contest: Contest, work: Path, runs: int) -> dict[str, Any]:
    """What each contender needed, run by run, and what its picks are worth."""
    data = world_of(work, contest.world, contest.rows, dtype=contest.dtype)
    answers: dict[str, list[dict[str, Any]]] = {}
    for number in range(runs):
        for who, most in contest.contenders.items():
            if number < most:
                answers.setdefault(who, []).append(_answer(contest, who, data, work))
                print(f"  {who}: {answers[who][-1]['cpu']:.2f} CPU s", flush=True)
    picks = {who: each[0].pop("picks") for who, each in answers.items()}
    for each in answers.values():
        for run in each:
            run.pop("picks", None)
    said = {
        "world": contest.world,
        "rows": contest.rows,
        "k": contest.k,
        "labeled": contest.labeled or contest.first,
        "machine": platform.machine(),
        "numpy": np.__version__,
    }
    return said | {"runs": answers, "quality": _judged(contest, data, picks, work)}


def _answer(contest: Contest, who: str, data: Path, work: Path) -> dict[str, Any]:
    picks = work / "picks.npy"
    if who in contest.ours:
        options = list(contest.ours[who])
        if contest.labeled:
            options += ["--labeled", str(world_of(work, contest.world, contest.labeled, part=1))]
        if contest.first:
            options += ["--first", str(contest.first)]
        return ours(options[0], data, contest.k, picks, *options[1:])
    return theirs(environment(work, who), who, data, contest.k, picks, contest.first)


def _judged(contest: Contest, data: Path, picks: dict[str, Any], work: Path) -> dict[str, Any]:
    points = np.load(data, mmap_mode="r")
    if contest.judge in QUALITY:
        rows = np.load(data)
        return {
            who: {contest.judge: QUALITY[contest.judge](rows, chosen, contest.scale)}
            for who, chosen in picks.items()
        }
    if contest.judge is None:
        return {}
    known = np.load(world_of(work, contest.world, contest.labeled, part=1)) if contest.labeled else None
    known = np.asarray(points[: contest.first], dtype=np.float32) if known is None else known
    far = {who: radii(points, chosen, known) for who, chosen in picks.items()}
    judged: dict[str, Any] = {who: {"radius": float(each.min())} for who, each in far.items()}
    if "plain" in picks:
        for who, chosen in picks.items():
            judged[who] |= {
                "same_picks": len(np.intersect1d(chosen, picks["plain"])),
                "same_until": int(np.argmin(np.append(chosen == picks["plain"], False))),
                "radii_differ": float(np.abs(far[who] - far["plain"]).max()),
            }
    return judged


if __name__ == "__main__":
    main()
