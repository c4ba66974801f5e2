"""Does choosing pay? The demo in fresh worlds, its loop arm beside random labels and beside no new labels.

    python -m benchmarks.demo_gain --seeds 101 102 103 104 105 --out runs/demo_gain

Each seed renders a world of its own (other scenes, other bursts, other draws); the base weights are the carried ones. In a seed all
arms start from the same weights, see as many pictures in as many steps, and are answered by the same annotator. Results are kept in
result.json per seed, so that a stopped run goes on. `--null` labels random frames in the loop's place too: the difference must straddle 0.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import config
from demo.plan import Plan, read_plan
from demo.report import LOOP, RANDOM, write_report
from demo.run import run, stop_server
from loop.project import open_project
from loop.wiring import Parts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=config.FOLDER / "demo.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 104, 105])
    parser.add_argument("--out", type=Path, default=Path("runs/demo_gain"))
    parser.add_argument("--null", action="store_true", help="random frames in both arms")
    options = parser.parse_args()
    results = [
        measured(seeded(read_plan(options.config), seed, options.null), options.out / str(seed))
        for seed in options.seeds
    ]
    print(table(results))


def seeded(plan: Plan, seed: int, null: bool) -> Plan:
    """The same plan in another world, with another draw of everything."""
    settings = {**plan.project, "seed": seed}
    if null:
        settings["select.strategy"] = "random"
    return replace(plan, world=plan.world.model_copy(update={"seed": seed}), project=settings)


def measured(plan: Plan, folder: Path) -> dict[str, Any]:
    """The result of one seed, from its file when it is there."""
    kept = folder / "result.json"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        outcome = run(
            plan, folder.resolve(), lambda line: print(f"[{plan.world.seed}] {line}", flush=True), quiet
        )
        write_report(outcome, Parts(open_project(folder.resolve() / "project")), folder.resolve())
        stop_server(folder.resolve())
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return result


def quiet(done: int, total: int, what: str) -> None:
    return None


def table(results: list[dict[str, Any]]) -> str:
    """Every seed, every arm; the lead over random labels with its spread; how many seeds meet every requirement."""
    arms = list(results[0]["scores"])
    lines = ["seed      " + "".join(f"{arm:>14}" for arm in arms) + "     lead  all hold  round"]
    leads = []
    for result in results:
        means = {arm: float(np.mean([gap["ap50"][arm] for gap in result["gaps"]])) for arm in arms}
        leads.append(means[LOOP] - means[RANDOM])
        holds = all(need["holds"] for need in result["requirements"])
        lines.append(
            f"{result['world_seed']:<10}"
            + "".join(f"{means[arm]:>14.3f}" for arm in arms)
            + f"{leads[-1]:>+9.3f}  {'yes' if holds else 'no':<8}  {result['round']['status']}"
        )
        lines += [
            f"          does not hold: {need['text']}" for need in result["requirements"] if not need["holds"]
        ]
    spread = f"mean AP50 over the gaps; lead of the loop over random labels: mean {np.mean(leads):+.3f}, min {min(leads):+.3f}, max {max(leads):+.3f}"
    met = sum(all(need["holds"] for need in result["requirements"]) for result in results)
    return "\n".join([*lines, f"{spread}; {met} of {len(results)} seeds meet every requirement"])


if __name__ == "__main__":
    main()
