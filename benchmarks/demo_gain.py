"""Does choosing pay? The demo in fresh worlds, the loop beside random labels and beside no new
labels.

    python -m benchmarks.demo_gain --seeds 101 102 103 104 105 --out runs/demo_gain

Each seed renders a world of its own (other scenes, other bursts, other draws); the base weights are
the carried ones. In a seed all models start from the same weights, see as many pictures in as many
steps, and are answered by the same annotator. Results are kept in result.json per seed, so that a
stopped run goes on. `--null` labels random frames in the loop's place too: the difference must
straddle 0.

`--keep` copies what is published of each result to benchmarks/results/demo_gain, and `--report`
writes docs/demo-gain.md from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import config
from demo.plan import Plan, read_plan
from demo.report import LOOP, RANDOM, write_report
from demo.run import run, stop_server
from loop.project.project import open_project
from loop.project.wiring import Parts

KEPT = Path(__file__).parent / "results" / "demo_gain"
PAGE = Path(__file__).parent.parent / "docs" / "demo-gain.md"
PUBLISHED = ("world_seed", "labeled", "gaps", "requirements", "arms")
MODELS = ("deployed", "replay only", RANDOM, LOOP)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=config.FOLDER / "demo.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 104, 105])
    parser.add_argument("--out", type=Path, default=Path("runs/demo_gain"))
    parser.add_argument("--null", action="store_true", help="random frames on both sides")
    parser.add_argument("--keep", action="store_true", help="publish the results of these seeds")
    parser.add_argument("--report", action="store_true", help="only write the page, from what is kept")
    options = parser.parse_args()
    if options.report:
        PAGE.write_text(page(kept("loop"), kept("null")), encoding="utf-8")
        return
    results = [
        measured(seeded(read_plan(options.config), seed, options.null), options.out / str(seed))
        for seed in options.seeds
    ]
    if options.keep:
        keep(results, "null" if options.null else "loop")
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
    """Every seed, every model; the lead over random labels with its spread; how many seeds meet
    every requirement.
    """
    models = list(results[0]["scores"])
    lines = ["seed      " + "".join(f"{model:>14}" for model in models) + "     lead  all hold  round"]
    leads = []
    for result in results:
        means = {model: float(np.mean([gap["ap50"][model] for gap in result["gaps"]])) for model in models}
        leads.append(means[LOOP] - means[RANDOM])
        holds = all(need["holds"] for need in result["requirements"])
        lines.append(
            f"{result['world_seed']:<10}"
            + "".join(f"{means[model]:>14.3f}" for model in models)
            + f"{leads[-1]:>+9.3f}  {'yes' if holds else 'no':<8}  {result['round']['status']}"
        )
        lines += [
            f"          does not hold: {need['text']}" for need in result["requirements"] if not need["holds"]
        ]
    spread = (
        f"mean AP50 over the gaps; lead of the loop over random labels: mean {np.mean(leads):+.3f}, min"
        f" {min(leads):+.3f}, max {max(leads):+.3f}"
    )
    met = sum(all(need["holds"] for need in result["requirements"]) for result in results)
    return "\n".join([*lines, f"{spread}; {met} of {len(results)} seeds meet every requirement"])


def keep(results: Sequence[Mapping[str, Any]], kind: str) -> None:
    """What the page shows of each result, in a small file per seed."""
    (KEPT / kind).mkdir(parents=True, exist_ok=True)
    for result in results:
        small = {name: result[name] for name in PUBLISHED} | {"round": {"status": result["round"]["status"]}}
        usual = {
            model: scores["daylight"]
            for model, scores in result["scores"].items()
            if model in ("deployed", LOOP)
        }
        small["daylight"] = {model: {"ap50": each["ap50"], "ap": each["ap"]} for model, each in usual.items()}
        text = json.dumps(small, indent=1, sort_keys=True) + "\n"
        (KEPT / kind / f"{result['world_seed']}.json").write_text(text, encoding="utf-8")


def kept(kind: str) -> list[dict[str, Any]]:
    files = sorted((KEPT / kind).glob("*.json"), key=lambda file: int(file.stem))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def page(results: Sequence[dict[str, Any]], null: Sequence[dict[str, Any]]) -> str:
    """The published page: every gap of every model and seed, and what was required of it."""
    names = [gap["name"] for gap in results[0]["gaps"]]
    lines = [
        "# What the demo's loop gains",
        "",
        (
            "Worlds that were rendered for this table and looked at for nothing else. All models of a world"
            " start from the same carried"
        ),
        (
            f"detector, train for as many steps, and have {results[0]['labeled']} labels by the same"
            " annotator (*replay only* has none): frames that the loop"
        ),
        (
            "chose, or random ones. AP50 on held-out scenes of each gap, for the rare class of that class"
            " alone. On two cores, no GPU."
        ),
        "",
        "Made by `python -m benchmarks.demo_gain --report` from `benchmarks/results/demo_gain`.",
        "",
        "| seed | model | " + " | ".join(names) + " | mean |",
        "|---|---|" + "---|" * (len(names) + 1),
        *(_model_row(result, model) for result in results for model in MODELS),
        "",
        (
            "| seed | lead over random | daylight AP50 | daylight mAP50-95 | every requirement | the loop's"
            " own gate |"
        ),
        "|---|---|---|---|---|---|",
        *(_seed_row(result) for result in results),
        "",
        _means(results, names),
    ]
    if null:
        leads = ", ".join(f"{lead(result):+.3f}" for result in null)
        seeds = ", ".join(str(result["world_seed"]) for result in null)
        lines += [
            "",
            (
                f"With random frames on both sides the difference straddles 0: {leads} (worlds {seeds}, with"
                " an earlier default)."
            ),
        ]
    return "\n".join(lines) + "\n"


def lead(result: Mapping[str, Any]) -> float:
    """Of the loop's mean AP50 over the gaps over that of random labels."""
    return float(np.mean([gap["ap50"][LOOP] - gap["ap50"][RANDOM] for gap in result["gaps"]]))


def _model_row(result: Mapping[str, Any], model: str) -> str:
    values = [gap["ap50"][model] for gap in result["gaps"]]
    cells = " | ".join(f"{value:.3f}" for value in [*values, float(np.mean(values))])
    return f"| {result['world_seed']} | {model} | {cells} |"


def _seed_row(result: Mapping[str, Any]) -> str:
    before, after = result["daylight"]["deployed"], result["daylight"][LOOP]
    holds = "holds" if all(need["holds"] for need in result["requirements"]) else "does not hold"
    pairs = [f"{before[name]:.3f} to {after[name]:.3f}" for name in ("ap50", "ap")]
    return (
        f"| {result['world_seed']} | {lead(result):+.3f} | {pairs[0]} | {pairs[1]} | {holds} |"
        f" {result['round']['status']} |"
    )


def _means(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """By gap, what the loop has over random labels and over no new labels."""
    parts = []
    for place, name in enumerate(names):
        gaps = [result["gaps"][place]["ap50"] for result in results]
        over = [float(np.mean([gap[LOOP] - gap[other] for gap in gaps])) for other in (RANDOM, "replay only")]
        below = sum(gap[LOOP] < gap[RANDOM] for gap in gaps)
        worse = f", below random in {below} of {len(gaps)}" if below else ""
        parts.append(f"{name} {over[0]:+.3f} and {over[1]:+.3f}{worse}")
    return "The loop over random labels and over replay only, by gap: " + "; ".join(parts) + "."


if __name__ == "__main__":
    main()
