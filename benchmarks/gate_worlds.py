"""Does the gate say yes when it should? The demo in ten worlds, each with the verdict of its round.

    python -m benchmarks.gate_worlds --out runs/gate_worlds

The first world is the shipped one; each seed is a world of its own, with other scenes, other bursts
and other draws. No control groups are trained: 3 to 6 minutes a world. What a world gave is kept in
its folder, so that a stopped run goes on; the figures of all go to
benchmarks/results/gate/worlds.json, from which `python -m benchmarks.small_data` writes them
into docs/small-data.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import config
from benchmarks.demo_gain import quiet, seeded
from demo.plan import Plan, read_plan
from demo.report import LOOP, write_report
from demo.run import Outcome, run, stop_server
from loop.project.project import open_project
from loop.project.wiring import Parts

KEPT = Path(__file__).parent / "results" / "gate" / "worlds.json"
SEEDS = (11, 21, 22, 23, 101, 102, 103, 104, 105, 106)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=config.FOLDER / "demo.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--out", type=Path, default=Path("runs/gate_worlds"))
    parser.add_argument("--keep", action="store_true", help="publish the figures of these seeds")
    options = parser.parse_args()
    plan = read_plan(options.config)
    found = [judged(seeded(plan, seed, False), options.out / str(seed)) for seed in options.seeds]
    for each in found:
        print(line(each))
    if options.keep:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def judged(plan: Plan, folder: Path) -> dict[str, Any]:
    """The figures of one world, from its file when it is there."""
    kept = folder / "verdict.json"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        at = folder.resolve()
        outcome = run(
            plan, at, lambda said: print(f"[{plan.world.seed}] {said}", flush=True), quiet, False, False
        )
        write_report(outcome, Parts(open_project(at / "project")), at)
        stop_server(at)
        kept.write_text(json.dumps(figures(outcome, at), indent=1) + "\n", encoding="utf-8")
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return result


def figures(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """Of one world: what the held-out scenes show, and what the gate said of it."""
    gaps = json.loads((folder / "result.json").read_text(encoding="utf-8"))["gaps"]
    verdict = outcome.row.verdict or {"checks": [], "reasons": []}
    fell = [
        check["name"]
        for check in verdict["checks"]
        if check["status"] == "fail" and check["name"].startswith("no fall: ")
    ]
    better: dict[str, Any] = next(
        (check for check in verdict["checks"] if check["name"] == "better on the gaps"), {}
    )
    return {
        "seed": outcome.plan.world.seed,
        "status": str(outcome.row.status),
        "before": float(np.mean([gap["ap50"]["deployed"] for gap in gaps])),
        "after": float(np.mean([gap["ap50"][LOOP] for gap in gaps])),
        "gate": {
            name: better.get(name) for name in ("before", "after", "statistic", "bound", "frames", "groups")
        },
        "failed": fell,
        "asks": [check["name"] for check in verdict["checks"] if check.get("asks")],
        "reason": verdict["reasons"][0] if verdict["reasons"] else "",
    }


def line(of: dict[str, Any]) -> str:
    gate, p = of["gate"], of["gate"]["statistic"]
    told = "not tested" if p is None else f"p {p:.4f} against {gate['bound']:.4f}, {gate['groups']} groups"
    rose = f"{of['before']:.3f} -> {of['after']:.3f}"
    return f"{of['seed']:>5}  {rose}  {of['status']:<10} {told}  {', '.join(of['failed'])}"


if __name__ == "__main__":
    main()
